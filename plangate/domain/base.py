"""The base classes of all models: frozen; models of values that people type also reject unknown fields."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

__all__ = ["AwareDatetime", "Frozen", "OutsideRun", "Typed"]


class Frozen(BaseModel):
    """An immutable value that only Plangate writes.

    Fields from a newer release are ignored, so workers of two releases can share records and open runs.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class OutsideRun(Frozen):
    """An event of the whole installation: it is recorded on a trail of its own, never on that of a run."""


class Typed(Frozen):
    """An immutable value that people type: an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")
