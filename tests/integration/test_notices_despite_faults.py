"""Notices continue despite a fault of one run, row, clock or address, but not to people who have left."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Column, Connection, Integer, Table, delete, select, text, update

from plangate.domain.audit import Event, Held, Outcome, Reopened, StepFailed
from plangate.domain.errors import RecordsUnavailable
from plangate.domain.people import Absence
from plangate.domain.viewers import Viewers
from plangate.notifications import readers
from plangate.notifications.failures import undelivered_about
from plangate.notifications.ledger import Pace
from plangate.notifications.notice import Attempted, Delivery, Sending
from plangate.notifications.outgoing import MOST_COPIES
from plangate.policy.people_file import people_in
from plangate.records.current_rules import CurrentRules
from plangate.records.database import Database
from plangate.records.deliveries import undelivered
from plangate.records.notifier_lease import HELD_FOR
from plangate.records.tables import Moment, audit_entries, deliveries, notices, notifier, runs
from tests.support.audit_edits import rewrite_trail, take_the_guards_off, trail_of
from tests.support.build import HOUR, drafted
from tests.support.notices import FINANCE, PEOPLE, SENT, PostOffice, Telling, closed, decided

LATER = Attempted(delivery=Delivery.LATER, reason="the network is down")
WITHOUT_KIM = PEOPLE.replace('"kim', '"other')


async def told_in(telling: Telling, minutes: int, every: int = 1) -> list[str]:
    """Return the messages by recipient within this time."""
    found: list[str] = []
    for _ in range(0, minutes, every):
        telling.now += timedelta(minutes=every)
        found += await telling.told()
    return sorted(found)


async def asked_soon(telling: Telling, name: str) -> set[str]:
    """Return the recipients of messages about this run within a minute."""
    said: list[Sending] = []
    for _ in range(3):
        telling.now += timedelta(seconds=20)
        while (handed_out := await telling.notifier.step()).messages or handed_out.has_more:
            await telling.notifier.settle()
        said += telling.post.sent
    return {one.person for one in said for part in one.notices if part.facts.workflow_id == name}


# A run, or a row, that no worker writes

STRANGE: dict[str, Callable[[Telling], Event]] = {
    "a hold of a missing step": lambda telling: held(telling, step=9),
    "another plan reopened": lambda telling: Reopened(
        fingerprint="0" * 64, step=7, lost=(), reopened_at=telling.now, deadline=telling.now - HOUR
    ),
    "a failure of a missing step": lambda _: StepFailed(step=99, reason="x"),
    "a seventh revision": lambda _: drafted(revision=7, requirement=FINANCE),
    "an end": lambda _: closed(Outcome.EXECUTED),
}


def held(telling: Telling, step: int) -> Held:
    at = telling.now
    return Held(step=step, fingerprint="0" * 64, why="x", held_at=at, deadline=at + HOUR)


@pytest.mark.parametrize("what", STRANGE)
async def test_a_run_that_no_worker_records_delays_no_other_notice(telling: Telling, what: str) -> None:
    await telling.told()
    telling.put("strange")
    telling.happens("strange", STRANGE[what](telling))
    telling.put("good")
    said = await told_in(telling, 2)
    assert {"dana needed", "kim needed"} <= set(said)
    assert not (await telling.notifier.step()).has_more


async def test_a_hold_before_any_plan_delays_no_other_notice(telling: Telling) -> None:
    await telling.told()
    telling.put("strange")
    with telling.database.write() as connection:
        take_the_guards_off(connection)
        of_it = audit_entries.c.workflow_id == "strange"
        connection.execute(delete(audit_entries).where(of_it, audit_entries.c.number > 1))
        first = connection.scalar(select(audit_entries.c.hash).where(of_it))
        whole = update(runs).where(runs.c.workflow_id == "strange")
        connection.execute(whole.values(head_hash=first, entry_count=1))
    telling.happens("strange", held(telling, step=1))
    telling.put("good")
    assert await told_in(telling, 2) == ["dana needed", "kim needed", "olga trouble"]


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
    telling = Telling(database, PostOffice(), Pace(per_hour=10_000))
    telling.now += HELD_FOR
    await telling.told()
    name = f"bad{telling.now.timestamp()}"
    fingerprint = telling.put(name)
    if is_sent:
        await telling.told()
    else:
        telling.ledger.hand_out([], room=0)
    with database.write() as connection:
        row = update(notices).where(notices.c.workflow_id == name, notices.c.person == "kim")
        connection.execute(row.values(**values))
    telling.happens(name, decided("dana", fingerprint), closed())
    telling.put(f"{name}-good")
    assert await asked_soon(telling, f"{name}-good") == {"dana", "kim"}


@pytest.mark.parametrize("zone", ["Mars/Olympus", "Europe/Berlin"])
async def test_an_unknown_time_zone_delays_no_notice(database: Database, post: PostOffice, zone: str) -> None:
    calendar = f'[[calendar]]\nname = "office"\nzone = "{zone}"\nhours = ["09:00-17:00"]\n\n'
    people = calendar + PEOPLE.replace('roles = ["finance"]', 'roles = ["finance"]\ncalendar = "office"', 1)
    telling = Telling(database, post, people=people)
    await telling.told()
    remind = FINANCE.model_copy(update={"remind": (7200, 86400)})
    telling.put("one", requirement=remind, deadline=telling.now + timedelta(days=9))
    assert await telling.told() == ["dana needed", "kim needed"]


async def test_operators_are_notified_of_each_damaged_trail_except_in_hidden_runs(
    telling: Telling, post: PostOffice
) -> None:
    await telling.told()
    hidden = FINANCE.model_copy(update={"seen_by": (Viewers(name="p", roles=("board",)),)})
    with telling.database.write() as connection:
        take_the_guards_off(connection)
    for name in ("payroll-a", "payroll-b"):
        telling.put(name, requirement=hidden)
        with telling.database.write() as connection:
            of_it = audit_entries.c.workflow_id == name, audit_entries.c.number == 2
            connection.execute(update(audit_entries).where(*of_it).values(event="{"))
        telling.now += timedelta(minutes=1)
        while (await telling.notifier.step()).has_more:
            pass
        await telling.notifier.step()
        await telling.notifier.settle()
    assert [one.person for one in post.sent] == ["olga", "olga"]
    assert "payroll" not in "".join(one.model_dump_json() for one in post.sent)


def edited(connection: Connection, name: str, edit: Callable[[str], str]) -> None:
    """Edit the first entry of a trail."""
    of_it = audit_entries.c.workflow_id == name, audit_entries.c.number == 1
    written = connection.execute(select(audit_entries.c.event).where(*of_it)).scalar_one()
    connection.execute(update(audit_entries).where(*of_it).values(event=edit(written)))


async def test_notices_about_a_run_with_an_edited_trail_are_held_back_until_the_repair(
    telling: Telling,
) -> None:
    reminding = FINANCE.model_copy(update={"remind": (3_600,)})
    for name in ("sound", "edited"):
        telling.put(name, requirement=reminding)
    assert await telling.told() == ["dana needed"] * 2 + ["kim needed"] * 2
    with telling.database.write() as connection:
        take_the_guards_off(connection)
        edited(connection, "edited", lambda event: event.replace('"rita"', '"kim"'))
    telling.now += timedelta(hours=23, minutes=1)
    assert await telling.told() == ["dana reminder", "kim reminder", "olga trouble"]
    (waits, _) = undelivered_about(telling.database, "edited")
    assert "held back, because the trail of the run is damaged" in str(waits)
    telling.now += timedelta(minutes=11)
    assert await telling.told() == []
    with telling.database.write() as connection:
        edited(connection, "edited", lambda event: event.replace('"kim"', '"rita"'))
    telling.now += timedelta(minutes=11)
    assert await telling.told() == ["dana reminder", "kim reminder"]


async def test_a_rewritten_trail_is_damaged_too(telling: Telling) -> None:
    """All links are valid, but the last hash differs from the last one that was written."""
    telling.put("edited", requirement=FINANCE.model_copy(update={"remind": (3_600,)}))
    assert await telling.told() == ["dana needed", "kim needed"]
    with telling.database.write() as connection:
        take_the_guards_off(connection)
        of_it = runs.c.workflow_id == "edited"
        head = connection.execute(select(runs.c.head_hash).where(of_it)).scalar_one()
        rows = trail_of(connection, "edited")
        rows[0]["event"] = rows[0]["event"].replace('"rita"', '"kim"')
        rewrite_trail(connection, "edited", rows)
        connection.execute(update(runs).where(of_it).values(head_hash=head))
    telling.now += timedelta(hours=23, minutes=1)
    assert await telling.told() == ["olga trouble"]


async def test_a_held_back_notice_is_not_sent_after_a_database_outage(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling.put("edited", requirement=FINANCE.model_copy(update={"remind": (3_600,)}))
    assert await telling.told() == ["dana needed", "kim needed"]
    with telling.database.write() as connection:
        take_the_guards_off(connection)
        edited(connection, "edited", lambda event: event.replace('"rita"', '"kim"'))
    telling.now += timedelta(hours=23, minutes=1)
    with monkeypatch.context() as patch:
        patch.setattr(telling.database, "write", Mock(side_effect=RecordsUnavailable("not now")))
        with pytest.raises(RecordsUnavailable):
            await telling.notifier.step()
    assert await telling.told() == ["olga trouble"]


# Clocks


async def test_a_clock_that_was_ahead_does_not_block_the_lease(telling: Telling) -> None:
    await telling.told()
    right = telling.now
    telling.now += timedelta(days=30)
    await telling.told(telling.another())  # on a host with a wrong clock; then it dies
    telling.now = right + timedelta(seconds=5)
    telling.put("one")
    assert await telling.told(telling.another()) == ["dana needed", "kim needed"]


async def test_notices_postponed_by_a_fast_clock_are_retried_now(telling: Telling, post: PostOffice) -> None:
    await telling.told()
    right = telling.now
    telling.put("one", deadline=right + timedelta(days=90))
    telling.now += timedelta(days=30)
    post.answers = lambda _: LATER
    await telling.told()
    telling.now = right + timedelta(minutes=1)
    post.answers = lambda _: SENT
    post.sent.clear()
    assert await telling.told() == ["dana needed", "kim needed"]


@pytest.mark.parametrize("ahead", [timedelta(minutes=20), timedelta(hours=80), timedelta(days=400)])
async def test_a_request_read_by_a_clock_past_its_deadline_is_sent_once_the_clock_is_right(
    telling: Telling, ahead: timedelta
) -> None:
    await telling.told()
    right = telling.now
    telling.put("one", deadline=right + timedelta(minutes=19))
    telling.now = right + ahead
    assert await telling.told() == []
    telling.seal()
    telling.now = right + timedelta(minutes=1)
    found = await told_in(telling, 20, every=1)
    assert found[:2] == ["dana needed", "kim needed"]


async def test_a_request_is_not_sent_after_its_deadline(telling: Telling, post: PostOffice) -> None:
    await telling.told()
    telling.put("one", deadline=telling.now + timedelta(minutes=10))
    post.answers = lambda _: LATER
    await telling.told()
    post.answers = lambda _: SENT
    post.sent.clear()
    telling.now += timedelta(minutes=11)
    assert await told_in(telling, 30, every=60) == []


async def test_a_host_suspended_for_days_abandons_nothing(telling: Telling, post: PostOffice) -> None:
    await telling.told()
    telling.put("one", deadline=telling.now + timedelta(days=10))
    post.answers = lambda _: LATER
    await telling.told()
    telling.now += timedelta(hours=60)
    await telling.told()
    post.answers = lambda _: SENT
    assert await told_in(telling, 120, every=60) == ["dana needed", "kim needed"]


# Addresses


async def test_an_address_that_accepts_messages_and_hangs_gets_few(
    telling: Telling, post: PostOffice
) -> None:
    await telling.told()
    telling.put("one", deadline=telling.now + timedelta(days=10))
    post.answers = lambda _: LATER.model_copy(update={"is_in_doubt": True})
    assert len(await told_in(telling, 26 * 60, every=20)) == 2 * MOST_COPIES
    with telling.database.read() as connection:
        assert {one.state.value for one in undelivered(connection)} == {"given_up"}


@pytest.mark.parametrize("is_doubtful", [True, False])
async def test_an_abandoned_notice_is_retried_at_a_new_address(
    telling: Telling, post: PostOffice, is_doubtful: bool
) -> None:
    await telling.told()
    telling.put("one", deadline=telling.now + timedelta(days=10))
    post.answers = lambda sending: (
        LATER.model_copy(update={"is_in_doubt": is_doubtful}) if sending.person == "kim" else SENT
    )
    await told_in(telling, 40 * 60, every=30)
    with telling.database.read() as connection:
        assert [one.state.value for one in undelivered(connection)] == ["given_up"]
    post.answers = lambda _: SENT
    telling.list_people(PEOPLE.replace("kim@", "kim.two@"))
    telling.now += timedelta(minutes=1)
    assert await telling.told() == ["kim needed"]
    telling.list_people(PEOPLE)
    telling.now += timedelta(minutes=1)
    assert await telling.told() == []


async def test_an_address_added_again_to_the_list_is_retried(telling: Telling, post: PostOffice) -> None:
    await telling.told()
    telling.put("one", deadline=telling.now + timedelta(days=10))
    post.answers = lambda sending: Attempted(delivery=Delivery.REFUSED) if sending.person == "kim" else SENT
    await telling.told()
    post.answers = lambda _: SENT
    for people, said in ((PEOPLE.replace('mail = "kim@example.org"\n', ""), []), (PEOPLE, ["kim needed"])):
        telling.list_people(people)
        telling.now += timedelta(minutes=1)
        assert await telling.told() == said


async def test_a_person_removed_from_the_list_gets_no_pending_notices(telling: Telling) -> None:
    await telling.told()
    for number in range(150):
        telling.put(f"run-{number:03}")
    for _ in range(4):
        telling.ledger.hand_out([], room=0)
    telling.list_people(WITHOUT_KIM)
    said = await told_in(telling, 2)
    assert not [one for one in said if one.startswith("kim ")]
    assert [one for one in said if one.startswith("dana ")]
    telling.list_people(PEOPLE)
    assert [one for one in await told_in(telling, 2) if one.startswith("kim ")]


@pytest.mark.parametrize("minutes", [0, 1], ids=["at once", "a minute later"])
async def test_a_person_who_may_no_longer_see_runs_gets_no_pending_notices(
    telling: Telling, minutes: int
) -> None:
    """This includes the many runs that have not been checked against the new rights yet."""
    await telling.told()
    hidden = FINANCE.model_copy(update={"seen_by": (Viewers(name="p", roles=("board",)),)})
    for number in range(150):
        telling.put(f"run-{number:03}", requirement=hidden)
    for _ in range(4):
        telling.ledger.hand_out([], room=0)
    telling.list_people(
        PEOPLE.replace('"kim@example.org"\nroles = ["finance"]', '"kim@example.org"\nroles = []')
    )
    telling.now += timedelta(minutes=minutes)
    said = await telling.told() + await told_in(telling, 2)
    assert not [one for one in said if one.startswith("kim ")]
    assert [one for one in said if one.startswith("dana ")]


async def test_only_the_current_address_gets_notices(telling: Telling, post: PostOffice) -> None:
    await telling.told()
    telling.put("one")
    telling.ledger.hand_out([], room=0)
    telling.list_people(PEOPLE.replace("kim@example.org", "kim.two@example.org"))
    await telling.notifier.step()
    await telling.notifier.settle()
    await telling.notifier.step()
    await telling.notifier.settle()
    assert [one.address for one in post.sent if one.person == "kim"] == ["mailto:kim.two@example.org"]


async def test_a_notice_that_is_not_about_a_run_does_not_go_to_an_address_that_is_no_longer_the_persons(
    telling: Telling,
) -> None:
    await telling.told()
    mail = 'mail = "olga@example.org"'
    for what, now in (("sealing", 'mail = "olga.two@example.org"'), ("a disk", f"{mail}\nactive = false")):
        telling.list_people(PEOPLE)
        telling.notifier.report_trouble(what, "It failed.")
        telling.ledger.hand_out([], room=0)
        telling.list_people(PEOPLE.replace(mail, now))
        assert await telling.told() == []
    telling.list_people(PEOPLE)
    telling.notifier.report_trouble("sealing", "It failed again.")
    assert await telling.told() == ["olga trouble"]


async def test_a_person_marked_as_away_is_notified_immediately_at_their_own_address(
    telling: Telling, post: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await telling.told()
    telling.put("one")
    people = people_in(PEOPLE)
    away = Absence(since=telling.now, until=telling.now + timedelta(days=90), to="olga")
    persons = tuple(
        one.model_copy(update={"absences": (away,)}) if one.name == "dana" else one for one in people.persons
    )
    changed = people.model_copy(update={"persons": persons})
    monkeypatch.setattr(readers, "current_rules", lambda *_: CurrentRules(people=changed, is_narrowed=False))
    assert await telling.told(telling.another()) == []  # it does not have the lease
    telling.now += timedelta(minutes=1)
    await telling.notifier.step()
    await telling.notifier.settle()
    (notice,) = (one for one in post.sent if one.person == "dana")
    assert notice.address == "mailto:dana@example.org"
    assert notice.notices[0].facts.goes_to == ("olga",)
    assert notice.notices[0].facts.link == "http://inbox/me"
    post.sent.clear()
    assert "dana away" not in await told_in(telling, 3)


async def test_a_person_who_is_away_is_not_asked_in_addition_to_others_seconds_after_a_poll(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    people = people_in(PEOPLE)
    away = Absence(since=telling.now, until=telling.now + timedelta(days=90), to="olga")
    persons = tuple(
        one.model_copy(update={"absences": (away,)}) if one.name == "dana" else one for one in people.persons
    )
    changed = people.model_copy(update={"persons": persons})
    monkeypatch.setattr(readers, "current_rules", lambda *_: CurrentRules(people=changed, is_narrowed=False))
    await telling.told()
    telling.now += timedelta(seconds=5)
    telling.put("one")
    assert await telling.told() == ["kim needed", "olga needed"]


# Leases


async def test_nothing_is_sent_once_another_process_may_have_the_lease(
    telling: Telling, post: PostOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await telling.told()
    telling.put("one")
    handed_out = telling.ledger.hand_out([], room=10)
    assert handed_out.messages
    monkeypatch.setattr(type(telling.ledger), "has_lease", property(lambda _: False))
    for message in handed_out.messages:
        assert await telling.notifier._tried(message, telling.now) == ()  # noqa: SLF001
    assert post.sent == []


async def test_facts_read_before_the_lease_began_are_not_stored(telling: Telling) -> None:
    await telling.told()
    telling.put("one")
    killed = telling.another()
    killed_ledger = telling.ledger
    telling.now += HELD_FOR
    killed_ledger.hand_out([], room=1)  # and it dies
    fresh = telling.another()
    telling.now += HELD_FOR
    fingerprint = telling.put("two")
    del fingerprint, killed, fresh
    assert telling.ledger.hand_out([], room=10).messages == ()
    with telling.database.read() as connection:
        entered = connection.scalars(select(notices.c.workflow_id)).all()
    assert "two" not in entered


@pytest.mark.parametrize("reason", ["no\0good", "no\udcffgood", "no\ud83d"])
async def test_an_answer_that_cannot_be_stored_delays_no_notice(
    telling: Telling, post: PostOffice, reason: str
) -> None:
    await telling.told()
    post.answers = lambda sending: (
        Attempted(delivery=Delivery.LATER, reason=reason) if sending.person == "kim" else SENT
    )
    telling.put("one")
    assert await telling.told() == ["dana needed", "kim needed"]
    post.answers = lambda _: SENT
    telling.put("two")
    telling.now += timedelta(minutes=1)
    assert {"dana needed", "kim needed"} <= set(await telling.told())
    with telling.database.read() as connection:
        assert undelivered(connection) == ()


NUMBERS = st.integers(-(2**31), 2**31 - 1)
TIMES = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(["1", "zzz", "", "2026-13-45 99:99", 7])
TEXTS = st.sampled_from(["", "x", ":::", "{", "zzzz"])


def spoiled(of: Column[Any]) -> st.SearchStrategy[Any]:
    if isinstance(of.type, Moment):
        return TIMES
    return NUMBERS | st.just("x") if isinstance(of.type, Integer) else TEXTS


KEYS = {"id", "notice"}
EDITS = st.one_of(
    [
        st.tuples(st.just(table), st.just(column.name), spoiled(column))
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
    telling = Telling(database, PostOffice(), Pace(per_hour=10_000))
    telling.now += timedelta(minutes=1)
    await telling.told()
    name = f"bad{telling.now.timestamp()}"
    telling.put(name, deadline=telling.now + timedelta(minutes=30))
    if is_sent:
        await telling.told()
    else:
        telling.ledger.hand_out([], room=0)
    try:
        with database.write() as connection:
            spoil(connection, table, column, value, name)
    except RecordsUnavailable:
        assume(False)  # the database refuses it itself
    if is_later:
        telling.post.answers = lambda sending: LATER if sending.person == "kim" else SENT
    telling.put(f"{name}-good", deadline=telling.now + timedelta(minutes=30))
    assert await asked_soon(telling, f"{name}-good") == {"dana", "kim"}
    with database.read() as connection:
        undelivered(connection)


def spoil(connection: Connection, table: Table, column: str | None, value: object, run: str) -> None:
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
