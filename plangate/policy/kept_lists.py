"""The lists of people that the records keep, as they were."""

from collections.abc import Callable, Iterable
from functools import lru_cache

from plangate.domain.audit import RuleText
from plangate.domain.errors import FileInvalid
from plangate.domain.people import People
from plangate.policy.people_file import people_in

PeopleThen = Callable[[str], People | None]
"""Returns the list of people whose text has this SHA-256; None where it is not there."""


def lists_in(texts: Iterable[RuleText]) -> PeopleThen:
    """Return the lists of people among the texts that were kept, each as it was named.

    Which of them are lists, the entries say that name them: only these ask for one.
    """
    kept = {text.hash: text for text in texts if text.is_as_named()}

    def named(name: str) -> People | None:
        return _parsed(kept[name].text) if name in kept else None

    return named


@lru_cache(maxsize=16)
def _parsed(text: str) -> People | None:
    """Read a list that was kept; None where this release cannot, or it never was one."""
    try:
        return people_in(text)
    except FileInvalid:
        return None
