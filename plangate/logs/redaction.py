"""What must not be written down is taken out: by its name where it has one, by its shape in a text.

This is the net. The first duty is with whoever logs: prompts, arguments and secrets are never logged.

The texts come from outsiders and may be long, so each shape is found in time proportional to the text: from
one character, at most one attempt reads on, and none reads back (``++``, or an end that always matches).
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from plangate.domain.escaping import cut, one_line

REDACTED = "[redacted]"

_SECRET_NAME = re.compile(
    r"passw|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential|authorization|cookie|signature"
    r"|^(arguments|prompt|messages|body)$",
    re.IGNORECASE,
)
_SECRET_SHAPES = (
    (re.compile(r"(?<=://)[^/\s?#]+(?=@)"), REDACTED),  # user:password in a URL
    (
        re.compile(
            r"([?&](?=[^=&?\s]*(?:token|key|secret|passw|sig))[^=&?\s]*+=)[^&\s]+",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"\b(bearer|basic)\s++[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # What pydantic found wrong; to the end, where what came behind it was cut off.
    (re.compile(r"(?<=input_value=).+?(?=, input_type=|\Z)", re.DOTALL), REDACTED),
    # A signed token: three parts, of which the first begins like the Base64 of '{"'.
    (re.compile(r"(?<![\w-])(?=(?:[\w-]*?-)?eyJ[\w-]{8})[\w-]++\.[\w-]++\.[\w-]*"), REDACTED),
    (
        re.compile(r"\b(?:sk|rk|pk|whsec|ghp|gho|ghs|github_pat|xox[a-z])[-_][\w-]{12,}"),
        REDACTED,
    ),  # known keys
)


def redact(name: str, value: Any) -> Any:
    """Return the value as it may be logged under this name."""
    if value is None or isinstance(value, (bool, int, float)):
        return value  # a count of tokens is no token
    if _names_a_secret(name):
        return REDACTED
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, Mapping):
        return {key: redact(str(key), inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [redact("", inner) for inner in value]
    return redact_text(str(value))


def redact_text(text: str) -> str:
    """Return the text without what has the shape of a secret; none has one of letters and digits alone."""
    if text.isalnum():
        return text
    for shape, replacement in _SECRET_SHAPES:
        text = shape.sub(replacement, text)
    return text


def recordable(text: str, limit: int) -> str:
    """Return what somebody else's code wrote, as it may be kept for ever: one line, no secrets, not too long.

    Args:
        text: of an exception, say; it may hold whatever the code had in its hands.
        limit: how many characters are kept.
    """
    # Cut far behind the limit first, and at it afterwards: no secret is cut in two and kept.
    return cut(one_line(redact_text(text[: 10 * limit])), limit)


@lru_cache(maxsize=1_000)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None
