"""Mail over SMTP, and what each of its failures means. The only importer of aiosmtplib.

Everything turns on one moment, DATA. Before it nothing can have been sent, whatever went wrong; after it only
the server's final reply can say that nothing was sent, and its absence leaves the mail in doubt. The mail
goes to all recipients or to none: DATA is not begun while one of them is refused. What the library writes,
the envelope and the mail with its dots doubled, is compared with what was approved before it leaves.
"""

import asyncio
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import unquote

import aiosmtplib
from aiosmtplib import errors as smtp
from pydantic import SecretStr

from activities.tools.email.tool import Mail, mail_receipt, refuse_unlike
from activities.tools.email.wire import difference_on_the_wire
from plangate.domain.errors import EffectUnknown, SettingsInvalid, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.tool import Receipt
from plangate.tool import EffectStatus, Unknown

# As RFC 5321 (4.5.3.2) advises: five minutes for each command, ten for the reply that ends the mail, since a
# server that has taken it looks at it first. To get in may take as long as one command, and so may the
# envelope: where they do not end, nothing was sent, and it is tried again. Together they are shorter than the
# tool's own limit, so that a failure is told with the server's own words.
ENVELOPE_SECONDS: Final = 300
REPLY_SECONDS: Final = 600
CONNECT_SECONDS: Final = 60
GOODBYE_SECONDS: Final = 1
_PORTS: Final = {"smtp": 25, "smtps": 465}
_SUBMISSION_PORT: Final = 587
_LAST_PORT: Final = 65_535
# What stands before the last @ is user and password, whatever is in them.
_URL: Final = re.compile(
    r"(?P<scheme>smtps?)://"
    r"(?:(?P<user>[^:/?#]*)(?::(?P<password>.*))?@)?"
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>\w(?:[\w.-]*[\w.])?))"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE | re.DOTALL,
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a failure means before DATA and after it; None where the server's reply code says so."""

    before: type[ToolError] | None
    after: type[ToolError] | None = EffectUnknown


_BY_REPLY: Final = Meaning(before=None)
_LATER: Final = Meaning(before=ToolUnavailable)
_NEVER: Final = Meaning(before=ToolRefused)

MEANINGS: Final[Mapping[type[Exception], Meaning]] = {
    # The connection.
    smtp.SMTPConnectError: _LATER,
    smtp.SMTPConnectTimeoutError: _LATER,
    smtp.SMTPServerDisconnected: _LATER,
    smtp.SMTPTimeoutError: _LATER,
    smtp.SMTPReadTimeoutError: _LATER,
    # What the server replied.
    smtp.SMTPConnectResponseError: _BY_REPLY,
    smtp.SMTPHeloError: _BY_REPLY,
    smtp.SMTPAuthenticationError: _BY_REPLY,
    smtp.SMTPSenderRefused: _BY_REPLY,
    smtp.SMTPRecipientRefused: _BY_REPLY,
    smtp.SMTPDataError: Meaning(before=None, after=None),
    smtp.SMTPResponseException: Meaning(before=None, after=None),
    # What the server cannot do: no STARTTLS, no AUTH. The library has no name of its own for these.
    smtp.SMTPNotSupported: _NEVER,
    smtp.SMTPRecipientsRefused: _NEVER,
    smtp.SMTPException: _NEVER,
    # What comes from below the library: sockets, TLS, names that cannot be encoded.
    ssl.SSLError: _LATER,
    OSError: _LATER,
    ValueError: _NEVER,
}


def error_for(error: Exception, server: str, *, data_begun: bool) -> ToolError:
    """Return what a failure of the library means for the mail."""
    meaning = next(MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS)
    kind = meaning.after if data_begun else meaning.before
    if kind is None:
        kind = _kind_of_reply(error, unclear=EffectUnknown if data_begun else ToolUnavailable)
    said = cut(one_line(_said(error)), 200)
    if kind is EffectUnknown:
        return EffectUnknown(
            f"The mail was handed to {server}, and no reply says what became of it ({said})."
        )
    if kind is ToolRefused:
        return ToolRefused(f"The mail server {server} refuses it ({said}); nothing was sent.")
    return ToolUnavailable(f"The mail server {server} does not take it now ({said}); nothing was sent.")


def _kind_of_reply(error: Exception, unclear: type[ToolError]) -> type[ToolError]:
    match getattr(error, "code", 0) // 100:
        case 4:
            return ToolUnavailable
        case 5:
            return ToolRefused
        case _:  # no reply that the standard knows at this place
            return unclear


def _said(error: Exception) -> str:
    if isinstance(error, smtp.SMTPResponseException):
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__


class SmtpServer:
    """One mail server, and how to get in."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        implicit_tls: bool = False,
        username: str | None = None,
        password: str | None = None,
        trust: ssl.SSLContext | None = None,
        envelope_seconds: float = ENVELOPE_SECONDS,
        reply_seconds: float = REPLY_SECONDS,
    ) -> None:
        self._name = f"{host}:{port}"
        self._host = host
        self._port = port
        self._implicit_tls = implicit_tls
        self._username = username
        self._password = password
        self._trust = trust
        self._envelope_seconds = envelope_seconds
        self._reply_seconds = reply_seconds

    @classmethod
    def from_url(cls, url: SecretStr) -> Self:
        """Read the server from ``smtp://USER:PASSWORD@HOST:PORT`` or ``smtps://``.

        Without a port it is 465 for smtps, 587 for smtp with a user, and 25 without.

        Raises:
            SettingsInvalid: it is no such address. The message does not repeat it: it holds a password.
        """
        # By our own rule: to a URL's rule, a # or ? in a password ends the host, and mail goes elsewhere.
        match = _URL.fullmatch(url.get_secret_value().strip())
        if match is None:
            raise _unusable()
        scheme, host = match["scheme"].lower(), (match["address"] or match["name"]).lower()
        username = unquote(match["user"]) if match["user"] else None
        default = _SUBMISSION_PORT if username is not None and scheme == "smtp" else _PORTS[scheme]
        port = int(match["port"] or default)
        if not 0 < port <= _LAST_PORT:
            raise _unusable()
        return cls(
            host,
            port,
            implicit_tls=scheme == "smtps",
            username=username,
            password=unquote(match["password"]) if match["password"] else None,
        )

    async def deliver(self, mail: Mail) -> Receipt:
        """Hand the mail over, to all recipients or to none."""
        client = self._client()
        data_begun = False
        try:
            async with asyncio.timeout(self._envelope_seconds):
                await client.connect(timeout=CONNECT_SECONDS)
            with _checked(client, mail):
                async with asyncio.timeout(self._envelope_seconds):
                    await self._name_envelope(client, mail)
                data_begun = True
                async with asyncio.timeout(self._reply_seconds):
                    reply = await client.data(mail.content)
        except ToolRefused:
            client.close()  # without goodbye: in the middle of a mail, that would be a line of it
            raise
        except (smtp.SMTPException, OSError, ValueError) as error:
            raise error_for(error, self._name, data_begun=data_begun) from error
        finally:
            await _leave(client)
        return mail_receipt(
            f"accepted by the mail server {self._name}",
            message_id=mail.letter.message_id,
            to=mail.letter.to,
            cc=mail.letter.cc,
            subject=mail.letter.subject,
            reply=cut(one_line(f"{reply.code} {reply.message}"), 200),
        )

    async def find_out(self, mail: Mail) -> EffectStatus:
        """Say where a person has to look: SMTP has no way to ask."""
        return Unknown(
            f"Look for the Message-ID {mail.letter.message_id} in the log of {self._name}, or ask "
            f"{mail.recipients[0]}: Plangate cannot see whether the mail went out."
        )

    def _client(self) -> aiosmtplib.SMTP:
        # A password must not be had by stripping the offer of STARTTLS from the server's greeting.
        has_secret = self._username is not None and self._host not in _LOOPBACK
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._implicit_tls,
            start_tls=True if has_secret and not self._implicit_tls else None,
            username=self._username,
            password=self._password,
            timeout=None,  # each phase has its own
            tls_context=self._trust,
        )

    async def _name_envelope(self, client: aiosmtplib.SMTP, mail: Mail) -> None:
        """Name sender and recipients; raise, before anything is sent, if one of them is refused."""
        await client.mail(mail.letter.sender)
        refused: list[smtp.SMTPRecipientRefused] = []
        for recipient in mail.recipients:
            try:
                await client.rcpt(recipient)
            except smtp.SMTPRecipientRefused as error:
                refused.append(error)
        if not refused:
            return
        for_good = [error for error in refused if _kind_of_reply(error, ToolUnavailable) is ToolRefused]
        names = ", ".join(
            f"{error.recipient} ({cut(one_line(_said(error)), 100)})" for error in (for_good or refused)
        )
        if for_good:
            raise ToolRefused(f"The mail server {self._name} refuses {names}; nothing was sent to anybody.")
        raise ToolUnavailable(
            f"The mail server {self._name} does not take {names} now; nothing was sent to anybody."
        )


@contextmanager
def _checked(client: aiosmtplib.SMTP, mail: Mail) -> Iterator[None]:
    """Have the envelope, and the mail, compared with what was approved before the library writes them.

    Raises:
        ToolRefused: within the block, where they differ.
    """
    protocol = client.protocol
    assert protocol is not None
    write = protocol.write
    envelope = [f"MAIL FROM:<{mail.letter.sender}>", *(f"RCPT TO:<{one}>" for one in mail.recipients), "DATA"]
    lines = [f"{line}\r\n".encode("ascii") for line in envelope]
    written: list[bytes] = []

    def checked(data: bytes) -> None:
        if written or not data.startswith((b"EHLO ", b"HELO ")):  # a greeting comes first, if at all
            if written == lines:
                refuse_unlike(difference_on_the_wire(data, mail.letter))
            elif [data] != lines[len(written) :][:1]:
                refuse_unlike("the envelope")
            written.append(data)
        write(data)

    setattr(protocol, "write", checked)  # noqa: B010  a method, to which mypy lets nothing be assigned
    try:
        yield
    finally:
        del protocol.write


async def _leave(client: aiosmtplib.SMTP) -> None:
    """Say goodbye; whether the server hears it changes nothing, so it is not waited for long."""
    with suppress(smtp.SMTPException, OSError):
        if client.is_connected:
            await client.quit(timeout=GOODBYE_SECONDS)
    client.close()


def _unusable() -> SettingsInvalid:
    return SettingsInvalid(
        "The setting PLANGATE_SMTP_URL cannot be used: write smtp://USER:PASSWORD@HOST:PORT or smtps://…, "
        "with special characters percent-encoded."
    )
