"""Show a payer's name so that it cannot look like Plangate's text, because an outsider chose it. Pure."""

import json
import re
from typing import Final

_LONGEST_PLAIN: Final = 60
_PLAIN_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)
_QUOTES: Final = "\u201c\u201d\u201e\u201f\u2033\u02ba\u02dd\u02ee\u3003\u301d\u301e\uff02"
_LIKE_A_QUOTE: Final = {ord(one): f"⟨U+{ord(one):04X}⟩" for one in _QUOTES}


def person_in_words(text: str) -> str:
    """Return an email address as is, and anything else in quotes: a name may look like Plangate's text."""
    if len(text) <= _LONGEST_PLAIN and _PLAIN_EMAIL.fullmatch(text):
        return text
    return json.dumps(text, ensure_ascii=False).translate(_LIKE_A_QUOTE)
