"""Find control characters in the text of emails and tickets."""

import unicodedata
from typing import Final

_CONTROL: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def control_character(text: str, allowed: str) -> str | None:
    """Return the first control character or line separator that is not allowed, as ``U+XXXX``."""
    for char in text:
        if unicodedata.category(char) in _CONTROL and char not in allowed:
            return f"U+{ord(char):04X}"
    return None
