"""Redact secrets in log lines and stored text, recognized by the name of a value or the form of the text.

This is only a second check: code must not log prompts, arguments or secrets in the first place.

Text comes from outside and may be long, so every pattern runs in linear time. At each character, at most one
alternative continues, and none backtracks (``++``, or an end that always matches).
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
    # The input in a pydantic error, up to the end of the text if the rest was cut off.
    (re.compile(r"(?<=input_value=).+?(?=, input_type=|\Z)", re.DOTALL), REDACTED),
    # A signed token: three parts. The first part begins like the Base64 of '{"'.
    (re.compile(r"(?<![\w-])(?=(?:[\w-]*?-)?eyJ[\w-]{8})[\w-]++\.[\w-]++\.[\w-]*"), REDACTED),
    (
        re.compile(r"\b(?:sk|rk|pk|whsec|ghp|gho|ghs|github_pat|xox[a-z])[-_][\w-]{12,}"),
        REDACTED,
    ),  # keys with known prefixes
)


def redact(name: str, value: Any) -> Any:
    """Return the value without its secrets, so that it may be logged under this name."""
    if value is None or isinstance(value, (bool, int, float)):
        return value  # a number of tokens is not a secret
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
    """Return the text, redacting everything that has the form of a secret."""
    if text.isalnum():  # no form of a secret consists only of letters and digits
        return text
    for shape, replacement in _SECRET_SHAPES:
        text = shape.sub(replacement, text)
    return text


def recordable(text: str, limit: int) -> str:
    """Return untrusted text in a storable form: one line, without secrets, at most ``limit`` characters.

    Args:
        text: for example an exception's text, which may contain any data that the code handled.
        limit: the maximum length in characters.
    """
    # Cut far beyond the limit first, then at the limit: a secret cut in two would not be recognized.
    return cut(one_line(redact_text(text[: 10 * limit])), limit)


@lru_cache(maxsize=1_000)
def _names_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None
