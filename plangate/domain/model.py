"""What every model of the domain is: frozen, and closed to unknown fields where somebody typed it."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

__all__ = ["AwareDatetime", "Frozen", "Typed"]


class Frozen(BaseModel):
    """An immutable value that only Plangate writes.

    A field that a newer release has added is passed over, so that workers of two releases can share the
    records and the open runs.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")


class Typed(Frozen):
    """An immutable value that somebody typed: a field that it does not know is a fault to be told."""

    model_config = ConfigDict(frozen=True, extra="forbid")
