"""The requests of the scenarios: runs of one to four steps, each with a token for counting its effect."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from pydantic import JsonValue

from plangate.domain.runs.request import PlanRequest

REQUESTER = "rita"
APPROVER = "dana"


class Place(StrEnum):
    """The place of a step's effect, which determines its look-up after a crash."""

    OUTBOX = "outbox"  # a file: the effect can be looked up from the email's first byte onward
    VENDOR = "vendor"  # a service that honours idempotency keys: a call may be repeated
    KEYLESS = "keyless"  # a service without keys: after a crash in the middle, the step is in doubt


@dataclass(frozen=True)
class OrderedStep:
    """One step, and the token with which its effect is counted."""

    place: Place
    token: str


@dataclass
class Order:
    """One requested run, and the time of its first approval."""

    workflow_id: str
    steps: tuple[OrderedStep, ...]
    outcome: str = "executed"
    decided_at: float | None = None  # when the first decision was sent; no effect may be older
    acknowledged: bool = False  # whether the server accepted a decision, which must not be lost
    notes: list[str] = field(default_factory=list)

    def request(self, urls: dict[Place, str], timeout_seconds: int = 3_600) -> PlanRequest:
        """Return the request with its prepared plan."""
        steps: list[JsonValue] = [self._step(step, urls) for step in self.steps]
        plan: JsonValue = {"summary": f"Do {len(steps)} things for {self.workflow_id}", "steps": steps}
        return PlanRequest(requester=REQUESTER, plan=plan, timeout_seconds=timeout_seconds)

    def _step(self, step: OrderedStep, urls: dict[Place, str]) -> JsonValue:
        if step.place is Place.OUTBOX:
            return {
                "tool": "send_email",
                "arguments": {"to": ["kim@example.org"], "subject": step.token, "body": "Hello Kim"},
                "reason": "to inform Kim",
            }
        body: JsonValue = {"run": self.workflow_id, "token": step.token}
        return {
            "tool": "http_request",
            "arguments": {"method": "POST", "url": urls[step.place], "json_body": body},
            "reason": "for the test",
        }


def order(workflow_id: str, places: Sequence[Place], outcome: str = "executed") -> Order:
    """Return a requested run with one step at each of these places."""
    steps = tuple(OrderedStep(place, f"{workflow_id}/{number}") for number, place in enumerate(places, 1))
    return Order(workflow_id, steps, outcome)


def mixed_orders(prefix: str, count: int, rng: Random) -> list[Order]:
    """Return requested runs of one to four steps at random places; 10% will be rejected."""
    return [
        order(
            f"{prefix}-{number:03}",
            rng.choices(list(Place), weights=(3, 3, 2), k=rng.randint(1, 4)),
            outcome="rejected" if number % 10 == 9 else "executed",
        )
        for number in range(count)
    ]
