"""The width of text on a terminal, in cells.

This is the usual rule of terminals (Markus Kuhn's ``wcwidth``) over Python's own table of characters. In
doubt a character counts as wide: a line that breaks early is harmless, but the terminal continues a line that
is too wide at the left edge. Characters that are not in the table are always escaped
(`plangate.domain.escaping`).
"""

import unicodedata
from functools import lru_cache
from typing import Final

_ZERO_WIDTH: Final = frozenset({"Mn", "Me", "Cf", "Cc"})
_JOINED_JAMO: Final = ((0x1160, 0x11FF), (0xD7B0, 0xD7FF))  # drawn over the first letter of a syllable
_WIDE_SINCE_UNICODE_16: Final = ((0x2630, 0x2637), (0x268A, 0x268F), (0x4DC0, 0x4DFF), (0x1D300, 0x1D376))


def cell_len(text: str) -> int:
    """Return how many cells an escaped text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


@lru_cache(maxsize=10_000)
def _cells(char: str) -> int:
    code = ord(char)
    if unicodedata.category(char) in _ZERO_WIDTH or any(a <= code <= z for a, z in _JOINED_JAMO):
        return 0
    if any(a <= code <= z for a, z in _WIDE_SINCE_UNICODE_16):
        return 2
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
