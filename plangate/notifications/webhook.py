"""Post a notice to a custom webhook: ``json://`` and ``jsons://``, in Apprise's notation.

Plangate posts these itself, because Apprise does not return the server's response. The response status
decides whether the message is retried, and the Retry-After header decides when. In the query, ``+Name=value``
is a header, and ``-name=value`` is a parameter. Redirects are not followed.
"""

import base64
import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode, urlsplit

from plangate.notifications.failures import shown_address
from plangate.notifications.http_answers import attempted
from plangate.notifications.in_thread import Attempts
from plangate.notifications.message import Message
from plangate.notifications.notice import Attempted, Delivery, Notice, Sending
from plangate.notifications.secret_urls import MissingVariable, as_part, filled_in, not_set
from plangate.notifications.texts import CHAT, written
from plangate.settings import Settings

SCHEMES: Final = frozenset({"json", "jsons"})
_VERSION: Final = "1.0"
_HEADER: Final = "+"
_PARAMETER: Final = "-"


class WebhookInvalid(ValueError):
    """A URL is not a webhook. The error message begins with a verb and contains no secret."""


@dataclass(frozen=True, slots=True)
class Target:
    """The destination of a post."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)


class WebhookChannel:
    """Sends notices to webhooks."""

    def __init__(self, settings: Settings, attempts: Attempts) -> None:
        self._inbox = settings.web_url
        self._attempts = attempts

    async def send(self, sending: Sending, now: datetime) -> Attempted:
        """Post one message to one address."""
        try:
            target = target_of(filled_in(sending.address, as_part))
        except MissingVariable as error:
            return not_set(sending.address, error)
        except WebhookInvalid as error:
            reason = f"The address {shown_address(sending.address)} {error}."
            return Attempted(delivery=Delivery.REFUSED, reason=reason)
        body = json.dumps(payload(sending, written(sending, now, self._inbox, CHAT))).encode()
        return await self._attempts.make(
            sending.address, lambda: _posted(target, body, sending.address, now, self._attempts.timeouts.wait)
        )

    def objection(self, address: str) -> str:
        """Return the reason why an address cannot be used, beginning with a verb; empty if unknown."""
        try:
            target_of(filled_in(address, as_part))
        except (MissingVariable, WebhookInvalid) as error:
            return str(error)
        return ""


def target_of(url: str) -> Target:
    """Read ``jsons://USER:PASSWORD@HOST:PORT/PATH?+Header=value&-parameter=value``.

    Raises:
        WebhookInvalid: it is not such a URL.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise WebhookInvalid("is not the URL of a webhook") from None
    if not host or parts.fragment or not url.isascii() or not url.isprintable() or " " in url:
        raise WebhookInvalid("is not the URL of a webhook")
    headers, parameters = {"User-Agent": "Plangate", "Content-Type": "application/json"}, []
    for item in filter(None, parts.query.split("&")):
        name, _, value = (unquote(part) for part in item[1:].partition("="))
        if item[0] == _HEADER and name.isprintable() and value.isprintable() and value.isascii():
            headers[name] = value
        elif item[0] == _PARAMETER:
            parameters.append((name, value))
        else:
            raise WebhookInvalid(
                "has a query part that is neither a header (+Name=value) nor a parameter (-name=value)"
            )
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode('ascii')}"
    scheme = "https" if parts.scheme == "jsons" else "http"
    shown = f"[{host}]" if ":" in host else host
    place = f"{scheme}://{shown}" + (f":{port}" if port else "")
    query = f"?{urlencode(parameters)}" if parameters else ""
    return Target(place + quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + query, headers)


def payload(sending: Sending, message: Message) -> dict[str, Any]:
    """Return the body to post: the message, and its data for programs. ``Any`` is a JSON value."""
    return {
        "version": _VERSION,
        "id": sending.message_id,
        "title": message.subject,
        "message": message.text,
        "type": "info",
        "person": sending.person,
        "is_repeat": sending.is_repeat,
        "notices": [_about(notice) for notice in sending.notices],
    }


def _about(notice: Notice) -> dict[str, Any]:
    facts = notice.facts
    return {
        "kind": notice.kind,
        "event": notice.event,
        "run": facts.workflow_id,
        "revision": facts.revision,
        "tools": [{"tool": tool, "steps": steps} for tool, steps in facts.tools],
        "requester": facts.requester,
        "deadline": facts.deadline.isoformat() if facts.deadline else None,
        "link": facts.link,
    }


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Return None, so that the redirect is treated as an ordinary response."""


def _posted(target: Target, body: bytes, address: str, now: datetime, wait: float) -> Attempted:
    opener = urllib.request.build_opener(_NoRedirects)
    request = urllib.request.Request(target.url, body, dict(target.headers), method="POST")  # noqa: S310
    try:
        with opener.open(request, timeout=wait) as answer:
            return attempted(address, answer.status, now)
    except urllib.error.HTTPError as error:
        with error:
            return attempted(address, error.code, now, error.headers.get("Retry-After", ""))
    except urllib.error.URLError as error:  # for connecting and sending
        return Attempted(delivery=Delivery.LATER, reason=f"{shown_address(address)} {_why(error.reason)}.")
    except (OSError, http.client.HTTPException, ValueError):
        reason = f"{shown_address(address)} did not respond; the message may have arrived."
        return Attempted(delivery=Delivery.LATER, reason=reason, is_in_doubt=True)


def _why(reason: object) -> str:
    match reason:
        case ssl.SSLCertVerificationError():
            return "presents a certificate that is not trusted"
        case ssl.SSLError():
            return "does not speak valid TLS"
        case TimeoutError():
            return "cannot be reached in time"
        case ConnectionRefusedError():
            return "refuses the connection"
        case OSError():
            return "cannot be reached"
        case _:
            return "cannot be reached"
