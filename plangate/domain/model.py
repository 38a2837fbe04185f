"""What every model of the domain is: frozen, and closed to fields that it does not know."""

from pydantic import AwareDatetime, BaseModel, ConfigDict

__all__ = ["AwareDatetime", "Frozen"]


class Frozen(BaseModel):
    """An immutable value with exactly the fields it declares."""

    model_config = ConfigDict(frozen=True, extra="forbid")
