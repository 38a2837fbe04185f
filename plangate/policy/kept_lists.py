"""Read the lists of people that the records keep."""

from collections.abc import Callable, Iterable
from functools import lru_cache

from plangate.domain.audit import RuleText
from plangate.domain.errors import FileInvalid
from plangate.domain.people import People
from plangate.policy.people_file import people_in

PeopleThen = Callable[[str], People | None]
"""Returns the list of people whose text has this SHA-256; None if there is none."""


def lists_in(texts: Iterable[RuleText]) -> PeopleThen:
    """Return a function that reads one of these texts as a list of people, by its SHA-256.

    A text of a policy is never asked for: entries name policies and lists in different fields.
    """
    kept = {text.hash: text for text in texts if text.is_as_named()}

    def named(name: str) -> People | None:
        return _parsed(kept[name].text) if name in kept else None

    return named


@lru_cache(maxsize=16)
def _parsed(text: str) -> People | None:
    """Return the list; None if this release cannot read the text as one."""
    try:
        return people_in(text)
    except FileInvalid:
        return None
