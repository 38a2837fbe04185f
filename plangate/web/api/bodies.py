"""What programs send: strict, so that nothing is guessed and nothing is left unread."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from plangate.domain.decision import MAX_COMMENT, MAX_SIGNATURE, Choice, Resolution
from plangate.domain.durations import DEFAULT_TIMEOUT, LONGEST_TIMEOUT
from plangate.domain.plan import uncanonical
from plangate.domain.request import MAX_REQUEST

_WORDS = Field(strict=False)  # JSON has no enumerations: their words are taken, and nothing else


def _canonical(plan: dict[str, JsonValue]) -> dict[str, JsonValue]:
    fault = next(uncanonical(plan), None)
    if fault is not None:
        raise ValueError(str(fault))
    return plan


PlanBody = Annotated[dict[str, JsonValue], AfterValidator(_canonical)]
"""A plan that is checked later, of values that JSON can carry."""


class Body(BaseModel):
    """The base of what is sent."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NewRun(Body):
    """A request: words for the planner, or a ready plan. Its requester is who is signed in."""

    request: str = Field(default="", max_length=MAX_REQUEST, description="What is wanted, in plain words.")
    plan: PlanBody | None = Field(
        default=None,
        description='A ready plan: {"summary": …, "steps": [{"tool", "arguments", "reason"}]}. With '
        '"not_before", a time with its zone, it does not begin earlier.',
    )
    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$",
        description="The workflow id; left out, one is made up. No id is used twice.",
    )
    timeout_seconds: int = Field(
        default=int(DEFAULT_TIMEOUT.total_seconds()),
        ge=1,
        le=int(LONGEST_TIMEOUT.total_seconds()),
        description="How long each review may take.",
    )


class NewDecision(Body):
    """A decision by who is signed in, as the update ``decide`` takes it."""

    decision: Annotated[Choice, _WORDS]
    plan: str = Field(pattern="^[0-9a-f]{64}$", description="The whole fingerprint of the plan you saw.")
    comment: str = Field(default="", max_length=MAX_COMMENT)
    signature: str | None = Field(
        default=None,
        max_length=MAX_SIGNATURE,
        description="A signed token, by a key or a passkey of yours; left out, the session is the proof.",
    )
    new_plan: PlanBody | None = Field(default=None, description="Of an edit.")
    step: int | None = Field(default=None, ge=1, description="Of a resolution: the held step.")
    resolution: Annotated[Resolution, _WORDS] | None = Field(default=None, description="Of a resolution.")
    hold: int | None = Field(
        default=None, ge=1, description="Of a resolution: which hold of the run it answers."
    )
