"""Auditors' accesses: reading the records, or taking a copy of them.

They are recorded on their own trail. They are not signed, so an entry is only as reliable as the program
that sent it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, ValidationError

from plangate.domain.base import AwareDatetime, Frozen, OutsideRun, Typed
from plangate.domain.decisions.decision import PersonName, first_faults

_LONGEST: Final = 1_000


class AccessKind(StrEnum):
    """The kind of access."""

    VIEWED = "viewed"
    EXPORTED = "exported"


class Access(Typed):
    """One access by a person.

    Attributes:
        what: whether they read it on a page, or took a copy.
        by: the person.
        subject: the workflow id of the run, or another subject in a few words, such as a period.
        why: the reason as the person wrote it; empty if they gave none.
    """

    what: AccessKind
    by: PersonName
    subject: Annotated[str, StringConstraints(min_length=1, max_length=_LONGEST)]
    why: str = Field(default="", max_length=_LONGEST)


class AccessRecorded(OutsideRun):
    """An access recorded in the access trail; ``said_at`` is the time that its program reported."""

    kind: Literal["looked"] = "looked"
    look: Access
    said_at: AwareDatetime


class AccessAnswer(Frozen):
    """Whether an access is recorded; None if it cannot be recorded now. ``reason`` explains why it is not."""

    recorded: bool | None = None
    reason: str = ""


def read_access(inputs: Sequence[object]) -> Access:
    """Parse a message that reports an access.

    Raises:
        ValueError: it cannot be parsed; the message explains why.
    """
    if len(inputs) != 1:
        raise ValueError(f"expected one JSON object, not {len(inputs)}")
    try:
        return Access.model_validate(inputs[0])
    except ValidationError as error:
        raise ValueError(first_faults(error)) from None
