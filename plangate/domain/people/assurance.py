"""Levels of assurance: how strongly a decision proves who sent it, and how strong a proof a rule requires."""

from enum import StrEnum
from typing import assert_never


class Assurance(StrEnum):
    """A level of proof, ordered: ``typed`` < ``login`` < ``signed``.

    Attributes:
        TYPED: a typed name, without proof.
        LOGIN: a login to a web server, attested with that server's key.
        SIGNED: a signature with the person's own key: a passkey, or an Ed25519 key.
    """

    TYPED = "typed"
    LOGIN = "login"
    SIGNED = "signed"

    @property
    def rank(self) -> int:
        """The position in the order, from 0."""
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
    """Return the level with this name.

    Raises:
        ValueError: there is no such level.
    """
    if text not in list(Assurance):
        raise ValueError('must be "typed", "login" or "signed"')
    return Assurance(str(text))
