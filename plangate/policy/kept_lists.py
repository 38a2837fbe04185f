"""Read the lists of people that are stored in the records."""

from collections.abc import Callable, Iterable
from functools import lru_cache

from plangate.domain.errors import FileInvalid
from plangate.domain.people.people import People
from plangate.domain.runs.audit import RuleText
from plangate.policy.people_file import people_in
from plangate.signing.enrolment import KeyStatement
from plangate.signing.public_keys import shown

PeopleByHash = Callable[[str], People | None]
"""Returns the list of people whose text has this SHA-256; None if there is none."""


def lists_in(texts: Iterable[RuleText]) -> PeopleByHash:
    """Return a function that reads the text with a given SHA-256 as a list of people.

    It is never called for the text of a policy, because entries have different fields for policies and lists.
    """
    kept = {text.hash: text for text in texts if text.hash_matches()}

    def named(name: str) -> People | None:
        return _parsed(kept[name].text) if name in kept else None

    return named


def statements_in(texts: Iterable[RuleText]) -> tuple[KeyStatement, ...]:
    """Return the signed changes to keys in these texts, without duplicates, oldest first."""
    lists = [people for text in texts if text.hash_matches() and (people := _parsed(text.text))]
    found: dict[str, KeyStatement] = {}
    for people in sorted(lists, key=lambda one: len(one.enrolments)):
        for one in people.enrolments:
            public = shown(one.public) if one.public is not None else None
            found.setdefault(one.token, KeyStatement(token=one.token, public=public))
    return tuple(found.values())


@lru_cache(maxsize=16)
def _parsed(text: str) -> People | None:
    """Return the list; None if this release cannot parse the text as a list of people."""
    try:
        return people_in(text)
    except FileInvalid:
        return None
