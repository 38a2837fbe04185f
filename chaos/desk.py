"""The external service: an HTTP server whose own log says what happened, when, and who had approved.

Each request is looked up on the audit trail when it arrives, by plain SQL: an effect that is not approved
there is detected at once, whatever the trail says afterwards.
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
    """One request that came in. Without ``effect`` its key was known, and nothing was done again."""

    token: str
    key: str
    at: float
    approved: bool
    effect: bool


@dataclass(frozen=True)
class Answer:
    """One answer that was sent off, at a time of the clock by which the calls came in."""

    token: str
    at: float


@dataclass
class Desk:
    """Carries out what it is asked, and knows every request.

    With ``honours_keys`` it does nothing twice under one ``Idempotency-Key``, as good vendors do. It refuses
    the next call for each token in ``refuses``, and hangs up on the next one for each in ``hangs_up``, whose
    value says whether it does before that what it is asked.
    """

    honours_keys: bool
    is_approved: IsApproved
    delay: Callable[[], float] = lambda: 0.0
    calls: list[Call] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    hangs_up: dict[str, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                desk.take(self)

            def log_message(self, *_: object) -> None:
                """Say nothing; the log is ``calls``."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def host(self) -> str:
        """HOST:PORT, as the settings name it."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Where effects are asked for."""
        return f"http://{self.host}/effects"

    def effects(self, token: str) -> int:
        """Count how often this effect happened."""
        with self._lock:
            return sum(call.effect for call in self.calls if call.token == token)

    def repeated(self) -> int:
        """Count the requests that asked again for what was done."""
        with self._lock:
            return sum(not call.effect for call in self.calls)

    def answered(self, token: str, *, before: float) -> bool:
        """Whether an answer to this call was sent off before a moment."""
        with self._lock:
            return any(answer.token == token and answer.at < before for answer in self.answers)

    def unapproved(self) -> list[str]:
        """Return what was asked for before its approval was on the trail."""
        with self._lock:
            return [call.token for call in self.calls if not call.approved]

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        """Do what one request asks, then answer, perhaps slowly; its sender may be dead by then."""
        at = time.time()
        body: dict[str, Any] = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))
        key = handler.headers["Idempotency-Key"] or ""
        approved = self.is_approved(body["run"])
        with self._lock:
            known = self.honours_keys and any(call.key == key for call in self.calls)
            is_refused = body["token"] in self.refuses
            self.refuses.discard(body["token"])
            does_it = self.hangs_up.pop(body["token"], None)
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
    """Return a function that asks the records, without Plangate's code, whether a run is approved."""
    if records_url.startswith("sqlite"):
        path = Path(records_url.removeprefix("sqlite:///"))
        return lambda run: any(map(_is_approval, _ask_sqlite(path, run)))
    return lambda run: any(map(_is_approval, _ask_postgres(records_url, run)))


def _ask_sqlite(path: Path, run: str) -> list[str]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as connection:
        return [row[0] for row in connection.execute(f"{_QUESTION}?", [run])]


def _ask_postgres(url: str, run: str) -> list[str]:
    """Ask again while the database is being killed: what is committed stays committed."""
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
