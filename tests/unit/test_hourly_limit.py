"""The hourly limit groups informational notices, and never delays a notice to decide past its deadline."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from plangate.notifications.notice import ASKING, INFORMING, Facts, NoticeKind
from plangate.notifications.outgoing import HOUR, MIN_GAP, outgoing
from plangate.records.deliveries import DueDelivery
from tests.support.build import NOON

GINA = ("gina", "mailto:gina@example.org")


@dataclass(frozen=True)
class Arrival:
    """A notice that is due some seconds after noon; a notice to decide has seconds until its deadline."""

    after: int
    kind: NoticeKind
    left: int = 3600

    def due(self, number: int) -> DueDelivery:
        at = NOON + timedelta(seconds=self.after)
        facts = Facts(deadline=at + timedelta(seconds=self.left)) if self.kind in ASKING else Facts()
        return DueDelivery(
            id=number,
            workflow_id=f"run-{number}",
            person=GINA[0],
            event=f"{self.kind}:1",
            kind=self.kind,
            facts=facts.model_dump_json(),
            entered_at=at,
            address=GINA[1],
            due_at=at,
            next_at=at,
            attempts=0,
            tried_at=None,
            is_repeat=False,
            message_id="",
        )


def deadline_of(part: DueDelivery) -> datetime:
    deadline = Facts.model_validate_json(part.facts).deadline
    assert deadline is not None
    return deadline


def sent_of(arrivals: Sequence[Arrival], per_hour: int) -> list[tuple[datetime, tuple[DueDelivery, ...]]]:
    """Return the times and the parts of each message, if each attempt succeeds immediately."""
    waiting = {number: one.due(number) for number, one in enumerate(arrivals)}
    sent: list[tuple[datetime, tuple[DueDelivery, ...]]] = []
    while waiting:
        now = min(one.next_at for one in waiting.values())
        due = [one for one in waiting.values() if one.due_at <= now]
        times = [at for at, _ in sent if at > now - HOUR]
        found = outgoing(due, {GINA: times}, now, per_hour=per_hour, mark="m")
        assert found.messages or found.postponed
        for message in found.messages:
            sent.append((now, message.parts))
            for part in message.parts:
                del waiting[part.id]
        for one in found.postponed:
            assert one.until > now
            for number in one.ids:
                waiting[number] = waiting[number].model_copy(update={"next_at": one.until})
    return sent


ARRIVALS = st.lists(
    st.builds(
        Arrival,
        after=st.one_of(st.integers(0, 7_200), st.integers(0, 24).map(lambda many: many * 300)),
        kind=st.sampled_from(NoticeKind),
        left=st.one_of(st.integers(1, 1_200), st.integers(1, 100_000)),
    ),
    max_size=50,
).map(lambda found: sorted(found, key=lambda one: one.after))


@given(ARRIVALS, st.integers(1, 8))
def test_no_notice_that_requires_action_is_delayed_past_its_deadline(
    arrivals: list[Arrival], per_hour: int
) -> None:
    sent = sent_of(arrivals, per_hour)
    assert sorted(part.id for _, parts in sent for part in parts) == list(range(len(arrivals)))
    for at, parts in sent:
        for part in parts:
            if part.kind in ASKING:
                assert at <= part.due_at + (deadline_of(part) - part.due_at) / 2


@given(ARRIVALS, st.integers(1, 8))
def test_only_urgent_notices_pass_the_limit_as_one_message_in_five_minutes(
    arrivals: list[Arrival], per_hour: int
) -> None:
    sent = sent_of(arrivals, per_hour)
    for number, (at, parts) in enumerate(sent):
        before = [when for when, _ in sent[:number] if when > at - HOUR]
        if len(before) < per_hour:
            continue
        asking = [part for part in parts if part.kind in ASKING]
        assert asking
        half = [part.due_at + (deadline_of(part) - part.due_at) / 2 for part in asking]
        assert at - before[-1] >= MIN_GAP or min(half) <= at


def test_a_plan_with_thirteen_minutes_left_is_notified_despite_the_limit() -> None:
    full = [Arrival(60 * minute, NoticeKind.STUCK) for minute in range(20)]
    (at, parts), *_ = sent_of([*full, Arrival(1_200, NoticeKind.ESCALATED, left=780)], 20)[20:]
    assert at - NOON == timedelta(minutes=24)
    assert [part.kind for part in parts] == [NoticeKind.ESCALATED]


def test_a_notice_to_decide_never_waits_for_more_than_25_percent_of_its_time() -> None:
    """The limit would delay it by 40 minutes: 33% of two hours, and 22% of three."""
    full = [Arrival(60 * minute, NoticeKind.STUCK) for minute in range(20)]
    for hours, minute in ((2, 24), (3, 60)):
        *_, (at, parts) = sent_of([*full, Arrival(1_200, NoticeKind.ESCALATED, left=hours * 3_600)], 20)
        assert at - NOON == timedelta(minutes=minute)
        assert [part.kind for part in parts] == [NoticeKind.ESCALATED]


def test_informational_notices_are_grouped_and_leave_half_of_the_limit_to_others() -> None:
    arrivals = [Arrival(60 * minute, NoticeKind.RELIEVED) for minute in range(40)]
    sent = sent_of(arrivals, 20)
    assert [len(parts) for _, parts in sent] == [1] * 10 + [30]
    together = [replace(one, after=0) for one in arrivals]
    assert [len(parts) for _, parts in sent_of(together, 20)] == [40]
    assert INFORMING.isdisjoint(ASKING)
