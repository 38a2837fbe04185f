"""Chat services with the protocols of Slack, Telegram, Teams, Discord, Google Chat, Mattermost and ntfy.

Apprise has the hosts of most of them in its source. They are reached through a proxy that terminates TLS,
with a certificate from a test authority: ``HTTPS_PROXY`` and ``REQUESTS_CA_BUNDLE`` configure this, and
no part of Plangate or Apprise is replaced. The fakes refuse what the real services refuse: an unknown token,
a text that is too long, HTML that Telegram does not support, an invalid card. Like `JiraServer`, they answer
a `FaultyServer`.
"""

import json
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import apprise
import pytest

from tests.integration.certificates import certificate_for
from tests.support.faulty_server import Answer, FaultyServer, Request

SLACK_HOOK: Final = "T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
SLACK_BOT: Final = "xoxb-1234567890-1234567890-AbCdEf123456"
TELEGRAM: Final = "123456789:AbCdEfGhIjKlMnOpQrStUvWxYz012345678"
TEAMS: Final = "8b799edf-6f98-4d3a-9be7-2862fb4e5752"
TEAMS_SIGNATURE: Final = "iXRwR2C5aY0DBoIW"
NTFY: Final = "tk_AgQdq7mVBoFD37zQVN29RhuMzNIz2"
DISCORD: Final = "417429632418316298/JHZ7lQml277CDHmQKMHI8qBe7bk2ZwO5UKjCiOAF7711o33MyqU344Qpgv7YTpadV"
MATTERMOST: Final = "3ccdd113474722377935511fc85d3dd4"
GOOGLE: Final = "AAAAxxxx/key12345/token67890"
HOSTS: Final = (
    *("hooks.slack.com", "slack.com", "api.telegram.org", "discord.com", "chat.googleapis.com"),
    "teams.test",
)
ADDRESSES: Final = {
    "slack hook": "slack://${SLACK_HOOK}/",
    "slack bot": "slack://${SLACK_BOT}/approvals",
    "telegram": "tgram://${TELEGRAM}/12315544/",
    "teams": "workflow://teams.test:443/${TEAMS}",
    "discord": "discord://${DISCORD}",
    "google chat": "gchat://${GOOGLE}",
    "mattermost": "mmost://{local}/${MATTERMOST}",
    "ntfy": "ntfy://${NTFY}@{local}/dana",
    "webhook": "json://{local}/hook?+Authorization=${HOOK}",
}
"""An address of each, where ``{local}`` is the host and port of the server."""
_VARIABLES: Final = {
    "SLACK_HOOK": SLACK_HOOK, "SLACK_BOT": SLACK_BOT, "TELEGRAM": TELEGRAM,
    "TEAMS": f"{TEAMS}/{TEAMS_SIGNATURE}", "NTFY": NTFY, "DISCORD": DISCORD, "MATTERMOST": MATTERMOST,
    "GOOGLE": GOOGLE, "HOOK": "Bearer hook-1234",
}  # fmt: skip
SECRETS: Final = (*_VARIABLES.values(), TEAMS_SIGNATURE, "hook-1234")
_TELEGRAM_TAGS: Final = frozenset(
    {
        "b",
        "strong",
        "i",
        "em",
        "u",
        "ins",
        "s",
        "strike",
        "del",
        "code",
        "pre",
        "a",
        "tg-spoiler",
        "blockquote",
    }
)


@dataclass(frozen=True)
class Received:
    """A message that a service accepted, as its clients display it."""

    service: str
    title: str
    body: str
    payload: dict[str, Any]


@dataclass
class NoticeServices:
    """All services; ``revoked`` are those with revoked tokens."""

    received: list[Received] = field(default_factory=list)
    revoked: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Answer:
        host = request.headers.get("host", "").partition(":")[0]
        for names, answer in _SERVICES:
            if host in names or (not names and host == "127.0.0.1"):
                found = answer(self, request)
                if found is not None:
                    return found
        return Answer(404, {"error": "not found"})

    def slack(self, request: Request) -> Answer | None:
        if request.path == "/api/chat.postMessage":
            message = json.loads(request.body)
            if request.headers.get("authorization") != f"Bearer {SLACK_BOT}" or "slack bot" in self.revoked:
                return Answer(200, {"ok": False, "error": "token_revoked"})
            if message.get("channel") not in ("approvals", "#approvals"):
                return Answer(200, {"ok": False, "error": "channel_not_found"})
            self._receive_slack("slack bot", message)
            return Answer(200, {"ok": True, "channel": "C1", "ts": "1.2", "message": {}})
        if request.path != f"/services/{SLACK_HOOK}" or "slack hook" in self.revoked:
            return Answer(404, "no_service", {"Content-Type": "text/plain"})
        message = json.loads(request.body)
        if not (message.get("text") or message.get("attachments") or message.get("blocks")):
            return Answer(400, "no_text", {"Content-Type": "text/plain"})
        self._receive_slack("slack hook", message)
        return Answer(200, b"ok", {"Content-Type": "text/plain"})

    def _receive_slack(self, service: str, message: dict[str, Any]) -> None:
        (one,) = message["attachments"]
        self._receive(service, one["title"], one["text"], message)

    def telegram(self, request: Request) -> Answer:
        if request.path != f"/bot{TELEGRAM}/sendMessage" or "telegram" in self.revoked:
            return Answer(401, {"ok": False, "error_code": 401, "description": "Unauthorized"})
        message = json.loads(request.body)
        if message["chat_id"] != 12315544:
            return _telegram_refuses("Bad Request: chat not found")
        if message.get("parse_mode") != "HTML" or (wrong := _telegram_html(message["text"])):
            return _telegram_refuses(f"Bad Request: can't parse entities: {wrong}")
        if not message["text"].strip() or len(message["text"]) > 4096:
            return _telegram_refuses("Bad Request: message is too long")
        title, _, body = message["text"].partition("\n")
        self._receive("telegram", title, body, message)
        return Answer(200, {"ok": True, "result": {"message_id": 1}})

    def teams(self, request: Request) -> Answer:
        path = f"/workflows/{TEAMS}/triggers/manual/paths/invoke"
        if request.path != path or f"sig={TEAMS_SIGNATURE}" not in request.query or "teams" in self.revoked:
            return Answer(401, {"error": {"code": "DirectApiAuthorizationRequired"}})
        message = json.loads(request.body)
        (attached,) = message["attachments"]
        card = attached["content"]
        if message["type"] != "message" or card["type"] != "AdaptiveCard":
            return Answer(400, {"error": {"code": "InvalidRequestContent"}})
        texts = [block["text"] for block in card["body"] if block["type"] == "TextBlock"]
        self._receive("teams", texts[0], "\n".join(texts[1:]), message)
        return Answer(202, b"")

    def discord(self, request: Request) -> Answer:
        if request.path != f"/api/webhooks/{DISCORD}" or "discord" in self.revoked:
            return Answer(404, {"message": "Unknown Webhook", "code": 10015})
        message = json.loads(request.body)
        content = message.get("content") or ""
        embeds = message.get("embeds") or [{}]
        if len(content) > 2000 or any(len(one.get("description", "")) > 4096 for one in embeds):
            return Answer(400, {"code": 50035, "message": "Invalid Form Body"})
        title, _, body = content.partition("\n")
        one = embeds[0]
        self._receive("discord", one.get("title") or title, one.get("description") or body, message)
        return Answer(204, b"")

    def google(self, request: Request) -> Answer:
        if request.path != "/v1/spaces/AAAAxxxx/messages" or "google chat" in self.revoked:
            return Answer(404, {"error": {"code": 404, "status": "NOT_FOUND"}})
        message = json.loads(request.body)
        title, _, body = message["text"].partition("\n")
        self._receive("google chat", title, body, message)
        return Answer(200, {"name": "spaces/AAAAxxxx/messages/1"})

    def local(self, request: Request) -> Answer | None:
        message = json.loads(request.body)
        if request.path == f"/hooks/{MATTERMOST}":
            if "mattermost" in self.revoked:
                return Answer(404, {"id": "web.incoming_webhook.invalid.app_error", "status_code": 404})
            title, _, body = message["text"].partition("\n")
            self._receive("mattermost", title, body, message)
            return Answer(200, b"ok", {"Content-Type": "text/plain"})
        if request.path == "/hook":
            if request.headers.get("authorization") != "Bearer hook-1234" or "webhook" in self.revoked:
                return Answer(410, {})
            self._receive("webhook", message["title"], message["message"], message)
            return Answer(200, {})
        if request.path == "/" and "topic" in message:
            if request.headers.get("authorization") != f"Bearer {NTFY}" or "ntfy" in self.revoked:
                return Answer(401, {"code": 40101, "http": 401, "error": "unauthorized"})
            self._receive("ntfy", message["title"], message["message"], message)
            return Answer(200, {"id": "1", "event": "message"})
        return None

    def _receive(self, service: str, title: str, body: str, payload: dict[str, Any]) -> None:
        with self.lock:
            self.received.append(Received(service, title, body, payload))


_SERVICES: Final = (
    (("hooks.slack.com", "slack.com"), NoticeServices.slack),
    (("api.telegram.org",), NoticeServices.telegram),
    (("teams.test",), NoticeServices.teams),
    (("discord.com",), NoticeServices.discord),
    (("chat.googleapis.com",), NoticeServices.google),
    ((), NoticeServices.local),
)


def _telegram_refuses(why: str) -> Answer:
    return Answer(400, {"ok": False, "error_code": 400, "description": why})


class _TelegramHtml(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.open: list[str] = []
        self.wrong = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag not in _TELEGRAM_TAGS:
            self.wrong = self.wrong or f"unsupported start tag {tag}"
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong = self.wrong or f"unexpected end tag {tag}"


def _telegram_html(text: str) -> str:
    reader = _TelegramHtml()
    reader.feed(text)
    reader.close()
    if re.search(r"<(?![a-z/])", text):
        return "a lone <"
    return reader.wrong or ("an open tag" if reader.open else "")


class _Proxy:
    """Handles CONNECT, terminates TLS for any host of `HOSTS`, and forwards the rest to one server."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        self._context, self._port = context, port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the connection was closed
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            head = b""
            while b"\r\n\r\n" not in head:
                more = client.recv(4096)
                if not more:
                    return
                head += more
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with (
                self._context.wrap_socket(client, server_side=True) as secure,
                socket.create_connection(("127.0.0.1", self._port)) as server,
            ):
                back = threading.Thread(target=_forward, args=(server, secure), daemon=True)
                back.start()
                _forward(secure, server)
                with suppress(OSError):
                    server.shutdown(socket.SHUT_WR)
                back.join()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True)
class Running:
    """The services, the proxy in front of them, and the addresses."""

    services: NoticeServices
    server: FaultyServer
    addresses: dict[str, str]


@contextmanager
def running_services(folder: Path) -> Iterator[Running]:
    """Run the services, and make them reachable through this process's environment."""
    services = NoticeServices()
    apprise.Apprise.instantiate(f"slack://{SLACK_HOOK}")  # loads all plugins, so that no test waits for them
    certificate = certificate_for(HOSTS[0], folder, *HOSTS[1:])
    with FaultyServer(answer=services) as server, pytest.MonkeyPatch.context() as patched:
        local = server.url.removeprefix("http://")
        proxy = _Proxy(certificate.server, int(local.partition(":")[2]))
        patched.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        patched.setenv("NO_PROXY", "127.0.0.1,localhost")
        patched.setenv("REQUESTS_CA_BUNDLE", str(folder / "authority.pem"))
        for name in ("https_proxy", "http_proxy", "no_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
            patched.delenv(name, raising=False)
        for name, value in _VARIABLES.items():
            patched.setenv(name, value)
        addresses = {name: one.replace("{local}", local) for name, one in ADDRESSES.items()}
        try:
            yield Running(services, server, addresses)
        finally:
            proxy.close()
