"""Define the request bodies of the API. Unknown fields and wrong types are errors."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from plangate.domain.decisions.decision import MAX_COMMENT, MAX_SIGNATURE, Choice, Resolution
from plangate.domain.plans.plan import uncanonical
from plangate.domain.runs.request import MAX_REQUEST
from plangate.domain.times.durations import DEFAULT_TIMEOUT, LONGEST_TIMEOUT

_WORDS = Field(strict=False)  # JSON has no enumerations, so only the values of the enumeration are accepted


def _canonical(plan: dict[str, JsonValue]) -> dict[str, JsonValue]:
    fault = next(uncanonical(plan), None)
    if fault is not None:
        raise ValueError(str(fault))
    return plan


PlanBody = Annotated[dict[str, JsonValue], AfterValidator(_canonical)]
"""A plan as JSON values, which is checked later."""


class Body(BaseModel):
    """The base class of request bodies."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class NewRun(Body):
    """A request: text for the planner, or a prepared plan. The requester is the person who is signed in."""

    request: str = Field(default="", max_length=MAX_REQUEST, description="The request, in plain language.")
    plan: PlanBody | None = Field(
        default=None,
        description='A prepared plan: {"summary": …, "steps": [{"tool", "arguments", "reason"}]}. '
        'Its "not_before", a time with its zone, sets the earliest start.',
    )
    id: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]*$",
        description="The workflow id; if omitted, one is generated. No id is used twice.",
    )
    timeout_seconds: int = Field(
        default=int(DEFAULT_TIMEOUT.total_seconds()),
        ge=1,
        le=int(LONGEST_TIMEOUT.total_seconds()),
        description="How long each review may take.",
    )


class NewDecision(Body):
    """A decision by the person who is signed in, as the update ``decide`` accepts it."""

    decision: Annotated[Choice, _WORDS]
    plan: str = Field(pattern="^[0-9a-f]{64}$", description="The full fingerprint of the plan that you saw.")
    comment: str = Field(default="", max_length=MAX_COMMENT)
    signature: str | None = Field(
        default=None,
        max_length=MAX_SIGNATURE,
        description="A token signed with your key or passkey; if omitted, the session is the proof.",
    )
    new_plan: PlanBody | None = Field(default=None, description="For an edit: the new plan.")
    step: int | None = Field(default=None, ge=1, description="For a resolution: the held step.")
    resolution: Annotated[Resolution, _WORDS] | None = Field(
        default=None, description="For a resolution: which one."
    )
    hold: int | None = Field(
        default=None, ge=1, description="For a resolution: which hold of the run it resolves."
    )
