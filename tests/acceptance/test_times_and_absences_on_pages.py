"""Start times, waits and absences on the pages, without scripts."""

from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from typing import Any

import pytest_asyncio

from plangate.domain.people.people import People
from plangate.domain.plans.plan import Plan
from plangate.domain.policies.requirement import Requirement
from plangate.domain.times.calendars import Calendar
from plangate.policy.people_file import people_in
from plangate.presentation.clock import now
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.inbox import Inbox, open_inbox
from tests.support.plain_browser import PlainBrowser
from tests.support.policies import wants

OpenPage = Callable[..., Coroutine[Any, Any, PlainBrowser]]
PEOPLE = """
[[person]]
name = "rita"
[[person]]
name = "dana"
roles = ["finance"]
delegates = [{ to = "erik", roles = ["finance"] }]
[[person]]
name = "erik"
[[person]]
name = "kim"
roles = ["finance"]
"""


class ChangeablePolicy:
    """A policy with one requirement, which a test may change while a worker runs."""

    def __init__(self) -> None:
        self.requirement = wants(("finance", 1)).requirement

    def requirement_for(self, plan: Plan, **_: object) -> Requirement:
        del plan
        return self.requirement


POLICY = ChangeablePolicy()


class FixedPeople:
    def people(self) -> People:
        return people_in(PEOPLE)


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(idle_gate: Gate) -> AsyncIterator[Inbox]:
    """An inbox whose plans need an approval by finance."""
    gate = idle_gate
    gate.directory = FixedPeople()
    gate.policy = POLICY
    POLICY.requirement = wants(("finance", 1)).requirement
    async with gate.worker(), open_inbox(gate) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def open_page(inbox: Inbox) -> AsyncIterator[OpenPage]:
    visitors = []

    async def opened_page(path: str, name: str = "dana", language: str = "en") -> PlainBrowser:
        visitor = await inbox.signed_in(name)
        visitor.headers["accept-language"] = language
        visitors.append(visitor)
        browser = PlainBrowser(visitor)
        await browser.open(path)
        return browser

    yield opened_page
    for visitor in visitors:
        await visitor.aclose()


async def test_a_person_marks_themselves_as_away_and_as_back(idle_gate: Gate, open_page: OpenPage) -> None:
    status = await idle_gate.in_review("one")
    mine = await open_page("/me")
    assert "This does not transfer your right to decide" in mine.html
    until = now() + timedelta(days=3)
    await mine.press("I am away", until=f"{until:%Y-%m-%dT%H:%M}", to="erik", reason="on leave")
    assert "You are away until" in mine.html
    assert f"{until:%Y-%m-%d %H:%M} UTC" in mine.html
    assert "Your messages go to erik." in mine.html
    seen = await idle_gate.until("in_review", status.workflow_id)
    page = await open_page(f"/runs/{seen.workflow_id}", "erik")
    assert "dana is away until" in page.html
    assert "erik may decide for dana" in page.html
    german = await open_page(f"/runs/{seen.workflow_id}", "erik", "de")
    assert "dana ist abwesend bis" in german.html
    await mine.press("I am back")
    assert "I am away" in mine.html
    assert "You are away until" not in mine.html


async def test_an_invalid_absence_is_refused_with_the_reason(idle_gate: Gate, open_page: OpenPage) -> None:
    await idle_gate.in_review("one")
    mine = await open_page("/me")
    past = f"{now() - timedelta(days=1):%Y-%m-%dT%H:%M}"
    await mine.press("I am away", until=past)
    assert "has passed; choose a later time" in mine.html.replace("&#34;", '"')
    again = await open_page("/me")
    await again.press("I am away", until="soon")
    assert (again.status, "Enter when you will be back." in again.html) == (422, True)


async def test_a_missing_approver_is_reported_in_the_readers_language(
    idle_gate: Gate, open_page: OpenPage
) -> None:
    POLICY.requirement = wants(("finance", 3)).requirement
    status = await idle_gate.in_review("one")
    seen = await idle_gate.until("in_review", status.workflow_id, lambda one: bool(one.unmet))
    page = await open_page(f"/runs/{seen.workflow_id}")
    assert "only dana, erik, kim could" in page.html  # one of them, because erik would act for dana
    german = await open_page(f"/runs/{seen.workflow_id}", "dana", "de")
    assert "könnte sie geben" in german.html


async def test_the_earliest_start_of_a_plan_is_shown_and_can_be_edited_and_the_plan_waits(
    idle_gate: Gate, open_page: OpenPage
) -> None:
    gate = idle_gate
    later = (now() + timedelta(days=3)).replace(second=0, microsecond=0)
    plan = {**notes("one"), "not_before": later.isoformat()}
    status = await gate.until("in_review", await gate.submit(plan=plan))
    page = await open_page(f"/runs/{status.workflow_id}")
    assert "not before" in page.html
    assert f"{later:%Y-%m-%d %H:%M} UTC" in page.html
    await page.press("Edit")
    assert f'value="{later:%Y-%m-%dT%H:%M}"' in page.html  # the browser shows the time in its own zone
    sooner = later - timedelta(days=1)
    await page.press("See the changes", not_before="tomorrow")
    assert (page.status, "must be a day and a time" in page.html) == (422, True)
    await page.press("See the changes", not_before=f"{sooner:%Y-%m-%dT%H:%M}")
    assert f"{sooner:%Y-%m-%d %H:%M} UTC" in page.html
    await page.press("Replace the plan")
    after = await gate.until("in_review", status.workflow_id, lambda one: one.revision == 2)
    assert after.plan is not None
    assert after.plan.not_before == sooner
    assert after.fingerprint != status.fingerprint
    assert (await gate.decide(after, by="kim")).accepted
    waiting = await gate.until("executing", status.workflow_id)
    assert waiting.waits_until(now()) == sooner
    shown = await open_page(f"/runs/{status.workflow_id}", "kim")
    assert "approved, waiting to begin" in shown.html
    assert "withdraw your approval until" in shown.html
    listed = await open_page("/open", "kim")
    assert "approved, waiting to begin" in listed.html
    assert f'not before <time datetime="{sooner:%Y-%m-%dT%H:%M}' in " ".join(listed.html.split())
    assert "being executed</span>" not in listed.html
    other = await open_page(f"/runs/{status.workflow_id}", "rita", "de")
    assert "genehmigt, wartet auf den Beginn" in other.html
    assert "Der nächste Schritt beginnt frühestens:" in other.html
    await gate.api.withdraw(status.workflow_id, "by rita")
    await gate.result(status.workflow_id)


async def test_a_window_and_a_freeze_are_shown_as_dates(idle_gate: Gate, open_page: OpenPage) -> None:
    gate = idle_gate
    days = tuple((now() + timedelta(days=number)).date() for number in range(3))
    window = Calendar(name="office", zone="UTC", weekdays=tuple(range(7)))
    freeze = Calendar(name="close", zone="UTC", weekdays=(), extra_days=days)
    POLICY.requirement = wants(("finance", 1), windows=(window,), freezes=(freeze,)).requirement
    status = await gate.in_review("one")
    page = await open_page(f"/runs/{status.workflow_id}")
    assert "Steps start only in the window office: Mon-Sun UTC." in page.html
    assert f"No steps start during the freeze close: on {days[0]}, {days[1]}, {days[2]} UTC." in page.html
    first = days[2] + timedelta(days=1)
    assert f'at the earliest <strong><time datetime="{first}T00:00:00' in page.html
    german = await open_page(f"/runs/{status.workflow_id}", "dana", "de")
    assert "Kein Schritt beginnt in der Sperrzeit close" in german.html


async def test_a_plan_that_needs_no_approval_is_not_shown_as_approved_while_it_waits(
    idle_gate: Gate, open_page: OpenPage
) -> None:
    gate = idle_gate
    days = tuple((now() + timedelta(days=number)).date() for number in range(3))
    freeze = Calendar(name="close", zone="UTC", weekdays=(), extra_days=days)
    POLICY.requirement = wants(freezes=(freeze,)).requirement
    status = await gate.until("executing", await gate.submit(plan=notes("one")))
    for path in (f"/runs/{status.workflow_id}", "/open"):
        page = await open_page(path)
        assert "waiting to begin</span>" in page.html
        assert "approved" not in page.html.lower()
    page = await open_page(f"/runs/{status.workflow_id}")
    assert "It needs no approval. The next step starts no earlier than:" in page.html
    german = await open_page(f"/runs/{status.workflow_id}", "dana", "de")
    assert "Braucht keine Genehmigung. Der nächste Schritt beginnt frühestens:" in german.html
    await gate.api.withdraw(status.workflow_id, "by rita")
    await gate.result(status.workflow_id)
