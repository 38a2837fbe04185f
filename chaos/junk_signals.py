"""Send invalid signals of all kinds, and check that none is lost, invented or duplicated."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload, Payloads, WorkflowExecution
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest
from temporalio.service import RPCError

from chaos.installation import Installation
from chaos.orders import APPROVER, REQUESTER
from chaos.report import Report
from plangate.domain.runs.audit import Decided
from tests.support.junk import LIKELY_NAMES, bad_inputs

Example = TypeVar("Example")
_UNREADABLE = (
    Payload(metadata={"encoding": b"binary/encrypted"}, data=b"\x00"),
    Payload(metadata={"encoding": b"json/plain"}, data=b"{not json"),
    Payload(metadata={}, data=b""),
)
_TOKEN = re.compile(r"junk-\d{6}")


@dataclass(frozen=True)
class Junk:
    """One signal; a payload is raw data that a Temporal client would not send."""

    name: str
    inputs: Sequence[Any]
    token: str | None = None
    payload: Payload | None = None


@dataclass
class Flood:
    """The signals that were sent, the signals that the server accepted, and its errors for the rest."""

    accepted_by_server: list[Junk] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)


def junk_of_all_shapes(count: int, fingerprint: str, rng_seed: int, padding: int = 0) -> list[Junk]:
    """Return this many signals; none is a valid decision, but some are similar to one."""
    generated = generate(min(count // 10, 300), rng_seed)
    return [_signal(number, fingerprint, generated, "x" * padding) for number in range(count)]


def _signal(number: int, fingerprint: str, generated: Sequence[tuple[str, list[Any]]], padding: str) -> Junk:
    token = f"junk-{number:06}"
    similar = {"by": REQUESTER, "plan": fingerprint, "comment": token + padding}
    match number % 10:
        case 0:
            return Junk("approve", [token + padding], token)
        case 1:
            return Junk("reject", [{"junk": token, "more": padding}], token)
        case 2:
            return Junk("request_changes", [token, {"by": APPROVER, "plan": padding}], token)
        case 3:
            return Junk(f"aprove{number}", [token, padding], token)
        case 4:
            return Junk("approve", [{**similar, "by": APPROVER, "plan": "deadbeef0123"}], token)
        case 5:
            return Junk("approve", [similar], token)
        case 6:
            return Junk("approve", [])
        case 7:
            return Junk("approve", [], payload=_UNREADABLE[number % len(_UNREADABLE)])
        case 8:
            return Junk(f"nonsense{number}", [], payload=_UNREADABLE[number % len(_UNREADABLE)])
        case _:
            name, inputs = generated[number % len(generated)]
            return Junk(name or "blank", inputs)


def generate(count: int, rng_seed: int) -> list[tuple[str, list[Any]]]:
    """Make Hypothesis generate this many bad messages."""
    return generated(st.tuples(LIKELY_NAMES, bad_inputs), count, rng_seed)


def generated(strategy: st.SearchStrategy[Example], count: int, rng_seed: int) -> list[Example]:
    """Return this many examples; the same seed always yields the same examples."""
    found: list[Example] = []

    @seed(rng_seed)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: Example) -> None:
        found.append(example)

    collect()
    return (found * count)[:count]  # it may generate fewer examples, or one more


async def send_all(
    installation: Installation,
    workflow_id: str,
    signals: Sequence[Junk],
    report: Report,
    at_once: int,
    *,
    pause: float = 0.0,
) -> Flood:
    """Send all signals concurrently, and keep the server's responses."""
    flood, queue = Flood(), list(reversed(signals))

    async def sender() -> None:
        while queue:
            junk = queue.pop()
            await asyncio.sleep(installation.rng.uniform(0, pause))
            try:
                await send(installation, workflow_id, junk)
            except RPCError as error:
                flood.refusals[f"{error.status.name}: {error.message}"] += 1
            else:
                flood.accepted_by_server.append(junk)
            if len(queue) % 2_000 == 0 and queue:
                report.say(f"{len(queue)} signals to go")

    await asyncio.gather(*(sender() for _ in range(at_once)))
    return flood


async def send(installation: Installation, workflow_id: str, junk: Junk) -> None:
    """Send one signal; use the raw protocol for signals that the SDK refuses to send."""
    if junk.payload is None:
        await installation.handle(workflow_id).signal(junk.name, args=junk.inputs)
        return
    await installation.client.workflow_service.signal_workflow_execution(
        SignalWorkflowExecutionRequest(
            namespace=installation.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            signal_name=junk.name,
            input=Payloads(payloads=[junk.payload]),
        ),
        retry=True,
    )


def compare_with_trail(
    installation: Installation, workflow_id: str, flood: Flood, other_decisions: int, report: Report
) -> None:
    """Check that the trail has exactly one entry for each signal that the server accepted, and nothing else.

    Args:
        other_decisions: the number of other decisions on the trail, which the scenario itself sent.
    """
    decided = [entry.event for entry in installation.trail(workflow_id) if isinstance(entry.event, Decided)]
    tokens = Counter(token for event in decided for token in set(_TOKEN.findall(event.model_dump_json())))
    sent = {junk.token for junk in flood.accepted_by_server if junk.token}
    lost, foreign = sent - set(tokens), set(tokens) - sent
    twice = [token for token, count in tokens.items() if count > 1]
    report.expect(
        not lost, f"{len(lost)} signals that the server accepted are not on the trail: {sorted(lost)[:3]}"
    )
    report.expect(not foreign, f"the trail has signals that were not accepted: {sorted(foreign)[:3]}")
    report.expect(not twice, f"{len(twice)} signals are on the trail twice: {twice[:3]}")
    is_complete = len(decided) == len(flood.accepted_by_server) + other_decisions
    report.expect(
        is_complete,
        f"the trail has {len(decided)} decisions, not {len(flood.accepted_by_server)} and "
        f"{other_decisions} of the scenario",
    )
    accepted = [event for event in decided if event.verdict.accepted]
    by_approver = [
        event for event in accepted if event.arrival.decision and event.arrival.decision.by == APPROVER
    ]
    report.expect(len(by_approver) == len(accepted), "junk was accepted")
