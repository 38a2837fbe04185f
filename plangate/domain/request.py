"""What starts a run: the request as it comes in at the door."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

from pydantic import Field, JsonValue, StringConstraints, ValidationError

from plangate.domain.audit import Requested
from plangate.domain.decision import PersonName
from plangate.domain.errors import RequestInvalid
from plangate.domain.model import Typed
from plangate.domain.plan import MAX_PLAN_BYTES
from plangate.domain.visible import cut, one_line

MAX_REQUEST: Final = 20_000
# More than any plan that passes its checks, and well below what the server hands on to an activity (2 MB).
MAX_RAW_PLAN_BYTES: Final = 2 * MAX_PLAN_BYTES
DEFAULT_TIMEOUT: Final = timedelta(hours=72)
LONGEST_TIMEOUT: Final = timedelta(days=365)


class PlanRequest(Typed):
    """The input of the workflow ``PlanApproval``.

    Attributes:
        request: what is wanted, in plain words; may be empty where a ready plan comes along.
        plan: a ready plan, unchecked; None where the planner is to draft one.
        timeout_seconds: how long each review may take before it expires.
    """

    requester: PersonName
    request: Annotated[str, StringConstraints(max_length=MAX_REQUEST)] = ""
    plan: JsonValue = None
    timeout_seconds: int = Field(
        default=int(DEFAULT_TIMEOUT.total_seconds()), ge=1, le=int(LONGEST_TIMEOUT.total_seconds())
    )

    def requested(self, at: datetime) -> Requested:
        """Return the request as it goes on the record."""
        return Requested(
            request=self.request,
            requester=self.requester,
            timeout_seconds=self.timeout_seconds,
            requested_at=at,
        )


def read_request(inputs: Sequence[object]) -> PlanRequest:
    """Read the inputs that a workflow was started with.

    Raises:
        RequestInvalid: they are no request; the message says why.
    """
    if len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestInvalid(
            'The workflow was started without one JSON object such as {"requester": "dana", "request": "…"}; '
            "start it by starter.py."
        )
    try:
        request = PlanRequest.model_validate(inputs[0])
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = one_line(cut(".".join(str(part) for part in fault["loc"]), 40))
        message = fault["msg"].removeprefix("Value error, ")
        raise RequestInvalid(f'The request cannot be used: "{field}": {message}.') from None
    if not request.request.strip() and request.plan is None:
        raise RequestInvalid(
            "The request is empty; say what you want done, or bring a plan with --plan FILE."
        )
    size = len(json.dumps(request.plan, ensure_ascii=False).encode(errors="surrogatepass"))
    if size > MAX_RAW_PLAN_BYTES:
        raise RequestInvalid(
            f"The plan has {size:,} bytes, more than the limit of {MAX_PLAN_BYTES:,}; make it smaller."
        )
    return request
