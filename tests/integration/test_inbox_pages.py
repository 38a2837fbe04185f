"""The pages of the inbox in a browser without scripts, without a Temporal server."""

import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from plangate.domain.people.assurance import Assurance
from plangate.domain.plans.attachments import Attachment, observation_of
from plangate.domain.plans.duplicates import Duplicate, MatchKey
from plangate.domain.plans.plan import Plan
from plangate.domain.plans.reads import read_of
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.policies.viewers import Viewers
from plangate.presentation.clock import now
from plangate.records.attachments import keep
from plangate.records.database import Database
from plangate.records.duplicates import store_match_keys
from plangate.records.workers import WorkerFacts, remove_worker, report_worker
from plangate.web.database import WebDatabase
from plangate.web.passkeys import Registered
from plangate.web.proposals import Proposals
from tests.support.authenticator import passkey
from tests.support.drawn_pages import Element, read_html
from tests.support.fresh_records import fresh_records
from tests.support.inbox import Inbox
from tests.support.plain_browser import PlainBrowser
from tests.support.shown_runs import (
    PEOPLE,
    append,
    executed,
    inbox_of_records,
    plan,
    put_people,
    put_run,
    step,
)

FINANCE = Requirement(needs=(Need(role="finance", count=1),))
LONG = "\n".join(f"line {number}" for number in range(40))
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 40


@pytest_asyncio.fixture(loop_scope="session")
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    opened = fresh_records(tmp_path / "records.db")
    put_people(opened)
    yield opened
    opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(database: Database, tmp_path: Path) -> AsyncIterator[Inbox]:
    async with inbox_of_records(database, tmp_path) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="session")
async def dana(inbox: Inbox) -> AsyncIterator[httpx.AsyncClient]:
    visitor = await inbox.signed_in("dana")
    yield visitor
    await visitor.aclose()


def put_executed_runs(database: Database, numbers: range) -> None:
    """Record executed runs with the tool of `mail`, but with other recipients."""
    for number in numbers:
        name, done = f"familiar-{number}", mail(f"bo{number}@example.org")
        put_run(
            database, name, done, *executed(database, name, done), requirement=Requirement(), requester="kim"
        )


def mail(to: str = "kim@example.org", body: str = "Hello", seen: object = None) -> Plan:
    arguments = {"to": [to], "cc": [], "subject": "Hi", "body": body}
    return plan(step("send_email", f"Email 1 recipient: {to}", "she asked", seen, **arguments))


async def page_of(visitor: httpx.AsyncClient, path: str, status: int = 200) -> Element:
    answer = await visitor.get(path)
    assert answer.status_code == status, answer.text
    return read_html(answer.text)


def links_in(page: Element) -> list[str]:
    return (
        [one.attributes["href"] or "" for one in page.one("ul", class_="runs").all("a")]
        if page.all("ul", class_="runs")
        else []
    )


async def test_the_page_shows_who_can_still_approve(database: Database, dana: httpx.AsyncClient) -> None:
    put_run(database, "one", mail(), requester="kim", requirement=FINANCE)
    page = await page_of(dana, "/runs/one")
    assert page.one("h1").text == "one"
    facts = page.one("dl", class_="facts").text
    assert "1 approval by finance. Who can give it: danaSummary" in facts
    assert [one.text for one in page.all("button", name="decision")] == [
        "Approve",
        "Reject",
        "Request changes",
    ]


@pytest.mark.parametrize(
    "end", ["edit", "resolve", "withdraw", "trail", "proof", "evidence", "changes", "link.svg"]
)
async def test_an_id_that_ends_like_another_page_is_the_id_of_its_own_run(
    database: Database, inbox: Inbox, end: str
) -> None:
    for name in ("one", f"one/{end}"):
        put_run(database, name, mail(), requester="kim", requirement=FINANCE)
    async with inbox.visitor() as visitor:
        asked = await visitor.get(f"/runs/one%2F{end}")
        hidden = {
            one.attributes["name"] or "": one.attributes["value"]
            for one in read_html(asked.text).all("input", type="hidden")
        }
        shown = await visitor.post("/sign-in", data={**hidden, "name": "dana"})
        assert read_html(shown.text).one("h1").text == f"one/{end}"
        links = links_in(await page_of(visitor, "/"))
        assert len(links) == 2
        pages = [await page_of(visitor, link) for link in links]
        assert {page.one("h1").text for page in pages} == {"one", f"one/{end}"}
        (own,) = [page for page in pages if page.one("h1").text != "one"]
        assert own.one("form", id="decide").attributes["action"] == f"/runs/one%2F{end}/confirm"


async def test_an_absent_observation_shows_nothing_and_an_empty_list_shows_none(
    database: Database, dana: httpx.AsyncClient
) -> None:
    put_run(database, "one", mail(seen={}))
    region = (await page_of(dana, "/runs/one")).one("section", class_="step")
    assert "What its tool observed" not in region.text
    (cc,) = [one for one in region.all("div") if one.all("dt") and one.one("dt").text == "cc"]
    assert cc.one("dd").text.strip() == "none"
    assert region.attributes["aria-labelledby"] == "step-1-title"


async def test_a_plan_with_an_unopened_section_cannot_be_approved(
    database: Database, dana: httpx.AsyncClient
) -> None:
    reads = (read_of("look_up", {}, LONG, 4_000),)
    put_run(database, "one", mail(body=LONG).model_copy(update={"reads": reads}))
    page = await page_of(dana, "/runs/one")
    hidden = {
        one.attributes["name"] or "": one.attributes["value"] for one in page.all("input", type="hidden")
    }
    folds = [one.attributes["value"] or "" for one in page.all("input", name="opened")]
    assert len(folds) == 2
    assert all("open" in one.attributes for one in page.all("details") if "data-fold" in one.attributes)
    form = {"form_token": hidden["form_token"], "plan": hidden["plan"], "decision": "approve"}
    for opened in ([], folds[:1]):
        answer = await dana.post("/runs/one/confirm", data={**form, "opened": opened})
        assert answer.status_code == httpx.codes.CONFLICT
        assert "Open every long section before you approve" in answer.text
    answer = await dana.post("/runs/one/confirm", data={**form, "opened": folds})
    assert "You are approving exactly this" in answer.text


async def test_a_confirmation_has_an_address_to_which_the_back_button_returns(
    database: Database, inbox: Inbox, dana: httpx.AsyncClient
) -> None:
    fingerprint = put_run(database, "one", mail())
    token = (await page_of(dana, "/runs/one")).one("form", id="decide").one("input", name="form_token")
    form = {"form_token": token.attributes["value"], "plan": fingerprint, "decision": "approve"}
    confirmation = await dana.post("/runs/one/confirm", data=form)
    assert [one.status_code for one in confirmation.history] == [httpx.codes.SEE_OTHER]
    address = confirmation.url.path
    assert "You are approving exactly this" in (await dana.get(address)).text
    kim = await inbox.signed_in("kim")
    other = await kim.get(address)
    await kim.aclose()
    assert other.status_code == httpx.codes.CONFLICT
    assert "You are approving exactly this" not in other.text
    put_run(database, "two", mail())
    assert (await dana.get(address.replace("one", "two"))).status_code == httpx.codes.CONFLICT


async def test_a_delegation_that_begins_later_or_has_ended_says_when(
    database: Database, dana: httpx.AsyncClient
) -> None:
    later = '{ to = "kim", roles = ["finance"], from = 2999-01-01, until = 2999-02-01 }'
    ended = '{ to = "rita", roles = ["finance"], from = 2001-01-01, until = 2001-02-01 }'
    named = 'name = "dana"\n'
    put_people(database, PEOPLE.replace(named, f"{named}delegates = [{later}, {ended}]\n"))
    found = (await page_of(dana, "/me")).one("ul", class_="delegations").all("li")
    shown = [" ".join(one.text.split()) for one in found]
    assert shown[0].startswith("kim will decide for me as finance from 2999-01-01 00:00 UTC (in ")
    assert " until 2999-02-01 00:00 UTC (in " in shown[0]
    assert shown[1].startswith("rita is currently not deciding for me as finance, delegated until 2001-02-01")


async def test_the_confirmation_of_an_approval_separates_observations_from_arguments(
    database: Database, dana: httpx.AsyncClient
) -> None:
    fingerprint = put_run(database, "one", mail(seen={"mailbox": "is full"}))
    token = (await page_of(dana, "/runs/one")).one("form", id="decide").one("input", name="form_token")
    form = {"form_token": token.attributes["value"], "plan": fingerprint, "decision": "approve"}
    page = read_html((await dana.post("/runs/one/confirm", data=form)).text)
    sent, seen = page.one("section", class_="step").all("dl")
    assert "Hello" in sent.text
    assert "mailbox" not in sent.text
    assert "is full" in seen.text
    assert "What its tool observed when the plan was drafted" in page.one("section", class_="step").text


async def test_the_confirmation_of_an_approval_shows_every_short_text_missing_from_the_previews(
    database: Database, dana: httpx.AsyncClient
) -> None:
    email = step(
        "send_email",
        "Email 1 recipient: kim@example.org",
        "about her bill",
        to=["kim@example.org"],
        body="You owe nothing.",
    )
    long = step("note", "Note it", text=LONG, mark="seen")
    fingerprint = put_run(database, "one", plan(email, long, step("note", "Note 'abcd'", text="abcd")))
    form = (await page_of(dana, "/runs/one")).one("form", id="decide")
    token = form.one("input", name="form_token").attributes["value"]
    sent = {"form_token": token, "plan": fingerprint, "decision": "approve"}
    opened = [one.attributes["value"] for one in form.all("input", name="opened")]
    answer = await dana.post("/runs/one/confirm", data={**sent, "opened": opened})
    page = read_html(answer.text).one("main")
    steps = [" ".join(one.text.split()) for one in page.all("section", class_="step")]
    assert [one.split(":")[0] for one in steps] == ["Step 1 of 3", "Step 2 of 3"]
    assert "You owe nothing." in steps[0]
    assert "about her bill" in steps[0]
    assert steps[1].endswith("mark seen")
    assert "line 7" not in page.text  # it was opened to the end


async def test_an_attachment_is_shown_in_a_sandboxed_frame(
    database: Database, dana: httpx.AsyncClient, inbox: Inbox
) -> None:
    contents = {"a.png": PNG, "b.png": b"<script>alert(1)</script>", "c.html": b"<script>alert(2)</script>"}
    kinds = {"png": "image/png", "html": "text/html"}
    files = [
        Attachment(
            name=name,
            sha256=hashlib.sha256(content).hexdigest(),
            bytes=len(content),
            media_type=kinds[name[2:]],
        )
        for name, content in contents.items()
    ]
    with database.write() as connection:
        for content in (*contents.values(), b"of another run"):
            keep(connection, content)
    put_run(database, "one", mail(seen=observation_of(files)))
    page = await page_of(dana, "/runs/one")
    assert len(page.all("input", name="opened")) == 3
    for one in files:
        shown = await dana.get(f"/runs/one/files/{one.sha256}")
        assert shown.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert shown.headers["x-content-type-options"] == "nosniff"
        assert shown.headers["content-type"] == (
            "image/png" if one.name == "a.png" else "text/plain; charset=utf-8"
        )
        assert b"<script>" not in shown.content
        kept = await dana.get(f"/runs/one/files/{one.sha256}/download")
        assert kept.content == contents[one.name]
        assert kept.headers["content-type"] == "application/octet-stream"
        assert kept.headers["content-disposition"] == f"attachment; filename*=UTF-8''{one.name}"
    other = hashlib.sha256(b"of another run").hexdigest()
    assert (await dana.get(f"/runs/one/files/{other}")).status_code == httpx.codes.NOT_FOUND
    async with inbox.visitor() as anonymous:
        answer = await anonymous.get(f"/runs/one/files/{files[0].sha256}")
        assert "Sign in" in answer.text


async def test_a_recipient_is_new_until_an_executed_run_has_used_it(
    database: Database, dana: httpx.AsyncClient
) -> None:
    put_run(database, "one", mail())
    put_executed_runs(database, range(4))
    assert (await page_of(dana, "/runs/one")).all(class_="marks") == []
    put_executed_runs(database, range(4, 5))
    assert (
        "no executed run that you may see has reached kim@example.org"
        in (await page_of(dana, "/runs/one")).one(class_="marks").text
    )
    done = mail(body="Hello there")
    put_run(database, "old", done, *executed(database, "old", done), requirement=Requirement())
    page = await page_of(dana, "/runs/one")
    assert page.all(class_="marks") == []
    (compared,) = page.all("details", class_="changed-since")
    assert "1 difference from the last executed plan of the same requester" in compared.one("summary").text
    assert '"Hello there"' in compared.text


async def test_a_plan_is_compared_with_the_last_one_by_the_same_requester_or_to_the_same_recipients(
    database: Database, dana: httpx.AsyncClient
) -> None:
    put_run(database, "one", mail("kim@example.org"))

    async def compared_with(name: str, to: str, requester: str) -> list[str]:
        done = mail(to)
        events = executed(database, name, done)
        put_run(database, name, done, *events, requirement=Requirement(), requester=requester)
        found = (await page_of(dana, "/runs/one")).all("details", class_="changed-since")
        return [one.one("summary").text for one in found]

    assert await compared_with("other-requester-other-recipients", "bo@example.org", "kim") == []
    (summary,) = await compared_with("other-requester-same-recipients", "kim@example.org", "kim")
    assert "0 differences" in summary
    assert "to the same recipients: other-requester-same-recipients" in summary
    (summary,) = await compared_with("same-requester", "bo@example.org", "rita")
    assert "of the same requester with the same tools: same-requester" in summary


async def test_marks_and_comparisons_reveal_nothing_about_hidden_runs(
    database: Database, dana: httpx.AsyncClient, inbox: Inbox
) -> None:
    put_people(database, PEOPLE + '\n[[person]]\nname = "otto"\n')
    put_run(database, "one", mail())
    done = mail()
    hidden = FINANCE.model_copy(update={"seen_by": (Viewers(name="private", roles=("audit",)),)})
    put_run(database, "private", done, *executed(database, "private", done), requirement=hidden)
    put_executed_runs(database, range(5))
    otto = await inbox.signed_in("otto")
    page = await page_of(otto, "/runs/one")
    assert "no executed run that you may see has reached kim@example.org" in page.text
    assert "private" not in page.text
    await otto.aclose()
    page = await page_of(dana, "/runs/one")
    assert "no executed run" not in page.text
    assert "private" in page.one("details", class_="changed-since").text


async def test_the_same_step_of_a_restricted_run_is_shown_to_people_who_may_see_it(
    database: Database, dana: httpx.AsyncClient, inbox: Inbox
) -> None:
    put_people(database, PEOPLE + '\n[[person]]\nname = "otto"\n')
    hidden, at = FINANCE.model_copy(update={"seen_by": (Viewers(name="private", roles=("audit",)),)}), now()
    put_run(database, "private", mail(), requirement=hidden, at=at)
    duplicate = Duplicate(step=1, tool="send_email", its_step=1, state="in_review", at=at)
    put_run(database, "one", mail(), duplicates=(duplicate,))
    alike = [MatchKey(step=1, tool="send_email", same=(), digest="ab" * 32)]
    with database.write() as connection:
        store_match_keys(connection, "private", alike, at, is_first=True, is_hidden=True)
        store_match_keys(connection, "one", alike, at, is_first=True, is_hidden=False)
    mark = (await page_of(dana, "/runs/one")).one("section", class_="marks").one("p")
    assert mark.one("a").attributes["href"] == "/runs/private"
    assert "That run is waiting for a decision." in mark.text
    otto = await inbox.signed_in("otto")
    page = await page_of(otto, "/runs/one")
    assert "a run that is not named here" in page.text
    assert "private" not in page.text
    await otto.aclose()


async def test_the_trail_and_how_to_verify_the_evidence_are_shown(
    database: Database, dana: httpx.AsyncClient
) -> None:
    put_run(database, "a/b c", mail())
    page = await page_of(dana, "/runs/a/b%20c/proof")
    assert "verify-bundle a-b-c.evidence.json" in page.text
    trail = await page_of(dana, "/runs/a/b%20c/trail")
    assert len(trail.one("ol", class_="trail").all("li")) == 2
    # A copy is recorded first, which needs the Temporal server.
    answer = await dana.get("/runs/a/b%20c/evidence")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE


async def test_a_hidden_run_is_in_no_list_and_has_no_page(
    database: Database, dana: httpx.AsyncClient, inbox: Inbox
) -> None:
    narrowed = FINANCE.model_copy(update={"seen_by": (Viewers(name="private", roles=("audit",)),)})
    put_run(database, "private", mail(), requester="rita", requirement=narrowed)
    put_run(database, "for everyone", mail(), requester="kim", requirement=FINANCE)
    put_people(database, PEOPLE + '\n[[person]]\nname = "otto"\n')
    otto = await inbox.signed_in("otto")
    assert links_in(await page_of(otto, "/open")) == ["/runs/for%20everyone"]
    assert [one.text for one in (await page_of(otto, "/")).all(class_="count")] == ["0", "1", "0"]
    for path in ("", "/trail", "/proof", "/evidence", f"/files/{64 * '0'}"):
        answer = await otto.get(f"/runs/private{path}")
        assert answer.status_code == httpx.codes.NOT_FOUND
    await otto.aclose()
    assert set(links_in(await page_of(dana, "/open"))) == {"/runs/for%20everyone", "/runs/private"}


async def test_lists_show_their_runs_and_can_be_searched(database: Database, dana: httpx.AsyncClient) -> None:
    put_run(database, "kims", mail("bo@example.org"), requester="kim", requirement=FINANCE)
    put_run(database, "danas", mail("cy@example.org"), requester="dana", requirement=FINANCE)
    done = plan(step("note", "Write a note", text="Grüße 100%"))
    put_run(database, "done", done, *executed(database, "done", done), requirement=Requirement())
    assert links_in(await page_of(dana, "/")) == ["/runs/kims"]
    assert set(links_in(await page_of(dana, "/open"))) == {"/runs/kims", "/runs/danas"}
    assert links_in(await page_of(dana, "/held")) == []
    assert links_in(await page_of(dana, "/done")) == ["/runs/done"]
    tomorrow, today = ((now() + timedelta(days=days)).date().isoformat() for days in (1, 0))
    for query, found in {
        "text=CY@example": ["/runs/danas"],
        "text=cy zoe": [],
        "text=%25": [],
        "text=_": [],
        "requester=DANA": ["/runs/danas"],
        "tool=send_email&text=bo@": ["/runs/kims"],
        "tool=note": [],
        "state=held": [],
        f"since={tomorrow}": [],
        f"before={today}&requester=kim": ["/runs/kims"],
        "since=yesterday&state=no-such&requester=kim": ["/runs/kims"],
    }.items():
        assert links_in(await page_of(dana, f"/open?{query}")) == found, query
    assert links_in(await page_of(dana, "/done?text=grüsse 100%25")) == ["/runs/done"]
    assert links_in(await page_of(dana, "/done?tool=note&state=executed")) == ["/runs/done"]


async def test_a_list_has_pages_and_its_counts_are_in_the_navigation(
    database: Database, dana: httpx.AsyncClient
) -> None:
    for number in range(103):
        at = now() + timedelta(minutes=number)
        put_run(database, f"run-{number:03}", mail(), deadline=at, requester="kim")
    page = await page_of(dana, "/?text=email")
    assert [one.text for one in page.all(class_="count")] == ["99+", "99+", "0"]
    seen = links_in(page)
    while page.all("a", rel="next"):
        page = await page_of(dana, page.one("a", rel="next").attributes["href"] or "")
        seen += links_in(page)
    assert seen == [f"/runs/run-{number:03}" for number in range(103)]


async def test_a_row_is_updated_with_its_run(database: Database, dana: httpx.AsyncClient) -> None:
    done = mail()
    assert links_in(await page_of(dana, "/open")) == []
    put_run(database, "one", done, requirement=Requirement())
    assert links_in(await page_of(dana, "/open")) == ["/runs/one"]
    append(database, "one", executed(database, "one", done))
    assert links_in(await page_of(dana, "/open")) == []
    assert links_in(await page_of(dana, "/done")) == ["/runs/one"]


async def test_without_javascript_times_are_in_utc(database: Database, dana: httpx.AsyncClient) -> None:
    put_run(database, "one", mail())
    time = (await page_of(dana, "/runs/one")).one("time")
    assert time.text.endswith(" UTC")
    assert time.attributes["datetime"]


async def test_the_pages_are_available_in_german(database: Database, dana: httpx.AsyncClient) -> None:
    put_run(database, "one", mail())
    dana.headers["accept-language"] = "de-DE,de;q=0.9,en;q=0.5"
    page = await page_of(dana, "/runs/one")
    assert page.one("html").attributes["lang"] == "de"
    assert [one.text for one in page.all("button", name="decision")][:2] == ["Genehmigen", "Ablehnen"]
    preview = page.one("section", class_="what").one("span", class_="text")
    assert (preview.text, preview.attributes["lang"]) == ("Email 1 recipient: kim@example.org", "en")
    assert "Der Temporal-Server antwortet nicht." in (await page_of(dana, "/runs/none", 503)).text


async def test_every_page_shows_current_counts(database: Database, dana: httpx.AsyncClient) -> None:
    done = mail()
    put_run(database, "one", done, requirement=Requirement())
    assert [one.text for one in (await page_of(dana, "/runs/one")).all(class_="count")] == ["0", "1", "0"]
    append(database, "one", executed(database, "one", done))
    assert [one.text for one in (await page_of(dana, "/runs/one")).all(class_="count")] == ["0", "0", "0"]


async def test_changes_can_be_requested_only_if_a_worker_may_draft_and_otherwise_the_page_says_why(
    database: Database, dana: httpx.AsyncClient
) -> None:
    put_run(database, "one", mail())
    facts = WorkerFacts(
        worker="w1", namespace="default", task_queue="plangate", policy="", people="", tools=""
    )
    shown = []
    for running in ((), (None,), (False,), (False, True), (False, None)):
        for number in range(2):
            with database.write() as connection:
                remove_worker(connection, f"w{number}")
                if number < len(running):
                    one = facts.model_copy(update={"worker": f"w{number}", "drafts": running[number]})
                    report_worker(connection, one)
        page = await page_of(dana, "/runs/one")
        buttons = [one.text for one in page.all("button", name="decision")]
        shown.append("Request changes" in buttons)
        assert ("no model is configured to redraft the plan" in page.text) is not shown[-1]
    assert shown == [True, True, False, True, True]
    form = {
        name: (page.all("input", name=name)[0].attributes["value"] or "") for name in ("form_token", "plan")
    }
    with database.write() as connection:
        remove_worker(connection, "w1")
    answer = await dana.post(
        "/runs/one/confirm", data={**form, "decision": "request_changes", "comment": "shorter"}
    )
    assert answer.status_code == httpx.codes.CONFLICT


async def test_a_passkey_that_was_removed_from_the_list_is_not_shown_as_proposed(
    database: Database, dana: httpx.AsyncClient, tmp_path: Path
) -> None:
    public = passkey("dana").public
    proposals = Proposals(WebDatabase.at(tmp_path / "web.db").engine)
    proposals.propose("dana", "phone", Registered(public=public, credential_id="one"), now())

    async def key() -> Element:
        return (await page_of(dana, "/me")).one("section", class_="step")

    assert (await key()).one("p", class_="state").text == "Proposed: not valid yet"
    assert (await key()).text.count("Thumbprint") == 1
    with_key = PEOPLE.replace('name = "dana"', f'name = "dana"\nkeys = [{{ public = "{public}" }}]')
    put_people(database, with_key)
    assert (await key()).one("p", class_="state").text == "Valid"
    put_people(database)
    assert (await key()).one("p", class_="state").text == "No longer in the list"
    assert [one.text for one in (await key()).all("button")] == ["Remove"]


@pytest.mark.parametrize(("requester", "is_asked"), [("rita", True), ("dana", False)])
async def test_only_people_who_may_approve_are_asked_to_add_a_passkey(
    database: Database, dana: httpx.AsyncClient, requester: str, is_asked: bool
) -> None:
    signed = FINANCE.model_copy(update={"assurance": Assurance.SIGNED})
    put_run(database, "one", mail(), requirement=signed, requester=requester)
    page = await page_of(dana, "/runs/one")
    assert ("The rules accept only signed decisions" in page.text) is is_asked
    assert "Reject" in [one.text for one in page.all("button")]


async def test_an_edit_leads_back_to_editing_and_a_withdrawal_before_any_step_says_that_no_step_runs(
    database: Database, dana: httpx.AsyncClient
) -> None:
    put_run(database, "one", mail(), requester="dana", request="")
    page = await page_of(dana, "/runs/one/withdraw")
    assert "You are ending this run. None of these steps will run:" in page.text
    facts = (await page_of(dana, "/runs/one")).one("dl", class_="facts")
    assert "No reason given" in facts.text
    browser = PlainBrowser(dana)
    await browser.open("/runs/one/edit")
    await browser.press("See the changes", s1_3="Hello again")
    page = read_html(browser.html)
    assert "Confirm: Replace the plan" in page.one("h1").text
    assert [one.text for one in page.one("p", class_="buttons").all("a")] == ["Back to editing"]
