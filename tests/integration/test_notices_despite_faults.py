"""A faulty run, row, clock or address does not delay other notices; people who have left get none."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, Table, delete, select, text, update

from plangate.domain.errors import RecordsUnavailable
from plangate.domain.people.people import Absence
from plangate.domain.policies.viewers import Viewers
from plangate.domain.runs.audit import Event, Held, Outcome, Reopened, StepFailed
from plangate.notifications import audience_lookup
from plangate.notifications.failures import undelivered_about
from plangate.notifications.ledger import Pace
from plangate.notifications.notice import Attempted, Delivery, Sending
from plangate.notifications.outgoing import MAX_UNCONFIRMED_ATTEMPTS
from plangate.policy.people_file import people_in
from plangate.presentation.clock import now
from plangate.records.current_rules import CurrentRules
from plangate.records.database import Database
from plangate.records.deliveries import undelivered
from plangate.records.notifier_lease import HELD_FOR
from plangate.records.tables import Moment, audit_entries, deliveries, notices, notifier, runs
from tests.support.audit_edits import disable_guards, rewrite_trail, trail_of
from tests.support.build import HOUR, drafted
from tests.support.notices import FINANCE, PEOPLE, SENT, NoticeHarness, StoringChannel, closed, decided

LATER = Attempted(delivery=Delivery.LATER, reason="the network is down")
WITHOUT_KIM = PEOPLE.replace('"kim', '"other')


async def messages_within(harness: NoticeHarness, minutes: int, every: int = 1) -> list[str]:
    """Return the messages by recipient within this time."""
    found: list[str] = []
    for _ in range(0, minutes, every):
        harness.now += timedelta(minutes=every)
        found += await harness.deliver()
    return sorted(found)


async def recipients_within_a_minute(harness: NoticeHarness, name: str) -> set[str]:
    """Return the recipients of messages about this run within a minute."""
    said: list[Sending] = []
    for _ in range(3):
        harness.now += timedelta(seconds=20)
        while (claimed := await harness.notifier.step()).messages or claimed.has_more:
            await harness.notifier.wait_until_idle()
        said += harness.channel.sent
    return {one.person for one in said for part in one.notices if part.facts.workflow_id == name}


# A run, or a row, that no worker writes

UNEXPECTED: dict[str, Callable[[NoticeHarness], Event]] = {
    "a hold of a missing step": lambda harness: held(harness, step=9),
    "another plan reopened": lambda harness: Reopened(
        fingerprint="0" * 64, step=7, lost=(), reopened_at=harness.now, deadline=harness.now - HOUR
    ),
    "a failure of a missing step": lambda _: StepFailed(step=99, reason="x"),
    "a seventh revision": lambda _: drafted(revision=7, requirement=FINANCE),
    "an end": lambda _: closed(Outcome.EXECUTED),
}


def held(harness: NoticeHarness, step: int) -> Held:
    at = harness.now
    return Held(step=step, fingerprint="0" * 64, why="x", held_at=at, deadline=at + HOUR)


@pytest.mark.parametrize("what", UNEXPECTED)
async def test_a_run_that_no_worker_records_delays_no_other_notice(harness: NoticeHarness, what: str) -> None:
    await harness.deliver()
    harness.put("strange")
    harness.add_events("strange", UNEXPECTED[what](harness))
    harness.put("good")
    said = await messages_within(harness, 2)
    assert {"dana needed", "kim needed"} <= set(said)
    assert not (await harness.notifier.step()).has_more


async def test_a_hold_before_any_plan_delays_no_other_notice(harness: NoticeHarness) -> None:
    await harness.deliver()
    harness.put("strange")
    with harness.database.write() as connection:
        disable_guards(connection)
        of_run = audit_entries.c.workflow_id == "strange"
        connection.execute(delete(audit_entries).where(of_run, audit_entries.c.number > 1))
        first = connection.scalar(select(audit_entries.c.hash).where(of_run))
        whole = update(runs).where(runs.c.workflow_id == "strange")
        connection.execute(whole.values(head_hash=first, entry_count=1))
    harness.add_events("strange", held(harness, step=1))
    harness.put("good")
    assert await messages_within(harness, 2) == ["dana needed", "kim needed", "olga trouble"]


ROWS = st.one_of(
    st.fixed_dictionaries(
        {"event": st.sampled_from(["asked:1:x", "asked:1:²", "asked:x:0", "asked", ":::", ""])}
    ),
    st.fixed_dictionaries({"kind": st.sampled_from(["nonsense", "relieved", "", "held"])}),
    st.fixed_dictionaries({"facts": st.sampled_from(["{", "", '{"deadline": 3e300}', "[]"])}),
    st.fixed_dictionaries({"person": st.sampled_from(["", "role:", "nobody"])}),
)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=ROWS, is_sent=st.booleans())
async def test_an_edited_row_delays_no_other_notice(
    database: Database, values: dict[str, Any], is_sent: bool
) -> None:
    # The real time, so that each example is later than the one before.
    harness = NoticeHarness(database, StoringChannel(), Pace(per_hour=10_000), now())
    harness.now += HELD_FOR
    await harness.deliver()
    name = f"bad{harness.now.timestamp()}"
    fingerprint = harness.put(name)
    if is_sent:
        await harness.deliver()
    else:
        harness.ledger.messages_to_send([], room=0)
    with database.write() as connection:
        row = update(notices).where(notices.c.workflow_id == name, notices.c.person == "kim")
        connection.execute(row.values(**values))
    harness.add_events(name, decided("dana", fingerprint), closed())
    harness.put(f"{name}-good")
    assert await recipients_within_a_minute(harness, f"{name}-good") == {"dana", "kim"}


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe/Berlin"])
async def test_an_unknown_time_zone_delays_no_notice(
    database: Database, channel: StoringChannel, zone: str
) -> None:
    calendar = f'[[calendar]]\nname = "office"\nzone = "{zone}"\nhours = ["09:00-17:00"]\n\n'
    people = calendar + PEOPLE.replace('roles = ["finance"]', 'roles = ["finance"]\ncalendar = "office"', 1)
    harness = NoticeHarness(database, channel, people=people)
    await harness.deliver()
    remind = FINANCE.model_copy(update={"remind": (7200, 86400)})
    harness.put("one", requirement=remind, deadline=harness.now + timedelta(days=9))
    assert await harness.deliver() == ["dana needed", "kim needed"]


async def test_operators_are_notified_of_each_damaged_trail_except_in_hidden_runs(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    hidden = FINANCE.model_copy(update={"seen_by": (Viewers(name="p", roles=("board",)),)})
    with harness.database.write() as connection:
        disable_guards(connection)
    for name in ("payroll-a", "payroll-b"):
        harness.put(name, requirement=hidden)
        with harness.database.write() as connection:
            of_run = audit_entries.c.workflow_id == name, audit_entries.c.number == 2
            connection.execute(update(audit_entries).where(*of_run).values(event="{"))
        harness.now += timedelta(minutes=1)
        while (await harness.notifier.step()).has_more:
            pass
        await harness.notifier.step()
        await harness.notifier.wait_until_idle()
    assert [one.person for one in channel.sent] == ["olga", "olga"]
    assert "payroll" not in "".join(one.model_dump_json() for one in channel.sent)


def edited(connection: Connection, name: str, edit: Callable[[str], str]) -> None:
    """Edit the first entry of a trail."""
    of_run = audit_entries.c.workflow_id == name, audit_entries.c.number == 1
    written = connection.execute(select(audit_entries.c.event).where(*of_run)).scalar_one()
    connection.execute(update(audit_entries).where(*of_run).values(event=edit(written)))


async def test_notices_about_a_run_with_an_edited_trail_are_held_back_until_the_repair(
    harness: NoticeHarness,
) -> None:
    reminding = FINANCE.model_copy(update={"remind": (3_600,)})
    for name in ("intact", "edited"):
        harness.put(name, requirement=reminding)
    assert await harness.deliver() == ["dana needed"] * 2 + ["kim needed"] * 2
    with harness.database.write() as connection:
        disable_guards(connection)
        edited(connection, "edited", lambda event: event.replace('"rita"', '"kim"'))
    harness.now += timedelta(hours=23, minutes=1)
    assert await harness.deliver() == ["dana reminder", "kim reminder", "olga trouble"]
    (waits, _) = undelivered_about(harness.database, "edited")
    assert "held back, because the trail of the run is damaged" in str(waits)
    harness.now += timedelta(minutes=11)
    assert await harness.deliver() == []
    with harness.database.write() as connection:
        edited(connection, "edited", lambda event: event.replace('"kim"', '"rita"'))
    harness.now += timedelta(minutes=11)
    assert await harness.deliver() == ["dana reminder", "kim reminder"]


async def test_a_rewritten_trail_is_damaged_too(harness: NoticeHarness) -> None:
    """All links are valid, but the last hash differs from the last one that was written."""
    harness.put("edited", requirement=FINANCE.model_copy(update={"remind": (3_600,)}))
    assert await harness.deliver() == ["dana needed", "kim needed"]
    with harness.database.write() as connection:
        disable_guards(connection)
        of_run = runs.c.workflow_id == "edited"
        head = connection.execute(select(runs.c.head_hash).where(of_run)).scalar_one()
        rows = trail_of(connection, "edited")
        rows[0]["event"] = rows[0]["event"].replace('"rita"', '"kim"')
        rewrite_trail(connection, "edited", rows)
        connection.execute(update(runs).where(of_run).values(head_hash=head))
    harness.now += timedelta(hours=23, minutes=1)
    assert await harness.deliver() == ["olga trouble"]


async def test_a_held_back_notice_is_not_sent_after_a_database_outage(
    harness: NoticeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.put("edited", requirement=FINANCE.model_copy(update={"remind": (3_600,)}))
    assert await harness.deliver() == ["dana needed", "kim needed"]
    with harness.database.write() as connection:
        disable_guards(connection)
        edited(connection, "edited", lambda event: event.replace('"rita"', '"kim"'))
    harness.now += timedelta(hours=23, minutes=1)
    with monkeypatch.context() as patch:
        patch.setattr(harness.database, "write", Mock(side_effect=RecordsUnavailable("not now")))
        with pytest.raises(RecordsUnavailable):
            await harness.notifier.step()
    assert await harness.deliver() == ["olga trouble"]


# Clocks


async def test_a_clock_that_was_ahead_does_not_block_the_lease(harness: NoticeHarness) -> None:
    await harness.deliver()
    right = harness.now
    harness.now += timedelta(days=30)
    await harness.deliver(harness.another())  # on a host with a wrong clock; then it dies
    harness.now = right + timedelta(seconds=5)
    harness.put("one")
    assert await harness.deliver(harness.another()) == ["dana needed", "kim needed"]


async def test_notices_postponed_by_a_fast_clock_are_retried_now(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    right = harness.now
    harness.put("one", deadline=right + timedelta(days=90))
    harness.now += timedelta(days=30)
    channel.answers = lambda _: LATER
    await harness.deliver()
    harness.now = right + timedelta(minutes=1)
    channel.answers = lambda _: SENT
    channel.sent.clear()
    assert await harness.deliver() == ["dana needed", "kim needed"]


@pytest.mark.parametrize("ahead", [timedelta(minutes=20), timedelta(hours=80), timedelta(days=400)])
async def test_a_request_that_a_fast_clock_shows_as_expired_is_sent_once_the_clock_is_right(
    harness: NoticeHarness, ahead: timedelta
) -> None:
    await harness.deliver()
    right = harness.now
    harness.put("one", deadline=right + timedelta(minutes=19))
    harness.now = right + ahead
    assert await harness.deliver() == []
    harness.seal()
    harness.now = right + timedelta(minutes=1)
    found = await messages_within(harness, 20, every=1)
    assert found[:2] == ["dana needed", "kim needed"]


async def test_a_request_is_not_sent_after_its_deadline(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    harness.put("one", deadline=harness.now + timedelta(minutes=10))
    channel.answers = lambda _: LATER
    await harness.deliver()
    channel.answers = lambda _: SENT
    channel.sent.clear()
    harness.now += timedelta(minutes=11)
    assert await messages_within(harness, 30, every=60) == []


async def test_a_host_suspended_for_days_abandons_no_notice(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    harness.put("one", deadline=harness.now + timedelta(days=10))
    channel.answers = lambda _: LATER
    await harness.deliver()
    harness.now += timedelta(hours=60)
    await harness.deliver()
    channel.answers = lambda _: SENT
    assert await messages_within(harness, 120, every=60) == ["dana needed", "kim needed"]


# Addresses


async def test_an_address_that_accepts_messages_and_hangs_gets_few(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    harness.put("one", deadline=harness.now + timedelta(days=10))
    channel.answers = lambda _: LATER.model_copy(update={"is_in_doubt": True})
    assert len(await messages_within(harness, 26 * 60, every=20)) == 2 * MAX_UNCONFIRMED_ATTEMPTS
    with harness.database.read() as connection:
        assert {one.state.value for one in undelivered(connection)} == {"given_up"}


@pytest.mark.parametrize("is_doubtful", [True, False])
async def test_an_abandoned_notice_is_retried_at_a_new_address(
    harness: NoticeHarness, channel: StoringChannel, is_doubtful: bool
) -> None:
    await harness.deliver()
    harness.put("one", deadline=harness.now + timedelta(days=10))
    channel.answers = lambda sending: (
        LATER.model_copy(update={"is_in_doubt": is_doubtful}) if sending.person == "kim" else SENT
    )
    await messages_within(harness, 40 * 60, every=30)
    with harness.database.read() as connection:
        assert [one.state.value for one in undelivered(connection)] == ["given_up"]
    channel.answers = lambda _: SENT
    harness.list_people(PEOPLE.replace("kim@", "kim.two@"))
    harness.now += timedelta(minutes=1)
    assert await harness.deliver() == ["kim needed"]
    harness.list_people(PEOPLE)
    harness.now += timedelta(minutes=1)
    assert await harness.deliver() == []


async def test_an_address_added_again_to_the_list_is_retried(
    harness: NoticeHarness, channel: StoringChannel
) -> None:
    await harness.deliver()
    harness.put("one", deadline=harness.now + timedelta(days=10))
    channel.answers = lambda sending: (
        Attempted(delivery=Delivery.REFUSED) if sending.person == "kim" else SENT
    )
    await harness.deliver()
    channel.answers = lambda _: SENT
    for people, said in ((PEOPLE.replace('mail = "kim@example.org"\n', ""), []), (PEOPLE, ["kim needed"])):
        harness.list_people(people)
        harness.now += timedelta(minutes=1)
        assert await harness.deliver() == said


async def test_a_person_removed_from_the_list_gets_no_pending_notices(harness: NoticeHarness) -> None:
    await harness.deliver()
    for number in range(150):
        harness.put(f"run-{number:03}")
    for _ in range(4):
        harness.ledger.messages_to_send([], room=0)
    harness.list_people(WITHOUT_KIM)
    said = await messages_within(harness, 2)
    assert not [one for one in said if one.startswith("kim ")]
    assert [one for one in said if one.startswith("dana ")]
    harness.list_people(PEOPLE)
    assert [one for one in await messages_within(harness, 2) if one.startswith("kim ")]


@pytest.mark.parametrize("minutes", [0, 1], ids=["at once", "a minute later"])
async def test_a_person_who_may_no_longer_see_runs_gets_no_pending_notices(
    harness: NoticeHarness, minutes: int
) -> None:
    """This includes the many runs that have not been checked against the new rights yet."""
    await harness.deliver()
    hidden = FINANCE.model_copy(update={"seen_by": (Viewers(name="p", roles=("board",)),)})
    for number in range(150):
        harness.put(f"run-{number:03}", requirement=hidden)
    for _ in range(4):
        harness.ledger.messages_to_send([], room=0)
    harness.list_people(
        PEOPLE.replace('"kim@example.org"\nroles = ["finance"]', '"kim@example.org"\nroles = []')
    )
    harness.now += timedelta(minutes=minutes)
    said = await harness.deliver() + await messages_within(harness, 2)
    assert not [one for one in said if one.startswith("kim ")]
    assert [one for one in said if one.startswith("dana ")]


async def test_only_the_current_address_gets_notices(harness: NoticeHarness, channel: StoringChannel) -> None:
    await harness.deliver()
    harness.put("one")
    harness.ledger.messages_to_send([], room=0)
    harness.list_people(PEOPLE.replace("kim@example.org", "kim.two@example.org"))
    await harness.notifier.step()
    await harness.notifier.wait_until_idle()
    await harness.notifier.step()
    await harness.notifier.wait_until_idle()
    assert [one.address for one in channel.sent if one.person == "kim"] == ["mailto:kim.two@example.org"]


async def test_a_notice_that_is_not_about_a_run_is_not_sent_to_a_persons_former_address(
    harness: NoticeHarness,
) -> None:
    await harness.deliver()
    mail = 'mail = "olga@example.org"'
    for what, changed in (
        ("sealing", 'mail = "olga.two@example.org"'),
        ("a disk", f"{mail}\nactive = false"),
    ):
        harness.list_people(PEOPLE)
        harness.notifier.report_problem(what, "It failed.")
        harness.ledger.messages_to_send([], room=0)
        harness.list_people(PEOPLE.replace(mail, changed))
        assert await harness.deliver() == []
    harness.list_people(PEOPLE)
    harness.notifier.report_problem("sealing", "It failed again.")
    assert await harness.deliver() == ["olga trouble"]


async def test_a_person_marked_as_away_is_notified_immediately_at_their_own_address(
    harness: NoticeHarness, channel: StoringChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.deliver()
    harness.put("one")
    people = people_in(PEOPLE)
    away = Absence(since=harness.now, until=harness.now + timedelta(days=90), to="olga")
    persons = tuple(
        one.model_copy(update={"absences": (away,)}) if one.name == "dana" else one for one in people.persons
    )
    changed = people.model_copy(update={"persons": persons})
    monkeypatch.setattr(
        audience_lookup, "current_rules", lambda *_: CurrentRules(people=changed, is_narrowed=False)
    )
    assert await harness.deliver(harness.another()) == []  # it does not have the lease
    harness.now += timedelta(minutes=1)
    await harness.notifier.step()
    await harness.notifier.wait_until_idle()
    (notice,) = (one for one in channel.sent if one.person == "dana")
    assert notice.address == "mailto:dana@example.org"
    assert notice.notices[0].facts.goes_to == ("olga",)
    assert notice.notices[0].facts.link == "http://inbox/me"
    channel.sent.clear()
    assert "dana away" not in await messages_within(harness, 3)


async def test_a_person_who_is_away_is_not_asked_in_addition_to_others_seconds_after_a_poll(
    harness: NoticeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = people_in(PEOPLE)
    away = Absence(since=harness.now, until=harness.now + timedelta(days=90), to="olga")
    persons = tuple(
        one.model_copy(update={"absences": (away,)}) if one.name == "dana" else one for one in people.persons
    )
    changed = people.model_copy(update={"persons": persons})
    monkeypatch.setattr(
        audience_lookup, "current_rules", lambda *_: CurrentRules(people=changed, is_narrowed=False)
    )
    await harness.deliver()
    harness.now += timedelta(seconds=5)
    harness.put("one")
    assert await harness.deliver() == ["kim needed", "olga needed"]


# Leases


async def test_nothing_is_sent_once_another_process_may_have_the_lease(
    harness: NoticeHarness, channel: StoringChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.deliver()
    harness.put("one")
    claimed = harness.ledger.messages_to_send([], room=10)
    assert claimed.messages
    monkeypatch.setattr(type(harness.ledger), "has_lease", property(lambda _: False))
    for message in claimed.messages:
        assert await harness.notifier._tried(message, harness.now) == ()  # noqa: SLF001
    assert channel.sent == []


async def test_facts_read_before_the_lease_began_are_not_stored(harness: NoticeHarness) -> None:
    await harness.deliver()
    harness.put("one")
    killed = harness.another()
    killed_ledger = harness.ledger
    harness.now += HELD_FOR
    killed_ledger.messages_to_send([], room=1)  # and it dies
    fresh = harness.another()
    harness.now += HELD_FOR
    fingerprint = harness.put("two")
    del fingerprint, killed, fresh
    assert harness.ledger.messages_to_send([], room=10).messages == ()
    with harness.database.read() as connection:
        entered = connection.scalars(select(notices.c.workflow_id)).all()
    assert "two" not in entered


@pytest.mark.parametrize("reason", ["no\0good", "no\udcffgood", "no\ud83d"])
async def test_an_answer_that_cannot_be_stored_delays_no_notice(
    harness: NoticeHarness, channel: StoringChannel, reason: str
) -> None:
    await harness.deliver()
    channel.answers = lambda sending: (
        Attempted(delivery=Delivery.LATER, reason=reason) if sending.person == "kim" else SENT
    )
    harness.put("one")
    assert await harness.deliver() == ["dana needed", "kim needed"]
    channel.answers = lambda _: SENT
    harness.put("two")
    harness.now += timedelta(minutes=1)
    assert {"dana needed", "kim needed"} <= set(await harness.deliver())
    with harness.database.read() as connection:
        assert undelivered(connection) == ()


NUMBERS = st.integers(-(2**31), 2**31 - 1)
TIMES = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(["1", "zzz", "", "2026-13-45 99:99", 7])
TEXTS = st.sampled_from(["", "x", ":::", "{", "zzzz"])


def invalid_values(column: Column[Any]) -> st.SearchStrategy[Any]:
    if isinstance(column.type, Moment):
        return TIMES
    return NUMBERS | st.just("x") if isinstance(column.type, Integer) else TEXTS


KEYS = {"id", "notice"}
EDITS = st.one_of(
    [
        st.tuples(st.just(table), st.just(column.name), invalid_values(column))
        for table in (deliveries, notifier, notices)
        for column in table.c
        if column.name not in KEYS
    ]
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edit=EDITS, is_sent=st.booleans(), is_later=st.booleans())
@example(edit=(notifier, None, None), is_sent=True, is_later=False)
@example(edit=(deliveries, "is_repeat", 2), is_sent=False, is_later=False)
@example(edit=(deliveries, "due_at", "1"), is_sent=False, is_later=True)
@example(edit=(deliveries, "attempts", 2**31 - 1), is_sent=False, is_later=True)
@example(edit=(deliveries, "attempts", -(2**31)), is_sent=False, is_later=True)
async def test_an_invalid_value_in_one_column_delays_no_other_notice(
    database: Database, edit: tuple[Table, str | None, Any], is_sent: bool, is_later: bool
) -> None:
    table, column, value = edit
    # The real time, so that each example is later than the one before.
    harness = NoticeHarness(database, StoringChannel(), Pace(per_hour=10_000), now())
    harness.now += timedelta(minutes=1)
    await harness.deliver()
    name = f"bad{harness.now.timestamp()}"
    harness.put(name, deadline=harness.now + timedelta(minutes=30))
    if is_sent:
        await harness.deliver()
    else:
        harness.ledger.messages_to_send([], room=0)
    try:
        with database.write() as connection:
            overwrite(connection, table, column, value, name)
    except RecordsUnavailable:
        assume(False)  # the database refuses the value
    if is_later:
        harness.channel.answers = lambda sending: LATER if sending.person == "kim" else SENT
    harness.put(f"{name}-good", deadline=harness.now + timedelta(minutes=30))
    assert await recipients_within_a_minute(harness, f"{name}-good") == {"dana", "kim"}
    with database.read() as connection:
        undelivered(connection)


def overwrite(connection: Connection, table: Table, column: str | None, value: object, run: str) -> None:
    """Write a value into one column of kim's notice about a run, or of the lease; None removes it."""
    if column is None:
        connection.execute(delete(table))
        return
    bad = select(notices.c.id).where(notices.c.workflow_id == run, notices.c.person == "kim")
    where = {
        deliveries: f"notice IN ({bad.compile(connection, compile_kwargs={'literal_binds': True})})",
        notices: f"id IN ({bad.compile(connection, compile_kwargs={'literal_binds': True})})",
        notifier: "1 = 1",
    }[table]
    if isinstance(value, datetime) and connection.dialect.name == "sqlite":
        value = f"{value:%Y-%m-%d %H:%M:%S.%f}"
    connection.execute(text(f"UPDATE {table.name} SET {column} = :value WHERE {where}"), {"value": value})
