"""A step's amount counts while the step may still act, and then within the time window, on both databases."""

from datetime import timedelta

import pytest

from activities.requirement_check import Requiring
from activities.rolling_totals import Reserved, reserve_unless_stricter
from plangate.domain.decisions.decision import Resolution, Verdict
from plangate.domain.people.people import ANYONE, Approver
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.policy import OneApproval
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.policies.rolling_totals import RESERVED_FOR, RecentSum
from plangate.domain.runs.audit import (
    Claimed,
    Closed,
    Decided,
    Event,
    Held,
    Outcome,
    Released,
    Reopened,
    StepDone,
    StepFailed,
    StepInDoubt,
    StepReversed,
    StepUndone,
)
from plangate.policy.policy_file import policy_in
from plangate.records.database import Database
from plangate.records.ledger import EffectState, claim_effect, end_claim
from plangate.records.reservations import with_others
from plangate.records.trail import open_trail
from tests.support.build import NOON, arrival, drafted
from tests.support.limit_claimers import limit
from tests.support.record_writer import new_claim, note, run_ref
from tests.support.refund_tool import refund_plan

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PLAN = refund_plan("300", "100")
DRAFT = drafted(PLAN, requirement=Requirement(policy_hash=limit().policy_hash))
RECEIPT = Receipt(summary="refunded")
WANTED = RecentSum(tool="refund", argument="amount", currency="EUR", window="24h", others="0", own="0")


def begin(database: Database) -> None:
    """Draft the plan, and claim its first step."""
    with database.write() as connection:
        opened = open_trail(connection, run_ref())
        opened.append(note("requested", run_ref().requested), note("drafted", DRAFT))
        reserve_unless_stricter(
            opened, opened.state(), Requiring(limit()), step=1, arguments=PLAN.steps[0].arguments, now=NOON
        )
        opened.append(note("claimed", claimed(1)))


def claimed(step: int) -> Claimed:
    return Claimed(step=step, idempotency_key=f"k{step}", fingerprint=DRAFT.fingerprint, attempt=1)


def record(database: Database, *events: Event) -> None:
    with database.write() as connection:
        opened = open_trail(connection, run_ref())
        opened.append(*(note(f"{opened.entries()[-1].number}:{n}", one) for n, one in enumerate(events)))


def counted(database: Database, after: timedelta = timedelta()) -> str | None:
    """Return the amount that another plan would find, this long after the claim."""
    with database.read() as connection:
        (found,) = with_others(connection, [WANTED], run="another", plan="", now=NOON + after)
    return found.others


def resolved(step: int, resolution: Resolution, *, undo: bool = False) -> tuple[Event, Event]:
    """Return the events of a hold and of its resolution."""
    decided = Decided(
        arrival=arrival("resolve", plan=DRAFT.fingerprint, step=step, resolution=resolution),
        verdict=Verdict(accepted=True, reason=""),
        approver=Approver(name="dana", standings=()),
    )
    held = Held(
        step=step, undo=undo, fingerprint=DRAFT.fingerprint, why="no", held_at=NOON, deadline=NOON + HOUR
    )
    return held, decided


def refused() -> Decided:
    _, decided = resolved(1, Resolution.MARK_DONE)
    assert isinstance(decided, Decided)
    return decided.model_copy(update={"verdict": Verdict(accepted=False, reason="unknown")})


DONE = StepDone(step=1, receipt=RECEIPT)
DONE_2 = StepDone(step=2, receipt=RECEIPT)
REOPENED = Reopened(fingerprint=DRAFT.fingerprint, step=2, reopened_at=NOON, deadline=NOON + HOUR)


@pytest.mark.parametrize(
    ("events", "now", "tomorrow"),
    [
        ([], "400", "400"),  # while it may act, the window does not matter
        ([Released(step=1, attempt=1, reason="away")], "400", "400"),
        ([DONE], "400", "100"),
        ([DONE, claimed(2), DONE_2], "400", "0"),
        ([StepFailed(step=1, reason="no")], "100", "100"),
        ([StepInDoubt(step=1, reason="lost")], "400", "100"),
        ([DONE, REOPENED], "300", "0"),
        ([DONE, StepUndone(step=1, receipt=RECEIPT)], "100", "100"),
        ([DONE, DONE_2, StepFailed(step=1, reason="no", undo=True)], "400", "0"),
        ([DONE, DONE_2, StepInDoubt(step=1, reason="lost", undo=True)], "400", "0"),
        ([DONE, claimed(2), StepFailed(step=2, reason="no"), Closed(outcome=Outcome.FAILED)], "300", "0"),
        ([DONE, claimed(2), DONE_2, Closed(outcome=Outcome.EXECUTED)], "400", "0"),
        (
            [DONE, claimed(2), DONE_2, Closed(outcome=Outcome.EXECUTED),
             StepReversed(step=1, summary="bounced", found_at=NOON)],
            "100", "0",
        ),
        ([DONE, Closed(outcome=Outcome.FAILED)], "300", "0"),
        ([StepInDoubt(step=1, reason="lost"), *resolved(1, Resolution.MARK_DONE)], "400", "100"),
        ([StepInDoubt(step=1, reason="lost"), *resolved(1, Resolution.ABORT)], "300", "0"),
        ([DONE, refused()], "400", "100"),
        ([StepInDoubt(step=1, reason="lost"), resolved(1, Resolution.ABORT)[0], refused()], "400", "100"),
        ([DONE, StepFailed(step=2, reason="no"), *resolved(2, Resolution.UNDO)], "300", "0"),
        (
            [DONE, StepFailed(step=2, reason="no"), *resolved(2, Resolution.UNDO),
             StepInDoubt(step=1, reason="lost", undo=True), *resolved(1, Resolution.MARK_DONE, undo=True)],
            "0", "0",
        ),
        ([DONE, drafted(refund_plan("7"), 2, requirement=DRAFT.requirement)], "300", "0"),
    ],
)  # fmt: skip
def test_a_reservation_follows_the_progress_of_its_step(
    database: Database, events: list[Event], now: str, tomorrow: str
) -> None:
    begin(database)
    record(database, *events)
    assert (counted(database), counted(database, DAY + HOUR)) == (now, tomorrow)


def test_a_run_without_new_events_is_counted_for_three_days(database: Database) -> None:
    begin(database)
    assert counted(database, RESERVED_FOR - HOUR) == "400"
    assert counted(database, RESERVED_FOR + HOUR) == "0"


def test_a_step_in_progress_when_its_run_ends_counts_as_done(database: Database) -> None:
    begin(database)
    with database.write() as connection:
        opened = open_trail(connection, run_ref())
        mine = new_claim("me").model_copy(update={"fingerprint": DRAFT.fingerprint})
        claim_effect(opened, None, mine)
        opened.append(note("closed", Closed(outcome=Outcome.FAILED)))
    assert (counted(database), counted(database, DAY + HOUR)) == ("300", "0")
    with database.write() as connection:
        opened = open_trail(connection, run_ref())
        assert end_claim(opened, mine.idempotency_key, "me", EffectState.RELEASED)
        opened.append(note("late", StepFailed(step=1, reason="it had not begun")))
    assert counted(database) == "0"


def test_a_plan_does_not_count_towards_the_sum_of_others(database: Database) -> None:
    begin(database)
    with database.read() as connection:
        (found,) = with_others(connection, [WANTED], run="plan-1", plan=DRAFT.fingerprint, now=NOON)
        (other,) = with_others(connection, [WANTED], run="plan-1", plan="an older revision", now=NOON)
    assert (found.others, other.others) == ("0", "400")


def test_a_policy_without_sums_over_time_does_not_query_the_database(database: Database) -> None:
    with database.write() as connection:
        opened = open_trail(connection, run_ref())
        opened.append(note("requested", run_ref().requested), note("drafted", drafted(PLAN)))
        state = opened.state()
        opened.connection = None  # type: ignore[assignment]  # any use of it fails
        reserved = reserve_unless_stricter(
            opened, state, Requiring(OneApproval()), step=1, arguments=PLAN.steps[0].arguments, now=NOON
        )
        opened.renew(DRAFT.fingerprint, NOON)
        assert reserved.recent == ()
        opened.connection = connection


def test_a_step_is_part_of_the_sum_of_its_recipient_once_the_recipient_is_known(database: Database) -> None:
    (step,) = refund_plan("300").steps
    recipient = {"from_step": 1, "field": "recipient"}
    unknown = step.model_copy(update={"arguments": {**step.arguments, "recipient": recipient}})
    policy = policy_in(
        "[[rule]]\nname = 'much'\nneeds = [{ role = 'anyone' }]\n"
        "when = \"recent('refund', 'amount', '24h', 'recipient') > 500\"\n"
    )
    draft = drafted(
        PLAN.model_copy(update={"steps": (step, unknown)}),
        requirement=Requirement(policy_hash=policy.policy_hash, needs=(Need(role=ANYONE, count=1),)),
    )
    wanted = WANTED.model_copy(update={"by": "recipient", "of": '"lee"'})
    sums = []
    for number, arguments in enumerate((step.arguments, {**step.arguments, "recipient": "lee"}), start=1):
        with database.write() as connection:
            opened = open_trail(connection, run_ref())
            if number == 1:
                opened.append(note("requested", run_ref().requested), note("drafted", draft))
            reserved = reserve_unless_stricter(
                opened, opened.state(), Requiring(policy), step=number, arguments=arguments, now=NOON
            )
            assert isinstance(reserved, Reserved)
            (found,) = with_others(connection, [wanted], run="another", plan="", now=NOON)
            sums.append(found.others)
    assert sums == ["0", "300"]
