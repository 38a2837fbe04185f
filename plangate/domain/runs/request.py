"""The request that starts a run."""

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import Field, JsonValue, StringConstraints, ValidationError

from plangate.domain.base import Typed
from plangate.domain.decisions.decision import PersonName
from plangate.domain.errors import RequestInvalid
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import MAX_PLAN_BYTES, MAX_RAW_PLAN_BYTES
from plangate.domain.runs.audit import Requested, RunRef
from plangate.domain.times.durations import DEFAULT_TIMEOUT, LONGEST_TIMEOUT
from plangate.domain.validation import faults_in

MAX_REQUEST: Final = 20_000
EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
"""Earlier than any request that can be recorded."""
_CLOCK_SKEW: Final = timedelta(minutes=1)  # how much the clocks of Temporal's hosts may differ
_LONGEST_FAULT: Final = 120
_CHAIN_ID: Final = re.compile(r"[!-~]{0,100}")


class PlanRequest(Typed):
    """The input of the workflow ``PlanApproval``.

    Attributes:
        request: the request in plain language; may be empty if a plan is supplied.
        plan: a supplied plan, unchecked; None if the planner is to draft one.
        timeout_seconds: how long each review may take before it expires.
        drafts_at_once: whether a supplied plan is checked and recorded in the first workflow task, if that is
            quick. Runs of earlier releases do not have this field, and their histories contain a different
            activity.
    """

    requester: PersonName
    request: Annotated[str, StringConstraints(max_length=MAX_REQUEST)] = ""
    plan: JsonValue = None
    timeout_seconds: int = Field(
        default=int(DEFAULT_TIMEOUT.total_seconds()), ge=1, le=int(LONGEST_TIMEOUT.total_seconds())
    )
    drafts_at_once: bool = False

    def requested(self, at: datetime) -> Requested:
        """Return the request as it is recorded."""
        return Requested(
            request=self.request,
            requester=self.requester,
            timeout_seconds=self.timeout_seconds,
            requested_at=at,
        )


def check_opening(run: RunRef, now: datetime | None = None) -> Requested:
    """Check the request of a run again before it is recorded, and return it.

    Any client of the namespace can start a workflow with a request that `read_request` did not check.

    Args:
        run: the run, with the request that would open its trail.
        now: the current time, if known; a later request is invalid.

    Raises:
        RequestInvalid: the request would have been refused, or is missing.
    """
    requested = run.requested
    if requested is None:
        raise RequestInvalid('The request cannot be used: "requested" is missing.')
    read = _read({name: getattr(requested, name) for name in ("requester", "request", "timeout_seconds")})
    if read.requester != requested.requester:
        raise RequestInvalid('The request cannot be used: "requester" begins or ends with a space.')
    latest = requested.requested_at if now is None else now + _CLOCK_SKEW
    if not EARLIEST <= requested.requested_at <= latest:
        raise RequestInvalid('The request cannot be used: "requested_at" is not a possible time.')
    if not _CHAIN_ID.fullmatch(run.chain_id):
        raise RequestInvalid('The request cannot be used: "chain_id" is not the id of a run.')
    return requested


def read_request(inputs: Sequence[object]) -> PlanRequest:
    """Read the inputs that a workflow was started with.

    Raises:
        RequestInvalid: they are not a request; the message explains why.
    """
    if len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestInvalid(
            'The workflow was started without one JSON object such as {"requester": "dana", "request": "…"}; '
            "start it with starter.py."
        )
    request = _read(inputs[0])
    if not request.request.strip() and request.plan is None:
        raise RequestInvalid("The request is empty; say what you want done, or supply a plan.")
    size = len(json.dumps(request.plan, ensure_ascii=False).encode(errors="surrogatepass"))
    if size > MAX_RAW_PLAN_BYTES:
        raise RequestInvalid(
            f"The plan has {size:,} bytes, more than the limit of {MAX_PLAN_BYTES:,}; make it smaller."
        )
    return request


def _read(fields: dict[Any, Any]) -> PlanRequest:
    try:
        return PlanRequest.model_validate(fields)
    except ValidationError as error:
        fault = cut(one_line(str(faults_in(error)[0])), _LONGEST_FAULT)
        raise RequestInvalid(f"The request cannot be used: {fault}.") from None
