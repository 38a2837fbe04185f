"""Load the messages of the pages: one TOML file per language; a missing message is in English.

Text about a plan comes unchanged from its tools (previews), its planner and people. Sentences of Plangate's
own code are translated by `plangate.web.sentences`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from plangate.web.sentences import NO_SENTENCES, Sentences
from plangate.web.writing import ENGLISH, Writing

_FOLDER: Final = Path(__file__).parent / "languages"
DEFAULT: Final = "en"
_MOST_TAGS: Final = 20
_NO_WORDS: Final = ("said", "parts", "writing")


@dataclass(frozen=True, slots=True)
class Language:
    """The messages of one language, by key: ``sign_in.title``.

    Attributes:
        said: the translations of the sentences of Plangate's code.
        writing: the notation of numbers.
    """

    code: str
    words: Mapping[str, str]
    said: Sentences = NO_SENTENCES
    writing: Writing = ENGLISH

    def __call__(self, name: str, /, **values: object) -> str:
        """Return the message with that key, with its values filled in.

        Raises:
            KeyError: English has no such message.
        """
        text = self.words[name]
        return text.format(**values) if values else text

    def count(self, name: str, number: int, /, **values: object) -> str:
        """Return the message for a number of things: ``name.one`` or ``name.other``."""
        return self(f"{name}.{'one' if number == 1 else 'other'}", number=self.number(number), **values)

    def number(self, number: float, decimals: int = 0) -> str:
        """Return a number in the language's notation."""
        return self.writing.number(f"{number:,.{decimals}f}")


@cache
def languages() -> Mapping[str, Language]:
    """Return every language by its code."""
    english = read_words(_FOLDER / f"{DEFAULT}.toml")
    found = {path.stem: read_words(path) for path in sorted(_FOLDER.glob("*.toml"))}
    return {code: _language(code, {**english, **words}) for code, words in found.items()}


def _language(code: str, words: Mapping[str, str]) -> Language:
    tables = tomllib.loads((_FOLDER / f"{code}.toml").read_text(encoding="utf-8"))
    writing = _writing(tables.get("writing", {}))
    return Language(code, words, Sentences(tables.get("said", {}), tables.get("parts", {}), writing), writing)


def _writing(signs: Mapping[str, Any]) -> Writing:
    """Return the formats in a language file; each value is a string or a list of strings."""
    known: dict[str, Any] = {
        name: tuple(sign) if isinstance(sign, list) else sign for name, sign in signs.items()
    }
    return Writing(**known)


def chosen(accepted: str) -> Language:
    """Return the language that an Accept-Language header prefers; English if none of them is available."""
    for code in _by_preference(accepted):
        if code in languages():
            return languages()[code]
    return languages()[DEFAULT]


def _by_preference(accepted: str) -> Sequence[str]:
    tags = []
    for part in accepted.split(",")[:_MOST_TAGS]:
        tag, _, quality = part.strip().partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=") or 1)
        except ValueError:
            weight = 0.0
        tags.append((-weight, tag.partition("-")[0].strip().lower()))
    return [tag for weight, tag in sorted(tags, key=lambda one: one[0]) if weight < 0]


def read_words(path: Path) -> Mapping[str, str]:
    """Return the messages in one file, by key."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    words = {table: named for table, named in tables.items() if table not in _NO_WORDS}
    return {f"{table}.{name}": text for table, named in words.items() for name, text in _flat(named)}


def _flat(words: Mapping[str, object]) -> Sequence[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, text in words.items():
        if isinstance(text, Mapping):
            flat += [(f"{name}.{part}", str(one)) for part, one in text.items()]
        else:
            flat.append((name, str(text)))
    return flat
