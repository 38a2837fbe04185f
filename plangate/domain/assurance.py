"""Levels of assurance: the proof of identity that a rule requires and that a decision carries."""

from enum import StrEnum
from typing import Final, assert_never


class Assurance(StrEnum):
    """A level of proof, ordered: ``typed`` < ``login`` < ``signed``.

    Attributes:
        TYPED: a name that was typed.
        LOGIN: a login; reserved, no decision has it yet.
        SIGNED: a signature by a key of that person.
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
        """Compare by proof, not by the alphabet."""
        return self.rank < Assurance(other).rank

    def __le__(self, other: str) -> bool:
        """Compare by proof, not by the alphabet."""
        return self.rank <= Assurance(other).rank

    def __gt__(self, other: str) -> bool:
        """Compare by proof, not by the alphabet."""
        return self.rank > Assurance(other).rank

    def __ge__(self, other: str) -> bool:
        """Compare by proof, not by the alphabet."""
        return self.rank >= Assurance(other).rank


RESERVED: Final = frozenset({Assurance.LOGIN})
"""The levels that no rule may ask for yet."""


def read_assurance(text: object) -> Assurance:
    """Return the level that a rule asks for.

    Raises:
        ValueError: there is no such level, or it is reserved.
    """
    choices = " or ".join(f'"{level}"' for level in Assurance if level not in RESERVED)
    if text not in list(Assurance):
        raise ValueError(f"must be {choices}")
    level = Assurance(str(text))
    if level in RESERVED:
        raise ValueError(f'"{level}" is reserved for a later release; write {choices}')
    return level
