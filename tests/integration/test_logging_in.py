"""Logging in to the inbox with real providers: accepted and refused logins."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from http.cookiejar import Cookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr

from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.web import visitors
from plangate.web.pages import signing_in
from tests.support.gate import Gate
from tests.support.inbox import NO_TLS, Inbox, open_inbox
from tests.support.logins import (
    PEOPLE,
    SETTINGS,
    answer_next,
    begin_login,
    list_people,
    log_in,
    mock_provider,
    strict_provider,
)
from tests.support.oidc_provider import FAULTS

DANA: dict[str, Any] = {"sub": "1234", "email": "dana@example.org", "email_verified": True}


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with strict_provider() as address:
        yield address


@pytest.fixture(scope="module")
def mock() -> Iterator[str]:
    with mock_provider() as address:
        yield address


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(idle_gate: Gate, provider: str) -> AsyncIterator[Inbox]:
    list_people(idle_gate)
    async with open_inbox(idle_gate, oidc_issuer=provider, **SETTINGS) as opened:
        yield opened
    idle_gate.database.close()


def session_in(visitor: httpx.AsyncClient) -> str | None:
    return visitor.cookies.get("plangate")


async def form_token(visitor: httpx.AsyncClient) -> str:
    page = (await visitor.get("/")).text
    return page.partition('name="form_token" value="')[2].partition('"')[0]


async def approve(visitor: httpx.AsyncClient, status: Status) -> httpx.Response:
    """Approve a run and confirm it; return the page with the result."""
    run, token = f"/runs/{status.workflow_id}", await form_token(visitor)
    asked = await visitor.post(
        f"{run}/confirm", data={"form_token": token, "plan": status.fingerprint, "decision": "approve"}
    )
    (name,) = re.findall(r'name="confirmation" value="([^"]+)"', asked.text)
    return await visitor.post(f"{run}/decide", data={"form_token": token, "confirmation": name})


async def test_a_person_who_logged_in_decides_with_the_assurance_login(
    idle_gate: Gate, provider: str
) -> None:
    gate = idle_gate
    list_people(gate)
    async with gate.worker(), open_inbox(gate, oidc_issuer=provider, **SETTINGS) as inbox:
        status = await gate.in_review("water the plants")
        async with inbox.visitor() as dana:
            answer_next(provider, **DANA)
            page = await log_in(dana, f"/runs/{status.workflow_id}")
            assert page.url.path == f"/runs/{status.workflow_id}"
            assert "Signed in as dana" in page.text
            verdict = await approve(dana, status)
            assert "Accepted" in verdict.text
        done = await gate.until("executed", status.workflow_id)
    assert [(one.by, one.assurance) for one in done.decisions] == [("dana", "login")]


async def test_a_login_attested_by_an_unknown_inbox_is_refused(idle_gate: Gate, provider: str) -> None:
    gate = idle_gate
    list_people(gate, trusts_web=False)
    async with gate.worker(), open_inbox(gate, oidc_issuer=provider, **SETTINGS) as inbox:
        status = await gate.in_review("water the plants")
        async with inbox.visitor() as dana:
            answer_next(provider, **DANA)
            await log_in(dana)
            verdict = await approve(dana, status)
            assert "PLANGATE_WEB_KEYS" in verdict.text
        assert gate.notebook.texts() == []


async def test_an_unproven_answer_is_refused(inbox: Inbox, provider: str) -> None:
    for fault in FAULTS:
        answer_next(provider, fault, **({"sub": "1234"} if fault == "another person" else DANA))
        async with inbox.visitor() as visitor:
            page = await log_in(visitor)
            assert page.status_code == httpx.codes.FORBIDDEN, fault
            assert "The response from the login service could not be verified" in page.text, fault
            assert session_in(visitor) is None
    answer_next(provider, **DANA)
    async with inbox.visitor() as visitor:
        assert "Signed in as dana" in (await log_in(visitor)).text


UNKNOWN: tuple[tuple[dict[str, Any], str], ...] = (
    ({"email": "dana@example.org"}, "has not verified your email address"),
    ({"email": "dana@example.org", "email_verified": False}, "has not verified"),
    ({"email": "dana@example.org", "email_verified": "true"}, "has not verified"),
    ({"email": "nobody@example.org", "email_verified": True}, "not on the list of people"),
    ({"email": "fred@example.org", "email_verified": True}, "not on the list of people"),
    ({"email": "\uff44ana@example.org", "email_verified": True}, "not on the list of people"),
    ({"email": "both@example.org", "email_verified": True}, "Two people"),
    ({"email": ["dana@example.org"], "email_verified": True}, "did not send the name"),
    ({"email_verified": True}, "did not send the name"),
)


async def test_only_one_active_listed_person_with_a_verified_address_can_log_in(
    inbox: Inbox, provider: str
) -> None:
    for claims, words in UNKNOWN:
        answer_next(provider, sub="dana", **claims)
        async with inbox.visitor() as visitor:
            page = await log_in(visitor)
            assert page.status_code == httpx.codes.FORBIDDEN, claims
            assert words in page.text, claims
            assert session_in(visitor) is None


async def test_another_claim_must_equal_the_name_exactly(idle_gate: Gate, provider: str) -> None:
    list_people(idle_gate)
    async with open_inbox(idle_gate, oidc_issuer=provider, oidc_claim="login_name", **SETTINGS) as inbox:
        for claim, is_accepted in (("dana", True), ("Dana", False), ("dana ", False), ("\uff44ana", False)):
            answer_next(provider, sub="1", login_name=claim)
            async with inbox.visitor() as visitor:
                assert ("Signed in as dana" in (await log_in(visitor)).text) is is_accepted


async def test_without_a_list_of_people_no_login_is_accepted(idle_gate: Gate, provider: str) -> None:
    async with open_inbox(idle_gate, oidc_issuer=provider, **SETTINGS) as inbox, inbox.visitor() as visitor:
        answer_next(provider, **DANA)
        assert "No list of people is configured" in (await log_in(visitor)).text


async def test_an_answer_is_accepted_once_in_the_browser_that_started_the_login(
    inbox: Inbox, provider: str
) -> None:
    answer_next(provider, **DANA)
    async with inbox.visitor() as dana, inbox.visitor() as victim, httpx.AsyncClient(verify=NO_TLS) as wire:
        back = (await wire.get(await begin_login(dana))).headers["location"]
        stolen = await victim.get(back)  # login forged for another person's browser
        assert "expired or was started in another browser" in stolen.text
        assert session_in(victim) is None
        assert "Signed in as dana" in (await dana.get(back)).text
        assert "expired or was started" in (await dana.get(back)).text
        for query in ("", "?state=x", "?code=x", "?state=x&code=x", "?state=x&error=access_denied"):
            assert "expired or was started" in (await dana.get(f"/sign-in/return{query}")).text


async def test_a_slow_login_expires(inbox: Inbox, provider: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_next(provider, **DANA)
    async with inbox.visitor() as dana, httpx.AsyncClient(verify=NO_TLS) as wire:
        back = (await wire.get(await begin_login(dana))).headers["location"]
        monkeypatch.setattr(signing_in, "now", lambda: now() + timedelta(minutes=11))
        assert "expired" in (await dana.get(back)).text


async def test_a_refusal_by_the_provider_is_respected(inbox: Inbox) -> None:
    async with inbox.visitor() as dana:
        state = parse_qs(urlsplit(await begin_login(dana)).query)["state"][0]
        page = await dana.get(
            "/sign-in/return", params={"state": state, "error": "access_denied", "error_description": "<b>no"}
        )
        assert "refused your login" in page.text
        assert "<b>no" not in page.text


async def test_a_login_starts_a_new_session_and_ends_the_previous_one(inbox: Inbox, provider: str) -> None:
    async with inbox.visitor() as dana, inbox.visitor() as attacker:
        await attacker.post("/sign-in", data={"name": "rita", "next": "/"})
        planted = session_in(attacker)
        assert planted is not None
        dana.cookies.set("plangate", planted, domain="localhost.local")
        answer_next(provider, **DANA)
        assert "Signed in as dana" in (await log_in(dana)).text
        assert session_in(dana) not in (None, planted)
        assert (await attacker.get("/")).url.path == "/sign-in"  # the planted cookie no longer works


async def test_signing_out_ends_the_local_session_first(inbox: Inbox, provider: str) -> None:
    async with inbox.visitor() as dana:
        answer_next(provider, **DANA)
        await log_in(dana)
        kept = session_in(dana)
        page = await dana.post("/sign-out", data={"form_token": await form_token(dana)})
        assert f"{provider}/logout" in page.text
        assert session_in(dana) is None
        again = await dana.get("/", headers={"Cookie": f"plangate={kept}"})
        assert again.url.path == "/sign-in"


async def test_no_cookie_contains_a_secret_or_outlives_its_use(inbox: Inbox, provider: str) -> None:
    async with inbox.visitor() as dana:
        query_sent = parse_qs(urlsplit(await begin_login(dana)).query)
        assert query_sent["code_challenge_method"] == ["S256"]
        login_cookies = list(dana.cookies.jar)
        assert [one.name for one in login_cookies] == ["plangate-login"]
        assert all(query_sent[name][0] not in str(login_cookies) for name in ("nonce", "state"))
        answer_next(provider, **DANA)
        await log_in(dana)
        assert [one.name for one in dana.cookies.jar] == ["plangate"]
        assert all(_is_closed(one) for one in [*login_cookies, *dana.cookies.jar])


def _is_closed(cookie: Cookie) -> bool:
    return cookie.has_nonstandard_attr("HttpOnly") and cookie.get_nonstandard_attr("SameSite") == "lax"


async def test_an_unavailable_provider_is_reported_and_typed_names_still_work(idle_gate: Gate) -> None:
    async with open_inbox(idle_gate, oidc_issuer="http://127.0.0.1:9", **SETTINGS) as inbox:
        async with inbox.visitor() as visitor:
            page = await visitor.post("/sign-in/login", data={"next": "/"})
            assert page.status_code == httpx.codes.BAD_GATEWAY
            assert "is not responding correctly" in page.text
        async with inbox.visitor() as visitor:
            await visitor.post("/sign-in", data={"name": "dana", "next": "/done"})
            assert session_in(visitor) is not None


async def test_another_issuer_in_the_metadata_is_refused(idle_gate: Gate, provider: str) -> None:
    elsewhere = provider.replace("127.0.0.1", "localhost")
    async with open_inbox(idle_gate, oidc_issuer=elsewhere, **SETTINGS) as inbox, inbox.visitor() as visitor:
        assert (await visitor.post("/sign-in/login")).status_code == httpx.codes.BAD_GATEWAY


async def test_a_person_removed_from_the_list_loses_access(idle_gate: Gate, provider: str) -> None:
    list_people(idle_gate)
    async with open_inbox(idle_gate, oidc_issuer=provider, **SETTINGS) as inbox, inbox.visitor() as dana:
        answer_next(provider, **DANA)
        await log_in(dana)
        list_people(idle_gate, PEOPLE.replace('name = "dana"', 'name = "dana"\nactive = false'))
        assert (await dana.get("/open")).url.path == "/sign-in"


async def test_a_session_ends_after_a_day_or_when_idle(
    inbox: Inbox, provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = now()
    async with inbox.visitor() as dana:
        answer_next(provider, **DANA)
        await log_in(dana)
        for hours in (7, 14, 21):
            monkeypatch.setattr(visitors, "now", lambda hours=hours: began + timedelta(hours=hours))
            assert (await dana.get("/done")).url.path == "/done"
        monkeypatch.setattr(visitors, "now", lambda: began + timedelta(hours=25))
        assert (await dana.get("/")).url.path == "/sign-in"
        monkeypatch.setattr(visitors, "now", lambda: began + timedelta(hours=29, minutes=1))
        assert (await dana.get("/")).url.path == "/sign-in"


async def test_a_third_party_provider_works(idle_gate: Gate, mock: str) -> None:
    list_people(idle_gate)
    async with httpx.AsyncClient(verify=NO_TLS) as operator:
        await operator.put(f"{mock}/users/1234", json=DANA)
    secret: dict[str, Any] = {"oidc_client_secret": SecretStr("a secret")}
    async with open_inbox(idle_gate, oidc_issuer=mock, **SETTINGS, **secret) as inbox:
        async with inbox.visitor() as dana:
            page = await dana.post(await begin_login(dana), data={"sub": "1234"})
            assert "Signed in as dana" in page.text
        async with inbox.visitor() as dana:
            page = await dana.post(await begin_login(dana), data={"action": "deny"})
            assert "refused your login" in page.text
