"""One run in a test: its state, the decisions that it waits for, and its clock."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, Final

from temporalio.service import RPCError

from plangate.client import Client
from plangate.domain.decisions.decision import Choice, Decision, DecisionAnswer, Resolution
from plangate.domain.errors import OperatorError
from plangate.domain.plans.plan import Plan
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import OUTCOMES, AuditEntry
from plangate.domain.runs.settlements import SettlementStatus, settlement_id
from plangate.domain.runs.status import HeldStatus, Status, is_unsettled
from plangate.testing import approvers
from plangate.testing.approvers import Approver
from plangate.testing.called_tool import Call
from plangate.testing.plans import as_plan, without_steps
from plangate.testing.server import Server

_IDLE: Final = frozenset({"in_review", "held", *OUTCOMES})
_SECONDS: Final = 30.0  # seconds
_PAUSE: Final = 0.02


class Run:
    """A run that has ended or waits for a decision.

    Attributes:
        id: its workflow id.
        answers: the result of each decision so far, in order.
    """

    def __init__(
        self, run_id: str, server: Server, client: Client, calls: list[Call], tools: Sequence[str]
    ) -> None:
        self.id = run_id
        self.answers: list[DecisionAnswer] = []
        self._server = server
        self._client = client
        self._calls = calls
        self._tools = tools

    def __repr__(self) -> str:
        return f"<Run {self._in_words()}>"

    # ---- its state ------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        """The current status, as printed by `status ID --json`."""
        return self._server.wait_for(self._client.status(self.id))

    @property
    def state(self) -> str:
        """The state: in review, held, or the outcome."""
        return self.status.state

    @property
    def outcome(self) -> str | None:
        """The outcome: executed, rejected, expired, withdrawn or failed; None while it has not ended."""
        state = self.state
        return state if state in OUTCOMES else None

    @property
    def reason(self) -> str:
        """Why the run ended with this outcome."""
        return self.status.reason

    @property
    def plan(self) -> Plan | None:
        """The newest plan, including the additions of its tools."""
        return self.status.plan

    @property
    def previews(self) -> tuple[str, ...]:
        """The preview of each step."""
        return tuple(one.preview for one in self.status.steps)

    @property
    def receipts(self) -> tuple[Receipt | None, ...]:
        """The receipt of each step; None for a step that is not done."""
        return tuple(one.receipt for one in self.status.steps)

    @property
    def settlements(self) -> tuple[SettlementStatus | None, ...]:
        """The outcome of each accepted effect, if it is known; None for a step without such an effect."""
        return tuple(one.settlement for one in self.status.steps)

    @property
    def held(self) -> HeldStatus | None:
        """The step at which it is held, and why."""
        return self.status.held

    @property
    def trail(self) -> tuple[AuditEntry, ...]:
        """Its audit trail."""
        return self._client.trail(self.id)

    @property
    def events(self) -> tuple[str, ...]:
        """The kinds of the entries on its audit trail."""
        return tuple(entry.event.kind for entry in self.trail)

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call of a tool that is intended to have an effect."""
        return tuple(call for call in self._calls if call.key.startswith(f"{self.id}:"))

    # ---- decisions ------------------------------------------------------------------------------

    def approve(self, by: str, comment: str = "") -> DecisionAnswer:
        """Approve the plan in review."""
        return self.decide(approvers.approves(by, comment))

    def reject(self, by: str, comment: str = "") -> DecisionAnswer:
        """Reject the plan in review."""
        return self.decide(approvers.rejects(by, comment))

    def request_changes(self, by: str, comment: str) -> DecisionAnswer:
        """Request changes to the plan in review."""
        return self.decide(approvers.requests_changes(by, comment))

    def edit(self, by: str, new_plan: Any, comment: str = "") -> DecisionAnswer:
        """Replace the plan in review; see `plangate.testing.edits`."""
        return self.decide(approvers.edits(by, new_plan, comment))

    def strike(self, by: str, *steps: int) -> DecisionAnswer:
        """Remove these steps from the plan in review."""
        return self.decide(approvers.strikes(by, *steps))

    def resolve(self, by: str, resolution: str, comment: str = "resolved by the test") -> DecisionAnswer:
        """Resolve the step at which the run is held."""
        return self.decide(approvers.resolves(by, resolution, comment))

    def decide(self, approver: Approver) -> DecisionAnswer:
        """Let a person decide on the plan or step that waits; return the result once the run is idle."""
        decision = _decision(approver, self.status)
        answer = self._server.wait_for(self._client.decide(self.id, decision))
        assert answer is not None, "no worker responded to the decision"
        self.answers.append(answer)
        self.wait_until_idle()
        return answer

    # ---- its clock ------------------------------------------------------------------------------

    def pass_time(self, **duration: float) -> None:
        """Move this run's clock ahead, without waiting: ``pass_time(days=3, minutes=1)``.

        Everything that is due in that time happens. For example, a review expires, or a held run is aborted.
        A run that has ended only looks up its accepted effects.

        Args:
            duration: the arguments of `datetime.timedelta`.

        Raises:
            OperatorError: the duration is not greater than 0.
        """
        ahead = timedelta(**duration)
        if ahead <= timedelta():
            given = ", ".join(f"{unit}={number!r}" for unit, number in duration.items())
            raise OperatorError(
                f"pass_time({given}) does not move the clock ahead; give a time above 0: pass_time(days=3)."
            )
        self._server.wait_for(self._pass_time(ahead))
        self.wait_until_idle()

    async def _pass_time(self, duration: timedelta) -> None:
        environment = self._server.environment
        if not is_unsettled(await self._client.status(self.id)):
            handle = environment.client.get_workflow_handle(self.id)
            await environment.fast_forward(handle, duration)
            return
        handle = environment.client.get_workflow_handle(settlement_id(self.id))
        with suppress(RPCError):  # the run has just ended
            await environment.fast_forward(handle, duration)

    def wait_until_idle(self) -> None:
        """Wait until the run has ended or waits for a decision.

        Raises:
            AssertionError: neither happens within 30 seconds.
        """
        self._server.wait_for(self._wait_until_idle())

    async def _wait_until_idle(self) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                while (await self._client.status(self.id)).state not in _IDLE:  # noqa: ASYNC110  it polls
                    await asyncio.sleep(_PAUSE)
        except TimeoutError:
            status = await self._client.status(self.id)
            why = "; ".join(one.last_error for one in status.steps if one.last_error)
            raise AssertionError(
                f"The run is {status.state} after {_SECONDS:g} seconds: {why or 'its tool is slow'}"
            ) from None

    # ---- assertions -----------------------------------------------------------------------------

    def assert_executed(self) -> None:
        """Fail the test unless every step was done or skipped."""
        self._assert_state("executed")

    def assert_rejected(self) -> None:
        """Fail the test unless a person rejected the plan."""
        self._assert_state("rejected")

    def assert_expired(self) -> None:
        """Fail the test unless the deadline of a review has passed."""
        self._assert_state("expired")

    def assert_failed(self) -> None:
        """Fail the test unless the run failed."""
        self._assert_state("failed")

    def assert_in_review(self) -> None:
        """Fail the test unless the plan waits for a decision."""
        self._assert_state("in_review")

    def assert_held(self, step: int | None = None) -> None:
        """Fail the test unless the run is held, at this step if a step is given."""
        self._assert_state("held")
        held = self.held
        if step is not None and held is not None and held.step != step:
            self._fail(f"The run should be held at step {step}")

    def assert_not_called(self, tool: str | None = None) -> None:
        """Fail the test if an effect of this tool was started, or of any tool if no name is given.

        Raises:
            OperatorError: the worker has no such tool. Other assertions with a tool's name raise this too.
        """
        if self._calls_of(tool, "act"):
            self._fail(f"{tool} should not have been called" if tool else "No tool should have been called")

    def assert_called_once(self, tool: str) -> None:
        """Fail the test unless the tool was called exactly once."""
        self.assert_called(tool, times=1)

    def assert_called(self, tool: str, *, times: int) -> None:
        """Fail the test unless the tool was called this many times."""
        found = len(self._calls_of(tool, "act"))
        if found != times:
            self._fail(f"{tool} should have been called {times} times, not {found}")

    def assert_undone(self, tool: str) -> None:
        """Fail the test unless the effect of one of this tool's steps was undone."""
        self._check_name(tool)
        if not any(one.tool == tool and one.state == "undone" for one in self.status.steps):
            self._fail(f"{tool} should have been undone")

    def _calls_of(self, tool: str | None, what: str) -> list[Call]:
        if tool is not None:
            self._check_name(tool)
        return [call for call in self.calls if call.what == what and tool in (None, call.tool)]

    def _check_name(self, tool: str) -> None:
        if tool not in self._tools:
            raise OperatorError(
                f"This test has no tool called {tool!r}; use one of: {', '.join(self._tools)}."
            )

    def _assert_state(self, state: str) -> None:
        if self.state != state:
            self._fail(f"The run should be {state.replace('_', ' ')}")

    def _fail(self, sentence: str) -> None:
        raise AssertionError(f"{sentence}: {self._in_words()}")

    def _in_words(self) -> str:
        status = self.status
        because = status.held.why if status.held is not None else status.reason
        refusals = [one.reason for one in self.answers if one.accepted is False]
        lines = [
            f"{self.id} is {status.state.replace('_', ' ')}" + (f" ({because})" if because else ""),
            f"its trail: {', '.join(self.events)}",
            f"called: {', '.join(f'{one.what} of {one.tool}' for one in self.calls) or 'no tool'}",
            *(f"refused: {reason}" for reason in refusals),
        ]
        return "\n  ".join(lines)


def _decision(approver: Approver, status: Status) -> Decision:
    """Return the decision of a person who sees this status."""
    choice = Choice(approver.decision)
    more: dict[str, Any] = {}
    if choice is Choice.EDIT:
        more["new_plan"] = _new_plan(approver, status)
    if choice is Choice.RESOLVE:
        more["step"] = status.held.step if status.held is not None else 1
        more["resolution"] = Resolution(approver.resolution)
        more["hold"] = status.held.number if status.held is not None else 1
    return Decision(
        decision=choice, by=approver.by, plan=status.fingerprint or "0" * 8, comment=approver.comment, **more
    )


def _new_plan(approver: Approver, status: Status) -> Mapping[str, Any]:
    assert status.plan is not None, "there is no plan to edit yet"
    old = status.plan.proposed().model_dump(mode="json")
    if approver.struck:
        return without_steps(old, approver.struck)
    return as_plan(approver.new_plan(old) if callable(approver.new_plan) else approver.new_plan)
