"""Kill the worker with kill -9 before, during and after calls to MCP servers, over stdio and HTTP.

Each server has two tools: one without a look-up, and one that honours idempotency keys. A call to the first
tool may be in doubt, and is then checked by a person. A call to the second tool may never be in doubt. Each
effect must happen once.
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from chaos.inspector import examine
from chaos.installation import Installation
from chaos.orders import APPROVER, REQUESTER
from chaos.people import retry
from chaos.report import Report
from chaos.trail_checks import check_history, check_trail
from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import RunResult, Status
from tests.support.mcp_servers import McpServer, over_http, written

MOMENTS: Final = ("before", "during", "after")
# In seconds. Kills for other runs interrupt this run's attempts, so its pauses grow to five minutes each.
_WAIT_LIMIT: Final = 1800
_SCHEMA: Final = {
    "type": "object",
    "properties": {"run": {"type": "string"}, "before": {"type": "number"}, "after": {"type": "number"}},
    "required": ["run", "before", "after"],
}
_TOOLS: Final = [
    {"name": name, "description": f"Note a line ({name}).", "inputSchema": _SCHEMA}
    for name in ("note", "note_keyed")
]


@dataclass(frozen=True)
class Size:
    """The number of kills at each point of a call."""

    kills: int
    moments: tuple[str, ...] = MOMENTS


FULL = Size(kills=25)
QUICK = Size(kills=1, moments=("during",))


@dataclass
class Note:
    """One run whose only step calls a server's tool."""

    id: str
    server: McpServer
    tool: str
    before: float
    after: float
    resolved: list[str] = field(default_factory=list)

    @property
    def is_keyed(self) -> bool:
        """Whether its tool honours idempotency keys."""
        return self.tool.endswith("_keyed")

    @property
    def calls(self) -> int:
        """The number of calls to the server for this run."""
        return sum(call["arguments"]["run"] == self.id for call in self.server.calls)

    @property
    def effects(self) -> int:
        """The number of lines that the server wrote for this run."""
        return sum(effect["run"] == self.id for effect in self.server.effects)


async def run_scenario(installation: Installation, report: Report, size: Size) -> None:
    """Approve four runs in each round, and kill the worker at a chosen point of one run."""
    local = McpServer(installation.folder / "local", list(_TOOLS))
    with over_http(installation.folder / "remote", list(_TOOLS)) as remote:
        trusted = {"plangate": {"retry_safety": {"note_keyed": "vendor_key"}}}
        entries = {"local": {**local.entry, **trusted}, "remote": {**remote.entry, **trusted}}
        installation.settings["PLANGATE_MCP_CONFIG"] = str(written(installation.folder / "mcp.json", entries))
        await installation.start_worker()
        notes: list[Note] = []
        tasks: list[asyncio.Task[RunResult]] = []
        kills: Counter[str] = Counter()
        for number in range(3 * size.kills):  # a kill may happen slightly later than intended
            for moment in (one for one in size.moments if kills[one] < size.kills):
                notes_of_round = _round(f"{moment}-{number}", {"local": local, "remote": remote})
                await asyncio.gather(*(_approved(installation, note) for note in notes_of_round))
                kills[await _kill(installation, notes_of_round[number % len(notes_of_round)], moment)] += 1
                await installation.start_worker()
                notes += notes_of_round
                tasks += [asyncio.create_task(_end(installation, note)) for note in notes_of_round]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for note, result in zip(notes, results, strict=True):
            await _check(installation, note, result, report)
    report.expect(await installation.count_blocked() == 0, "the server reports a blocked run")
    await examine(installation, report)
    report.expect(not installation.log_lines_with("Traceback"), "a worker's log contains a traceback")
    for moment in size.moments:
        report.expect(
            kills[moment] >= size.kills, f"the worker was killed {kills[moment]} times {moment} a call"
        )
    report.figure("kills", ", ".join(f"{kills[moment]} {moment} the call" for moment in MOMENTS))
    report.figure("runs", len(notes))
    for keyed in (False, True):
        some = [note for note in notes if note.is_keyed is keyed]
        doubts, calls = sum(bool(note.resolved) for note in some), sum(note.calls for note in some)
        kind = "of a tool that honours keys" if keyed else "of a tool without a look-up"
        report.figure(kind, f"{len(some)} runs, {calls} calls, {len(some)} effects, {doubts} in doubt")


def _round(name: str, servers: dict[str, McpServer]) -> list[Note]:
    return [
        Note(f"{name}-{place}-{tool}", server, f"{place}_{tool}", before=0.4, after=0.4)
        for place, server in servers.items()
        for tool in ("note", "note_keyed")
    ]


async def _approved(installation: Installation, note: Note) -> None:
    arguments = {"run": note.id, "before": note.before, "after": note.after}
    steps: Any = [{"tool": note.tool, "arguments": arguments, "reason": "for the test"}]
    request = PlanRequest(requester=REQUESTER, plan={"summary": "Note a line", "steps": steps})
    await installation.api.submit(request, note.id)
    status = await installation.until("in_review", note.id)
    await retry(lambda: _decide(installation, note, status, Choice.APPROVE, {}))


async def _kill(installation: Installation, note: Note, moment: str) -> str:
    """Kill the worker at a chosen point of a run, and return the point that the kill actually hit."""
    limit = time.monotonic() + 30
    while moment != "before" and time.monotonic() < limit:
        if note.effects if moment == "after" else note.calls:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(installation.rng.uniform(0, 0.1 if moment == "before" else 0.25))
    installation.worker.kill()
    if note.effects:
        return "after"
    return "during" if note.calls else "before"


async def _end(installation: Installation, note: Note) -> RunResult:
    """Resolve a run according to the lines that the server wrote, until the run ends."""
    async with asyncio.timeout(_WAIT_LIMIT):
        while True:
            now = await asyncio.to_thread(installation.recorded, note.id)
            if now is not None and now.held is not None:
                await _resolve(installation, note, now)
            elif now is not None and now.state in ("executed", "failed"):
                return await installation.result(note.id)
            await asyncio.sleep(0.2)


async def _resolve(installation: Installation, note: Note, status: Status) -> None:
    held = status.held
    assert held is not None
    chosen = Resolution.MARK_DONE if note.effects else Resolution.RETRY
    note.resolved.append(f"{chosen}: {held.why}")
    fields = {"step": 1, "hold": held.number, "resolution": chosen, "comment": f"checked at {time.time()}"}
    await retry(lambda: _decide(installation, note, status, Choice.RESOLVE, fields))
    async with asyncio.timeout(_WAIT_LIMIT):
        while True:
            now = await asyncio.to_thread(installation.recorded, note.id)
            if now is not None and (now.held is None or now.held.since != held.since):
                return
            await asyncio.sleep(0.1)


async def _decide(
    installation: Installation, note: Note, status: Status, choice: Choice, fields: dict[str, Any]
) -> None:
    message: dict[str, Any] = {"by": APPROVER, "plan": status.fingerprint, **fields}
    await installation.api.decide(note.id, Decision(decision=choice, **message))


async def _check(
    installation: Installation, note: Note, result: RunResult | BaseException, report: Report
) -> None:
    if isinstance(result, BaseException):
        report.record_error(f"{note.id} is lost or blocked: {type(result).__name__} {result}")
        return
    report.expect(result.outcome == "executed", f"{note.id} is {result.outcome} ({result.reason})")
    report.expect(
        note.effects == 1, f"{note.id} has {note.effects} effects; it was resolved by {note.resolved}"
    )
    report.expect(not (note.is_keyed and note.resolved), f"{note.id} was held: {note.resolved}")
    check_trail(installation.trail(note.id), report)
    check_history(await installation.handle(note.id).fetch_history(), report)
