"""What some servers want back with the calls that they made, and AutoGen does not carry.

Gemini 3 signs its calls (``extra_content``), DeepSeek and Kimi want their reasoning beside them
(``reasoning_content``); without it they refuse the next request of the conversation as malformed. A server
gets back only what it sent itself. Pure.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_OF_CALL: Final = "extra_content"
_OF_MESSAGE: Final = "reasoning_content"


class Echoes:
    """Keeps these fields of one conversation by the ids of its calls."""

    def __init__(self) -> None:
        self._of_calls: dict[str, object] = {}
        self._of_messages: dict[str, object] = {}

    def keep(self, answer: object) -> None:
        """Remember what an answer's calls came with; the first of two calls with one id counts."""
        for message, call, own in _calls_of(answer):
            if call.get(_OF_CALL):
                self._of_calls.setdefault(own, call[_OF_CALL])
            if message.get(_OF_MESSAGE):
                self._of_messages.setdefault(own, message[_OF_MESSAGE])

    def add_to(self, request: bytes) -> bytes:
        """Return a request with what belongs to the calls in it."""
        if not self._of_calls and not self._of_messages:
            return request
        body = json.loads(request)
        for message in body["messages"]:
            for call in message.get("tool_calls") or ():
                if call["id"] in self._of_calls:
                    call[_OF_CALL] = self._of_calls[call["id"]]
                if call["id"] in self._of_messages:
                    message[_OF_MESSAGE] = self._of_messages[call["id"]]
        return json.dumps(body).encode()


def _calls_of(answer: object) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], str]]:
    """Return each call that has an id, with its message."""
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, Mapping) else None
        calls = message.get("tool_calls") if isinstance(message, Mapping) else None
        for call in calls if isinstance(calls, list) else ():
            own = call.get("id") if isinstance(call, Mapping) else None
            if isinstance(own, str) and own and isinstance(message, Mapping):
                yield message, call, own
