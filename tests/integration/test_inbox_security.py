"""Attacks on the inbox, over a real server: none of them makes a decision, shows a run or leaks data."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import httpx
import pytest
import pytest_asyncio
from hypothesis import given, strategies
from hypothesis import settings as hypothesis_settings
from sqlalchemy import create_engine, text
from starlette.requests import Request

from plangate.domain.errors import RecordsUnavailable
from plangate.domain.runs.audit import ACCESS_TRAIL
from plangate.domain.runs.request import PlanRequest
from plangate.policy.policy_file import policy_in
from plangate.presentation.clock import now
from plangate.records.queries import trail_on_record
from plangate.web import attempts, visitors
from plangate.web import gate as web_gate
from plangate.web.attempts import AttemptKind, Attempts
from plangate.web.database import WebDatabase
from plangate.web.pages import signing_in
from plangate.web.visitors import address_of, own_path
from tests.support.drawn_pages import read_html
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.inbox import Inbox, open_inbox
from tests.support.logins import list_people
from tests.support.web_routes import routes as routes_of

API = "/api/v1/runs"
SEEN_BY_RITA = """
[[see]]
name = "salaries"
when = "plan.steps.exists(one, one.arguments.text.contains('salary'))"
who = ["requester"]
roles = ["auditors"]

[[rule]]
name = "notes"
when = "true"
needs = [{ role = "ops" }]
"""
PEOPLE = """
[[person]]
name = "rita"

[[person]]
name = "fred"

[[person]]
name = "erik"
roles = ["ops"]

[[person]]
name = "anna"
roles = ["auditors"]
"""
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)' x='",
    "</pre></code></textarea></title><svg onload=alert(1)>",
    "javascript:alert(1)",
    "{{ 7 * 7 }} {% raw %} ${7*7} #{7*7}",
    "<a href=//evil.example>x</a><base href=//evil.example><meta http-equiv=refresh content=0>",
    "<!--<style>*{display:none}</style><form action=//evil.example><input name=form_token>",
    "&lt;b&gt; &#60;i&#62; \\u003cscript\\u003e",
    "\u202egnp.exe \u200b\u2066x",
    "]]><![CDATA[<x>",
    "a" * 500 + "<script>alert(1)</script>\n" * 8,
)


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(gate: Gate) -> AsyncIterator[Inbox]:
    async with open_inbox(gate) as opened:
        yield opened


@asynccontextmanager
async def signed_in(inbox: Inbox, name: str) -> AsyncIterator[httpx.AsyncClient]:
    async with inbox.visitor() as visitor:
        await visitor.post("/sign-in", data={"name": name, "next": "/done"})
        assert visitor.cookies.get("plangate")
        yield visitor


async def form_token(visitor: httpx.AsyncClient) -> str:
    return (await visitor.get("/done")).text.partition('name="form_token" value="')[2].partition('"')[0]


def routes(folder: Path, gate: Gate) -> list[tuple[str, str]]:
    """Return each method and path of the application."""
    return routes_of(gate.settings.model_copy(update={"var_dir": folder}))


def at(path: str, workflow_id: str) -> str:
    return path.replace("{workflow_id:id}", quote(workflow_id, safe="")).replace("{workflow_id}", workflow_id)


async def test_a_form_is_accepted_only_with_the_token_of_its_session(
    gate: Gate, inbox: Inbox, tmp_path: Path
) -> None:
    status = await gate.in_review("water the plants")
    posts = [at(path, status.workflow_id) for method, path in routes(tmp_path, gate) if method == "POST"]
    # A person who signs in or was invited has no session yet; an invitation's secret replaces it.
    without = ("/api/", "/sign-in", "/invitation/")
    forms = [one for one in posts if not one.startswith(without)]
    assert len(forms) >= 3
    async with signed_in(inbox, "dana") as dana, signed_in(inbox, "erik") as erik:
        mine, of_another = await form_token(dana), await form_token(erik)
        fields = {"plan": status.fingerprint or "", "decision": "approve"}
        for path in forms:
            for token in ({}, {"form_token": ""}, {"form_token": of_another}, {"form_token": mine + "x"}):
                answer = await dana.post(path, data={**fields, **token})
                assert answer.status_code == httpx.codes.FORBIDDEN, path
        for path in [*posts, f"{API}/{status.workflow_id}/decisions"]:
            for elsewhere in (
                {"Origin": "https://evil.example"},
                {"Origin": "null"},
                {"Origin": inbox.url.replace("http", "https")},
                {"Sec-Fetch-Site": "cross-site"},
                {"Sec-Fetch-Site": "same-site"},
            ):
                answer = await dana.post(path, data={**fields, "form_token": mine}, headers=elsewhere)
                assert answer.status_code == httpx.codes.FORBIDDEN, (path, elsewhere)
        assert (await gate.api.status(status.workflow_id)).decisions == ()
        assert (await dana.get("/done")).url.path == "/done"  # dana is still signed in


async def test_a_get_changes_nothing_and_every_response_has_security_headers(
    gate: Gate, inbox: Inbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_gate, "_NOT_FOUND_STEP", 0.001)
    status = await gate.in_review("water the plants")
    gets = [path for method, path in routes(tmp_path, gate) if method == "GET"]
    assert len(gets) > 12
    await gate.api.submit(_request("x"), "to-be-read")
    await gate.until("in_review", "to-be-read")
    before = _written(gate)
    async with inbox.visitor() as anonymous, signed_in(inbox, "dana") as dana:
        sessions = _rows(gate.settings.var_dir / "web.db", "sessions")
        for path in [*gets, "/static/style.css", "/nosuch", "/static/nosuch"]:
            if path.endswith(("/changes", "/evidence")):
                continue  # a stream; an export is recorded deliberately
            for visitor in (anonymous, dana):
                for query in ("", "?decision=approve&plan=" + (status.fingerprint or "")):
                    answer = await visitor.get(at(path, status.workflow_id) + query, follow_redirects=False)
                    assert answer.status_code < 500, path
                    _check_headers(answer)
        assert _rows(gate.settings.var_dir / "web.db", "sessions") == sessions
    assert _written(gate) == before
    assert (await gate.api.status(status.workflow_id)).decisions == ()


def _check_headers(answer: httpx.Response) -> None:
    headers = answer.headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    if not answer.url.path.startswith("/static/"):
        assert headers["cache-control"] == "no-store"
    assert "server" not in headers
    assert "Traceback" not in answer.text
    assert "access-control-allow-origin" not in headers


def _written(gate: Gate) -> int:
    with gate.database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM audit_entries")).scalar_one())


def _rows(path: Path, table: str) -> int:
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        count = int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
    engine.dispose()
    return count


def _request(words: str, plan: object = None, requester: str = "rita") -> PlanRequest:
    return PlanRequest(requester=requester, request=words, plan=plan or notes("water the plants"))


async def test_a_hidden_run_is_reported_as_not_found(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy = policy_in(SEEN_BY_RITA)
    list_people(gate, PEOPLE)
    async with gate.worker(), open_inbox(gate) as inbox:
        secret = await gate.in_review("the salary of erik")
        async with signed_in(inbox, "fred") as fred, signed_in(inbox, "rita") as rita:
            for path in (f"/runs/{secret.workflow_id}", f"{API}/{secret.workflow_id}"):
                mine, missing = await fred.get(path), await fred.get(path.replace("plan-", "nosuch-"))
                assert (mine.status_code, missing.status_code) == (404, 404)
                assert mine.text.replace(secret.workflow_id, "X") == missing.text.replace(
                    secret.workflow_id.replace("plan-", "nosuch-"), "X"
                )
                assert (await rita.get(path)).status_code == 200
            decision = {"decision": "reject", "plan": secret.fingerprint}
            for answer in (
                await fred.post(f"{API}/{secret.workflow_id}/decisions", json=decision),
                await fred.get(f"{API}/{secret.workflow_id}/evidence"),
                await fred.post(
                    f"/runs/{secret.workflow_id}/decide",
                    data={**decision, "form_token": await form_token(fred)},
                ),
            ):
                assert answer.status_code == 404
            for path in ("/", "/open", "/held", "/done", f"{API}?list=open", "/api/v1/tools"):
                assert secret.workflow_id not in (await fred.get(path)).text
                assert "salary" not in (await fred.get(path)).text
            assert secret.workflow_id in (await rita.get("/open")).text
        async with signed_in(inbox, "anna") as auditor:
            await auditor.get(f"/runs/{secret.workflow_id}")
            await auditor.get(f"/runs/{secret.workflow_id}")
        accesses = trail_on_record(gate.database, ACCESS_TRAIL)
        assert [(one.actor, one.event.look.subject) for one in accesses] == [  # type: ignore[union-attr]
            ("anna", secret.workflow_id)
        ]
    gate.database.close()


async def test_only_configured_host_headers_are_accepted(inbox: Inbox) -> None:
    async with inbox.visitor() as visitor:
        for host in ("evil.example", "localhost", "localhost:1", "127.0.0.1", "localhost.evil.example"):
            answer = await visitor.get("/sign-in", headers={"Host": host}, follow_redirects=False)
            assert answer.status_code == httpx.codes.MISDIRECTED_REQUEST
            assert host not in answer.headers.get("location", "")


async def test_a_typed_name_is_accepted_only_on_this_machine(inbox: Inbox) -> None:
    async with inbox.visitor() as visitor:
        for name in ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP"):
            answer = await visitor.post("/sign-in", data={"name": "dana"}, headers={name: "127.0.0.1"})
            assert answer.status_code == httpx.codes.FORBIDDEN
    async with signed_in(inbox, "dana") as dana:  # through a proxy, its session is not accepted either
        answer = await dana.get("/done", headers={"X-Forwarded-For": "10.0.0.1"})
        assert answer.url.path == "/sign-in"


@given(strategies.text(max_size=30) | strategies.from_regex(r"[/\\]{1,3}[a-z.:@?#\\/\t]{0,12}"))
def test_no_link_leads_to_another_site(path: str) -> None:
    here = httpx.URL("http://localhost:8088/sign-in")
    target = own_path(path)
    assert here.join(target).host == "localhost"
    assert target.isprintable()


async def test_sign_in_redirects_only_to_this_site_and_cannot_inject_headers(inbox: Inbox) -> None:
    for wanted in ("//evil.example", "https://evil.example", "/\\evil.example", "/x\r\nSet-Cookie: a=b", "x"):
        async with inbox.visitor() as visitor:
            answer = await visitor.post(
                "/sign-in", data={"name": "dana", "next": wanted}, follow_redirects=False
            )
            assert answer.headers["location"] == "/"
            assert len(answer.headers.get_list("set-cookie")) == 1


async def test_a_form_sent_after_the_session_ended_says_that_nothing_was_sent(inbox: Inbox) -> None:
    page = f"{inbox.url}/runs/one%2Ftwo?x=1"
    senders = {page: "/runs/one%2Ftwo?x=1", "": "/", f"{inbox.url}//evil.example/": "/"}
    senders |= dict.fromkeys(("https://evil.example/", f"{inbox.url}.evil.example/x", f"{inbox.url}0/"), "/")
    for sender, leads_to in senders.items():
        async with inbox.visitor() as visitor:
            shown = await visitor.post("/runs/one/confirm", headers={"Referer": sender} if sender else {})
            assert "You were signed out, so nothing was sent." in shown.text
            (again,) = {one.attributes["value"] for one in read_html(shown.text).all("input", name="next")}
            assert again == leads_to, sender
            assert "nothing was sent" not in (await visitor.get("/")).text


@pytest.mark.parametrize(
    "comment", ["why not", "\nfirst\r\n\n last ", "</textarea><script>alert(1)</script>&amp;"]
)
@pytest.mark.parametrize("path", ["confirm", "withdraw", "resolve", "edit"])
async def test_a_comment_sent_after_the_session_ended_can_be_copied(
    inbox: Inbox, path: str, comment: str
) -> None:
    headers = {"Referer": f"{inbox.url}/runs/one"}
    async with inbox.visitor() as visitor:
        shown = await visitor.post(f"/runs/one/{path}", headers=headers, data={"comment": comment})
        assert shown.status_code == httpx.codes.UNAUTHORIZED
        page = read_html(shown.text)
        assert page.one("textarea").text == comment.replace("\r\n", "\n")
        assert "You were signed out, so nothing was sent." in shown.text
        assert {one.attributes["value"] for one in page.all("input", name="next")} == {"/runs/one"}
        assert comment not in (await visitor.get("/sign-in")).text


@pytest.mark.parametrize(
    "body", [b"", b"comment", b"comment=%ff%00", b"--x\r\n", b"comment=" + b"a" * 8_000_000]
)
@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "a/b"]
)
async def test_an_unreadable_form_sent_after_the_session_ended_leads_to_the_sign_in_page(
    inbox: Inbox, kind: str, body: bytes
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield body

    async with inbox.visitor() as visitor:
        shown = await visitor.post("/runs/one/confirm", headers={"Content-Type": kind}, content=parts())
    assert shown.status_code in (httpx.codes.OK, httpx.codes.UNAUTHORIZED)
    assert "You were signed out, so nothing was sent." in shown.text


async def test_a_guessed_session_is_rejected_and_guessing_is_rate_limited(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(attempts.MOST, AttemptKind.TOKEN, 12)
    async with signed_in(inbox, "dana") as dana:
        token = dana.cookies["plangate"]
        assert len(token) >= 43  # 256 random bits
        async with inbox.visitor() as guesser:
            for number in range(AttemptKind.TOKEN.most):
                guess = token[:-1] + ("A" if token[-1] != "A" else "B") if number == 0 else f"{number:043}"
                answer = await guesser.get(API, headers={"Cookie": f"plangate={guess}"})
                assert answer.status_code == httpx.codes.UNAUTHORIZED
            slowed = await guesser.get(API, headers={"Cookie": "plangate=x"})
            assert slowed.status_code == httpx.codes.TOO_MANY_REQUESTS
            assert int(slowed.headers["retry-after"]) > 0
        assert (await dana.get(API, params={"list": "done"})).status_code == httpx.codes.OK


def _address(peer: str, forwarded: str, proxies: frozenset[str]) -> str:
    web = object.__new__(visitors.Web)
    object.__setattr__(web, "proxies", proxies)
    scope = {
        "type": "http",
        "client": (peer, 1),
        "headers": [(b"x-forwarded-for", forwarded.encode())],
        "app": SimpleNamespace(state=SimpleNamespace(web=web)),
    }
    return address_of(Request(scope))


@given(strategies.lists(strategies.ip_addresses(v=4).map(str), max_size=4))
def test_a_sender_cannot_choose_the_address_that_is_rate_limited(claimed: list[str]) -> None:
    proxies = frozenset({"10.0.0.1", "10.0.0.2"})
    header = ", ".join(claimed)
    assert _address("192.0.2.7", header, proxies) == "192.0.2.7"
    through_one = ", ".join([*claimed, "192.0.2.7"])
    assert _address("10.0.0.1", through_one, proxies) == "192.0.2.7"
    assert _address("10.0.0.2", f"{through_one}, 10.0.0.1", proxies) == "192.0.2.7"
    assert _address("2001:db8:1:2::7", header, proxies) == _address("2001:db8:1:2:9::1", header, proxies)


async def test_failed_sign_ins_are_rate_limited_by_address_and_by_name(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_people(idle_gate)
    async with open_inbox(idle_gate) as inbox, inbox.visitor() as visitor:
        for _ in range(AttemptKind.NAME.most):
            assert (await visitor.post("/sign-in", data={"name": "mallory"})).status_code == 422
        waits = await visitor.post("/sign-in", data={"name": "mallory"})
        assert waits.status_code == httpx.codes.TOO_MANY_REQUESTS
        assert "Wait 10 minutes, then try again." in waits.text
        assert (await visitor.post("/sign-in", data={"name": "dana", "next": "/done"})).status_code == 200
        later = now() + timedelta(minutes=11)
        monkeypatch.setattr(signing_in, "now", lambda: later)
        assert (await visitor.post("/sign-in", data={"name": "mallory"})).status_code == 422
    idle_gate.database.close()


@hypothesis_settings(max_examples=20)
@given(
    strategies.lists(
        strategies.tuples(strategies.integers(0, 900), strategies.sampled_from("ab")), max_size=80
    )
)
def test_no_address_exceeds_the_limit_of_failures_in_the_window(
    tmp_path_factory: pytest.TempPathFactory, tries: list[tuple[int, str]]
) -> None:
    database = WebDatabase.at(tmp_path_factory.mktemp("web") / "web.db")
    counting, began = Attempts(database), now()
    admitted: dict[str, list[int]] = {"a": [], "b": []}
    for second, address in sorted(tries):
        at_that_time = began + timedelta(seconds=second)
        counted = [(AttemptKind.NAME, address)]
        if counting.wait(counted, at_that_time) is None:
            counting.note(counted, at_that_time)
            admitted[address].append(second)
    for seconds in admitted.values():
        for one in seconds:
            assert sum(one - 600 < other <= one for other in seconds) <= AttemptKind.NAME.most
    database.close()


ACTIVE_TAGS = (
    "script", "img", "svg", "base", "style", "iframe", "object", "embed", "meta", "link", "form", "input",
    "button", "textarea",
)  # fmt: skip


class Skeleton(HTMLParser):
    """The tags of a page with the names of their attributes, and its URLs, without any text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, ...]] = []
        self.addresses: list[str] = []
        self.feed(page)

    @property
    def active_tags(self) -> Counter[str]:
        """The tags that run or load something, except the marks and notes of a text."""
        return Counter(tag[0] for tag in self.tags if tag[0] in ACTIVE_TAGS)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, *(name for name, _ in attrs)))
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]


async def test_no_text_from_users_becomes_markup(gate: Gate, inbox: Inbox) -> None:
    async with signed_in(inbox, "dana") as dana:
        for number, words in enumerate(HOSTILE):
            pages = []
            for kind, value in (("plain", _plain(words)), ("hostile", words)):
                workflow_id = f"{kind}-{number}"
                plan = {
                    "summary": value,
                    "steps": [{"tool": "note", "arguments": {"text": value}, "reason": value}],
                }
                await gate.api.submit(_request(value, plan, requester=_name(value)), workflow_id)
                status = await gate.until("in_review", workflow_id)
                await gate.decide(status, "reject", by="erik", comment=value)
                pages.append((await dana.get(f"/runs/{workflow_id}")).text)
            plain, hostile = Skeleton(pages[0]), Skeleton(pages[1])
            assert hostile.active_tags == plain.active_tags, words
            assert not [name for tag in hostile.tags for name in tag[1:] if name.startswith("on")], words
            assert all(one.startswith(("/", "#")) and not one.startswith("//") for one in hostile.addresses)
            if not words.startswith("\u202e"):
                assert words.split("\n")[0] in _texts(pages[1])
            assert not set("\u202e\u200b\u2066") & set(pages[1])
        listed = Skeleton((await dana.get("/open")).text)
        assert {tag[0] for tag in listed.tags}.isdisjoint({"img", "svg", "base", "style", "iframe"})


def _name(words: str) -> str:
    """Return the beginning of a text as a name, which cannot contain hidden characters."""
    return "".join(char for char in words[:100] if char.isprintable()).strip()


def _plain(words: str) -> str:
    """Return a harmless text of the same shape."""
    return "".join(char if char == "\n" else "x" for char in words)


def _texts(page: str) -> str:
    class Texts(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.found: list[str] = []

        def handle_data(self, data: str) -> None:
            self.found.append(data)

    parser = Texts()
    parser.feed(page)
    return "".join(parser.found)


async def test_text_from_a_url_is_shown_as_text(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_gate, "_NOT_FOUND_STEP", 0.001)
    async with signed_in(inbox, "dana") as dana, inbox.visitor() as anonymous:
        for words in HOSTILE:
            for path in (f"/runs/{quote(words[:150], safe='')}", f"/{quote(words[:150], safe='')}"):
                page = await dana.get(path)
                assert page.status_code == 404
                found = Skeleton(page.text)
                assert found.active_tags["img"] + found.active_tags["svg"] + found.active_tags["base"] == 0
                assert all("src" in tag for tag in found.tags if tag[0] == "script")
            page = await anonymous.get("/sign-in", params={"next": words})
            fields = Skeleton(page.text)
            assert all(one.startswith("/") for one in fields.addresses if one != "#content")


async def test_internal_errors_reveal_no_details(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> object:
        raise RuntimeError("secret inside")

    async with signed_in(inbox, "dana") as dana:
        monkeypatch.setattr(web_gate.Gate, "rights", fails)
        for path in ("/", f"{API}"):
            answer = await dana.get(path)
            assert answer.status_code == 500
            assert "secret" not in answer.text
            assert "RuntimeError" not in answer.text
            _check_headers(answer)


async def test_only_a_session_learns_why_the_records_are_unavailable(gate: Gate, inbox: Inbox) -> None:
    """The reason names a file, or the host, port and user of a database."""
    list_people(gate)
    async with signed_in(inbox, "dana") as dana, inbox.visitor() as stranger:
        records = gate.settings.var_dir / "records.db"
        records.rename(records.with_suffix(".away"))
        try:
            answers = [
                await stranger.get("/sign-in"),
                await stranger.post("/sign-in", data={"name": "dana"}),
                await stranger.get(API),
            ]
            assert str(records) in (await dana.get("/")).text
        finally:
            records.with_suffix(".away").rename(records)
        for answer in answers:
            assert str(records.parent) not in answer.text
        assert "does not work at the moment" in "".join(one.text for one in answers)


def test_a_public_address_sets_secure_cookies() -> None:
    from plangate.web.public_address import WebAddress  # noqa: PLC0415

    secure = object.__new__(visitors.Web)
    object.__setattr__(secure, "place", WebAddress("127.0.0.1", 1, "https://x.example"))
    assert secure.cookie.startswith("__Host-")
    assert secure.login_cookie.startswith("__Host-")


def test_the_inbox_cannot_write_to_the_records(idle_gate: Gate) -> None:
    inbox_records = web_gate.Gate.from_settings(idle_gate.settings).database
    assert inbox_records.installation == idle_gate.database.installation
    with pytest.raises(RecordsUnavailable), inbox_records.write() as connection:
        connection.execute(text("DELETE FROM runs"))
    inbox_records.close()
    idle_gate.database.close()


async def test_many_waiting_requests_do_not_block_others(gate: Gate, inbox: Inbox) -> None:
    status = await gate.in_review("water the plants")
    async with signed_in(inbox, "dana") as dana:
        url = f"{API}/{status.workflow_id}"
        waiting = [asyncio.create_task(dana.get(url, params={"wait": 2})) for _ in range(8)]
        assert (await dana.get("/healthz")).status_code == 200
        answers = await asyncio.gather(*waiting)
        assert {one.status_code for one in answers} == {200}


@pytest.mark.parametrize("origin", ["http://[", "null", "://", "http://evil.example", "http://localhost:x"])
async def test_an_invalid_origin_is_refused_like_another_site(inbox: Inbox, origin: str) -> None:
    async with inbox.visitor() as visitor:
        for path in ("/sign-in", API):
            answer = await visitor.post(path, data={"name": "dana"}, headers={"Origin": origin})
            assert answer.status_code == httpx.codes.FORBIDDEN
            assert "content-security-policy" in answer.headers


@pytest.mark.parametrize(
    "path",
    ["/done?before=9999-12-31", "/?since=0001-01-01&before=9999-12-31", f"/runs/{'x' * 4_000}/link.svg"],
)
async def test_a_page_handles_any_url(inbox: Inbox, path: str) -> None:
    async with signed_in(inbox, "dana") as dana:
        assert (await dana.get(path)).status_code in (httpx.codes.OK, httpx.codes.NOT_FOUND)


@pytest.mark.parametrize("value", ['"\\ud800"', "NaN", "1e400", "123456789012345678901234567890"])
async def test_a_plan_that_json_cannot_represent_is_refused(inbox: Inbox, value: str) -> None:
    body = f'{{"plan": {{"summary": "x", "steps": [], "more": [{value}]}}}}'
    async with signed_in(inbox, "dana") as dana:
        answer = await dana.post(API, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY
        assert answer.headers["content-type"] == "application/problem+json"
