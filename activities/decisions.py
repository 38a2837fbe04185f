"""The local activity that admits decisions: verdict and record first, and only then do they count."""

from collections.abc import Sequence
from functools import reduce
from typing import Final

import structlog
from temporalio import activity

from activities.caller import check_caller, own_audience
from activities.failures import told_to_temporal
from activities.signal_times import SignalTimes
from activities.tasks import AdmitTask
from activities.waiting import write_soon
from plangate.domain.audit import Decided, Outcome
from plangate.domain.decision import Arrival, Choice, Via
from plangate.domain.people import Directory, Identified, People, identify, same_person
from plangate.domain.plan import Audience, short
from plangate.domain.review import judge
from plangate.domain.revocation import may_be_put_back
from plangate.domain.run import Phase, RunState, apply, was_taken_back
from plangate.records.database import Database
from plangate.records.tokens import use_token
from plangate.records.trail import Note, OpenTrail, open_trail
from plangate.signatures import Subject, verify

_NO_DRAFT: Final = (
    "no model is set here that could make another plan; reject this one, and bring the one you want"
)
_log = structlog.get_logger(__name__)


class Decisions:
    """Admits what arrives under a decision's name."""

    def __init__(
        self, database: Database, times: SignalTimes, directory: Directory, *, can_draft: bool
    ) -> None:
        self._database = database
        self._times = times
        self._directory = directory
        self._can_draft = can_draft

    @activity.defn
    async def admit_decisions(self, task: AdmitTask) -> tuple[Decided, ...]:
        """Return the arrivals with their verdicts, in order, after all of them are on the record.

        Return none, and write nothing, where the record has a plan that the run has yet to hear of: whoever
        looks at the record may decide on it already, and the run is to judge that when it knows the plan too.

        Raises:
            ApplicationError: the id is another run's, or the records or the list of people do not answer.
        """
        with told_to_temporal():
            check_caller(task.run, self._database, is_local=True)
            arrivals = await self._in_time(task)
            return await write_soon(self._database, self._record, task, arrivals)

    async def _in_time(self, task: AdmitTask) -> tuple[Arrival, ...]:
        """Correct the time of signals that may have lain waiting because no worker ran.

        They came when the server received them, not when the workflow woke up. It matters where the deadline
        has passed by now, or where approvals get too old; updates cannot wait without a worker.
        """
        deadline, drafted = task.state.deadline, task.state.drafted
        is_timed = drafted is not None and drafted.requirement.approval_valid_for is not None
        must_be = deadline is not None and any(
            arrival.via is Via.SIGNAL and arrival.decision and (is_timed or arrival.received_at >= deadline)
            for arrival in task.arrivals
        )
        return await self._times.corrected(task.arrivals, must_be=must_be)

    def _record(self, task: AdmitTask, arrivals: tuple[Arrival, ...]) -> tuple[Decided, ...]:
        people = self._directory.people()
        with self._database.write() as connection:
            trail = open_trail(connection, task.run)
            if _is_ahead(trail, task.state):
                return ()
            decided = self._judged(task.state, trail, arrivals, people)
            entries = trail.append(*map(_note, decided))
        events = tuple(entry.event for entry in entries if isinstance(entry.event, Decided))
        for event in events:
            _log.info(
                "A decision is on the record.",
                action="decided",
                workflow_id=task.run.workflow_id,
                fingerprint=short(task.state.fingerprint or ""),
                decision=event.arrival.name,
                accepted=event.verdict.accepted,
                reason=event.verdict.reason,
            )
        return events

    def _judged(
        self, state: RunState, trail: OpenTrail, arrivals: Sequence[Arrival], people: People | None
    ) -> list[Decided]:
        """Return each arrival with its verdict, each judged after the ones before it took effect.

        What was judged before keeps its verdict: the worker that wrote it may have died before the run heard.
        """
        recorded = trail.find([arrival.key for arrival in arrivals])
        decided: list[Decided] = []
        for arrival in arrivals:
            entry = recorded.get(arrival.key)
            if entry is not None and isinstance(entry.event, Decided):
                event = entry.event
            else:
                sender = use_token(trail, arrival, self._sender(state, arrival, people))
                put_back = _put_back(state, trail, decided, arrival, sender)
                if put_back and not sender.objection:
                    sender = sender.model_copy(update={"objection": put_back})
                event = judge(state, arrival, sender)
                is_approval = _is(arrival, Choice.APPROVE)
                if _is(arrival, Choice.WITHDRAW_APPROVAL) or (event.verdict.accepted and not is_approval):
                    # Behind a reset the record is ahead of the run, which would do again what is done; and
                    # only the record knows whether a step was claimed.
                    record = reduce(apply, decided, trail.state())
                    if not (event.verdict.accepted and _is_on_its_way(state, record, arrival)):
                        event = judge(record, arrival, sender)
                event = event.model_copy(update={"people": people.hash if people else ""})
            state = apply(state, event)
            decided.append(event)
        return decided

    def _sender(self, state: RunState, arrival: Arrival, people: People | None) -> Identified:
        known = _sender(state, own_audience(self._database), arrival, people)
        asks = arrival.decision is not None and arrival.decision.decision is Choice.REQUEST_CHANGES
        if asks and not self._can_draft and not known.objection:
            return known.model_copy(update={"objection": _NO_DRAFT})
        return known


def _sender(state: RunState, audience: Audience, arrival: Arrival, people: People | None) -> Identified:
    """Return who sent this, by the list of people and by the signature, as of the time it came."""
    decision = arrival.decision
    if decision is None:
        return Identified()
    if decision.signature is None or people is None or state.fingerprint is None:
        return identify(people, decision.by, arrival.received_at)
    subject = Subject(workflow_id=state.workflow_id, fingerprint=state.fingerprint, audience=audience)
    return verify(decision, subject=subject, people=people, at=arrival.received_at)


def _put_back(
    state: RunState, trail: OpenTrail, decided: Sequence[Decided], arrival: Arrival, sender: Identified
) -> str | None:
    """Say so where this approval may be an earlier one that comes once more, by the record."""
    if not _is(arrival, Choice.APPROVE) or (trail.is_without_decisions and not decided):
        return None
    before = [*(entry.event for entry in trail.entries()), *decided]
    return may_be_put_back(state, before, arrival, sender.approver)


def _is_on_its_way(state: RunState, record: RunState, arrival: Arrival) -> bool:
    """Whether the record has followed this decision already, and the run has yet to.

    So it is behind a reset, and where a workflow task was lost that brought an update: what was written then
    is there, and the same decision comes once more.
    """
    match arrival.decision.decision if arrival.decision else None:
        case Choice.REJECT:
            return record.closed is not None and record.closed.outcome is Outcome.REJECTED
        case Choice.REQUEST_CHANGES if record.closed is None:
            is_drafting = record.phase is Phase.DRAFTING and record.next_revision == state.next_revision
            return is_drafting or record.next_revision > state.next_revision
        case Choice.WITHDRAW_APPROVAL if arrival.decision and record.phase is Phase.IN_REVIEW:
            counts = any(same_person(one.name, arrival.decision.by) for one in record.approvers)
            return not counts and was_taken_back(record)
        case _:
            return False


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
    """Whether the plan that the run is waiting for is on the record by now."""
    if state.phase is not Phase.DRAFTING:
        return False
    recorded = trail.state().drafted
    return recorded is not None and recorded.revision >= state.next_revision
