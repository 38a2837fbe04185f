"""Approve several plans together in a browser without scripts: allowed and refused combinations."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest
import pytest_asyncio

from plangate.domain.plans.plan import Plan
from plangate.domain.policies.requirement import Need, Requirement
from plangate.presentation.clock import now
from plangate.records.database import Database
from plangate.web.confirmations import VALID_FOR
from plangate.web.pages import together
from plangate.web.plan_views import stored_views_in
from tests.support.drawn_pages import Element, read_html
from tests.support.fresh_records import fresh_records
from tests.support.gate import Gate
from tests.support.inbox import open_inbox
from tests.support.policies import wants
from tests.support.proofs import DANA
from tests.support.shown_runs import inbox_of_records, plan, put_people, put_run, step
from tests.support.signing_inbox import POLICY, SigningInbox, credential_for, signing_inbox

Form: TypeAlias = dict[str, list[str]]
BATCH = Requirement(needs=(Need(role="finance", count=1),), batch=True)
REFUND = Plan(
    summary="Refund 35.50 EUR",
    steps=(step("note", "Refund", text="You get 35.50 EUR", amount=355.0, currency="EUR"),),
)
LONG = "\n".join(f"line {number}" for number in range(40))


@pytest_asyncio.fixture(loop_scope="session")
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = fresh_records(tmp_path / "records.db")
    put_people(opened)
    yield opened
    opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def dana(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with inbox_of_records(database, tmp_path) as inbox:
        visitor = await inbox.signed_in("dana")
        yield visitor
        await visitor.aclose()


def note(text: str, tool: str = "note") -> Plan:
    return plan(step(tool, f"Note '{text[:10]}'", text=text))


def put(database: Database, name: str, shown: Plan, requirement: Requirement = BATCH) -> str:
    return put_run(database, name, shown, requirement=requirement)


async def read(visitor: httpx.AsyncClient, *names: str) -> None:
    for name in names:
        assert (await visitor.get(f"/runs/{name}")).status_code == httpx.codes.OK


async def page_of(visitor: httpx.AsyncClient, path: str = "/") -> Element:
    return read_html((await visitor.get(path)).text)


async def offered(visitor: httpx.AsyncClient) -> list[list[str]]:
    """Return the plans of each kind that the list offers to approve together."""
    page = await page_of(visitor)
    return [
        sorted(one.attributes["value"] or "" for one in section.all("input", name="plan"))
        for section in page.all("section", class_="together")
    ]


async def confirmed(visitor: httpx.AsyncClient, plans: Sequence[str]) -> httpx.Response:
    token = (await page_of(visitor, "/me")).all("input", name="form_token")[0].attributes["value"]
    return await visitor.post("/together/confirm", data={"form_token": token, "plan": list(plans)})


async def test_opened_plans_of_one_kind_are_offered_together(
    database: Database, dana: httpx.AsyncClient
) -> None:
    plans = [put(database, f"one-{number}", note(f"text {number}")) for number in range(3)]
    other = [put(database, f"other-{number}", note(f"text {number}", "call")) for number in range(2)]
    await read(dana, "one-0", "other-0")
    assert await offered(dana) == []
    await read(dana, "one-1", "other-1")
    assert sorted(await offered(dana)) == sorted([sorted(plans[:2]), sorted(other)])
    answer = await confirmed(dana, plans[:2])
    assert "You are approving exactly these 2 plans:" in answer.text
    assert all(f"Note &#39;text {number}&#39;" in answer.text for number in range(2))
    assert [one.text for one in read_html(answer.text).all("button", class_="approve")] == ["Approve"]


async def test_a_delegate_who_approves_several_plans_sees_each_delegator_once(
    database: Database, dana: httpx.AsyncClient
) -> None:
    delegates = 'roles = ["finance"]\ndelegates = [{ to = "dana", roles = ["finance"] }]'
    people = (
        f'[[person]]\nname = "rita"\n[[person]]\nname = "dana"\n[[person]]\nname = "frieda"\n{delegates}\n'
    )
    put_people(database, people)
    plans = [put(database, f"one-{number}", note(f"text {number}")) for number in range(2)]
    await read(dana, "one-0", "one-1")
    text = "You decide for frieda, who delegated the role finance to you."
    assert (await confirmed(dana, plans)).text.count(text) == 1


async def test_amounts_are_summed_by_currency_and_opened_plans_are_not_described_as_read(
    database: Database, dana: httpx.AsyncClient
) -> None:
    values: list[dict[str, Any]] = [
        {"amount": 100.5, "currency": "EUR"},
        {"amount": 42.0, "currency": "EUR"},
        {"total": "7.00 USD"},
        {},
    ]
    plans = [
        put(database, f"one-{number}", plan(step("pay", f"Pay {number}", **arguments)))
        for number, arguments in enumerate(values)
    ]
    await read(dana, *(f"one-{number}" for number in range(4)))
    about = (await page_of(dana)).one("section", class_="together").one("p", class_="about").text
    assert "In this session you have opened the page of each plan" in about
    assert "read" not in about
    text = " ".join(read_html((await confirmed(dana, plans)).text).text.split())
    assert "in the steps: 142.50 EUR (2 amounts), 7.00 USD (1 amount)." in text
    assert "1 step has no amount with a currency." in text


async def test_at_most_ten_plans_are_offered_and_accepted(
    database: Database, dana: httpx.AsyncClient
) -> None:
    plans = [put(database, f"one-{number:02}", note(f"text {number}")) for number in range(12)]
    await read(dana, *(f"one-{number:02}" for number in range(12)))
    ((*shown,),) = await offered(dana)
    assert len(shown) == 10
    assert "You are approving exactly these 10 plans:" in (await confirmed(dana, plans[:10])).text
    for count, text in ((11, "At most ten plans"), (1, "Choose at least two"), (0, "Choose at least two")):
        answer = await confirmed(dana, plans[:count])
        assert answer.status_code == httpx.codes.CONFLICT
        assert text in answer.text


@pytest.mark.parametrize(
    ("shown", "requirement"),
    [
        (note("Pаy"), BATCH),  # noqa: RUF001  marked: it looks like another word
        (REFUND, BATCH),  # marked: its text mentions a different amount than its argument
        (note("text"), BATCH.model_copy(update={"batch": False})),
        (note("text"), BATCH.model_copy(update={"needs": (Need(role="ops", count=1),)})),
    ],
    ids=["letters", "amount", "rule", "role"],
)
async def test_a_plan_that_must_be_approved_separately_is_not_offered_or_accepted(
    database: Database, dana: httpx.AsyncClient, shown: Plan, requirement: Requirement
) -> None:
    plans = [put(database, "one", note("text")), put(database, "two", shown, requirement)]
    await read(dana, "one", "two")
    assert await offered(dana) == []
    answer = await confirmed(dana, plans)
    assert answer.status_code == httpx.codes.CONFLICT
    assert "You have not read one of these plans" in answer.text


async def test_plans_of_two_kinds_are_not_accepted_together(
    database: Database, dana: httpx.AsyncClient
) -> None:
    plans = [put(database, "one", note("text")), put(database, "two", note("text", "call"))]
    await read(dana, "one", "two")
    assert "Only plans with the same tools" in (await confirmed(dana, plans)).text


async def test_a_plan_with_collapsed_sections_counts_as_read_once_all_were_opened(
    database: Database, dana: httpx.AsyncClient, tmp_path: Path
) -> None:
    plans = [put(database, name, note(f"{name}\n{LONG}")) for name in ("one", "two")]
    await read(dana, "one", "two")
    assert await offered(dana) == []
    for opens in (False, True):
        for name, fingerprint in zip(("one", "two"), plans, strict=True):
            page = await page_of(dana, f"/runs/{name}")
            assert "The rules let you approve" in page.text
            form = {
                "form_token": page.all("input", name="form_token")[0].attributes["value"],
                "plan": fingerprint,
                "opened": [one.attributes["value"] for one in page.all("input", name="opened") if opens],
                "then": "list",
            }
            assert (await dana.post(f"/runs/{name}/opened", data=form)).url.path == "/"
        assert await offered(dana) == ([sorted(plans)] if opens else [])
    (kept,) = tmp_path.rglob("web.db")
    assert [(one.folds, one.opened) for one in stored_views_in(kept)] == [(1, 1), (1, 1)]


async def test_plans_opened_in_another_session_are_not_offered(
    database: Database, dana: httpx.AsyncClient
) -> None:
    plans = [put(database, name, note(name)) for name in ("one", "two")]
    await read(dana, "one", "two")
    token = {"name": "dana", "next": "/"}
    async with httpx.AsyncClient(base_url=dana.base_url, follow_redirects=True, verify=False) as other:
        await other.post("/sign-in", data=token)
        assert await offered(other) == []
        assert (await confirmed(other, plans)).status_code == httpx.codes.CONFLICT


async def asked(visitor: httpx.AsyncClient, plans: Sequence[str]) -> dict[str, list[str | None]]:
    """Ask to approve these plans, and return the confirmation form."""
    page = read_html((await confirmed(visitor, plans)).text)
    form = {
        name: [one.attributes["value"] for one in page.all("input", name=name)]
        for name in ("form_token", "confirmation")
    }
    return {**form, "form_token": form["form_token"][:1]}


async def test_a_mark_added_after_the_confirmation_page_stops_all_of_them(
    database: Database, dana: httpx.AsyncClient
) -> None:
    shown = plan(step("note", "Note it", text="text"), summary="Note it and send_sms")
    plans = [put(database, "one", shown), put(database, "two", note("text"))]
    await read(dana, "one", "two")
    form = await asked(dana, plans)
    put(database, "sms", note("text", "send_sms"))  # now the summary mentions a tool that is not in the steps
    answer = await dana.post("/together/decide", data=form)
    assert (answer.status_code, "one has changed" in answer.text) == (409, True), answer.text


async def test_a_confirmation_has_an_address_to_which_the_back_button_returns(
    database: Database, dana: httpx.AsyncClient
) -> None:
    plans = [put(database, f"one-{number}", note(f"text {number}")) for number in range(2)]
    await read(dana, "one-0", "one-1")
    confirmation = await confirmed(dana, plans)
    assert [one.status_code for one in confirmation.history] == [httpx.codes.SEE_OTHER]
    again = await dana.get(confirmation.url)
    assert "You are approving exactly these 2 plans:" in again.text
    async with httpx.AsyncClient(base_url=dana.base_url, follow_redirects=True, verify=False) as kim:
        await kim.post("/sign-in", data={"name": "kim", "next": "/"})
        assert (await kim.get(confirmation.url)).status_code == httpx.codes.NOT_FOUND
    assert (await dana.get("/together/confirm")).status_code == httpx.codes.NOT_FOUND


async def test_a_confirmation_is_valid_in_its_session_for_five_minutes(
    database: Database, dana: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = [put(database, f"one-{number}", note(f"text {number}")) for number in range(2)]
    await read(dana, "one-0", "one-1")
    form = await asked(dana, plans)
    async with httpx.AsyncClient(base_url=dana.base_url, follow_redirects=True, verify=False) as other:
        await other.post("/sign-in", data={"name": "dana", "next": "/"})
        token = (await page_of(other, "/me")).all("input", name="form_token")[0].attributes["value"]
        elsewhere = await other.post("/together/decide", data={**form, "form_token": token})
    monkeypatch.setattr(together, "now", lambda: now() + VALID_FOR)
    late = await dana.post("/together/decide", data=form)
    for answer in (elsewhere, late):
        assert (answer.status_code, "five minutes" in answer.text) == (409, True), answer.text


@pytest.fixture
def many(idle_gate: Gate) -> Gate:
    idle_gate.policy = wants(("anyone", 1), batch=True)
    return idle_gate


async def test_each_decision_is_on_its_own_trail_and_a_resubmitted_form_counts_once(
    many: Gate,
) -> None:
    async with many.worker(), open_inbox(many) as inbox:
        runs = [await many.in_review(f"text {number}") for number in range(3)]
        dana = await inbox.signed_in("dana")
        await read(dana, *(one.workflow_id for one in runs))
        confirm = read_html((await confirmed(dana, [one.fingerprint or "" for one in runs])).text)
        form = {
            name: [one.attributes["value"] for one in confirm.all("input", name=name)]
            for name in ("form_token", "confirmation")
        }
        form["form_token"] = form["form_token"][:1]
        for _ in range(2):
            answer = await dana.post("/together/decide", data=form)
            assert answer.text.count("Accepted") == 3, answer.text
        back = await dana.get("/together/confirm", params={"confirmation": form["confirmation"]})
        assert back.url == answer.url
        for one in runs:
            after = await many.until("executed", one.workflow_id)
            assert [(one.by, one.accepted, one.batch) for one in after.decisions] == [("dana", True, None)]
        await dana.aclose()
    assert sorted(many.notebook.texts()) == [f"text {number}" for number in range(3)]


async def test_nothing_is_sent_if_a_plan_changed_after_the_confirmation(many: Gate) -> None:
    async with many.worker(), open_inbox(many) as inbox:
        runs = [await many.in_review(f"text {number}") for number in range(2)]
        dana = await inbox.signed_in("dana")
        await read(dana, *(one.workflow_id for one in runs))
        confirm = read_html((await confirmed(dana, [one.fingerprint or "" for one in runs])).text)
        form = {
            "form_token": confirm.all("input", name="form_token")[0].attributes["value"],
            "confirmation": [one.attributes["value"] for one in confirm.all("input", name="confirmation")],
        }
        await many.decide(runs[0], "reject", by="erik")
        answer = await dana.post("/together/decide", data=form)
        assert answer.status_code == httpx.codes.CONFLICT
        assert f"{runs[0].workflow_id} has changed" in answer.text
        assert (await many.api.status(runs[1].workflow_id)).decisions == ()
        await dana.aclose()


@asynccontextmanager
async def by_passkey(gate: Gate, folder: Path) -> AsyncIterator[tuple[SigningInbox, httpx.AsyncClient]]:
    """Serve an inbox where dana approves by passkey, and sign her in."""
    policy = f"{POLICY}batch = true\n"
    async with signing_inbox(gate, folder, DANA.public, policy=policy) as inbox:
        dana = await inbox.inbox.signed_in("dana")
        yield inbox, dana
        await dana.aclose()


async def confirmed_by_passkey(
    inbox: SigningInbox, dana: httpx.AsyncClient, word: str
) -> tuple[list[str], Form]:
    """Open three plans and ask to approve them; return the runs and the confirmation form."""
    runs = [await inbox.gate.in_review(f"{word} {number}") for number in range(3)]
    await read(dana, *(one.workflow_id for one in runs))
    answer = await confirmed(dana, [one.fingerprint or "" for one in runs])
    page = read_html(answer.text)
    form: Form = {
        name: [one.attributes["value"] or "" for one in page.all("input", name=name)]
        for name in ("form_token", "confirmation")
    }
    form["form_token"] = form["form_token"][:1]
    form["credential"] = [credential_for(answer.text, DANA, inbox.inbox.url)]
    return [one.workflow_id for one in runs], form


async def test_a_passkey_signs_all_plans_or_none(idle_gate: Gate, tmp_path: Path) -> None:
    async with by_passkey(idle_gate, tmp_path) as (inbox, dana):
        ids, form = await confirmed_by_passkey(inbox, dana, "first")
        answer = await dana.post("/together/decide", data={**form, "credential": [""]})
        assert "no passkey signed it" in answer.text
        assert "You are approving exactly these 3 plans:" in answer.text
        part = {**form, "confirmation": form["confirmation"][:2]}
        answer = await dana.post("/together/decide", data=part)
        assert answer.text.count("its passkey signed a challenge that does not match") == 2
        assert [(await inbox.gate.api.status(one)).state for one in ids] == ["in_review"] * 3
        _, form = await confirmed_by_passkey(inbox, dana, "then")
        answer = await dana.post("/together/decide", data=form)
        assert answer.text.count("Accepted") == 3


async def test_a_person_cannot_submit_another_persons_confirmation(many: Gate) -> None:
    async with many.worker(), open_inbox(many) as inbox:
        runs = [await many.in_review(f"text {number}") for number in range(2)]
        dana, erik = await inbox.signed_in("dana"), await inbox.signed_in("erik")
        await read(dana, *(one.workflow_id for one in runs))
        page = read_html((await confirmed(dana, [one.fingerprint or "" for one in runs])).text)
        names = [one.attributes["value"] for one in page.all("input", name="confirmation")]
        token = (await page_of(erik, "/me")).all("input", name="form_token")[0].attributes["value"]
        answer = await erik.post("/together/decide", data={"form_token": token, "confirmation": names})
        assert answer.status_code == httpx.codes.NOT_FOUND
        answer = await erik.get("/together/decided", params={"confirmation": names})
        assert answer.status_code == httpx.codes.NOT_FOUND
        await dana.aclose()
        await erik.aclose()
