"""Find the person on the list who logged in, by an exact match of one claim."""

from collections.abc import Mapping
from typing import Any, Final

from plangate.domain.people.people import People, Person
from plangate.web.login import LoginRefused

MAIL: Final = "email"


def person_of(claims: Mapping[str, Any], claim: str, people: People | None) -> Person:
    """Return the person who logged in; ``Any`` is a JSON value.

    The claim ``email`` is compared with the email address of each person, if the provider has verified it.
    Any other claim must equal the name of a person exactly.

    Raises:
        LoginRefused: no person on the list matches, the person is no longer active, or two people match.
    """
    if people is None:
        raise LoginRefused("login.no_people")
    said = claims.get(claim)
    if not isinstance(said, str) or not said:
        raise LoginRefused("login.no_claim")
    if claim == MAIL and claims.get("email_verified") is not True:
        raise LoginRefused("login.not_verified")
    found = [person for person in people.persons if _matches_claim(person, claim, said)]
    if len(found) > 1:
        raise LoginRefused("login.ambiguous")
    if not found or not found[0].active:
        raise LoginRefused("login.not_listed")
    return found[0]


def _matches_claim(person: Person, claim: str, said: str) -> bool:
    if claim == MAIL:
        return bool(person.mail) and _lower(person.mail) == _lower(said)
    return person.name == said


def _lower(mail: str) -> str:
    """Return an email address with A to Z in lower case; other letters are not changed."""
    return "".join(char.lower() if char.isascii() else char for char in mail)
