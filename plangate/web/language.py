"""The words of the pages: one TOML file for each language, and every other language falls back to English.

Words about a plan (previews, verdicts, reasons) come from Plangate or from people as they are.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent / "languages"
DEFAULT: Final = "en"
_MOST_TAGS: Final = 20


@dataclass(frozen=True, slots=True)
class Language:
    """The words of one language, by their names: ``sign_in.title``."""

    code: str
    words: Mapping[str, str]

    def __call__(self, name: str, /, **values: object) -> str:
        """Return the words with that name, with values in their places.

        Raises:
            KeyError: English has no such words.
        """
        text = self.words[name]
        return text.format(**values) if values else text

    def count(self, name: str, number: int, /, **values: object) -> str:
        """Return the words for a number of things: ``name.one`` or ``name.other``."""
        return self(f"{name}.{'one' if number == 1 else 'other'}", number=f"{number:,}", **values)


@cache
def languages() -> Mapping[str, Language]:
    """Return every language by its code."""
    english = read_words(_FOLDER / f"{DEFAULT}.toml")
    found = {path.stem: read_words(path) for path in sorted(_FOLDER.glob("*.toml"))}
    return {code: Language(code, {**english, **words}) for code, words in found.items()}


def chosen(accepted: str) -> Language:
    """Return the language that an Accept-Language header likes best; English if there is none of them."""
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
    """Return the words of one file, by their names."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    return {f"{table}.{name}": text for table, words in tables.items() for name, text in _flat(words)}


def _flat(words: Mapping[str, object]) -> Sequence[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, text in words.items():
        if isinstance(text, Mapping):
            flat += [(f"{name}.{part}", str(one)) for part, one in text.items()]
        else:
            flat.append((name, str(text)))
    return flat
