"""The local activity that admits decisions: it checks and records them before they take effect.

`plangate.domain.runs.review.judge` accepts or refuses each one, given the recorded state and the time when
the server received it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property, partial, reduce
from typing import Final, assert_never

import structlog
from temporalio import activity

from activities.calling_workflow import check_caller, own_audience
from activities.plan_check import PlanCheck
from activities.signal_times import SignalTimes
from activities.tasks import AdmitTask
from activities.temporal_failures import as_application_errors
from activities.waiting_for_records import with_time_limit
from plangate.domain.decisions.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.errors import PlanInvalid
from plangate.domain.people.people import (
    Identified,
    People,
    identify,
    same_person,
    unknown_requester,
)
from plangate.domain.plans.plan import Audience, is_same_proposal, short
from plangate.domain.runs.audit import Decided, Event, Outcome
from plangate.domain.runs.fold import apply, as_in_review, changes_run
from plangate.domain.runs.repeated_decisions import repeats
from plangate.domain.runs.review import judge
from plangate.domain.runs.revocation import invalid_approvals, possible_replay
from plangate.domain.runs.run import Phase, RunState, approval_was_withdrawn
from plangate.logs.later import log_later
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from plangate.records.trail import Note, OpenTrail
from plangate.records.used_signatures import use_token
from plangate.signing.decisions import Subject, verify
from plangate.signing.logins import is_login_token

_NO_DRAFT: Final = (
    "no model is configured, so the plan cannot be redrafted; reject it and submit a new plan file"
)
_log = structlog.get_logger(__name__)


class Decisions:
    """Checks and records received decisions."""

    def __init__(
        self,
        records: Records,
        times: SignalTimes,
        directory: RecordedPeople,
        plans: PlanCheck,
        *,
        can_draft: bool,
    ) -> None:
        self._records = records
        self._times = times
        self._directory = directory
        self._plans = plans
        self._can_draft = can_draft

    @activity.defn
    async def admit_decisions(self, task: AdmitTask) -> tuple[Decided, ...]:
        """Record the received decisions with the results, and return them in order.

        Return an empty tuple, and write nothing, if the record has a plan that the run does not have yet: an
        approver may have seen it there, and the run must get it before their decision is checked.

        Raises:
            ApplicationError: the id belongs to another run; the records or the list of people are
                unavailable.
        """
        with as_application_errors():
            check_caller(task.run, self._records, is_local=True)
            people = await with_time_limit(self._records, self._directory.people())
            arrivals = await self._with_corrected_times(task, people)
            decided = await with_time_limit(self._records, self._recorded(task, arrivals, people))
            for event in decided:
                log_later(partial(_log_decided, task, event))
            return decided

    async def _with_corrected_times(self, task: AdmitTask, people: People | None) -> tuple[Arrival, ...]:
        """Correct the time of signals that may have waited because no worker was reachable.

        The correct time is when the server received them, not when the workflow processed them. That matters
        if a result depends on the time. Updates cannot wait without a worker.
        """
        must_be = any(
            arrival.via is Via.SIGNAL and _depends_on_time(arrival, task.state, people)
            for arrival in task.arrivals
        )
        return await self._times.corrected(task.arrivals, must_be=must_be)

    async def _recorded(
        self, task: AdmitTask, arrivals: tuple[Arrival, ...], people: People | None
    ) -> tuple[Decided, ...]:
        audience = own_audience(self._records)

        def judge_all(trail: OpenTrail) -> tuple[Decided, ...]:
            if _is_ahead(trail, task.state):
                return ()
            batch = _BatchJudge(
                trail, task.state, people, audience, plans=self._plans, can_draft=self._can_draft
            )
            entries = trail.append(*map(_note, batch.judged(arrivals)))
            return tuple(batch.counted(entry.event) for entry in entries if isinstance(entry.event, Decided))

        return await self._records.transact(task.opening(), judge_all)


def _depends_on_time(arrival: Arrival, state: RunState, people: People | None) -> bool:
    """Return whether the result for a signal may depend on the time at which it was received."""
    decision, drafted = arrival.decision, state.drafted
    if state.deadline is None or decision is None:
        return False
    if arrival.received_at >= state.deadline or _is_login(decision):
        return True
    if drafted is not None:
        requirement = drafted.requirement
        if requirement.approval_valid_for is not None or requirement.escalations:
            return True
    return people is not None and people.has_timed_rights(decision.by)


class _Following:
    """The state after some decisions, computed only when needed, which it rarely is after the last one."""

    def __init__(self, begin: Callable[[], RunState]) -> None:
        self._begin = begin
        self._waiting: list[Decided] = []

    @cached_property
    def _folded(self) -> RunState:
        return self._begin()

    @property
    def state(self) -> RunState:
        """The state after all decisions so far."""
        if self._waiting:
            self._folded = reduce(apply, self._waiting, self._folded)
            self._waiting.clear()
        return self._folded

    def follow(self, event: Decided) -> None:
        """Add a decision."""
        self._waiting.append(event)


def _log_decided(task: AdmitTask, event: Decided) -> None:
    _log.info(
        "A decision is recorded.",
        action="decided",
        workflow_id=task.run.workflow_id,
        fingerprint=short(task.state.fingerprint or ""),
        decision=event.arrival.name,
        accepted=event.verdict.accepted,
        reason=event.verdict.reason,
    )


class _BatchJudge:
    """Checks a batch inside one transaction, against the recorded state of the run.

    The state that the run reports may be forged, so it can refuse a decision but never accept one. The
    recorded state is computed once, and each result is applied to it.
    """

    def __init__(
        self,
        trail: OpenTrail,
        state: RunState,
        people: People | None,
        audience: Audience,
        *,
        plans: PlanCheck,
        can_draft: bool,
    ) -> None:
        self._trail = trail
        self._run = _Following(lambda: state)
        self._recorded = _Following(trail.state)
        self._people = people
        self._audience = audience
        self._plans = plans
        self._can_draft = can_draft
        self._new: list[Decided] = []

    @cached_property
    def _events(self) -> list[Event]:
        """The events on the trail, and the events about to be appended."""
        return [*(entry.event for entry in self._trail.entries()), *self._new]

    @property
    def _state(self) -> RunState:
        """The state that the run reports, after the results so far."""
        return self._run.state

    @property
    def _record(self) -> RunState:
        """The recorded state, after the results that are about to be appended."""
        return self._recorded.state

    def judged(self, arrivals: Sequence[Arrival]) -> list[Decided]:
        """Return each received decision with the result of its check, after applying the previous ones.

        Decisions that are already recorded keep their result: the worker that recorded one may have died
        before reporting it.
        """
        if self._trail.is_without_decisions:  # the trail is read anyway, so no separate search is needed
            self._trail.entries()
        recorded = self._trail.find([arrival.key for arrival in arrivals])
        decided: list[Decided] = []
        for arrival in arrivals:
            entry = recorded.get(arrival.key)
            if entry is not None and isinstance(entry.event, Decided):
                event = entry.event
            else:
                event = self._judge(arrival)
                self._follow(event)
            self._run.follow(self.counted(event))
            decided.append(event)
        return decided

    def counted(self, event: Decided) -> Decided:
        """Return a decision as the run applies it; an accepted copy gets the proof of the signed decision."""
        decision = event.arrival.decision
        is_proven = event.approver is not None and event.approver.is_proven
        if not event.verdict.accepted or decision is None or decision.signature is None or is_proven:
            return event
        earlier = self._accepted_before(decision)
        return event.model_copy(update={"approver": earlier.approver}) if earlier else event

    def _accepted_before(self, decision: Decision) -> Decided | None:
        """Return the event of an earlier, proven and accepted decision with the same token."""
        for earlier in self._events:
            if not isinstance(earlier, Decided) or not earlier.verdict.accepted or earlier.approver is None:
                continue
            original = earlier.arrival.decision
            if (
                earlier.approver.is_proven
                and original is not None
                and original.signature == decision.signature
            ):
                return earlier
        return None

    def _follow(self, event: Decided) -> None:
        self._new.append(event)
        if "_events" in self.__dict__:
            self._events.append(event)
        self._recorded.follow(event)

    def _judge(self, arrival: Arrival) -> Decided:
        sender = self._sender(arrival)
        event = self._verdict(self._state, arrival, sender)
        # Only the record has the claims, and it may have a hold that the run does not have yet.
        needs_record = _is(arrival, Choice.WITHDRAW_APPROVAL) or _is(arrival, Choice.RESOLVE)
        if event.verdict.accepted or needs_record:
            by_record = self._verdict(self._record, arrival, sender)
            if by_record.verdict.accepted or not self._already_applied_on_record(event, sender):
                event = by_record
        event = self._sent_again(event) or event
        event = self._with_invalid_approvals(event)
        return event.model_copy(update={"people": self._people.hash if self._people else ""})

    def _sent_again(self, event: Decided) -> Decided | None:
        """Accept a copy of a signed decision that only the record has, for example after a server crash.

        The copy itself has no proof, because its token has been used, and it does not change the record. The
        run uses the proof of the original (`counted`).
        """
        decision = event.arrival.decision
        if event.verdict.accepted or decision is None or decision.signature is None:
            return None
        earlier = self._accepted_before(decision)
        is_late = earlier is not None and _is_login(decision)  # the login may have expired since then
        at = earlier.arrival.received_at if earlier and is_late else event.arrival.received_at
        signer = self._identified(decision, at)
        copy = self._verdict(self._state, event.arrival, signer)
        if not self._already_applied_on_record(copy, signer):
            return None
        return copy.model_copy(update={"approver": event.approver})

    def _with_invalid_approvals(self, event: Decided) -> Decided:
        """Add to the result that an earlier approval is no longer valid, so the plan will not run."""
        if not event.verdict.accepted or self._record.phase is not Phase.IN_REVIEW:
            return event
        after = apply(self._record, event)
        if after.phase is not Phase.EXECUTING:
            return event
        lost = invalid_approvals(after, self._people, event.arrival.received_at)
        if not lost:
            return event
        why = " and ".join(one.reason for one in lost)
        reason = f"approved, but {why}; the plan runs when an authorized person gives that approval again"
        return event.model_copy(update={"verdict": Verdict(accepted=True, reason=reason)})

    def _verdict(self, state: RunState, arrival: Arrival, sender: Identified) -> Decided:
        if _is(arrival, Choice.APPROVE) and not sender.objection and not self._is_first_decision:
            replayed = possible_replay(state, self._events, arrival, sender.approver)
            if replayed:
                sender = sender.model_copy(update={"objection": replayed})
        return judge(state, arrival, sender)

    @property
    def _is_first_decision(self) -> bool:
        return self._trail.is_without_decisions and not self._new

    def _sender(self, arrival: Arrival) -> Identified:
        """Return the sender according to the list of people and the signature, at the time of receipt."""
        decision = arrival.decision
        if decision is None:
            return Identified()
        known = self._identified(decision, arrival.received_at)
        is_change_request = decision.decision is Choice.REQUEST_CHANGES
        if is_change_request and not self._can_draft and not known.objection:
            known = known.model_copy(update={"objection": _NO_DRAFT})
        if decision.decision is Choice.EDIT and not known.objection:
            known = known.model_copy(update={"objection": self._wrong_edit(decision) or ""})
        if decision.decision in (Choice.APPROVE, Choice.RESOLVE) and not known.objection:
            unknown = unknown_requester(self._people, self._record.excluded)
            known = known.model_copy(update={"objection": unknown or ""})
        return use_token(self._trail, arrival.key, known)

    def _wrong_edit(self, decision: Decision) -> str | None:
        """Return the reason why this worker cannot draft a new plan, or why the plan changes nothing."""
        try:
            plan = self._plans.check(decision.new_plan)
        except PlanInvalid as error:
            return str(error)
        before = self._record.drafted  # an edit of another plan may be the recorded edit, sent again
        if before is None or not decision.refers_to(before.fingerprint):
            return None
        is_same = is_same_proposal(before.plan.proposed(), plan.proposed())
        return "the new plan is the same as the plan in review" if is_same else None

    def _identified(self, decision: Decision, at: datetime) -> Identified:
        if decision.signature is None or self._people is None or self._record.fingerprint is None:
            return identify(self._people, decision.by, at)
        subject = Subject(
            workflow_id=self._record.workflow_id,
            fingerprint=self._record.fingerprint,
            audience=self._audience,
        )
        return verify(decision, subject=subject, people=self._people, at=at)

    def _already_applied_on_record(self, event: Decided, sender: Identified) -> bool:
        """Return whether the decision has already been applied in the record, but not in the run.

        That happens after a reset, or if the workflow task of an update was lost: the decision is recorded
        and arrives again. Accepting it again changes nothing in the record.
        """
        state, record, decision = self._state, self._record, event.arrival.decision
        if decision is None or not event.verdict.accepted or changes_run(record, event):
            return False
        is_counted = any(same_person(one.name, decision.by) for one in record.approvers)
        match decision.decision:
            case Choice.APPROVE:
                in_review = as_in_review(record)
                followed = is_counted or record.is_approved
                return followed and judge(in_review, event.arrival, sender).verdict.accepted
            case Choice.REJECT:
                return record.closed is not None and record.closed.outcome is Outcome.REJECTED
            case Choice.REQUEST_CHANGES:
                if record.edit is not None:
                    return False
                is_drafting = record.phase is Phase.DRAFTING and record.next_revision == state.next_revision
                return is_drafting or record.next_revision > state.next_revision
            case Choice.EDIT:
                return self._repeats(event, lambda before: before.next_revision == state.next_revision)
            case Choice.WITHDRAW_APPROVAL:
                return record.phase is Phase.IN_REVIEW and not is_counted and approval_was_withdrawn(record)
            case Choice.RESOLVE:
                return self._repeats(event, lambda before: before.resolutions == state.resolutions)
            case _:
                assert_never(decision.decision)

    def _repeats(self, event: Decided, is_meant: Callable[[RunState], bool]) -> bool:
        return repeats(self._trail.workflow_id, self._events, event, is_meant)


def _is_login(decision: Decision) -> bool:
    return decision.signature is not None and is_login_token(decision.signature)


def _is(arrival: Arrival, choice: Choice) -> bool:
    return arrival.decision is not None and arrival.decision.decision is choice


def _note(event: Decided) -> Note:
    arrival = event.arrival
    if event.approver is not None:
        actor = event.approver.name
    else:
        actor = arrival.decision.by if arrival.decision else "unknown"
    return Note(key=arrival.key, at=arrival.received_at, actor=actor, event=event)


def _is_ahead(trail: OpenTrail, state: RunState) -> bool:
    """Return whether the record already has the plan that the run waits for."""
    if state.phase is not Phase.DRAFTING:
        return False
    recorded = trail.state().drafted
    return recorded is not None and recorded.revision >= state.next_revision
