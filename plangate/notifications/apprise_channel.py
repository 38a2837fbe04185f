"""Send a notice by Apprise: Slack, Teams, Telegram, ntfy and many more. The only importer of apprise.

Apprise returns whether a message went out, and no reason. Its log lines have one, and secrets too: they are
captured for each call, read here for the status of HTTP, and never reach our logs. Each call has an object of
its own for one URL with one recipient, because a URL with two counts as failed if one of them fails.
"""

import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Final

from plangate.notifications.http_answers import attempted
from plangate.notifications.in_thread import Attempts
from plangate.notifications.message import Message
from plangate.notifications.notice import Attempted, Delivery, NoticeKind, Sending
from plangate.notifications.secret_urls import MissingVariable, filled_in
from plangate.notifications.texts import CHAT, written
from plangate.settings import Settings

if TYPE_CHECKING:
    import apprise

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
_LIBRARIES: Final = (
    "apprise",
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.util.retry",
)
_STATUS: Final = re.compile(r"\berror=([1-5][0-9]{2})(?:[0-9]{2})?\b|\(([1-5][0-9]{2})\)")
_RETRY_AFTER: Final = re.compile(r'"retry_after"\s*:\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)')
_ERROR_CODE: Final = re.compile(r'"error"\s*:\s*"([a-z_]{1,60})"')
_OK: Final = 200
# Slack answers 200 and says in the body what is wrong; these last.
_LASTING: Final = frozenset(
    {
        *("channel_not_found", "not_in_channel", "is_archived", "user_not_found", "no_permission"),
        *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"),
        *("missing_scope", "org_login_required", "ekm_access_denied", "team_access_not_granted"),
    }
)
_WARNINGS: Final = frozenset({NoticeKind.HELD, NoticeKind.STUCK, NoticeKind.TROUBLE})
_UNREACHED: Final = (
    ("CERTIFICATE_VERIFY_FAILED", "shows a certificate that is not trusted"),
    ("SSLError", "does not speak TLS as it should"),
    ("NameResolutionError", "has a host that has no address"),
    ("ConnectTimeout", "cannot be reached in time"),
    ("NewConnectionError", "refuses the connection, or cannot be reached"),
    ("ProxyError", "cannot be reached by the proxy"),
)
_loading = threading.Lock()
_sending = threading.local()


class AppriseChannel:
    """Sends notices by Apprise."""

    def __init__(self, settings: Settings, attempts: Attempts) -> None:
        self._inbox = settings.web_url
        self._attempts = attempts

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Send one message to one address."""
        try:
            url = filled_in(sending.address)
        except MissingVariable as error:
            said = f"The address {sending.address} {error}."
            return Attempted(delivery=Delivery.REFUSED, reason=said)
        message = written(sending, now, self._inbox, CHAT)
        is_warning = any(notice.kind in _WARNINGS for notice in sending.notices)

        def attempt() -> Attempted:
            with _logs_kept_back():
                return _sent(url, sending.address, message, now, is_warning=is_warning)

        return await self._attempts.make(sending.address, attempt)


def _sent(url: str, address: str, message: Message, now: datetime, *, is_warning: bool) -> Attempted:
    with _loading:
        import apprise  # noqa: PLC0415  a quarter of a second, and only where a notice goes by it

        asset = _asset()
        plugin = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    wrong = _objection(plugin)
    if plugin is None or wrong:
        return Attempted(delivery=Delivery.REFUSED, reason=f"The address {address} {wrong}.")
    plugin.socket_connect_timeout = CONNECT_SECONDS
    plugin.socket_read_timeout = READ_SECONDS
    plugin.retry, plugin.redirects, plugin.interpret_emojis = 0, False, False
    one = apprise.Apprise(asset=asset)
    one.add(plugin)
    result = one.notify(
        title=message.subject,
        body=message.text,
        notify_type=apprise.NotifyType.WARNING if is_warning else apprise.NotifyType.INFO,
        body_format=apprise.NotifyFormat.TEXT,
        log_level=logging.DEBUG,
    )
    last = [attempt for each in result for attempt in each.attempts][-1:]
    if last and last[0]:  # not the result: a URL can say that a failure does not matter
        return Attempted(delivery=Delivery.SENT)
    return _failed(address, [entry.message for attempt in last for entry in attempt.logs], now)


def _objection(plugin: "apprise.NotifyBase | None") -> str:
    """Return why a service cannot be used, beginning with a verb; empty if it can."""
    if plugin is None:
        return "is no URL of a service that Apprise knows, or its secret has another form"
    if not plugin.verify_certificate:
        return "turns the check of certificates off; remove verify=no"
    if hasattr(plugin, "batch"):
        plugin.batch = False  # else all recipients of one request count as one
    return f"names {len(plugin)} recipients; write one address for each" if len(plugin) > 1 else ""


def _asset() -> "apprise.AppriseAsset":
    import apprise  # noqa: PLC0415

    return apprise.AppriseAsset(
        app_id="Plangate",
        app_desc="Plangate",
        app_url="",
        image_url_mask="",  # no picture from elsewhere
        image_url_logo="",
        async_mode=False,
        allow_templates=False,  # no file of this machine becomes part of a message
        interpret_emojis=False,
        secure_logging=True,
        storage_mode=apprise.PersistentStoreMode.MEMORY,
        http_redirects=False,
    )


def _failed(address: str, lines: list[str], now: datetime) -> Attempted:
    """Return what log lines say of a failure; none of their text is passed on."""
    text = "\n".join(lines)
    found = _STATUS.search("\n".join(line for line in lines if not line.startswith("Response Details")))
    status = int(found[1] or found[2]) if found else None
    after = _RETRY_AFTER.search(text)
    if status == _OK:
        code = _ERROR_CODE.search(text)
        named = code[1] if code else "no reason"
        is_lasting = code is not None and code[1] in _LASTING
        said = f"{address} did not take the message ({named})."
        return Attempted(delivery=Delivery.REFUSED if is_lasting else Delivery.LATER, reason=said)
    if status is not None:
        return attempted(address, status, now, after[1] if after else "")
    for sign, words in _UNREACHED:
        if sign in text:
            return Attempted(delivery=Delivery.LATER, reason=f"{address} {words}.")
    said = f"{address} did not answer; the message may have arrived."
    return Attempted(delivery=Delivery.LATER, reason=said, is_in_doubt=True)


@contextmanager
def _logs_kept_back() -> Iterator[None]:
    """Keep what the libraries log in this thread from every handler but Apprise's capture."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        if _keep_back not in logger.filters:
            logger.addFilter(_keep_back)
    library = logging.getLogger("apprise")
    library.propagate = False  # its capture sits on the logger itself
    library.setLevel(logging.DEBUG)
    _sending.is_on = True
    try:
        yield
    finally:
        _sending.is_on = False


def _keep_back(record: logging.LogRecord) -> bool:
    return record.name.startswith("apprise") or not getattr(_sending, "is_on", False)
