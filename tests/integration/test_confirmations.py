"""Confirmations on the pages: only in their own session, in time, and unchanged when signed by a passkey."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from sqlalchemy import create_engine, text

from plangate.domain.people.assurance import Assurance
from plangate.domain.runs.status import Status
from tests.support.authenticator import PRESENT, passkey
from tests.support.gate import Gate
from tests.support.plain_browser import PlainBrowser
from tests.support.signing_inbox import SigningInbox, credential_for, signing_inbox

DANA = passkey("dana")


@pytest_asyncio.fixture(loop_scope="session")
async def inbox(idle_gate: Gate, tmp_path: Path) -> AsyncIterator[SigningInbox]:
    async with signing_inbox(idle_gate, tmp_path, DANA.public) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def dana(inbox: SigningInbox) -> AsyncIterator[PlainBrowser]:
    async with aclosing(await inbox.inbox.signed_in("dana")) as visitor:
        yield PlainBrowser(visitor)


async def asked(inbox: SigningInbox, browser: PlainBrowser, button: str = "Approve") -> Status:
    """Go to the page of a confirmation."""
    status = await inbox.gate.in_review("water the plants")
    await browser.open(f"/runs/{status.workflow_id}")
    await browser.press(button)
    return status


async def test_a_signed_confirmation_is_accepted_and_the_passkey_is_on_the_trail(
    inbox: SigningInbox, dana: PlainBrowser
) -> None:
    status = await asked(inbox, dana)
    await dana.press("Approve", credential=credential_for(dana.html, DANA, inbox.inbox.url))
    assert "<h1>Accepted</h1>" in dana.html
    after = await inbox.gate.until("executed", status.workflow_id)
    assert after.decisions[0].assurance is Assurance.SIGNED
    assert after.decisions[0].origin == inbox.inbox.url


FORGED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"key": passkey("mallory")}, "not signed by a passkey of dana"),
    ({"origin": "https://evil.example"}, "its passkey was used at https://evil.example"),
    ({"rp_id": "evil.example"}, "not belong to the RP id"),
    ({"flags": PRESENT}, "did not verify the person"),
    ({"kind": "webauthn.create"}, "something other than a signature"),
)


async def test_the_worker_refuses_what_a_page_could_forge(inbox: SigningInbox, dana: PlainBrowser) -> None:
    status = await asked(inbox, dana)
    for forged, why in FORGED:
        await dana.open(f"/runs/{status.workflow_id}")
        await dana.press("Approve")
        made = {"key": DANA, "origin": inbox.inbox.url, **forged}
        await dana.press("Approve", credential=credential_for(dana.html, **made))
        assert "<h1>Refused</h1>" in dana.html
        assert why in dana.html
    assert (await inbox.gate.api.status(status.workflow_id)).approved_by == ()


async def test_a_signature_for_one_confirmation_is_refused_for_another(
    inbox: SigningInbox, dana: PlainBrowser
) -> None:
    await asked(inbox, dana, "Reject")
    of_another = credential_for(dana.html, DANA, inbox.inbox.url)
    await asked(inbox, dana)
    await dana.press("Approve", credential=of_another)
    assert "signed a challenge that does not match" in dana.html


async def test_without_a_signature_nothing_is_sent_and_the_page_asks_again(
    inbox: SigningInbox, dana: PlainBrowser
) -> None:
    status = await asked(inbox, dana)
    for credential in ("", "{}", '{"id": 7}', "[" * 10_000):
        await dana.press("Approve", credential=credential)
        assert "no passkey signed it" in dana.html
    assert (await inbox.gate.api.status(status.workflow_id)).decisions == ()


async def test_a_confirmation_expires_after_five_minutes(inbox: SigningInbox, dana: PlainBrowser) -> None:
    status = await asked(inbox, dana)
    engine = create_engine(f"sqlite:///{inbox.gate.settings.var_dir / 'web.db'}")
    with engine.begin() as connection:
        connection.execute(text("UPDATE confirmations SET made_at = made_at - 301"))
    engine.dispose()
    address, asks = dana.path, dana.html
    await dana.open(address)
    assert "within five minutes, so nothing was sent" in dana.html
    dana.html = asks
    await dana.press("Approve", credential=credential_for(dana.html, DANA, inbox.inbox.url))
    assert "within five minutes, so nothing was sent" in dana.html
    assert (await inbox.gate.api.status(status.workflow_id)).decisions == ()


async def test_a_confirmation_is_available_only_to_its_session_and_person(
    inbox: SigningInbox, dana: PlainBrowser
) -> None:
    status = await asked(inbox, dana)
    form, address = dana.form("confirmation"), dana.path
    (name,) = re.findall(r'name="confirmation" value="([^"]+)"', dana.html)
    credential = credential_for(dana.html, DANA, inbox.inbox.url)
    for person in ("dana", "rita"):
        async with aclosing(await inbox.inbox.signed_in(person)) as visitor:
            other = PlainBrowser(visitor)
            await other.open(f"/runs/{status.workflow_id}")
            assert name in address
            assert name not in (await visitor.get(address)).text
            token = dict(other.form("form_token").fields)["form_token"]
            fields = {"form_token": token, "confirmation": name, "credential": credential}
            answer = await other.send(form.action, "post", list(fields.items()))
            assert answer.status_code == httpx.codes.CONFLICT
    assert (await inbox.gate.api.status(status.workflow_id)).decisions == ()
    await dana.press("Approve", credential=credential)
    assert "<h1>Accepted</h1>" in dana.html
    async with aclosing(await inbox.inbox.signed_in("rita")) as visitor:
        assert (await visitor.get(dana.path)).status_code == httpx.codes.NOT_FOUND
