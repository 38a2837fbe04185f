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
from plangate.domain.audit import Decided, Outcome
from plangate.domain.decision import Arrival, Choice, Via
from plangate.domain.people import Directory, Identified, People, identify, same_person
from plangate.domain.plan import Audience, short
from plangate.domain.review import judge
from plangate.domain.run import Phase, RunState, apply
from plangate.records.database import Database
from plangate.records.tokens import use_token
from plangate.records.trail import Note, OpenTrail, open_trail
from plangate.signatures import Subject, verify

_NO_DRAFT: Final = (
    "no model is set here that could make another plan; reject this one, and bring the one you want"
)
_PUT_BACK: Final = (
    "it says what an approval from before the run was reset or continued said, and may be that one put back; "
    "approve again with a comment of today"
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
            check_caller(task.run, is_local=True)
            arrivals = await self._in_time(task)
            return await self._database.transact(self._record, task, arrivals)

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
                if _may_be_put_back(state, trail, arrival, sender):
                    sender = sender.model_copy(update={"objection": _PUT_BACK})
                event = judge(state, arrival, sender)
                if event.verdict.accepted and not _is_approval(arrival):
                    # Behind a reset the record is ahead of the run, which would do again what is done.
                    record = reduce(apply, decided, trail.state())
                    if not _is_on_its_way(state, record, arrival):
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


def _may_be_put_back(state: RunState, trail: OpenTrail, arrival: Arrival, sender: Identified) -> bool:
    """Whether a reset may have put this approval back, so that an old one would seem to be of today.

    Temporal hands signals over again behind a reset, with the time of the reset. A signed one is told by its
    id; of the others only that matters which can get too old.
    """
    drafted, decision = state.drafted, arrival.decision
    if drafted is None or drafted.requirement.approval_valid_for is None or decision is None:
        return False
    if not _is_approval(arrival) or (sender.approver is not None and sender.approver.verified):
        return False
    run_id = arrival.key.partition(":")[0]
    return any(
        isinstance(entry.event, Decided)
        and entry.key.partition(":")[0] != run_id
        and (earlier := entry.event.arrival.decision) is not None
        and (earlier.decision, earlier.comment) == (decision.decision, decision.comment)
        and same_person(earlier.by, decision.by)
        for entry in trail.entries()
    )


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
        case _:
            return False


def _is_approval(arrival: Arrival) -> bool:
    return arrival.decision is not None and arrival.decision.decision is Choice.APPROVE


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
