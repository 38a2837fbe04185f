"""Send email over SMTP, and classify each failure. No other module imports aiosmtplib.

Before the DATA command nothing can have been sent, so any failure is safe. After it, only the server's final
reply can confirm that nothing was sent; if there is no reply, the email is in doubt.

If the server defers a recipient (4xx), nothing is sent to anyone, and the email is retried for all
recipients. If it refuses some permanently (5xx), the others get the email, and `Accepted` lists the refused
recipients. The email is not sent again, because the others would get it twice. If the server refuses all,
nothing is sent. The bytes that the library writes (the envelope, then the email with its dots doubled) are
compared with the message before they are sent.
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

from plangate.domain.errors import EffectUnknown, SettingsInvalid, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.host_names import THIS_MACHINE
from plangate.mail.failures import ContentRefused, RecipientsRefused
from plangate.mail.wire import Email, difference_on_the_wire, refuse_difference

# As RFC 5321 (4.5.3.2) recommends: five minutes for each command, and ten for the final reply, because a
# server may scan the email first. Connecting and the envelope each have the limit of one command. If one of
# them times out, nothing was sent, and the step is retried. The sum is below the tool's own limit, so that a
# failure contains the server's own reply.
ENVELOPE_SECONDS: Final = 300
REPLY_SECONDS: Final = 600
CONNECT_SECONDS: Final = 60
QUIT_SECONDS: Final = 1
_STARTTLS: Final = "smtp+starttls"
_PORTS: Final = {"smtp": 25, "smtps": 465, _STARTTLS: 587}
_SUBMISSION_PORT: Final = 587
_LAST_PORT: Final = 65_535
# Everything before the last @ is the user and the password.
_URL: Final = re.compile(
    r"(?P<scheme>smtps|smtp(?:\+starttls)?)://"
    r"(?:(?P<user>[^:/?#]*)(?::(?P<password>.*))?@)?"
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>\w(?:[\w.-]*[\w.])?))"
    r"(?::(?P<port>[0-9]{1,5}))?/?",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a failure means before and after DATA; None means that the reply code decides."""

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
    # The server's replies.
    smtp.SMTPConnectResponseError: _BY_REPLY,
    smtp.SMTPHeloError: _BY_REPLY,
    smtp.SMTPAuthenticationError: _BY_REPLY,
    smtp.SMTPSenderRefused: _BY_REPLY,
    smtp.SMTPRecipientRefused: _BY_REPLY,
    smtp.SMTPDataError: Meaning(before=None, after=None),
    smtp.SMTPResponseException: Meaning(before=None, after=None),
    # Missing features of the server (STARTTLS, AUTH), for which the library has no specific class.
    smtp.SMTPNotSupported: _NEVER,
    smtp.SMTPRecipientsRefused: _NEVER,
    smtp.SMTPException: _NEVER,
    # Errors from the layers below the library: sockets, TLS, names that cannot be encoded.
    ssl.SSLError: _LATER,
    OSError: _LATER,
    ValueError: _NEVER,
}


def error_for(error: Exception, server: str, *, data_begun: bool) -> ToolError:
    """Return the tool error for a failure of the library."""
    meaning = next(MEANINGS[kind] for kind in type(error).__mro__ if kind in MEANINGS)
    kind = meaning.after if data_begun else meaning.before
    if kind is None:
        kind = _kind_of_reply(error, unclear=EffectUnknown if data_begun else ToolUnavailable)
    detail = cut(one_line(_detail_of(error)), 200)
    if kind is EffectUnknown:
        return EffectUnknown(
            f"The mail was handed to {server}, which did not confirm the outcome ({detail})."
        )
    if kind is ToolRefused:
        sentence = f"The mail server {server} refused the mail ({detail}); nothing was sent."
        return ContentRefused(sentence, detail) if data_begun else ToolRefused(sentence)
    return ToolUnavailable(
        f"The mail server {server} temporarily cannot accept the mail ({detail}); nothing was sent."
    )


def _kind_of_reply(error: Exception, unclear: type[ToolError]) -> type[ToolError]:
    match getattr(error, "code", 0) // 100:
        case 4:
            return ToolUnavailable
        case 5:
            return ToolRefused
        case _:  # not a reply that the standard allows here
            return unclear


def _detail_of(error: Exception) -> str:
    if isinstance(error, smtp.SMTPResponseException):
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server's response to an email that it accepted.

    Attributes:
        reply: its last reply.
        refused: the recipients that it refused permanently, each with the reply.
    """

    reply: str
    refused: Mapping[str, str]


class SmtpServer:
    """A mail server with its credentials; ``name`` is its host and port."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        implicit_tls: bool = False,
        requires_tls: bool = False,
        username: str | None = None,
        password: str | None = None,
        trust: ssl.SSLContext | None = None,
        envelope_seconds: float = ENVELOPE_SECONDS,
        reply_seconds: float = REPLY_SECONDS,
    ) -> None:
        self.name = f"{host}:{port}"
        self._host = host
        self._port = port
        self._implicit_tls = implicit_tls
        self._requires_tls = requires_tls
        self._username = username
        self._password = password
        self._trust = trust
        self._envelope_seconds = envelope_seconds
        self._reply_seconds = reply_seconds

    @classmethod
    def from_url(
        cls,
        url: SecretStr,
        *,
        envelope_seconds: float = ENVELOPE_SECONDS,
        reply_seconds: float = REPLY_SECONDS,
    ) -> Self:
        """Read the server from ``smtp://USER:PASSWORD@HOST:PORT``, ``smtps://`` or ``smtp+starttls://``.

        The default port is 465 for smtps, 587 for smtp+starttls and for smtp with a user, and 25 for smtp
        without a user.

        Raises:
            SettingsInvalid: it is not such a URL. The message omits it, because it contains a password.
        """
        # Not urllib: it takes a # or ? in a password as the end of the host, so the mail would go to another
        # host.
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
            requires_tls=scheme == _STARTTLS,
            username=username,
            password=unquote(match["password"]) if match["password"] else None,
            envelope_seconds=envelope_seconds,
            reply_seconds=reply_seconds,
        )

    async def send(self, email: Email, content: bytes) -> Accepted:
        """Send a message, composed as ``content``, to all recipients that are not refused permanently.

        Raises:
            ToolUnavailable: nothing was sent, and a retry may succeed.
            ToolRefused: nothing was sent; `RecipientsRefused` and `ContentRefused` say what was refused; any
                other error is about the server, the login or the sender.
            EffectUnknown: it may have been sent.
        """
        client = self._client()
        data_begun = False
        try:
            async with asyncio.timeout(self._envelope_seconds):
                await client.connect(timeout=CONNECT_SECONDS)
            with _checked(client, email, content):
                async with asyncio.timeout(self._envelope_seconds):
                    refused = await self._send_envelope(client, email)
                data_begun = True
                async with asyncio.timeout(self._reply_seconds):
                    reply = await client.data(content)
        except ToolRefused:
            client.close()  # without QUIT, which would become a line of an unfinished mail
            raise
        except (smtp.SMTPException, OSError, ValueError) as error:
            raise error_for(error, self.name, data_begun=data_begun) from error
        finally:
            await _quit(client)
        return Accepted(cut(one_line(f"{reply.code} {reply.message}"), 200), refused)

    def _client(self) -> aiosmtplib.SMTP:
        # Require STARTTLS for a password, so that an attacker who removes STARTTLS from the greeting cannot
        # read it.
        has_secret = self._username is not None and self._host not in THIS_MACHINE
        needs_tls = self._requires_tls or has_secret
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            use_tls=self._implicit_tls,
            start_tls=True if needs_tls and not self._implicit_tls else None,
            username=self._username,
            password=self._password,
            timeout=None,  # each phase has its own time limit
            tls_context=self._trust,
        )

    async def _send_envelope(self, client: aiosmtplib.SMTP, email: Email) -> dict[str, str]:
        """Send MAIL FROM and RCPT TO; return the permanently refused recipients with the server's replies.

        Raises:
            ToolUnavailable: a recipient is deferred.
            RecipientsRefused: all recipients are refused permanently.
        """
        await client.mail(email.sender)
        deferred: dict[str, str] = {}
        refused: dict[str, str] = {}
        for recipient in email.recipients:
            try:
                await client.rcpt(recipient)
            except smtp.SMTPRecipientRefused as error:
                is_permanent = _kind_of_reply(error, ToolUnavailable) is ToolRefused
                (refused if is_permanent else deferred)[recipient] = cut(one_line(_detail_of(error)), 100)
        if len(refused) == len(email.recipients):
            sentence = f"The mail server {self.name} refused {named(refused)}; nothing was sent."
            raise RecipientsRefused(sentence, next(iter(refused.values())))
        if deferred:
            raise ToolUnavailable(
                f"The mail server {self.name} temporarily cannot accept mail for {named(deferred)}; "
                "nothing was sent to any recipient."
            )
        return refused


def named(replies: Mapping[str, str]) -> str:
    """Return recipients as text, each with the server's reply."""
    return ", ".join(f"{recipient} ({reply})" for recipient, reply in replies.items())


@contextmanager
def _checked(client: aiosmtplib.SMTP, email: Email, content: bytes) -> Iterator[None]:
    """Compare the envelope and the email with the message before the library writes them.

    Raises:
        ToolRefused: raised within the block if they differ.
    """
    protocol = client.protocol
    assert protocol is not None
    write = protocol.write
    envelope = [f"MAIL FROM:<{email.sender}>", *(f"RCPT TO:<{one}>" for one in email.recipients), "DATA"]
    lines = [f"{line}\r\n".encode("ascii") for line in envelope]
    written: list[bytes] = []

    def checked(data: bytes) -> None:
        if written or not data.startswith((b"EHLO ", b"HELO ")):  # EHLO, if any, comes first
            if written == lines:
                refuse_difference(difference_on_the_wire(data, email, content))
            elif [data] != lines[len(written) :][:1]:
                refuse_difference("the envelope")
            written.append(data)
        write(data)

    setattr(protocol, "write", checked)  # noqa: B010  mypy rejects assigning to a method
    try:
        yield
    finally:
        del protocol.write


async def _quit(client: aiosmtplib.SMTP) -> None:
    """Send QUIT and wait briefly; ignore failures."""
    with suppress(smtp.SMTPException, OSError):
        if client.is_connected:
            await client.quit(timeout=QUIT_SECONDS)
    client.close()


def _unusable() -> SettingsInvalid:
    return SettingsInvalid(
        "The setting PLANGATE_SMTP_URL cannot be used: write smtp://USER:PASSWORD@HOST:PORT, smtps://… or "
        "smtp+starttls://…, with special characters percent-encoded."
    )
