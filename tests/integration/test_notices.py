"""Each person is notified once of each event, regardless of the sending process."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from plangate.domain.decisions.decision import Choice
from plangate.domain.runs.audit import Outcome
from plangate.notifications.ledger import Pace
from plangate.notifications.notice import Attempted, Delivery
from plangate.notifications.outgoing import results_of
from plangate.records.database import Database
from plangate.records.deliveries import undelivered
from plangate.records.notifier_lease import HELD_FOR
from plangate.records.tables import notices
from tests.support.notices import (
    FINANCE,
    OPERATOR,
    PEOPLE,
    SENT,
    NoticeHarness,
    StoringChannel,
    closed,
    decided,
)
from tests.support.shown_runs import inbox_of_records
from tests.support.waiting_runs import put_waiting


async def test_everyone_who_can_decide_is_notified_once(harness: NoticeHarness) -> None:
    await harness.deliver()
    harness.put("one")
    assert await harness.deliver() == ["dana needed", "kim needed"]
    harness.seal()
    assert await harness.deliver() == []


async def test_the_other_approver_is_relieved_and_the_requester_gets_the_outcome(
    harness: NoticeHarness,
) -> None:
    fingerprint = harness.put("one")
    await harness.deliver()
    harness.add_events("one", decided("dana", fingerprint), closed())
    assert await harness.deliver() == ["kim relieved", "rita outcome"]


async def test_a_person_who_decided_before_the_message_was_sent_gets_none(harness: NoticeHarness) -> None:
    await harness.deliver()
    fingerprint = harness.put("one")
    harness.add_events("one", decided("dana", fingerprint, Choice.REJECT), closed(Outcome.REJECTED))
    assert await harness.deliver() == ["rita outcome"]


async def test_runs_that_ended_before_the_first_start_are_not_reported(harness: NoticeHarness) -> None:
    fingerprint = harness.put("old")
    harness.add_events("old", decided("dana", fingerprint), closed())
    harness.seal()
    harness.put("open")
    assert await harness.deliver() == ["dana needed", "kim needed"]


async def test_a_killed_notifier_is_replaced_and_its_last_messages_are_repeated(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    harness.put("one")
    killed = harness.another()
    harness.now += HELD_FOR
    claimed = harness.ledger.messages_to_send([], room=1)  # and the process dies
    assert len(claimed.messages) == 1
    next_one = harness.another()
    assert await harness.deliver(next_one) == []
    harness.now += HELD_FOR
    while (await next_one.step()).has_more:
        await next_one.wait_until_idle()
    await next_one.wait_until_idle()
    assert {(one.person, one.is_repeat) for one in channel.sent} == {("dana", True), ("kim", False)}
    channel.take()
    assert await harness.deliver(next_one) == []
    del killed


async def test_a_message_without_an_answer_is_repeated_by_a_process_that_gets_its_lease_back(
    harness: NoticeHarness,
) -> None:
    """In between, another process sent the message again, and was killed before it stored the result."""
    await harness.deliver()
    harness.put("one")
    slow = harness.ledger
    assert len(slow.messages_to_send([], room=10).messages) == 2
    harness.another()
    harness.now += HELD_FOR
    assert (
        sum(len(harness.ledger.messages_to_send([], room=10).messages) for _ in range(2)) == 2
    )  # and it dies
    harness.now += HELD_FOR
    again = [message for _ in range(2) for message in slow.messages_to_send([], room=10).messages]
    assert {(one.person, one.is_repeat) for one in again} == {("dana", True), ("kim", True)}


async def test_without_a_list_of_people_nothing_is_read_repeatedly(
    database: Database, channel: StoringChannel
) -> None:
    harness = NoticeHarness(database, channel, people="")
    await harness.deliver()
    put_waiting(database, 250)
    steps = [(await harness.notifier.step()).has_more for _ in range(3)]
    assert steps == [False, False, False]
    harness.list_people(PEOPLE)
    assert (await harness.notifier.step()).has_more
    # Otherwise it continues, and reconnects, after the records are closed.
    await harness.notifier.wait_until_idle()


async def test_a_new_person_in_the_role_is_notified_of_open_plans(harness: NoticeHarness) -> None:
    harness.put("one")
    await harness.deliver()
    erin = '[[person]]\nname = "erin"\nmail = "erin@example.org"\nroles = ["finance"]\n'
    harness.list_people(PEOPLE + erin)
    assert await harness.deliver() == ["erin needed"]
    harness.now += timedelta(hours=1)
    assert await harness.deliver() == []


@pytest.mark.parametrize("spelling", ["Dana", "\uff44\uff41\uff4e\uff41"], ids=["case", "width"])
async def test_a_respelled_name_in_the_list_is_the_same_person(
    harness: NoticeHarness, channel: StoringChannel, spelling: str
) -> None:
    fingerprint = harness.put("one")
    channel.answers = lambda one: Attempted(delivery=Delivery.LATER) if one.person == "kim" else SENT
    assert await harness.deliver() == ["dana needed", "kim needed"]
    respelled = PEOPLE.replace('name = "dana"', f'name = "{spelling}"')
    harness.list_people(respelled.replace('name = "kim"', 'name = "Kim"'))
    channel.answers = lambda _: SENT
    harness.now += timedelta(minutes=1)
    assert await harness.deliver() == ["Kim needed"]
    harness.add_events("one", decided("Kim", fingerprint), closed())
    assert set(await harness.deliver()) == {f"{spelling} relieved", "rita outcome"}


async def test_a_slow_address_does_not_delay_others(harness: NoticeHarness, channel: StoringChannel) -> None:
    await harness.deliver()
    channel.blocked["mailto:dana@example.org"] = asyncio.Event()
    fingerprint = harness.put("one")
    await harness.notifier.step()
    harness.add_events("one", decided("kim", fingerprint), closed())
    while len(channel.sent) < 2:
        await harness.notifier.step()
        await asyncio.sleep(0)
    assert sorted(one.person for one in channel.sent) == ["kim", "rita"]
    channel.blocked["mailto:dana@example.org"].set()
    await harness.notifier.wait_until_idle()
    assert await harness.deliver() == ["dana needed", "dana relieved", "kim needed", "rita outcome"]


async def test_an_undelivered_notice_is_dropped_once_others_have_decided(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    for name in ("dana", "kim"):
        channel.blocked[f"mailto:{name}@example.org"] = asyncio.Event()
    channel.answers = lambda _: Attempted(delivery=Delivery.LATER)
    fingerprint = harness.put("one")
    await harness.notifier.step()
    harness.add_events("one", decided("kim", fingerprint), closed())
    await harness.notifier.step()
    for held in channel.blocked.values():
        held.set()
    await harness.notifier.wait_until_idle()
    assert [one for one in channel.take() if not one.startswith("rita")] == ["dana needed", "kim needed"]
    channel.answers = lambda _: Attempted(delivery=Delivery.SENT)
    harness.now += timedelta(minutes=1)
    assert await harness.deliver() == ["rita outcome"]


async def test_many_notices_for_one_address_are_sent_as_one_message(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    for number in range(8):
        harness.put(f"run-{number}")
    claimed = await harness.notifier.step()
    await harness.notifier.wait_until_idle()
    assert {one.person: len(one.notices) for one in channel.sent} == {"dana": 8, "kim": 8}
    assert len(claimed.messages) == 2


async def test_notices_are_collected_for_the_configured_time(
    database: Database, channel: StoringChannel
) -> None:
    harness = NoticeHarness(database, channel, Pace(gather=timedelta(minutes=5)))
    await harness.deliver()
    harness.put("one")
    assert await harness.deliver() == []
    harness.now += timedelta(minutes=4)
    harness.put("two")
    assert await harness.deliver() == []
    harness.now += timedelta(minutes=1)
    await harness.notifier.step()
    await harness.notifier.wait_until_idle()
    notified = {
        notice.facts.workflow_id for one in channel.sent if one.person == "dana" for notice in one.notices
    }
    assert notified == {"one", "two"}


async def test_notices_to_decide_are_delayed_by_at_most_25_percent_of_the_remaining_time(
    database: Database, channel: StoringChannel
) -> None:
    harness = NoticeHarness(database, channel, Pace(gather=timedelta(hours=1)))
    await harness.deliver()
    harness.put("one", deadline=harness.now + timedelta(minutes=20))
    assert await harness.deliver() == []
    harness.now += timedelta(minutes=5)
    assert await harness.deliver() == ["dana needed", "kim needed"]


async def test_notices_above_the_hourly_limit_are_sent_as_one_message(
    database: Database, channel: StoringChannel
) -> None:
    harness = NoticeHarness(database, channel, Pace(per_hour=3))
    await harness.deliver()
    for number in range(6):
        harness.put(f"run-{number}")
        harness.now += timedelta(minutes=1)
        await harness.notifier.step()
        await harness.notifier.wait_until_idle()
    assert [len(one.notices) for one in channel.sent if one.person == "dana"] == [1, 1, 1]
    channel.sent.clear()
    harness.now += timedelta(minutes=55)
    await harness.notifier.step()
    await harness.notifier.wait_until_idle()
    assert [len(one.notices) for one in channel.sent if one.person == "dana"] == [3]


async def test_a_message_is_retried_for_a_day_and_then_shown_as_undelivered(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    harness.put("one", deadline=harness.now + timedelta(days=3))
    channel.answers = lambda sending: Attempted(
        delivery=Delivery.REFUSED if sending.person == "kim" else Delivery.LATER, reason="it is full"
    )
    tries = 0
    while tries < 100:
        await harness.notifier.step()
        await harness.notifier.wait_until_idle()
        tries += len(channel.sent)
        channel.sent.clear()
        with harness.database.read() as connection:
            left = undelivered(connection)
        if {one.state.value for one in left} == {"refused", "given_up"}:
            break
        harness.now += timedelta(minutes=10)
    assert sorted((one.person, one.state.value, one.reason) for one in left) == [
        ("dana", "given_up", "it is full"),
        ("kim", "refused", "it is full"),
    ]
    assert 10 < tries < 100


async def test_a_server_with_retry_after_is_retried_at_that_time(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    harness.put("one")
    at = harness.now + timedelta(hours=2)
    channel.answers = lambda _: Attempted(delivery=Delivery.LATER, retry_at=at, is_in_doubt=True)
    assert await harness.deliver() == ["dana needed", "kim needed"]
    channel.answers = lambda _: Attempted(delivery=Delivery.SENT)
    harness.now = at - timedelta(seconds=1)
    assert await harness.deliver() == []
    harness.now = at
    await harness.notifier.step()
    await harness.notifier.wait_until_idle()
    assert [one.is_repeat for one in channel.sent] == [True, True]


async def test_an_unsent_notice_is_sent_later_and_is_not_marked_as_a_repeat(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    harness.put("one")
    for message in harness.ledger.messages_to_send([], room=2).messages:
        harness.ledger.return_message(message)
    while (await harness.notifier.step()).has_more:
        await harness.notifier.wait_until_idle()
    await harness.notifier.wait_until_idle()
    assert {(one.person, one.is_repeat) for one in channel.sent} == {("dana", False), ("kim", False)}


async def test_results_that_arrive_together_are_all_recorded(harness: NoticeHarness) -> None:
    for number in range(20):
        harness.put(f"run-{number:02}", requirement=OPERATOR if number % 2 else FINANCE)
    for _ in range(4):
        claimed = harness.ledger.messages_to_send([], room=100)
        results = [results_of(one, SENT, harness.now, 0.5) for one in claimed.messages]
        await asyncio.gather(*(asyncio.to_thread(harness.ledger.record_results, one) for one in results))
    for _ in range(2):
        harness.now += HELD_FOR
        assert harness.ledger.messages_to_send([], room=100).messages == ()
    assert await harness.deliver() == []


async def test_the_page_shows_the_requester_and_operators_who_could_not_be_notified(
    harness: NoticeHarness, channel: StoringChannel, tmp_path: Path
) -> None:
    harness.put("one")
    channel.answers = lambda _: Attempted(delivery=Delivery.REFUSED, reason="<b>full</b>")
    await harness.deliver()
    async with inbox_of_records(harness.database, tmp_path) as inbox:
        for name, is_shown in {"rita": True, "olga": True, "dana": False}.items():
            visitor = await inbox.signed_in(name)
            page = (await visitor.get("/runs/one")).text
            await visitor.aclose()
            assert ("Not delivered to dana (dana@example.org): " in page) is is_shown
            assert "<b>full" not in page


async def test_operators_are_notified_of_a_problem_once_a_day(harness: NoticeHarness) -> None:
    standby = harness.another()
    await harness.deliver(harness.notifier)
    for notifier in (standby, standby, harness.notifier):
        notifier.report_problem("sealing", "The disk is full.")
        await notifier.step()
    await harness.notifier.wait_until_idle()
    assert await harness.deliver() == ["olga trouble"]
    harness.now += timedelta(days=1)
    harness.notifier.report_problem("sealing", "The disk is full.")
    assert await harness.deliver() == ["olga trouble"]


async def test_a_list_without_an_operator_is_logged_once(harness: NoticeHarness) -> None:
    harness.put("one")
    with capture_logs() as logs:
        await harness.deliver()
        harness.list_people(PEOPLE.replace('"operator"', '"operator"]\nactive = false #'))
        await harness.deliver()
        harness.now += timedelta(minutes=1)
        await harness.deliver()
    lines = [str(line["event"]) for line in logs if line["log_level"] == "warning"]
    assert [line.partition(",")[0] for line in lines] == [
        "No active person in the list of people has the role operator"
    ]


async def test_notices_are_removed_long_after_the_end_of_the_run(harness: NoticeHarness) -> None:
    fingerprint = harness.put("one")
    await harness.deliver()
    harness.add_events("one", decided("dana", fingerprint), closed())
    assert await harness.deliver() == ["kim relieved", "rita outcome"]
    harness.now += timedelta(days=91)
    assert await harness.deliver(harness.another()) == []
    with harness.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(notices)) == 0
    harness.seal()
    assert await harness.deliver(harness.another()) == []
