"""The fault matrix of notices: faults of mail servers and chat services, and the required results."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from pydantic import SecretStr

from plangate.notifications.channels import Channels
from plangate.notifications.notice import Attempted, Delivery, NoticeKind, Sending
from plangate.notifications.timeouts import TIMEOUTS, Timeouts
from plangate.settings import Settings
from tests.support.faulty_server import Answer, Cut, Dropped, Fault, Says, Slow, too_many
from tests.support.notice_services import SECRETS, Running
from tests.support.notice_texts import INBOX, NOW, notice_with

SHORT: Final = Timeouts(envelope=0.4, reply=0.4, wait=0.4, whole=1.0)
MISLEADING: Final = '(404) error=410, RemoteDisconnected "retry_after": 9 "error": "token_revoked"'
"""Names of people that a log parser must not take for a response."""
RECIPIENT: Final = "dana@example.org"
_SENT, _LATER, _REFUSED = Delivery.SENT, Delivery.LATER, Delivery.REFUSED


@dataclass(frozen=True)
class Expected:
    """A fault's required result: its class, words in the reason, whether in doubt, and when to retry."""

    delivery: Delivery
    says: str = ""
    is_in_doubt: bool = False
    after: timedelta | None = None


@dataclass(frozen=True)
class MailFault:
    """A mail server's response at one stage: a reply, None to disconnect, or "" for no response."""

    stage: str
    reply: str | None
    expected: Expected


MAIL_FAULTS: Final[Mapping[str, MailFault]] = {
    "accepted": MailFault("", None, Expected(_SENT)),
    "no such mailbox": MailFault(
        "RCPT", "550 5.1.1 unknown", Expected(_REFUSED, "there is no such mailbox (550")
    ),
    "bounced without a class": MailFault(
        "RCPT", "550 no", Expected(_REFUSED, "there is no such mailbox, or")
    ),
    "mailbox full": MailFault("RCPT", "552 5.2.2 full", Expected(_REFUSED, "the mailbox is full")),
    "greylisted": MailFault("RCPT", "451 4.7.1 try again in 300 seconds", Expected(_LATER, "451")),
    "mailbox busy": MailFault("RCPT", "450 4.2.1 busy", Expected(_LATER, "450")),
    "content refused": MailFault(".", "554 5.7.1 spam", Expected(_REFUSED, "refuses this mail: ")),
    "content too long": MailFault(".", "552 5.2.3 too long", Expected(_REFUSED, "too long")),
    "out of storage": MailFault(".", "452 4.3.1 out of storage", Expected(_LATER, "452")),
    "sender refused": MailFault("MAIL", "550 5.7.1 not you", Expected(_LATER, "550")),
    "sender deferred": MailFault("MAIL", "421 4.3.2 closing", Expected(_LATER, "421")),
    "client blocked": MailFault("greeting", "554 5.7.1 blocked", Expected(_LATER, "554")),
    "too busy": MailFault("greeting", "421 4.3.2 busy", Expected(_LATER, "421")),
    "no greeting": MailFault("greeting", "", Expected(_LATER)),
    "disconnects at the greeting": MailFault("greeting", None, Expected(_LATER)),
    "disconnects at the recipient": MailFault("RCPT", None, Expected(_LATER)),
    "no reply at the recipient": MailFault("RCPT", "", Expected(_LATER)),
    "disconnects after the mail": MailFault(".", None, Expected(_LATER, "did not confirm", is_in_doubt=True)),
    "no reply after the mail": MailFault(".", "", Expected(_LATER, "did not confirm", is_in_doubt=True)),
    "invalid reply": MailFault(".", "hello", Expected(_LATER, is_in_doubt=True)),
}


@dataclass(frozen=True)
class ServiceFault:
    """A chat service's response, and its required classification, with any exception for one service."""

    fault: Fault
    expected: Expected
    for_one: Mapping[str, Expected]

    def means(self, service: str) -> Expected:
        return self.for_one.get(service, self.expected)


def _of(fault: Fault, expected: Expected, **for_one: Expected) -> ServiceFault:
    return ServiceFault(fault, expected, {name.replace("_", " "): one for name, one in for_one.items()})


def _says(status: int, expected: Expected, **for_one: Expected) -> ServiceFault:
    return _of(Says(answer=Answer(status, {})), expected, **for_one)


_IN_DOUBT: Final = Expected(_LATER, "may have arrived", is_in_doubt=True)
_SEVEN: Final = timedelta(seconds=7)
SERVICE_FAULTS: Final[Mapping[str, ServiceFault]] = {
    "bad request": _says(400, Expected(_REFUSED, "(400)")),
    "unauthorized": _says(401, Expected(_REFUSED, "does not accept the token")),
    "forbidden": _says(403, Expected(_REFUSED, "does not allow")),
    "not found": _says(404, Expected(_REFUSED, "no longer has this address")),
    "gone": _says(410, Expected(_REFUSED, "has revoked")),
    "too long": _says(413, Expected(_REFUSED, "too long")),
    "time-out": _says(408, Expected(_LATER, "(408)")),
    "moved": _of(Says(answer=Answer(302, {}, {"Location": "/hook"})), Expected(_REFUSED, "redirects")),
    "server error": _says(500, Expected(_LATER, "(500)")),
    "bad gateway": _says(502, Expected(_LATER, "(502)")),
    "unavailable": _says(503, Expected(_LATER, "(503)")),
    "too many": _of(
        too_many("7"), Expected(_LATER, "too many"), webhook=Expected(_LATER, "too many", after=_SEVEN)
    ),
    "too many, as the body says": _of(
        Says(answer=Answer(429, {"ok": False, "parameters": {"retry_after": 7}})),
        Expected(_LATER, "too many", after=_SEVEN),
        webhook=Expected(_LATER, "too many"),
    ),
    "too many, until a date": _of(
        too_many("Thu, 26 Nov 2026 09:00:07 GMT"),
        Expected(_LATER, "too many"),
        webhook=Expected(_LATER, "too many", after=_SEVEN),
    ),
    "slow": _of(Slow(seconds=5), _IN_DOUBT),
    "cut during the answer": _of(Cut(), _IN_DOUBT, webhook=Expected(_SENT)),  # its status has arrived
    "dropped": _of(Dropped(), _IN_DOUBT),
}


def settings_for(var_dir: object, smtp: str | None = None) -> Settings:
    """Return the settings of the channels under test."""
    url = SecretStr(smtp) if smtp else None
    return Settings(var_dir=str(var_dir), web_url=INBOX, smtp_url=url, mail_from="gate@example.org")


def sending_to(address: str, name: str = "rita") -> Sending:
    """Return one notice for an address, with the requester ``name``."""
    notice = notice_with(name, NoticeKind.NEEDED, has_details=False)
    return Sending(address=address, person="dana", notices=(notice,), zone="UTC", message_id="plangate.1")


def check(attempted: Attempted, expected: Expected) -> None:
    """Fail if an attempt did not have the required result, or if its reason contains a secret."""
    assert attempted.delivery is expected.delivery, f"{attempted.delivery}: {attempted.reason}"
    assert expected.says in attempted.reason, attempted.reason
    assert attempted.is_in_doubt is expected.is_in_doubt, f"in doubt: {attempted.is_in_doubt}"
    assert attempted.retry_at == (NOW + expected.after if expected.after else None), attempted.retry_at
    if expected.delivery is not _SENT:
        assert attempted.reason.endswith("."), "the reason is not a sentence"
    for secret in SECRETS:
        assert secret not in attempted.reason, "the reason contains a secret"


async def check_mail(fault: MailFault, var_dir: object) -> None:
    """Send one notice to a mail server with this fault."""
    async with mail_server(fault) as port:
        timeouts = TIMEOUTS if fault.reply else SHORT
        channels = Channels(settings_for(var_dir, f"smtp://127.0.0.1:{port}"), timeouts)
        check(await channels.send(sending_to(f"mailto:{RECIPIENT}"), NOW), fault.expected)


async def check_service(running: Running, service: str, fault: ServiceFault, var_dir: object) -> None:
    """Send one notice to a chat service with this fault."""
    running.server.clear_faults()
    running.server.plan(fault.fault, times=None)
    channels = Channels(settings_for(var_dir), SHORT if isinstance(fault.fault, Slow) else TIMEOUTS)
    check(await channels.send(sending_to(running.addresses[service], MISLEADING), NOW), fault.means(service))


async def check_revoked(running: Running, service: str, var_dir: object) -> None:
    """Send one notice to a chat service that has revoked the address."""
    running.server.clear_faults()
    running.services.revoked.add(service)
    try:
        channels = Channels(settings_for(var_dir))
        check(await channels.send(sending_to(running.addresses[service]), NOW), Expected(_REFUSED))
    finally:
        running.services.revoked.discard(service)


@asynccontextmanager
async def mail_server(fault: MailFault, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Run a mail server with this fault; yields its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _serve_smtp(reader, writer, fault)
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has disconnected
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def _serve_smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: MailFault) -> None:
    async def reply_to(stage: str, usual: str) -> bool:
        """Reply, and return whether the conversation continues."""
        reply = fault.reply if stage == fault.stage else usual
        if reply is None:
            return False
        if reply:
            writer.write(f"{reply}\r\n".encode())
            await writer.drain()
        return True

    if not await reply_to("greeting", "220 mail.test"):
        return
    while line := (await reader.readline()).decode():
        stage = line.split(":")[0].split(" ")[0].strip()
        usual = {"EHLO": "250 mail.test", "DATA": "354 go on", "QUIT": "221 bye"}.get(stage, "250 ok")
        if not await reply_to(stage, usual):
            return
        if stage == "DATA":
            await reader.readuntil(b"\r\n.\r\n")
            if not await reply_to(".", "250 queued"):
                return


Checking = Callable[[], Awaitable[None]]


def all_checks(running: Running, services: tuple[str, ...], var_dir: object) -> dict[str, Checking]:
    """Return every fault with its check, by name."""
    checks: dict[str, Checking] = {}
    for name, mail in MAIL_FAULTS.items():
        checks[f"mail: {name}"] = lambda mail=mail: check_mail(mail, var_dir)  # type: ignore[misc]
    for service in services:
        checks[f"{service}: revoked"] = lambda service=service: check_revoked(running, service, var_dir)  # type: ignore[misc]
        for name, fault in SERVICE_FAULTS.items():
            checks[f"{service}: {name}"] = lambda service=service, fault=fault: check_service(  # type: ignore[misc]
                running, service, fault, var_dir
            )
    return checks
