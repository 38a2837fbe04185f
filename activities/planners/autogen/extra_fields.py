"""Return to each server the extra fields that it sent with its calls, which AutoGen drops.

Gemini 3 signs its calls (``extra_content``); DeepSeek and Kimi require their reasoning
(``reasoning_content``). Without these fields they refuse the next request in the conversation. A server
receives only its own fields. Pure.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

_FIELD_OF_CALL: Final = "extra_content"
_FIELD_OF_MESSAGE: Final = "reasoning_content"


class ExtraFields:
    """Keeps these fields for one conversation, keyed by call id."""

    def __init__(self) -> None:
        self._of_calls: dict[str, object] = {}
        self._of_messages: dict[str, object] = {}

    def keep(self, answer: object) -> None:
        """Remember the fields of a response's calls; if two calls have the same id, the first one is used."""
        for message, call, call_id in _calls_of(answer):
            if call.get(_FIELD_OF_CALL):
                self._of_calls.setdefault(call_id, call[_FIELD_OF_CALL])
            if message.get(_FIELD_OF_MESSAGE):
                self._of_messages.setdefault(call_id, message[_FIELD_OF_MESSAGE])

    def add_to(self, request: bytes) -> bytes:
        """Return a request with the remembered fields added to its calls."""
        if not self._of_calls and not self._of_messages:
            return request
        body = json.loads(request)
        for message in body["messages"]:
            for call in message.get("tool_calls") or ():
                if call["id"] in self._of_calls:
                    call[_FIELD_OF_CALL] = self._of_calls[call["id"]]
                if call["id"] in self._of_messages:
                    message[_FIELD_OF_MESSAGE] = self._of_messages[call["id"]]
        return json.dumps(body).encode()


def _calls_of(answer: object) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], str]]:
    """Yield the message, the call and the id for each call that has an id."""
    choices = answer.get("choices") if isinstance(answer, Mapping) else None
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, Mapping) else None
        calls = message.get("tool_calls") if isinstance(message, Mapping) else None
        for call in calls if isinstance(calls, list) else ():
            call_id = call.get("id") if isinstance(call, Mapping) else None
            if isinstance(call_id, str) and call_id and isinstance(message, Mapping):
                yield message, call, call_id
