"""The external service: an HTTP server that logs each effect with its time, and whether it was approved.

When a request arrives, its approval is looked up on the audit trail with plain SQL. An effect without an
approval is therefore detected immediately, regardless of later entries on the trail.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg

IsApproved = Callable[[str], bool]
_QUESTION = "SELECT event FROM audit_entries WHERE kind = 'decided' AND workflow_id = "


@dataclass(frozen=True)
class Call:
    """One request. ``effect`` is false if the key was known, so that the effect was not repeated."""

    token: str
    key: str
    at: float
    approved: bool
    effect: bool


@dataclass(frozen=True)
class Answer:
    """One response that was sent, with its time by the same clock as the calls."""

    token: str
    at: float


class _Server(ThreadingHTTPServer):
    """Accepts every request in a burst, however late: a refused connection would not be in ``calls``."""

    daemon_threads = True
    request_queue_size = 256


@dataclass
class ExternalService:
    """Executes and logs every request.

    With ``honours_keys``, it executes each ``Idempotency-Key`` only once. It refuses the next call for each
    token in ``refuses``. It closes the connection of the next call for each token in ``closes_on``, whose
    value determines whether it executes the call first.
    """

    honours_keys: bool
    is_approved: IsApproved
    delay: Callable[[], float] = lambda: 0.0
    calls: list[Call] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    closes_on: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                service.take(self)

            def log_message(self, *_: object) -> None:
                """Log nothing; ``calls`` is the log."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        """HOST:PORT, as in the settings."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """The URL for effects."""
        return f"http://{self.host}/effects"

    def effects(self, token: str) -> int:
        """Return the number of times that this effect happened."""
        with self._lock:
            return sum(call.effect for call in self.calls if call.token == token)

    def repeated(self) -> int:
        """Return the number of repeated requests for effects that had already happened."""
        with self._lock:
            return sum(not call.effect for call in self.calls)

    def answered(self, token: str, *, before: float) -> bool:
        """Return whether a response to this call was sent before a given time."""
        with self._lock:
            return any(answer.token == token and answer.at < before for answer in self.answers)

    def unapproved(self) -> list[str]:
        """Return the effects that were requested before their approval was on the trail."""
        with self._lock:
            return [call.token for call in self.calls if not call.approved]

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """Execute one request, then respond, possibly slowly; the sender may have been killed by then."""
        at = time.time()
        body: dict[str, Any] = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        key = handler.headers["Idempotency-Key"] or ""
        approved = self.is_approved(body["run"])
        with self._lock:
            known = self.honours_keys and any(call.key == key for call in self.calls)
            is_refused = body["token"] in self.refuses
            self.refuses.discard(body["token"])
            does_it = self.closes_on.pop(body["token"], None)
            effect = not known and not is_refused and does_it is not False
            self.calls.append(Call(body["token"], key, at, approved, effect=effect))
        time.sleep(self.delay())
        if does_it is not None:
            return
        with suppress(OSError):
            if is_refused:
                handler.send_error(422)
                return
            answer = json.dumps({"done": body["token"]}).encode()
            handler.send_response(200)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(answer)))
            handler.end_headers()
            handler.wfile.write(answer)
            answered = Answer(body["token"], time.time())
            with self._lock:
                self.answers.append(answered)

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def approval_lookup(records_url: str) -> IsApproved:
    """Return a function that queries the records, without Plangate's code, for a run's approval."""
    if records_url.startswith("sqlite"):
        path = Path(records_url.removeprefix("sqlite:///"))
        return lambda run: any(map(_is_approval, _ask_sqlite(path, run)))
    return lambda run: any(map(_is_approval, _ask_postgres(records_url, run)))


def _ask_sqlite(path: Path, run: str) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        return [row[0] for row in connection.execute(f"{_QUESTION}?", [run])]


def _ask_postgres(url: str, run: str) -> list[str]:
    """Repeat the query while the database is down, because committed data stays committed."""
    ends = time.monotonic() + 30
    while True:
        try:
            with psycopg.connect(url) as connection:
                return [row[0] for row in connection.execute(f"{_QUESTION}%s", [run]).fetchall()]
        except psycopg.OperationalError:
            if time.monotonic() > ends:
                raise
            time.sleep(0.1)


def _is_approval(event: str) -> bool:
    decided = json.loads(event)
    decision = decided["arrival"]["decision"]
    return bool(decided["verdict"]["accepted"] and decision and decision["decision"] == "approve")
