"""Show a payer's name, which an outsider chose: no text may pass for words of Plangate. Pure."""

import json
import re
import unicodedata
from typing import Final

_LONGEST_PLAIN: Final = 60
_MOST_WORDS: Final = 4  # of a plain name
_MOST_UNCASED: Final = 4  # letters of a plain name in a script without capitals, such as Chinese
NAME_PARTICLES: Final = frozenset(
    [
        "af", "al", "av", "bin", "da", "das", "de", "dei", "del", "della", "den", "der", "di", "do",
        "dos", "du", "e", "el", "ibn", "la", "le", "ten", "ter", "van", "von", "y", "zu", "zum", "zur"
    ]
)  # fmt: skip
"""Words in lower case that are parts of names."""
_TITLES: Final = frozenset(["Dr.", "Mr.", "Mrs.", "Ms.", "Prof.", "Jr.", "Sr.", "St.", "Co.", "Inc.", "Ltd."])
_INITIALS: Final = re.compile(r"(?:[^\W\d_]\.)+")
_PARTS: Final = re.compile("['\u2019-]")
_PLAIN_EMAIL: Final = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.ASCII)


def person_in_words(said: str) -> str:
    """Return a name or an address that an outsider chose; in quotes if it is not clearly one of both.

    A name has at most four words, which begin with capitals or are particles of names; a period ends initials
    and titles only. A name that is written otherwise is in quotes too, which does no harm.
    """
    is_short = len(said) <= _LONGEST_PLAIN
    is_plain = is_short and (_is_name(said) or _PLAIN_EMAIL.fullmatch(said))
    return said if is_plain else json.dumps(said, ensure_ascii=False)


def _is_name(said: str) -> bool:
    if len(said) <= _MOST_UNCASED and all(unicodedata.category(letter) == "Lo" for letter in said):
        return bool(said)
    words = said.split(" ")
    return (
        len(words) <= _MOST_WORDS and words[-1] not in NAME_PARTICLES and all(map(_is_word_of_a_name, words))
    )


def _is_word_of_a_name(word: str) -> bool:
    if word in NAME_PARTICLES or word in _TITLES:
        return True
    if _INITIALS.fullmatch(word):
        return word.isupper()
    *first, last = _PARTS.split(word)
    return _is_capitalised(last) and all(
        _is_capitalised(one) or one in NAME_PARTICLES or one in ("d", "l") for one in first
    )


def _is_capitalised(part: str) -> bool:
    """Return whether a part of a name has a capital first, and is not all capitals, as what is shouted."""
    return part.isalpha() and part[0].isupper() and not part[1:].isupper()
