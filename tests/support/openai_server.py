"""A small server for OpenAI's chat completions over real HTTP, with scripted answers.

It tests the whole path to a model and back: client, connection, status codes, JSON. It is as strict as all
real servers together: it refuses every conversation that one of them refuses.
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

PROMPT_TOKENS = 100
COMPLETION_TOKENS = 10


@dataclass(frozen=True)
class Says:
    """The model responds with text."""

    text: str | None
    finish_reason: str = "stop"


@dataclass(frozen=True)
class Calls:
    """The model calls tools, each by name and arguments, all in one message; raw text is sent as it is."""

    calls: tuple[tuple[str, Any], ...]
    text: str | None = None
    finish_reason: str = "tool_calls"


@dataclass(frozen=True)
class UnusualReply:
    """A valid response whose parts differ from OpenAI's format; a part that is LEFT_OUT is missing.

    ``ids`` are the ids of the calls, in order; ``choice``, ``message`` and ``top`` are further fields.
    """

    reply: Says | Calls
    finish_reason: Any = None
    ids: tuple[Any, ...] | None = None
    content: Any = None
    usage: Any = None
    choice: Mapping[str, Any] = field(default_factory=dict)
    message: Mapping[str, Any] = field(default_factory=dict)
    top: Mapping[str, Any] = field(default_factory=dict)


class _LeftOut:
    def __repr__(self) -> str:
        return "left out"


LEFT_OUT: Final = _LeftOut()


@dataclass(frozen=True)
class Status:
    """The service responds with a status and a body: JSON, or raw text."""

    code: int
    body: Any = None


@dataclass(frozen=True)
class Drops:
    """The connection is closed without a response."""


@dataclass(frozen=True)
class Hangs:
    """There is no response until the server stops."""


Reply = Says | Calls | UnusualReply | Status | Drops | Hangs
Script = Sequence[Reply] | Callable[[dict[str, Any]], Reply]


def call(name: str, arguments: Any) -> Calls:
    """Return a message with one tool call."""
    return Calls(((name, arguments),))


class OpenAIServer:
    """Answers each request with the next reply of the script, and all further requests with its last one.

    A script can also be a function from the request's JSON to the reply. ``requests`` holds the JSON of every
    received request, in order, and ``keys`` their API keys; ``asked`` is set when the first one arrives.
    """

    def __init__(self, script: Script, model: str | None = None, *, distinct: bool = False) -> None:
        """Give each call a unique id if ``distinct``, as OpenAI does; otherwise, unique in its response."""
        self._calls = itertools.count(1) if distinct else None
        self._script = script
        self._model = model
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self.asked = threading.Event()
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        """The value for OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, request: dict[str, Any], key: str) -> Reply:
        with self._lock:
            self.requests.append(request)
            self.keys.append(key)
            self.asked.set()
            if callable(self._script):
                return self._script(request)
            return self._script[min(len(self.requests), len(self._script)) - 1]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # otherwise there are 40 ms between head and body

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if self.path != "/v1/chat/completions":
                    self._send(404, {"error": {"message": f"no such address: {self.path}"}})
                    return
                request = json.loads(body)
                key = self.headers.get("Authorization", "").removeprefix("Bearer ")
                reply = outer._next(request, key)
                refusal = refused(request)
                if refusal is not None:
                    self._send(*refusal)
                    return
                match reply:
                    case Drops():
                        self.close_connection = True
                    case Hangs():
                        outer._ended.wait(60)
                        self.close_connection = True
                    case Status(code=code, body=answer):
                        self._send(code, answer)
                    case (Says() | Calls()) as reply:
                        self._send(200, completion(reply, outer._model or request["model"], outer._calls))
                    case UnusualReply() as reply:
                        self._send(200, unusual_reply(reply, outer._model or request["model"]))

            def _send(self, code: int, answer: Any) -> None:
                raw = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(code)
                self.send_header(
                    "Content-Type", "text/html" if isinstance(answer, str) else "application/json"
                )
                payload = raw.encode()
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name for it
                pass

        return Handler


def completion(reply: Says | Calls, model: str, ids: Iterator[int] | None = None) -> dict[str, Any]:
    """Return a reply in OpenAI's format."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if isinstance(reply, Calls):
        message["tool_calls"] = [
            {
                "id": f"call_{next(ids) if ids else number}",
                "type": "function",
                "function": {
                    "name": name,
                    "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments),
                },
            }
            for number, (name, arguments) in enumerate(reply.calls, start=1)
        ]
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish_reason, "logprobs": None}],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
    }


def unusual_reply(odd: UnusualReply, model: str) -> dict[str, Any]:
    """Return an unusual reply in its service's format."""
    answer = completion(odd.reply, model)
    (choice,) = answer["choices"]
    message = choice["message"]
    calls = message.get("tool_calls", [])
    for call, own in zip(calls, odd.ids or (), strict=False):
        call["id"] = own
    if odd.finish_reason is not None:
        choice["finish_reason"] = odd.finish_reason
    if odd.content is not None:
        message["content"] = odd.content
    if odd.usage is not None:
        answer["usage"] = odd.usage
    message.update(odd.message)
    choice.update(odd.choice)
    answer.update(odd.top)
    for part in (answer, choice, message, *calls):
        for name in [name for name, value in part.items() if value is LEFT_OUT]:
            del part[name]
    return answer


def refused(request: dict[str, Any]) -> tuple[int, dict[str, Any]] | None:
    """Return the status and the body with which a strict server refuses a conversation, with the reason."""
    open_calls: set[str] = set()
    known: set[str] = set()
    for message in request["messages"]:
        if "name" in message:  # Mistral; Groq and xAI with a 400
            return 422, {"detail": [{"type": "extra_forbidden", "loc": ["messages", "name"]}]}
        for call in message.get("tool_calls", ()):
            own = call.get("id")
            if not isinstance(own, str) or not own or own in known:
                return 400, {"error": {"message": "each call needs a unique id", "code": None}}
            known.add(own)
            open_calls.add(own)
            json.loads(call["function"]["arguments"])
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                return 400, {"error": {"message": "an answer without a call", "code": None}}
            open_calls.discard(message["tool_call_id"])
    if open_calls:
        return 400, {"error": {"message": "a call without an answer", "code": None}}
    return None
