"""Send a notice with Apprise: Slack, Teams, Telegram, ntfy and many more. No other module imports apprise.

Apprise returns whether a message was sent, but not why it failed. Its log lines contain the reason, but also
secrets. Each call therefore gets its own logger, from which this module reads only the HTTP status; nothing
else is logged during the call. Each call also gets its own object for one URL with one recipient, because
Apprise reports a URL with two recipients as failed if one of them fails.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Final

from plangate.notifications.failures import shown_address
from plangate.notifications.http_answers import attempted
from plangate.notifications.in_thread import Attempts
from plangate.notifications.message import Message
from plangate.notifications.notice import Attempted, Delivery, NoticeKind, Sending
from plangate.notifications.secret_urls import MissingVariable, filled_in, not_set
from plangate.notifications.texts import CHAT, written
from plangate.settings import Settings

if TYPE_CHECKING:
    import apprise

_LIBRARIES: Final = (
    "apprise",
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
_STATUS: Final = re.compile(r"\berror=([1-5][0-9]{2})(?:[0-9]{2})?\b|\(([1-5][0-9]{2})\)")
_FAULTS: Final = frozenset({"WARNING", "ERROR", "CRITICAL"})
_FROM_OUTSIDE: Final = ("Response Details", "Socket Exception")
_RETRY_AFTER: Final = re.compile(r'"retry_after"\s*:\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)')
_ERROR_CODE: Final = re.compile(r'"error"\s*:\s*"([a-z_]{1,60})"')
_OK: Final = 200
# Slack returns 200 with the error in the body; these errors are permanent.
_PERMANENT: Final = frozenset(
    {
        *("channel_not_found", "not_in_channel", "is_archived", "user_not_found", "no_permission"),
        *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"),
        *("missing_scope", "org_login_required", "ekm_access_denied", "team_access_not_granted"),
    }
)
_WARNINGS: Final = frozenset({NoticeKind.HELD, NoticeKind.STUCK, NoticeKind.TROUBLE})
_UNREACHABLE: Final = (
    ("CERTIFICATE_VERIFY_FAILED", "presents a certificate that is not trusted"),
    ("SSLError", "does not speak valid TLS"),
    ("NameResolutionError", "has a host that cannot be resolved"),
    ("ConnectTimeout", "cannot be reached in time"),
    ("NewConnectionError", "refuses the connection, or cannot be reached"),
    ("ProxyError", "cannot be reached by the proxy"),
)
_INTERRUPTED: Final = (
    "RemoteDisconnected",
    "ConnectionReset",
    "Connection aborted",
    "Read timed out",
    "IncompleteRead",
)
_loading = threading.Lock()
_sending = ContextVar(
    "sending", default=False
)  # Apprise calls services in threads, which inherit this context


class AppriseChannel:
    """Sends notices with Apprise."""

    def __init__(self, settings: Settings, attempts: Attempts) -> None:
        self._inbox = settings.web_url
        self._attempts = attempts

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one message to one address."""
        try:
            url = filled_in(sending.address)
        except MissingVariable as error:
            return not_set(sending.address, error)
        message = written(sending, now, self._inbox, CHAT)

        def attempt() -> Attempted:
            with _logs_suppressed():
                return _sent(url, sending, message, now, self._attempts.timeouts.wait)

        return await self._attempts.make(sending.address, attempt)

    def objection(self, address: str) -> str:
        """Return the reason why an address cannot be used, beginning with a verb; empty if unknown."""
        try:
            url = filled_in(address)
        except MissingVariable as error:
            return str(error)
        with _logs_suppressed():
            return _objection(_plugin(url))


def _sent(url: str, sending: Sending, message: Message, now: datetime, wait: float) -> Attempted:
    address = sending.address
    plugin = _plugin(url)
    wrong = _objection(plugin)
    if plugin is None or wrong:
        return Attempted(delivery=Delivery.REFUSED, reason=f"The address {shown_address(address)} {wrong}.")
    plugin.socket_connect_timeout = plugin.socket_read_timeout = wait
    plugin.redirects = plugin.interpret_emojis = False
    # The logger has no parent, and no handler except the capturing one.
    plugin.logger = logging.Logger("apprise", logging.DEBUG)  # noqa: LOG001
    import apprise  # noqa: PLC0415

    # Text is escaped for services that accept nothing else; links in it then stop working.
    is_markdown = plugin.notify_format in (apprise.NotifyFormat.MARKDOWN, (apprise.NotifyFormat.MARKDOWN,))
    is_warning = any(notice.kind in _WARNINGS for notice in sending.notices)
    one = apprise.Apprise(asset=plugin.asset)
    one.add(plugin)
    result = one.notify(
        title=message.subject,
        body=message.markdown if is_markdown else message.text,
        notify_type=apprise.NotifyType.WARNING if is_warning else apprise.NotifyType.INFO,
        body_format=apprise.NotifyFormat.MARKDOWN if is_markdown else apprise.NotifyFormat.TEXT,
        log_level=logging.DEBUG,
    )
    last = [attempt for each in result for attempt in each.attempts][-1:]
    if last and last[0]:  # do not use the result, because a URL can tell Apprise to ignore failures
        return Attempted(delivery=Delivery.SENT)
    return _failed(address, [(entry.level, entry.message) for attempt in last for entry in attempt.logs], now)


def _plugin(url: str) -> "apprise.NotifyBase | None":
    """Return the service of a URL; None if Apprise finds none."""
    with _loading:
        import apprise  # noqa: PLC0415  takes 0.25 s, and only some notices need it

        return apprise.Apprise.instantiate(url, asset=_asset(), suppress_exceptions=True)


def _objection(plugin: "apprise.NotifyBase | None") -> str:
    """Return the reason why a service cannot be used, beginning with a verb; empty if it can."""
    if plugin is None:
        return "is not a URL of a service that Apprise supports, or its secret is malformed"
    if not plugin.verify_certificate:
        return "turns certificate checks off; remove verify=no"
    plugin.retry = 0
    if hasattr(plugin, "batch"):
        plugin.batch = False  # otherwise one request has several recipients, and one result
    return f"has {len(plugin)} recipients; write one address for each" if len(plugin) > 1 else ""


def _asset() -> "apprise.AppriseAsset":
    import apprise  # noqa: PLC0415

    return apprise.AppriseAsset(
        app_id="Plangate",
        app_desc="Plangate",
        app_url="",
        image_url_mask="",  # no external images
        image_url_logo="",
        async_mode=False,
        service_timeout=0,  # otherwise it uses a small thread pool, which hanging threads would fill
        allow_templates=False,  # a message cannot include a file on this machine
        interpret_emojis=False,
        secure_logging=True,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        http_redirects=False,
    )


def _failed(address: str, lines: list[tuple[str, str]], now: datetime) -> Attempted:
    """Return the failure that log lines report, without their text.

    The lines include the message itself, and text that people typed must not affect the result: see
    `_FROM_OUTSIDE`.
    """
    found = _STATUS.search("\n".join(line for level, line in lines if level in _FAULTS))
    text = "\n".join(line for _, line in lines if line.startswith(_FROM_OUTSIDE))
    status = int(found[1] or found[2]) if found else None
    after = _RETRY_AFTER.search(text)
    if status == _OK:
        code = _ERROR_CODE.search(text)
        named = code[1] if code else "no reason"
        is_permanent = code is not None and code[1] in _PERMANENT
        reason = f"{shown_address(address)} did not accept the message ({named})."
        return Attempted(delivery=Delivery.REFUSED if is_permanent else Delivery.LATER, reason=reason)
    if status is not None:
        return attempted(address, status, now, after[1] if after else "")
    is_interrupted = any(sign in text for sign in _INTERRUPTED)  # even inside a ProxyError
    for sign, words in _UNREACHABLE:
        if sign in text and not is_interrupted:
            return Attempted(delivery=Delivery.LATER, reason=f"{shown_address(address)} {words}.")
    reason = f"{shown_address(address)} did not respond; the message may have arrived."
    return Attempted(delivery=Delivery.LATER, reason=reason, is_in_doubt=True)


@contextmanager
def _logs_suppressed() -> Iterator[None]:
    """Discard the log lines of the libraries in this thread."""
    for name in _LIBRARIES:
        logging.getLogger(name).addFilter(_is_from_elsewhere)  # added only once, even if called again
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


def _is_from_elsewhere(_: logging.LogRecord) -> bool:
    return not _sending.get()
