"""Make text that people or models wrote inert in every channel: no links, no mentions, no markup.

Each channel escapes text in its own way, but its clients still turn addresses into links and names into
mentions. Anything that a client interprets is therefore split by a space (``@ channel``), or one of its
characters is replaced by a look-alike, such as the dot of ``evil.example``.
"""

import re
from typing import Final

from plangate.domain.escaping import one_line

LONGEST: Final = 200
_LOOKALIKES: Final = str.maketrans(
    {
        "<": "\u2039",
        ">": "\u203a",
        "`": "'",
        "*": "\u2217",
        "~": "\u223c",
        "|": "\u00a6",
        "\\": "\u2216",
        "[": "(",
        "]": ")",
    }
)
# A dot before a letter may belong to a host, and a "_" at the edge of a word may be emphasis. "@word" is a
# mention, "#word" a channel, "!word" a command, "&word" an entity, ":word:" an emoji, "://" and "word:" an
# address, even if the word ends with a digit; one or two digits before a colon are kept, as in "14:05".
# Hosts may also contain the dots U+3002, U+FF0E and U+FF61 (RFC 3490); a space after them keeps them readable
# in Chinese sentences. Four numbers are an IPv4 address; "1.234.567.890" is not one.
_DOT: Final = (re.compile(r"(?<=[\w-])\.(?=[^\W\d_])"), "\u2024")
_WIDE_DOT: Final = (re.compile(r"(?<=[\w-])([\u3002\uff0e\uff61])(?=[^\W\d_])"), r"\1 ")
_EDGE: Final = (re.compile(r"(?<![^\W_])_|_(?![^\W_])"), "\u2017")
_SPLIT: Final = (
    re.compile(
        r"(@(?=\S)|#(?=[^\W\d_])|!(?=\w)|&(?=[\w#])|:(?=//|[\w+-]+:)"
        r"|(?<=[\w+.-])(?<!(?<![\w+.-])\d)(?<!(?<![\w+.-])\d\d):(?=\S))"
    ),
    r"\1 ",
)
_IPV4: Final = (
    re.compile(
        r"(?<!\d)((?:[12\uff11\uff12]?\d?\d[.\u3002\uff0e\uff61]){2}[12\uff11\uff12]?\d?\d)"
        r"[.\u3002\uff0e\uff61](?=[12\uff11\uff12]?\d?\d(?!\d))"
    ),
    "\\1\u2024",
)
_INCOMPLETE_MARK: Final = re.compile(r"⟨[^⟩]*\Z")


def inert(text: str, limit: int = LONGEST) -> str:
    """Return ``text`` on one line, cut at ``limit`` characters, with nothing that a client interprets.

    Hidden characters are made visible, as `one_line` does; an empty text becomes ``(empty)``.
    """
    shown = one_line(text[: limit + 1]).strip()
    if len(shown) > limit:
        shown = f"{_INCOMPLETE_MARK.sub('', shown[:limit]).strip()}…"
    shown = shown.translate(_LOOKALIKES)
    for pattern, other in (_DOT, _WIDE_DOT, _EDGE, _SPLIT, _IPV4):
        shown = pattern.sub(other, shown)
    return shown or "(empty)"
