"""Deadlines in working time, reminders and escalation, in real runs and in their audit."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from plangate.audit.rules import rule_violations
from plangate.domain.runs.audit import AuditEntry, Drafted, Reopened
from plangate.domain.runs.status import Status
from plangate.policy.people_file import PeopleFile
from plangate.policy.policy_file import policy_in
from plangate.policy.requirements import weak_requirements
from plangate.presentation.run_page import run_page
from plangate.records.rule_texts import texts_of
from tests.support.clock import clock_ahead
from tests.support.gate import Gate
from tests.support.naive_calendar import naive_around
from tests.unit.test_run_page import printed

CALENDAR = """
[[calendar]]
name = "munich"
zone = "Europe/Berlin"
country = "DE"
region = "BY"
hours = ["09:00-12:00", "13:00-17:00"]
"""
WORKING = policy_in(
    f"""
{CALENDAR}
[default]
needs = [{{ role = "finance" }}]
calendar = "munich"
timeout = "2 working days"
approval_valid_for = "1d"
remind = ["4h"]
escalate = [{{ after = "2h", to = "board" }}]
"""
)
PEOPLE = """
[[person]]
name = "rita"
[[person]]
name = "dana"
roles = ["finance"]
[[person]]
name = "beth"
roles = ["board"]
"""
HOURS = timedelta(hours=2)


@pytest.fixture
def timed_gate(idle_gate: Gate, tmp_path: Path) -> Gate:
    """A test instance whose plans have two working days, with an escalation to the board after two hours."""
    path = tmp_path / "people.toml"
    path.write_text(PEOPLE)
    idle_gate.policy, idle_gate.directory = WORKING, PeopleFile(path)
    return idle_gate


def trail(gate: Gate, status: Status) -> Sequence[AuditEntry]:
    return gate.api.trail(status.workflow_id)


def found(gate: Gate, entries: Sequence[AuditEntry]) -> list[str]:
    """Return an auditor's findings in a trail, with the policy's text."""
    with gate.database.read() as connection:
        texts = texts_of(connection, (WORKING.policy_hash,))
    run = entries[0].workflow_id
    return [one.what for one in (*rule_violations(run, entries), *weak_requirements(run, entries, texts))]


def drafted(gate: Gate, status: Status) -> Drafted:
    event = trail(gate, status)[1].event
    assert isinstance(event, Drafted)
    return event


def naive_deadline(event: Drafted, began: datetime) -> datetime:
    """Return the end of two working days, counted in minutes; the seconds of the start time are added."""
    (limit,), (facts,) = event.requirement.working, event.facts
    calendar = limit.calendar.frozen(facts).model_copy(update={"offsets": ()})
    minute = began.replace(second=0, microsecond=0)
    days = naive_around(calendar, minute, 16)
    rest = began - minute if days.working[days.number(minute)] else timedelta()
    return days.add_days(minute, 2) + rest


async def test_two_working_days_become_a_date_when_the_review_opens_and_the_plan_expires_then(
    timed_gate: Gate,
) -> None:
    gate = timed_gate
    async with gate.worker():
        status = await gate.in_review("one")
        event = drafted(gate, status)
        assert event.deadline == status.deadline == naive_deadline(event, event.drafted_at)
        assert event.requirement.remind == (4 * 3600,)
        left = event.deadline - datetime.now(UTC)
        handle = gate.handle(status.workflow_id)
        await gate.env.fast_forward(handle, left - timedelta(minutes=5))
        assert (await gate.api.status(status.workflow_id)).state == "in_review"
        await gate.env.fast_forward(handle, timedelta(minutes=6))
        assert (await gate.result(status.workflow_id)).outcome == "expired"
    assert found(gate, trail(gate, status)) == []


async def test_the_requests_own_time_applies_if_it_is_not_the_default(timed_gate: Gate) -> None:
    gate = timed_gate
    async with gate.worker():
        status = await gate.in_review("one", timeout=timedelta(hours=3))
        event = drafted(gate, status)
        assert event.review_time == timedelta(hours=3)
        assert found(gate, trail(gate, status)) == []
        await gate.api.withdraw(status.workflow_id, "by rita")


async def test_another_role_approves_only_after_its_time_and_the_page_shows_this(
    timed_gate: Gate,
) -> None:
    gate = timed_gate
    async with gate.worker():
        status = await gate.in_review("one")
        (relief,) = status.reliefs
        assert relief.at == drafted(gate, status).drafted_at + HOURS
        assert "board (instead of finance)" in printed(run_page(status, relief.at - HOURS))
        early = await gate.decide(status, by="beth")
        assert not early.accepted
        assert "also by board" in early.reason
        await gate.env.fast_forward(gate.handle(status.workflow_id), HOURS)
        assert (await gate.decide(status, by="beth", comment="now")).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert found(gate, trail(gate, status)) == []


async def test_a_reopened_review_has_two_working_days_again(timed_gate: Gate) -> None:
    gate = timed_gate
    async with gate.worker():
        status = await gate.in_review("one", "two")
        gate.notebook.gate.clear()
        assert (await gate.decide(status)).accepted
        await gate.notebook.entered.wait()
        gate.notebook.gate.set()
        with clock_ahead(timedelta(days=3)):
            await gate.until("in_review", status.workflow_id)
        await gate.env.fast_forward(gate.handle(status.workflow_id), timedelta(days=3))
        again = await gate.until("in_review", status.workflow_id)
        event = next(one.event for one in trail(gate, status) if isinstance(one.event, Reopened))
        began = drafted(gate, status).model_copy(update={"facts": event.facts})
        assert event.deadline == again.deadline == naive_deadline(began, event.reopened_at)
        assert again.reliefs[0].at == event.reopened_at + HOURS
        await gate.api.withdraw(status.workflow_id, "by rita")
    entries = list(trail(gate, status))
    assert found(gate, entries) == []
    index = next(number for number, one in enumerate(entries) if isinstance(one.event, Reopened))
    longer = event.model_copy(update={"deadline": event.deadline + timedelta(hours=1)})
    entries[index] = entries[index].model_copy(update={"event": longer})
    assert "reopens the review for longer than the first time" in found(gate, entries)


FORGED = {
    "an hour": "allows a longer review than was requested",
    "no facts": "allows a longer review than was requested",
    "made-up time": "only the limits in working time that its rules set",
    "no limit": "a review of at most 2 working days (munich)",
    "another calendar": "a review of at most 2 working days (munich)",
    "earlier board": "no approval by board for finance after only 1 seconds",
    "no reminder": "each of its reminders",
}


async def test_an_auditor_detects_each_forged_time(timed_gate: Gate) -> None:
    gate = timed_gate
    async with gate.worker():
        status = await gate.in_review("one")
        await gate.api.withdraw(status.workflow_id, "by rita")
    event, entries = drafted(gate, status), list(trail(gate, status))
    for changed, message in FORGED.items():
        entries[1] = entries[1].model_copy(update={"event": forged(event, changed)})
        assert any(message in what for what in found(gate, entries)), (changed, found(gate, entries))


def forged(event: Drafted, changed: str) -> Drafted:
    one = event.requirement
    (limit,), (later,) = one.working, one.escalations
    more = limit.model_copy(update={"days": 30})
    other = limit.model_copy(update={"calendar": limit.calendar.model_copy(update={"hours": ()})})
    early = later.model_copy(update={"after_seconds": 1})
    required: dict[str, dict[str, Any]] = {
        "made-up time": {"working": (limit, more)},
        "no limit": {"working": (), "timeout_seconds": 60},
        "another calendar": {"working": (other,)},
        "earlier board": {"escalations": (early,)},
        "no reminder": {"remind": ()},
    }
    if changed in required:
        return event.model_copy(update={"requirement": one.model_copy(update=required[changed])})
    if changed == "an hour":
        return event.model_copy(update={"deadline": event.deadline + timedelta(hours=1)})
    return event.model_copy(update={"facts": ()})


async def test_later_changes_of_holidays_or_zone_rules_do_not_change_the_findings(
    timed_gate: Gate, tmp_path: Path
) -> None:
    """The auditor has the base package, without time zones: the record contains everything needed."""
    gate = timed_gate
    async with gate.worker():
        status = await gate.in_review("one")
        await gate.api.withdraw(status.workflow_id, "by rita")
    for number, entry in enumerate(trail(gate, status)):
        (tmp_path / f"{number}.json").write_text(entry.model_dump_json())
    (tmp_path / "policy.toml").write_text(WORKING.text)
    program = """
import sys
from pathlib import Path
sys.modules["holidays"] = sys.modules["tzdata"] = None
import zoneinfo
zoneinfo.reset_tzpath(to=())
from plangate.audit.rules import rule_violations
from plangate.domain.runs.audit import AuditEntry, RuleText
from plangate.policy.requirements import weak_requirements
import hashlib
folder = Path(sys.argv[1])
text = (folder / "policy.toml").read_text()
trail = [AuditEntry.model_validate_json(one.read_text()) for one in sorted(folder.glob("*.json"))]
texts = [RuleText(hash=hashlib.sha256(text.encode()).hexdigest(), text=text)]
run = trail[0].workflow_id
print([one.what for one in (*rule_violations(run, trail), *weak_requirements(run, trail, texts))])
"""
    asked = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stdout + done.stderr
