"""Create requests about keys at a terminal: show, confirm, sign and send them."""

import secrets
import shlex

from plangate.cli.console import Console
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.keyboard import Keyboard
from plangate.cli.stop_requests import show_verdict
from plangate.domain.decisions.key_requests import KeyAction
from plangate.domain.errors import NotAnswered
from plangate.domain.escaping import one_line
from plangate.domain.runs.stops import StopAnswer
from plangate.presentation.clock import now
from plangate.presentation.page import Page
from plangate.presentation.program_name import program
from plangate.signing.enrolment import enrolment_claims, signed_key_request
from plangate.signing.public_keys import checked_key, thumbprint_of


async def confirm(here: Console, name: str, key: str, *, by: str, thumbprint: str | None) -> int:
    """Compare the thumbprint of a person's key, and send the request to confirm the key."""
    try:
        found = thumbprint_of(checked_key(key))
    except ValueError as error:
        raise WrongUsage(f"The key {error}.") from None
    if thumbprint is not None and thumbprint != found:
        raise WrongUsage(
            f"The thumbprint of this key is {found}, not {one_line(thumbprint)}: it is another key. "
            "Do not confirm it; find out who changed it."
        )
    if thumbprint is None and not await _is_same(here, name, found):
        return Exit.FAILED
    return await _send(here, KeyAction.CONFIRM, name, key, by)


async def revoke(here: Console, name: str, thumbprint: str, *, by: str) -> int:
    """Send the request to revoke a person's key."""
    return await _send(here, KeyAction.REVOKE, name, thumbprint, by)


async def _send(here: Console, action: KeyAction, name: str, key: str, by: str) -> int:
    signer = here.keys.key_of(by)
    if signer is None:
        make_one = f"{program()} keys new {shlex.quote(by)}"
        raise WrongUsage(
            f"No key for {one_line(by)} is on this machine; sign where the key is, or make one: {make_one}"
        )
    async with here.connected() as session:
        audience = (await session.client.stops()).audience
        if audience is None:
            raise NotAnswered(
                "No worker is running to identify this installation, so nothing is signed; start one."
            )
        try:
            claims = enrolment_claims(
                action, name, key, by=by, audience=audience, at=now(), token_id=secrets.token_urlsafe(16)
            )
        except ValueError:
            raise WrongUsage("A thumbprint has 43 characters; `people check --json` shows it.") from None
        order = signed_key_request(claims, key, signer)
        return show_verdict(here, await session.client.request_key_change(order), StopAnswer())


async def _is_same(here: Console, name: str, thumbprint: str) -> bool:
    screen = here.screen
    if not screen.can_ask:
        raise WrongUsage(
            f"Ask {one_line(name)} for the thumbprint of their key over another channel, such as by "
            "phone; then pass it with --thumbprint TEXT."
        )
    shown = Page()
    shown.heading(f"A key for {name}")
    shown.copied("thumbprint", thumbprint)
    shown.note("Ask them for it over another channel, such as by phone: their own page shows it too.")
    screen.show_on_stderr(shown)
    keyboard = Keyboard(screen)
    keyboard.discard()
    is_same = await keyboard.confirmed("Did they read out the same thumbprint?")
    if not is_same:
        screen.say("Nothing was sent.")
    return is_same
