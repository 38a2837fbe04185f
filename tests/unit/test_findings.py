"""The errors of a trail are reported with their location, without a database or keys."""

from datetime import timedelta
from typing import Any

import pytest

from plangate.audit.rules import rule_violations
from plangate.domain.decisions.decision import Arrival, Choice, Decision, Verdict, Via
from plangate.domain.people.people import ANYONE, Approver, InvalidApproval, PersonRoles
from plangate.domain.plans.idempotency_key import idempotency_key
from plangate.domain.plans.plan import Plan, Step, fingerprint_of
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.audit import (
    FIRST_HASH,
    RULES_TRAIL,
    AuditEntry,
    Claimed,
    Closed,
    Decided,
    Drafted,
    Event,
    Held,
    Outcome,
    Released,
    Reopened,
    RulesInEffect,
    StepFailed,
    StepInDoubt,
    WrittenEntry,
    entry_after,
)
from plangate.domain.runs.findings import broken_links, readable
from tests.support import build
from tests.support.build import HOUR, NOON, RUN, chained, done, requested
from tests.support.fakes import AUDIENCE

PLAN = Plan(summary="Two notes", steps=(Step(tool="note", arguments={"text": "a"}),) * 2)
FINGERPRINT = fingerprint_of(PLAN, 1, RUN, AUDIENCE)


def drafted(**more: Any) -> Drafted:
    return build.drafted(PLAN, **more)


def decided(by: str = "dana", choice: str = "approve", *, accepted: bool = True, **more: Any) -> Decided:
    decision = Decision(decision=Choice(choice), by=by, plan=FINGERPRINT, comment="fine", **more)
    arrival = Arrival(key=by, via=Via.SIGNAL, name=choice, received_at=NOON, decision=decision)
    approver = Approver(name=by, standings=(PersonRoles(person=by, roles=(ANYONE,)),))
    return Decided(arrival=arrival, verdict=Verdict(accepted=accepted, reason="valid"), approver=approver)


def claimed(step: int = 1, **more: Any) -> Claimed:
    said = {
        "step": step,
        "idempotency_key": idempotency_key(RUN, FINGERPRINT, step),
        "fingerprint": FINGERPRINT,
        "attempt": 1,
    }
    return Claimed(**{**said, **more})


def reopened(**more: Any) -> Reopened:
    lost = (InvalidApproval(name="dana", reason="dana's approval is too old"),)
    said = {"fingerprint": FINGERPRINT, "step": 1, "lost": lost, "reopened_at": NOON, "deadline": NOON + HOUR}
    return Reopened(**{**said, **more})


EXECUTED = Closed(outcome=Outcome.EXECUTED)
GOOD: tuple[Event, ...] = (
    requested(), drafted(), decided("rita", accepted=False), decided(), claimed(), done(), claimed(2),
    done(2), EXECUTED,
)  # fmt: skip


def trail(*events: Event, run: str = RUN) -> list[AuditEntry]:
    return chained(events, run=run)


def links(entries: list[AuditEntry]) -> list[str]:
    return [str(finding) for finding in broken_links(RUN, entries)]


def violations(*events: Event, late: bool = False) -> list[str]:
    """Examine these events; if ``late``, the last one happened an hour after the others."""
    entries = trail(*events)
    if late or events[-1] in (LATE_CLAIM, LATE_SECOND_CLAIM):
        entries[-1] = entries[-1].model_copy(update={"at": NOON + HOUR})
    return [str(finding) for finding in rule_violations(RUN, entries)]


def test_an_unchanged_trail_has_no_finding() -> None:
    assert links(trail(*GOOD)) == []
    assert violations(*GOOD) == []


def test_an_end_before_the_previous_entry_is_reported() -> None:
    entries = trail(*GOOD)
    entries[-1] = entries[-1].model_copy(update={"at": NOON - HOUR})
    said = "plan-1, entry 9: ends the run before the time of the previous entry"
    assert [str(finding) for finding in rule_violations(RUN, entries)] == [said]


def test_an_expiry_is_dated_by_the_last_review() -> None:
    lost = (InvalidApproval(name="dana", reason="too old"),)
    again = Reopened(
        fingerprint=FINGERPRINT, step=1, lost=lost, reopened_at=NOON + HOUR, deadline=NOON + 2 * HOUR
    )
    entries = trail(requested(), drafted(), decided(), again, Closed(outcome=Outcome.EXPIRED))
    entries[3] = entries[3].model_copy(update={"at": NOON + HOUR})
    for at, count in ((NOON + HOUR, 1), (NOON + 2 * HOUR, 0)):
        entries[-1] = entries[-1].model_copy(update={"at": at})
        found = [one.what for one in rule_violations(RUN, entries)]
        assert found == ["has the outcome expired, but its deadline had not passed"] * count


def test_an_edit_is_reported() -> None:
    entries = trail(*GOOD)
    entries[3] = entries[3].model_copy(update={"actor": "mallory"})
    assert links(entries) == ["plan-1, entry 4: was changed: its hash does not match its content"]


def test_a_gap_is_reported() -> None:
    entries = trail(*GOOD)
    assert links(entries[:3] + entries[4:]) == ["plan-1, entry 4: is missing"]
    assert links(entries[:3] + entries[6:]) == ["plan-1, entry 4: is missing, as is every entry up to 6"]
    assert links(entries[1:]) == ["plan-1, entry 1: is missing"]


def test_swapped_entries_are_reported() -> None:
    entries = trail(*GOOD)
    third, fifth = entries[2], entries[4]
    entries[2] = fifth.model_copy(update={"number": 3, "previous_hash": third.previous_hash})
    entries[4] = third.model_copy(update={"number": 5, "previous_hash": fifth.previous_hash})
    assert links(entries) == [
        "plan-1, entry 3: was moved: it was written as entry 5",
        "plan-1, entry 5: was moved: it was written as entry 3",
    ]


def test_an_entry_out_of_order_is_reported() -> None:
    entries = trail(*GOOD)
    entries[2], entries[3] = entries[3], entries[2]
    assert "plan-1, entry 3: is in the place of entry 5" in links(entries)


def test_an_entry_of_another_run_is_reported() -> None:
    entries = trail(*GOOD)
    foreign = trail(*GOOD, run="plan-2")[8]
    assert links([*entries[:8], foreign]) == ["plan-1, entry 9: belongs to the run plan-2"]
    disguised = foreign.model_copy(update={"workflow_id": RUN})
    found = broken_links(RUN, [*entries[:8], disguised], lambda _: ["plan-2"])
    assert [finding.what for finding in found] == ["belongs to the run plan-2"]


def test_the_end_of_another_trail_is_reported() -> None:
    entries, others = trail(*GOOD), trail(requested(request="else"), *GOOD[1:])
    assert links([*entries[:4], *others[4:]]) == [
        "plan-1, entry 5: does not link to the hash of the previous entry"
    ]


def test_a_repeated_event_is_reported() -> None:
    entries = trail(*GOOD)
    again = entry_after(
        entries[-1].hash, workflow_id=RUN, number=10, key="key 3", at=NOON, actor="x", event=decided()
    )
    assert links([*entries, again]) == ["plan-1: 2 entries have the key key 3"]


def test_an_unreadable_entry_is_reported() -> None:
    entry = WrittenEntry(**{**dict(trail(requested())[0]), "written": '{"kind":"unknown"}'})
    assert [str(one) for one in readable([entry])] == [
        "plan-1, entry 1: contains an event that this release cannot read"
    ]


TIMED = drafted(requirement=ONE_APPROVAL.model_copy(update={"approval_valid_for": 1}))
LATE_CLAIM = claimed()
RELEASED = Released(step=1, attempt=1, reason="away")
LATE_SECOND_CLAIM = claimed(attempt=2)
WITHDRAWN = Closed(outcome=Outcome.WITHDRAWN)
FAILED = Closed(outcome=Outcome.FAILED, reason="the bank refused")
SECOND = drafted(revision=2)
HELD = Held(step=1, fingerprint=FINGERPRINT, number=1, why="no", held_at=NOON, deadline=NOON + HOUR)
UNREADABLE = Decided(
    arrival=Arrival(key="x", via=Via.SIGNAL, name="approve", received_at=NOON, fault="it cannot be parsed"),
    verdict=Verdict(accepted=True, reason="valid"),
    approver=None,
)
ELSEWHERE = AUDIENCE.model_copy(update={"installation": "cd" * 16})
OTHER_PLAN = PLAN.model_copy(update={"summary": "Three notes"})
REJECTED = Closed(outcome=Outcome.REJECTED)
EXPIRED = Closed(outcome=Outcome.EXPIRED)


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ((drafted(),), "is not the request, which must come first"),
        ((*GOOD[:2], requested()), "is a duplicate request"),
        ((requested(), drafted().model_copy(update={"plan": OTHER_PLAN})), "is not that of its plan"),
        ((requested(), SECOND), "expected revision 1"),
        ((*GOOD[:2], drafted()), "is revision 1, expected revision 2"),
        ((*GOOD[:2], SECOND), "drafts a plan while the run is in_review"),
        (
            (*GOOD[:2], decided(choice="request_changes"), drafted(revision=2, audience=ELSEWHERE)),
            "was made for a different installation or namespace than the previous revision",
        ),
        ((requested(), drafted(struck=(1,))), "lists removed steps without an edit"),
        ((*GOOD[:2], decided("rita")), "was accepted, though rita is the requester"),
        ((*GOOD[:2], claimed()), "a step began that was not allowed: Plan"),
        ((*GOOD[:2], decided(accepted=False), claimed()), "is not approved according to the records"),
        ((*GOOD[:4], claimed(2)), "before the steps before it are done"),
        ((*GOOD[:4], claimed(idempotency_key="other")), "its idempotency key is not that of its plan"),
        ((*GOOD[:4], done()), "step 1 was done but never claimed under this plan"),
        ((*GOOD[:6], done()), "step 1 was done a second time"),
        ((*GOOD[:6], done(3)), "refers to step 3, which does not exist"),
        ((*GOOD[:6], StepFailed(step=0, reason="")), "refers to step 0, which does not exist"),
        ((*GOOD[:6], EXECUTED), "has the outcome executed, but not every step is done or skipped"),
        ((requested(), EXECUTED), "has the outcome executed"),
        ((*GOOD[:2], REJECTED), "has the outcome rejected, but no authorized rejection is recorded"),
        ((requested(), drafted(requester="dana")), "has the requester dana, but rita sent the request"),
        ((*GOOD[:4], claimed(attempt=2)), "is numbered attempt 2, expected attempt 1"),
        ((*GOOD[:5], claimed(attempt=1)), "is numbered attempt 1, expected attempt 2"),
        ((*GOOD[:4], StepInDoubt(step=1, reason="")), "is in doubt but was never claimed under this plan"),
        ((*GOOD[:4], Released(step=1, attempt=1, reason="")), "attempt 1 of step 1, which has 0 claims"),
        ((*GOOD[:5], Released(step=1, attempt=7, reason="")), "attempt 7 of step 1, which has 1 claims"),
        ((*GOOD[:8], FAILED), "has the outcome failed, but every step is done or skipped"),
        ((*GOOD[:8], WITHDRAWN), "has the outcome withdrawn, but every step is done or skipped"),
        ((*GOOD[:4], reopened(deadline=NOON + 2 * HOUR)), "for longer than the first time"),
        ((*GOOD[:2], EXPIRED), "has the outcome expired, but its deadline had not passed"),
        (
            (*GOOD[:2], Reopened(fingerprint=FINGERPRINT, step=1, stale=(), reopened_at=NOON, deadline=NOON)),
            "reopens the review of a plan that was not being executed",
        ),
        ((*GOOD[:4], reopened(lost=())), "reopens the review without an invalid approval"),
        (
            (*GOOD[:2], decided(choice="edit", new_plan={"steps": 1}), drafted(revision=2, author="dana")),
            "drafts an edit that has no plan",
        ),
        ((*GOOD[:4], HELD), "holds the run at step 1, which did not stop for that reason"),
        ((*GOOD[:4], HELD.model_copy(update={"step": 3})), "refers to step 3, which does not exist"),
        ((*GOOD[:2], HELD), "holds a run that is in_review"),
        ((*GOOD[:2], UNREADABLE), "was accepted but refers to no plan"),
        ((*GOOD, claimed()), "records claimed after the end of the run"),
        ((*GOOD, Closed(outcome=Outcome.WITHDRAWN)), "records closed after the end of the run"),
        ((*GOOD, StepFailed(step=1, reason="")), "step 1 was done already"),
        ((*GOOD[:2], WITHDRAWN, StepFailed(step=1, reason="")), "records step_failed after the end"),
        ((*GOOD[:6], StepInDoubt(step=1, reason="")), "step 1 was done already"),
        ((requested(), drafted(deadline=NOON + 2 * HOUR)), "allows a longer review than was requested"),
        (
            (*GOOD[:2], decided().model_copy(update={"approver": decided("erik").approver})),
            "is attributed to erik, but the decision names another person",
        ),
        ((requested(), TIMED, decided(), LATE_CLAIM), "although the approval by dana was too old"),
        (
            (requested(), TIMED, decided(), claimed(), RELEASED, LATE_SECOND_CLAIM),
            "although the approval by dana was too old",
        ),
        (
            (*GOOD[:4], Reopened(fingerprint="f" * 64, step=1, stale=(), reopened_at=NOON, deadline=NOON)),
            "reopens the review of a plan that was not being executed",
        ),
    ],
)  # fmt: skip
def test_impossible_events_are_reported(events: tuple[Event, ...], said: str) -> None:
    findings = violations(*events)
    assert len(findings) == 1, findings
    assert said in findings[0]


@pytest.mark.parametrize(
    "events",
    [
        (*GOOD[:2], decided(choice="reject"), REJECTED),
        (*GOOD[:2], Closed(outcome=Outcome.WITHDRAWN)),
        (requested(), Closed(outcome=Outcome.FAILED, reason="no model")),
        (*GOOD[:4], claimed(), claimed(attempt=2), done()),
        (*GOOD[:4], claimed(), RELEASED, claimed(attempt=2), StepInDoubt(step=1, reason=""), FAILED),
        (*GOOD[:4], StepFailed(step=1, reason="not approved"), FAILED),
        (requested(), drafted(requester="RITA"), decided(), reopened(), decided(), claimed()),
        (*GOOD[:5], StepFailed(step=1, reason="no"), Closed(outcome=Outcome.FAILED)),
        (*GOOD, decided("late", accepted=False)),
        # After a reset, the workflow accepts a decision a second time, but on the trail it has no effect.
        (*GOOD[:4], decided("erik"), claimed()),
    ],
)
def test_regular_events_are_not_findings(events: tuple[Event, ...]) -> None:
    assert violations(*events) == []


def test_a_plan_expires_at_its_deadline() -> None:
    assert violations(*GOOD[:2], EXPIRED, late=True) == []


def test_a_decision_indexed_under_another_name_or_time_is_reported() -> None:
    entries = trail(*GOOD)
    entries[3] = entries[3].model_copy(update={"actor": "erik"})
    assert [one.what for one in rule_violations(RUN, entries)] == ["has the actor erik, but dana decided"]
    entries[3] = entries[3].model_copy(update={"actor": "dana", "at": NOON + HOUR})
    assert [one.what for one in rule_violations(RUN, entries)] == [
        "has a time that differs from when the decision was received"
    ]


MINUTE = timedelta(minutes=1)


def dated(*said: tuple[Event, timedelta]) -> list[str]:
    """Examine these events, each with its time, from noon onward."""
    entries = trail(*(event for event, _ in said))
    for index, (event, after) in enumerate(said):
        at = event.arrival.received_at if isinstance(event, Decided) else NOON + after
        entries[index] = entries[index].model_copy(update={"at": at})
    return [str(finding) for finding in rule_violations(RUN, entries)]


def arrived(event: Decided, after: timedelta) -> Decided:
    arrival = event.arrival.model_copy(update={"received_at": NOON + after})
    return event.model_copy(update={"arrival": arrival})


START = ((requested(), 0 * HOUR), (drafted(drafted_at=NOON, deadline=NOON + HOUR), 0 * HOUR))
APPROVED = (arrived(decided(), 30 * MINUTE), HOUR)


def test_a_step_dated_before_its_cause_is_reported_once() -> None:
    told = dated(*START, APPROVED, (claimed(), -2 * HOUR), (done(), -2 * HOUR), (claimed(2), 31 * MINUTE))
    assert told == ["plan-1, entry 4: is dated before entry 3 (decided), on which it depends"]
    told = dated(*START, APPROVED, (claimed(), 31 * MINUTE), (done(), 20 * MINUTE))
    assert told == ["plan-1, entry 5: is dated before entry 4 (claimed), on which it depends"]


def test_the_clocks_of_two_workers_may_differ_by_minutes() -> None:
    assert dated(*START, APPROVED, (claimed(), 26 * MINUTE), (done(), 25 * MINUTE)) == []


def test_a_decision_may_be_received_long_before_it_is_checked() -> None:
    """This happens if no worker ran, or the list of people could not be read."""
    early = arrived(decided("erik", accepted=False), -9 * HOUR)
    assert dated(*START, APPROVED, (early, HOUR), (claimed(), 31 * MINUTE)) == []


def test_a_suspended_host_may_measure_too_little_time() -> None:
    """Messages that were received in the meantime and refused are ignored."""
    late = arrived(decided("erik", accepted=False), 9 * HOUR)
    assert dated(*START, APPROVED, (claimed(), 31 * MINUTE), (late, HOUR), (done(), 32 * MINUTE)) == []


@pytest.mark.parametrize("place", [0, 1, 4])
def test_an_entry_indexed_at_another_time_than_its_event_is_reported(place: int) -> None:
    entries = trail(requested(), drafted(), decided(), claimed(), reopened())
    for entry in range(place, len(entries)):
        if entry != 2:
            entries[entry] = entries[entry].model_copy(update={"at": NOON + 2 * MINUTE})
    found = [(one.entry, one.what) for one in rule_violations(RUN, entries)]
    assert (place + 1, "has a time that differs from the time in its event") in found


def rules_trail(*said: tuple[str, str, str, int]) -> list[AuditEntry]:
    """The rules trail: the key, kind, hash and hour of each entry."""
    entries: list[AuditEntry] = []
    for number, (key, what, text_hash, hour) in enumerate(said, start=1):
        before = entries[-1].hash if entries else FIRST_HASH
        event = RulesInEffect.model_validate({"what": what, "hash": text_hash})
        entries.append(
            entry_after(
                before, workflow_id=RULES_TRAIL, number=number, key=key, at=NOON + hour * HOUR,
                actor="worker@here", event=event,
            )
        )  # fmt: skip
    return entries


RULES = [("policy:1", "policy", "", 0), ("people:1", "people", "a", 0), ("people:2", "people", "b", 1)]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (("people:3", "people", "a", 0), "is dated before the previous entry"),
        (("people:3", "people", "b", 1), "changes nothing: the same text was in effect before"),
        (("people:4", "people", "a", 1), "has the key people:4, not the next one"),
        (("policy:3", "policy", "a", 1), "has the key policy:3, not the next one"),
        (("people:2", "policy", "a", 1), "has the key people:2, not the next one"),
    ],
)
def test_the_rules_trail_must_be_in_chronological_order(entry: tuple[str, str, str, int], said: str) -> None:
    valid = rules_trail(*RULES, ("people:3", "people", "a", 1), ("policy:2", "policy", "a", 2))
    assert list(rule_violations(RULES_TRAIL, valid)) == []
    found = list(rule_violations(RULES_TRAIL, rules_trail(*RULES, entry)))
    assert [(one.entry, one.what) for one in found] == [(4, said)]
