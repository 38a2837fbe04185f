"""Make text that people or models wrote inert in every channel: no links, no mentions, no markup.

Each channel escapes text in its own way, and the clients behind it turn addresses into links and names into
mentions all the same. Characters that any of them interprets are therefore written in their full-width form,
which every client only draws: that of the @ in ``@channel``, and a look-alike of the dot in ``evil.example``.
"""

import re
from typing import Final

from plangate.domain.escaping import one_line

LONGEST: Final = 200
_WIDE: Final = 0xFEE0  # from "!" to its full-width form
_ALWAYS: Final = {ord(char): ord(char) + _WIDE for char in "@<>`*~[]|\\"}
_DOT: Final = "\u2024"
# A dot before a letter may be one of a host, a "_" at the edge of a word emphasis, ":word:" an emoji,
# "&word" an entity, "#word" a channel, "://" an address, "!word" a command.
_SOMETIMES: Final = (
    (re.compile(r"(?<=\w)\.(?=[^\W\d_])"), _DOT),
    (re.compile(r"(?<![^\W_])_|_(?![^\W_])"), "\uff3f"),
    (re.compile(r":(?=//|[\w+-]+:)"), "\uff1a"),
    (re.compile(r"&(?=[\w#])"), "\uff06"),
    (re.compile(r"#(?=[^\W\d_])"), "\uff03"),
    (re.compile(r"!(?=\w)"), "\uff01"),
)


def inert(text: str, limit: int = LONGEST) -> str:
    """Return ``text`` on one line, of about ``limit`` characters at most, without anything to interpret.

    What is hidden is drawn, as `one_line` does; an empty text is ``(empty)``.
    """
    shown = one_line(text[: limit + 1]).strip()
    if len(text) > limit:
        shown = f"{one_line(text[:limit]).strip()}…"
    shown = shown.translate(_ALWAYS)
    for pattern, other in _SOMETIMES:
        shown = pattern.sub(other, shown)
    return shown or "(empty)"
