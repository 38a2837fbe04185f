"""Text from outsiders, made fit to be shown: nothing hidden, nothing reordered, nothing obeyed.

An approver must not be shown something other than what will run. Every character that a terminal
or a browser would obey instead of draw (control characters, ANSI escapes, bidirectional overrides,
zero-width and blank look-alikes, stacks of combining marks) is drawn as ``⟨U+202E⟩``. The bracket ``⟨``
itself is drawn so too, hence two different texts never look the same for this reason.
"""

import re
import unicodedata
from itertools import groupby

_BLANK_LETTERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MAX_MARKS = 2
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|~>:@])")


def _is_hidden(char: str) -> bool:
    if char == "⟨" or char in _BLANK_LETTERS:
        return True
    category = unicodedata.category(char)
    if category in _HIDDEN_CATEGORIES:
        return True
    if category == "Zs":
        return char != " "
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def _mark(char: str) -> str:
    return f"⟨U+{ord(char):04X}⟩"


def one_line(text: str) -> str:
    """Return ``text`` on one line, each hidden character made visible; a line break becomes ``⏎``."""
    return _show(text, {"\n": "⏎", "⏎": _mark("⏎")})


def many_lines(text: str) -> str:
    """Return ``text`` with its line breaks kept and each other hidden character made visible."""
    return _show(text, {"\n": "\n"})


def _show(text: str, kept: dict[str, str]) -> str:
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    for is_mark, run in groupby(text, key=lambda char: unicodedata.category(char) in ("Mn", "Me")):
        for position, char in enumerate(run):
            if char in kept:
                shown.append(kept[char])
            elif _is_hidden(char) or (is_mark and (position >= _MAX_MARKS or not shown)):
                shown.append(_mark(char))
            else:
                shown.append(char)
    return "".join(shown)


def markdown_line(text: str) -> str:
    """Return ``text`` as one line of Markdown that means nothing but itself: no link, tag or emphasis."""
    escaped = _MARKDOWN.sub(r"\\\1", one_line(text))
    return escaped.replace("&", "&amp;").replace("<", "&lt;")


def markdown_block(text: str, language: str = "") -> str:
    """Return ``text`` as a fenced block of Markdown that nothing in the text can close."""
    body = many_lines(text)
    longest = max((len(run) for run in re.findall(r"`+", body)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def cut(text: str, limit: int) -> str:
    """Return ``text``, or its first ``limit`` characters and how many are not shown."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit} more characters are not shown here)"
