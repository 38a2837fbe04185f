"""Remove a server's secrets from everything that it returns.

A server may repeat its environment or its headers in a response, an error or a description. Each value is
replaced, including its encoded forms in JSON, URLs, HTML and Base64.
"""

import base64
import html
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus

from pydantic import JsonValue

from plangate.logs.redaction import REDACTED

_HEX: Final = re.compile("%[0-9A-F]{2}")
_SHORTEST: Final = 4  # a shorter value would match everywhere, and is not a secret


class Secrets:
    """Values to remove from all text."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        # Within a text, a value may have lost its leading or trailing spaces.
        found = {one for value in values for one in (value, value.strip()) if len(one) >= _SHORTEST}
        self._spelled = sorted({one for value in found for one in _spellings(value)}, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """Return the text without the secrets."""
        for spelled in self._spelled:  # the longest first, because it may contain a shorter one
            text = text.replace(spelled, REDACTED)
        return text

    def hide_in(self, value: JsonValue) -> JsonValue:
        """Return JSON without the secrets, including in names."""
        match value:
            case str():
                return self.hide(value)
            case list():
                return [self.hide_in(item) for item in value]
            case dict():
                return {self.hide(name): self.hide_in(item) for name, item in value.items()}
            case _:
                return value


def _spellings(value: str) -> Iterable[str]:
    raw = value.encode()
    yield value
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield json.dumps(json.dumps(value)[1:-1])[1:-1]  # JSON within JSON
    yield value.replace("/", r"\/")  # JSON as PHP writes it
    yield json.dumps(value)[1:-1].replace("/", r"\/")
    for quoted in (quote(value, safe=""), quote(value), quote_plus(value)):
        yield quoted
        yield _HEX.sub(lambda found: found[0].lower(), quoted)
    yield html.escape(value)
    yield repr(value)[1:-1]
    yield raw.hex()
    for shift in range(3):  # as part of a longer Base64 text
        whole = base64.b64encode(b"\0" * shift + raw).decode().rstrip("=")
        kept = whole[(0, 2, 3)[shift] : len(whole) - (1 if (len(raw) + shift) % 3 else 0)]
        if len(kept) >= _SHORTEST:
            yield kept
            yield kept.replace("+", "-").replace("/", "_")
