"""`notify test` and `notify failures`, and the report in `status` on undelivered notices."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from plangate.notifications.failures import UndeliveredNotice
from plangate.notifications.ledger import Pace
from plangate.notifications.notice import Attempted, Delivery, NoticeKind
from plangate.notifications.trial_notice import Tried
from plangate.presentation.clock import moment
from plangate.settings import PROJECT
from tests.support.fresh_records import fresh_records
from tests.support.notices import SENT, NoticeHarness, StoringChannel
from tests.support.program import Home, Typed


@pytest.fixture
def harness(tmp_path: Path) -> NoticeHarness:
    return NoticeHarness(fresh_records(tmp_path / "records.db"), StoringChannel())


@pytest.fixture
def typed(harness: NoticeHarness, tmp_path: Path, typing: Callable[[Home], Typed]) -> Typed:
    harness.database.close()
    return typing(Home(tmp_path, {"TEMPORAL_ADDRESS": "127.0.0.1:9", "TEMPORAL_CONFIG_FILE": "/dev/null"}))


def test_a_test_notice_goes_to_all_addresses_of_a_person(tmp_path: Path, typed: Typed) -> None:
    ended = typed("notify", "test", "DANA")
    assert ended.code == 0
    assert "dana@example.org: only put into the outbox" in ended.out
    assert len(list((tmp_path / "outbox").glob("*.eml"))) == 1
    ended = typed("notify", "test", "nobody")
    assert ended.code == 2
    assert ended.err == "nobody is not in the list of people that the workers use.\n"
    assert max(map(len, typed("notify", "test", "role:finance").err.splitlines())) <= 80


def test_an_undeliverable_test_notice_exits_with_1(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANGATE_SMTP_URL", "smtp://127.0.0.1:9")
    ended = typed("notify", "test", "dana", "--json")
    assert (ended.code, json.loads(ended.out)[0]["result"]) == (1, "later")


def test_a_failure_is_reported_with_its_address_once() -> None:
    reason = "slack://… no longer has this address (404)."
    tried = Tried(person="dana", address="slack://…", result=Delivery.REFUSED, reason=reason)
    assert str(tried) == "slack://… refused it: no longer has this address (404); it will not be tried again."
    recorded = "The mail server refuses d@example.org: there is no such mailbox (550 5.1.1)."
    undelivered = UndeliveredNotice(
        person="dana", run="one", kind="reminder", address="d@example.org", state="refused", reason=recorded,
        attempts=1,
    )  # fmt: skip
    assert (
        str(undelivered)
        == "Reminder not delivered to dana (d@example.org): there is no such mailbox (550 5.1.1)."
    )


def test_an_undelivered_notice_is_named_as_in_the_documentation() -> None:
    table = (PROJECT / "docs/howto-notices.md").read_text()
    for kind in NoticeKind:
        undelivered = UndeliveredNotice(
            person="dana",
            run="one",
            kind=kind,
            address="d@example.org",
            state="waiting",
            reason="",
            attempts=1,
        )
        what, _, rest = str(undelivered).partition("ot yet delivered to dana (d@example.org)")
        assert rest == "; it will be tried again."
        if name := re.search("'(.+)'", what):
            assert what == f"Notice {name[0]} n"
            assert f"\n| {name[1]} | " in table
        else:
            assert what in ("N", "Reminder n", "Escalation n", "Request to review again n", "Test n")


async def test_undelivered_notices_are_listed_and_included_in_the_status(
    harness: NoticeHarness, typed: Typed
) -> None:
    harness.put("one")
    refused = Attempted(delivery=Delivery.REFUSED, reason="there is no such mailbox (550 5.1.1).")
    harness.channel.answers = lambda one: refused if one.person == "dana" else SENT
    await harness.deliver()
    message = "Not delivered to dana (dana@example.org): there is no such mailbox (550 5.1.1)."
    assert f"one: {message}" in typed("notify", "failures").out.replace("\n", " ")
    listed = json.loads(typed("notify", "failures", "--json").out)
    assert [(one["person"], one["run"]) for one in listed] == [("dana", "one")]


async def test_notices_held_back_by_the_hourly_limit_are_listed_with_their_time(
    harness: NoticeHarness, typed: Typed
) -> None:
    harness.pace = Pace(per_hour=1)
    held_back = harness.another()
    await harness.deliver(held_back)
    harness.put("one")
    await harness.deliver(held_back)
    harness.now += timedelta(minutes=1)
    harness.put("two")
    assert await harness.deliver(held_back) == []
    out = " ".join(typed("notify", "failures").out.split())
    until = moment(harness.now + timedelta(minutes=59))
    assert (
        f"two: Not yet delivered to dana (dana@example.org): held back by the hourly limit until {until}."
    ) in out
    listed = json.loads(typed("notify", "failures", "--json").out)
    assert {one["held_until"] is not None for one in listed} == {True}
    harness.put("soon", deadline=harness.now + timedelta(minutes=13))
    harness.now += timedelta(minutes=5)
    assert "dana needed" in await harness.deliver(held_back)
    assert "held back" not in typed("notify", "failures").out


def test_nothing_is_listed_if_nothing_failed(typed: Typed) -> None:
    assert "Every notice has been delivered" in typed("notify", "failures").out
