"""`judge`, `apply`, the closing activity and the audit agree on the next states of a run and how it ends."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.closing import ending
from plangate.audit.rules import rule_violations
from plangate.domain.decisions.decision import Arrival, Choice, Decision, Resolution, Verdict, Via
from plangate.domain.errors import NotApproved
from plangate.domain.people.people import InvalidApproval
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import (
    FIRST_HASH,
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Outcome,
    Reopened,
    StepDone,
    StepFailed,
    StepInDoubt,
    entry_after,
)
from plangate.domain.runs.fold import apply, changes_run
from plangate.domain.runs.lifecycle import why_may_not_end, why_not_allowed
from plangate.domain.runs.repeated_decisions import repeats
from plangate.domain.runs.review import authorise, judge
from plangate.domain.runs.run import Phase, RunState
from tests.support.build import HOUR, NOON, PLAN, RUN, approved, arrival, drafted, requested
from tests.support.senders import sender_of

TWO = Requirement(needs=(Need(role="anyone", count=2),))
ANOTHER_PLAN = "0" * 64

decisions = st.tuples(
    st.sampled_from(Choice),
    st.sampled_from(["dana", "erik", "gina", "rita"]),
    st.sampled_from(["newest", "newest", "newest", "first", "unknown"]),
)
actions = st.lists(
    st.tuples(
        st.one_of(decisions, st.sampled_from(["draft", "claim", "done", "failed", "in doubt", "reopen"])),
        st.sampled_from([0, 0, 1, 1, 5, 59, 60]),
    ),
    max_size=25,
)


class RunInProgress:
    """One run in progress, with its trail."""

    def __init__(self) -> None:
        self.now = NOON
        self.state = RunState(workflow_id=RUN)
        self.trail: list[AuditEntry] = []
        self._attempts = [0, 0]
        self.add(requested())

    def add(self, event: Event, actor: str = "worker") -> None:
        self.trail.append(self.entry(event, actor))
        self.state = apply(self.state, event)

    def entry(self, event: Event, actor: str = "worker") -> AuditEntry:
        number = len(self.trail) + 1
        previous = self.trail[-1].hash if self.trail else FIRST_HASH
        return entry_after(
            previous, workflow_id=RUN, number=number, key=f"{number}", at=self.now, actor=actor, event=event
        )

    def perform(self, what: str) -> None:
        """Apply this event if it is possible."""
        step = 1 + sum(one.receipt is not None for one in self.state.steps)
        match what:
            case "draft" if self.state.phase is Phase.DRAFTING:
                self.add(self._draft())
                self._attempts = [0, 0]
            case "claim" if self._may_claim(step):
                self._attempts[step - 1] += 1
                self.add(self._claim(step))
            case "done" if self._has_started(step):
                self.add(StepDone(step=step, receipt=Receipt(summary="ok")))
            case "failed" if self._has_started(step):
                self.add(StepFailed(step=step, reason="no"))
            case "in doubt" if self._has_started(step):
                self.add(StepInDoubt(step=step, reason="?"))
            case "reopen" if self.state.phase is Phase.EXECUTING:
                lost = (InvalidApproval(name=self.state.approvers[0].name, reason="too old"),)
                self.add(
                    Reopened(
                        fingerprint=self.state.fingerprint or "", step=step, lost=lost,
                        reopened_at=self.now, deadline=self.now + HOUR,
                    )
                )  # fmt: skip

    def decided(self, choice: Choice, by: str, plan: str) -> Decided:
        named = {"newest": self.state.fingerprint, "first": self._draft(1).fingerprint}
        more: dict[str, Any] = {}
        if choice is Choice.EDIT:
            more = {"new_plan": PLAN.proposed().model_dump(mode="json")}
        if choice is Choice.RESOLVE:
            more = {"step": 1, "resolution": Resolution.RETRY}
        decision = Decision(
            decision=choice,
            by=by,
            plan=named.get(plan) or ANOTHER_PLAN,
            comment=f"comment {len(self.trail)}",
            **more,
        )
        arrival = Arrival(
            key=f"{len(self.trail)}", via=Via.SIGNAL, name=choice, received_at=self.now, decision=decision
        )
        return judge(self.state, arrival, sender_of(arrival))

    def findings_with(self, *events: tuple[Event, str]) -> list[str]:
        """Return the auditor's findings on the trail followed by these events."""
        more = [self.entry(event, actor) for event, actor in events]
        return [finding.what for finding in rule_violations(RUN, [*self.trail, *more])]

    def _draft(self, revision: int | None = None) -> Drafted:
        number = revision or self.state.next_revision
        author = self.state.edit.by if self.state.edit else ""
        return drafted(
            revision=number, requirement=TWO, drafted_at=self.now, deadline=self.now + HOUR, author=author
        )

    def _claim(self, step: int) -> Claimed:
        plan = self.state.fingerprint or ""
        key = idempotency_key(RUN, plan, step)
        return Claimed(step=step, idempotency_key=key, fingerprint=plan, attempt=self._attempts[step - 1])

    def _may_claim(self, step: int) -> bool:
        try:
            authorise(self.state, self.state.fingerprint or "", step)
        except NotApproved:
            return False
        return True

    def _has_started(self, step: int) -> bool:
        return self.state.phase is Phase.EXECUTING and self.state.claimed == step


def runs_before_decisions(
    performed: Iterable[tuple[tuple[Choice, str, str] | str, int]],
) -> Iterable[tuple[RunInProgress, Decided]]:
    """Yield the events before each decision, with its result."""
    run = RunInProgress()
    for what, minutes in performed:
        run.now += timedelta(minutes=minutes)
        if isinstance(what, str):
            run.perform(what)
            continue
        event = run.decided(*what)
        yield run, event
        run.add(event, actor=event.approver.name if event.approver else "unknown")


@given(actions)
def test_a_decision_forbidden_by_the_table_is_refused_and_never_counted(
    performed: list[tuple[tuple[Choice, str, str] | str, int]],
) -> None:
    for run, event in runs_before_decisions([("draft", 0), *performed]):
        decision, approver = event.arrival.decision, event.approver
        assert decision is not None
        assert approver is not None
        forced = event.model_copy(update={"verdict": Verdict(accepted=True, reason="forged")})
        refused = why_not_allowed(run.state, decision, run.now)
        assert not (refused and event.verdict.accepted)
        assert not (refused and changes_run(run.state, forced))
        assert changes_run(run.state, event) is event.verdict.accepted
        counts_wrongly = not event.verdict.accepted and (
            changes_run(run.state, forced)
            or (
                decision.decision in (Choice.EDIT, Choice.RESOLVE)
                and not repeats(RUN, [entry.event for entry in run.trail], forced)
            )
        )
        found = run.findings_with((forced, approver.name))
        assert found == ([f"was accepted, though {event.verdict.reason}"] if counts_wrongly else [])


@given(actions)
def test_the_closing_activity_records_an_end_that_the_auditor_accepts(
    performed: list[tuple[tuple[Choice, str, str] | str, int]],
) -> None:
    *_, (run, _) = runs_before_decisions([*performed, ((Choice.APPROVE, "hugo", "unknown"), 0)])
    for outcome in Outcome:
        reason = why_may_not_end(run.state, outcome, run.now)
        said = [f"has the outcome {outcome}, but {reason}"] if reason else []
        assert run.findings_with((Closed(outcome=outcome), "worker")) == said
        written = ending(run.state, outcome, "because", run.now)
        assert (written.outcome, written.reason) == (outcome, "because") or reason
        assert run.findings_with((written, "worker")) == []


@pytest.mark.parametrize(
    ("performed", "ends"),
    [
        ([], {"withdrawn", "failed"}),
        ([("draft", 0)], {"withdrawn", "failed"}),
        ([("draft", 0), ((Choice.REJECT, "dana", "newest"), 5)], {"rejected"}),
        ([("draft", 0), ("draft", 60)], {"expired", "withdrawn", "failed"}),
        (
            [
                ("draft", 0), ((Choice.APPROVE, "dana", "newest"), 0),
                ((Choice.APPROVE, "erik", "newest"), 0),
                ("claim", 0), ("done", 0), ("claim", 0), ("done", 60),
            ],
            {"executed"},
        ),
    ],
)  # fmt: skip
def test_a_run_ends_as_recorded(
    performed: list[tuple[tuple[Choice, str, str] | str, int]], ends: set[str]
) -> None:
    *_, (run, _) = runs_before_decisions([*performed, ((Choice.APPROVE, "hugo", "unknown"), 0)])
    assert {outcome for outcome in Outcome if why_may_not_end(run.state, outcome, run.now) is None} == ends


def test_while_steps_run_a_withdrawal_must_refer_to_the_approved_plan() -> None:
    state = approved()
    for plan, is_refused in ((None, False), ("0" * 12, True)):
        withdrawal = arrival("withdraw_approval", plan=plan)
        assert withdrawal.decision is not None
        refused = why_not_allowed(state, withdrawal.decision, NOON)
        assert (refused is not None) is is_refused
