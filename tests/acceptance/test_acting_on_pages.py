"""Editing plans, removing steps, resolving holds and withdrawing runs on the pages, without scripts."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from html import unescape
from pathlib import Path
from typing import Any

import pytest_asyncio

from plangate.domain.decisions.decision import Choice
from plangate.domain.runs.status import Status
from plangate.elapsed import elapsed
from plangate.policy.people_file import PeopleFile
from plangate.presentation.resolutions import resolution_words
from tests.support.drawn_pages import read_html
from tests.support.gate import Gate
from tests.support.holds import approved, booking_gate, lost
from tests.support.inbox import Inbox, open_inbox
from tests.support.plain_browser import PlainBrowser
from tests.support.policies import wants

OpenRun = Callable[..., Coroutine[Any, Any, PlainBrowser]]


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(gate: Gate) -> AsyncIterator[Inbox]:
    async with open_inbox(gate) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def open_run(inbox: Inbox) -> AsyncIterator[OpenRun]:
    """Return a function that opens a run's page in the browser of a person."""
    visitors = []

    async def opened_page(status: Status, name: str = "dana") -> PlainBrowser:
        visitor = await inbox.signed_in(name)
        visitors.append(visitor)
        browser = PlainBrowser(visitor)
        await browser.open(f"/runs/{status.workflow_id}")
        return browser

    yield opened_page
    for visitor in visitors:
        await visitor.aclose()


async def test_an_edit_is_shown_confirmed_and_reviewed_again(gate: Gate, open_run: OpenRun) -> None:
    status = await gate.in_review("water the plants", "feed the cat")
    browser = await open_run(status)
    await browser.press("Edit")
    await browser.press("See the changes", s2_1="feed the dog", comment="no cat here")
    assert "feed the cat" in browser.html
    assert "feed the dog" in browser.html
    assert "another person must approve it" in browser.html
    await browser.press("Replace the plan")
    assert "Accepted" in browser.html
    after = await gate.until("in_review", status.workflow_id, lambda one: one.revision == 2)
    assert after.plan is not None
    assert [step.arguments["text"] for step in after.plan.steps] == ["water the plants", "feed the dog"]
    assert (after.author, after.decisions[-1].comment) == ("dana", "no cat here")


async def test_errors_in_an_edit_appear_at_their_fields_and_the_input_is_kept(
    gate: Gate, open_run: OpenRun
) -> None:
    browser = await open_run(await gate.in_review("water the plants"))
    await browser.press("Edit")
    await browser.press("See the changes", summary="", s1_1="water all of the plants", comment="all")
    assert browser.status == 422
    assert 'id="fault-summary"' in browser.html
    assert "water all of the plants" in browser.html
    assert ("comment", "all") in browser.form("comment").fields


async def test_an_edit_of_a_plan_that_was_replaced_meanwhile_keeps_the_input(
    gate: Gate, open_run: OpenRun
) -> None:
    status = await gate.in_review("water the plants")
    browser = await open_run(status)
    await browser.press("Edit")
    await gate.decide(status, "edit", "erik", new_plan=_with_text(status, "water the roses"))
    await gate.until("in_review", status.workflow_id, lambda one: one.revision == 2)
    await browser.press("See the changes", s1_1="water the lawn")
    assert "replaced while you edited" in browser.html
    await browser.press("See the changes")
    assert "water the roses" in browser.html
    assert "water the lawn" in browser.html


async def test_a_whole_plan_can_be_edited_as_json(gate: Gate, open_run: OpenRun) -> None:
    status = await gate.in_review("water the plants")
    browser = await open_run(status)
    await browser.open(f"{browser.path}/edit?notation=json")
    whole = dict(browser.form("whole").fields)["whole"]
    await browser.press("See the changes", whole=whole[:-2])
    assert "is not JSON" in browser.html
    await browser.press("See the changes", whole=whole.replace("water the plants", "water the roses"))
    assert "water the roses" in browser.html
    assert "Confirm" in browser.html


async def test_the_confirmation_lists_each_removed_step(gate: Gate, open_run: OpenRun) -> None:
    status = await gate.in_review("water the plants", "feed the cat")
    browser = await open_run(status)
    await browser.press("Remove step", which=1)
    assert "You are removing this, and changing nothing else" in browser.html
    assert "feed the cat" in browser.html
    await browser.press("Remove step 2")
    assert "was: Remove step" in browser.html
    after = await gate.until("in_review", status.workflow_id, lambda one: one.revision == 2)
    assert [step.arguments["text"] for step in after.steps] == ["water the plants"]


async def test_a_replaced_plan_is_not_approved_and_the_new_one_is_shown(
    gate: Gate, open_run: OpenRun
) -> None:
    status = await gate.in_review("water the plants")
    browser = await open_run(status)
    await browser.press("Approve")
    await gate.decide(status, "edit", "erik", new_plan=_with_text(status, "water the roses"))
    await gate.until("in_review", status.workflow_id, lambda one: one.revision == 2)
    await browser.press("Approve")
    assert browser.status == 409
    assert "This plan was replaced" in browser.html
    assert "water the roses" in browser.html
    assert (await gate.api.status(status.workflow_id)).approved_by == ()


async def test_a_confirmation_submitted_twice_is_one_decision(gate: Gate, open_run: OpenRun) -> None:
    status = await gate.in_review("water the plants")
    browser = await open_run(status)
    await browser.press("Approve")
    form = browser.form("confirmation")
    for _ in range(3):
        assert "Accepted" in (await browser.send(form.action, form.method, form.fields)).text
    after = await gate.until("executed", status.workflow_id)
    assert [one.decision for one in after.decisions] == [Choice.APPROVE]


async def test_only_the_requester_can_withdraw_on_the_page(gate: Gate, open_run: OpenRun) -> None:
    status = await gate.in_review("water the plants")
    assert "Withdraw" not in (await open_run(status)).buttons()
    browser = await open_run(status, "rita")
    await browser.press("Withdraw")
    assert "You are ending this run" in browser.html
    await browser.press("Withdraw", comment="not needed")
    after = await gate.until("withdrawn", status.workflow_id)
    assert after.reason == "withdrawn by rita: not needed"


async def test_a_held_step_is_resolved_after_its_evidence_and_the_effect_of_each_choice_are_shown(
    idle_gate: Gate,
) -> None:
    booking_gate(idle_gate).fails_at["flowers"] = lost()
    async with idle_gate.worker(), open_inbox(idle_gate) as inbox:
        status = await approved(idle_gate, "seeds", "flowers", "pots")
        held = await idle_gate.held(status.workflow_id)
        async with aclosing(await inbox.signed_in("dana")) as visitor:
            browser = PlainBrowser(visitor)
            await browser.open(f"/runs/{held.workflow_id}")
            await browser.press("Resolve")
            for words in resolution_words(held).values():
                assert words in unescape(browser.html)
            await browser.press("Resolve", resolution="mark_done")
            assert "Explain how you know that it happened" in browser.html
            await browser.press("Resolve", comment="the account shows it")
            assert "You are deciding how the run continues at step 2" in browser.html
            assert "Needs your evidence" not in browser.html  # it was given
            await browser.press("Mark step 2 as done")
            assert "Accepted" in browser.html
        after = await idle_gate.until("executed", held.workflow_id)
    assert after.decisions[-1].comment == "the account shows it"
    idle_gate.database.close()


async def test_after_an_approver_with_both_roles_either_role_gives_the_last_approval(
    idle_gate: Gate, tmp_path: Path
) -> None:
    people = {"rita": [], "dana": ["finance", "legal"], "kim": ["finance"]}
    path = tmp_path / "people.toml"
    path.write_text(
        "".join(f'[[person]]\nname = "{name}"\nroles = {roles}\n' for name, roles in people.items())
    )
    idle_gate.directory = PeopleFile(path)
    idle_gate.policy = wants(("finance", 1), ("legal", 1))
    async with (
        idle_gate.worker(),
        open_inbox(idle_gate) as inbox,
        aclosing(await inbox.signed_in("dana")) as dana,
        aclosing(await inbox.signed_in("kim")) as kim,
    ):
        status = await idle_gate.in_review("one")
        first, last = PlainBrowser(dana), PlainBrowser(kim)
        await first.open(f"/runs/{status.workflow_id}")
        await first.press("Approve")
        missing = read_html(first.html).one("main").text
        assert "Still missing after yours: 1 approval by finance or legal." in " ".join(missing.split())
        await first.press("Approve")
        await last.open(f"/runs/{status.workflow_id}")
        facts = read_html(last.html).one("dl", class_="facts").text
        assert "1 approval by finance or legal. Who can give it: kim" in " ".join(facts.split())
        await last.press("Approve")
        assert "Yours is the last approval: the plan runs immediately." in last.html
        await last.press("Approve")
        await idle_gate.until("executed", status.workflow_id)
    idle_gate.database.close()


async def test_without_a_worker_a_decision_is_kept_and_its_page_shows_the_result_later(
    idle_gate: Gate,
) -> None:
    async with open_inbox(idle_gate) as inbox, aclosing(await inbox.signed_in("dana")) as visitor:
        async with idle_gate.worker():
            status = await idle_gate.in_review("water the plants")
        browser = PlainBrowser(visitor)
        await browser.open(f"/runs/{status.workflow_id}")
        await browser.press("Approve")
        await browser.press("Approve")
        assert "No worker is running" in browser.html
        assert browser.html.count("Saved") == 1
        async with idle_gate.worker():
            await idle_gate.until("executed", status.workflow_id)
            await browser.open(browser.path)
        assert "Accepted" in browser.html
    idle_gate.database.close()


async def test_the_consequences_are_shown_and_an_approval_is_withdrawn_while_cooling_off(
    idle_gate: Gate,
) -> None:
    idle_gate.policy = wants(("anyone", 2), cooling_seconds=3600)
    async with (
        idle_gate.worker(),
        open_inbox(idle_gate) as inbox,
        aclosing(await inbox.signed_in("dana")) as dana,
        aclosing(await inbox.signed_in("kim")) as kim,
    ):
        status, other = await idle_gate.in_review("one", "two"), await idle_gate.in_review("next")
        first, last = PlainBrowser(dana), PlainBrowser(kim)
        await first.open(f"/runs/{status.workflow_id}")
        await first.press("Approve")
        assert "Still missing after yours: 1 approval." in " ".join(first.html.split())
        assert "No step starts for 1 h 0 min after the last approval" in first.html
        await first.press("Approve")
        assert f'href="/runs/{other.workflow_id}"' in first.html  # the next waiting run
        await first.press("Withdraw approval")
        assert "nothing runs until the plan is approved again" in first.html
        await last.open(f"/runs/{status.workflow_id}")
        await last.press("Reject")
        assert "The run ends as rejected" in last.html
        await last.open(f"/runs/{status.workflow_id}")
        await last.press("Approve")
        assert "Yours is the last approval: the plan runs from" in last.html
        await last.press("Approve")
        assert "Approved. It starts no earlier than" in last.html
        await last.press("Withdraw approval")
        assert "Confirm" in last.html
        await last.press("Withdraw approval")
        assert "Accepted" in last.html
        await idle_gate.until("in_review", status.workflow_id)
        await last.open(f"/runs/{status.workflow_id}")
        await last.press("Reject")
        await last.press("Reject")
        await last.open(f"/runs/{status.workflow_id}")
        (state,) = [one.text for one in read_html(last.html).all("p", class_="state")]
        assert state.split()[:3] == ["rejected", "by", "kim"]
    idle_gate.database.close()


async def test_without_a_worker_the_page_warns_at_the_top_and_loads_quickly(idle_gate: Gate) -> None:
    async with open_inbox(idle_gate) as inbox, aclosing(await inbox.signed_in("dana")) as visitor:
        async with idle_gate.worker():
            status = await idle_gate.in_review("one")
            assert "No worker is running" not in (await visitor.get(f"/runs/{status.workflow_id}")).text
        began = elapsed()
        page = (await visitor.get(f"/runs/{status.workflow_id}")).text
        assert elapsed() - began < 8  # Temporal itself would wait 10 s or longer for a worker
        assert page.index("No worker is running") < page.index("What will happen")
    idle_gate.database.close()


async def test_a_request_for_changes_without_a_comment_is_refused(gate: Gate, open_run: OpenRun) -> None:
    browser = await open_run(await gate.in_review("water the plants"))
    await browser.press("Request changes")
    assert "Describe in the comment what to change" in browser.html


def _with_text(status: Status, text: str) -> dict[str, Any]:
    assert status.plan is not None
    plan = status.plan.proposed().model_dump(mode="json")
    plan["steps"][0]["arguments"]["text"] = text
    return plan
