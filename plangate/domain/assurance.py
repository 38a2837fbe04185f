"""Levels of assurance: the proof of identity that a rule requires and a decision has."""

from enum import StrEnum
from typing import assert_never


class Assurance(StrEnum):
    """A level of proof, ordered: ``typed`` < ``login`` < ``signed``.

    Attributes:
        TYPED: a name that was typed.
        LOGIN: a login to a web server whose key attests it.
        SIGNED: a signature by a key of that person: a passkey, or an Ed25519 key.
    """

    TYPED = "typed"
    LOGIN = "login"
    SIGNED = "signed"

    @property
    def rank(self) -> int:
        """The place in the order, from 0."""
        match self:
            case Assurance.TYPED:
                return 0
            case Assurance.LOGIN:
                return 1
            case Assurance.SIGNED:
                return 2
            case _:
                assert_never(self)

    def __lt__(self, other: str) -> bool:
        """Compare by strength, not alphabetically."""
        return self.rank < Assurance(other).rank

    def __le__(self, other: str) -> bool:
        """Compare by strength, not alphabetically."""
        return self.rank <= Assurance(other).rank

    def __gt__(self, other: str) -> bool:
        """Compare by strength, not alphabetically."""
        return self.rank > Assurance(other).rank

    def __ge__(self, other: str) -> bool:
        """Compare by strength, not alphabetically."""
        return self.rank >= Assurance(other).rank


def read_assurance(text: object) -> Assurance:
    """Return the level that a rule names.

    Raises:
        ValueError: there is no such level.
    """
    if text not in list(Assurance):
        raise ValueError('must be "typed", "login" or "signed"')
    return Assurance(str(text))
