"""Translate the sentences of Plangate's own code that a page shows: reasons, troubles and refusals.

Such a sentence comes as English text, from a worker, the records or the client. A language file has its
pattern under ``[said]``, with ``{}`` for each value, and the translation, with ``{0}``, ``{1}`` for the
values in their order. A value written ``{0!}`` is translated too, also by the patterns under ``[parts]``,
which are no sentences; those under ``[joined]`` fit only if all such values can be translated. What has no
pattern stays English, whole: names, comments and the words of tools are never translated.

    >>> said = Sentences({"the run ends: {}": "es endet: {0!}"}, {"rejected": "abgelehnt"}, {})
    >>> said("the run ends: rejected"), said("The run ends: rejected"), said("something else")
    ('es endet: abgelehnt', 'Es endet: abgelehnt', 'something else')
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_LONGEST: Final = 1_500
"""Characters of a text that is translated; a longer one has words of others in it."""
_DEEPEST: Final = 4
_VALUE: Final = re.compile(r"\{(\d)(!?)\}")
_ENDS: Final = re.compile(r"(?<=[.]) (?=[A-Z])")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A sentence and its translation.

    Attributes:
        literals: what stands before, between and after its values.
        own: the translation.
        is_strict: whether every value that is translated must be.
    """

    literals: tuple[str, ...]
    own: str
    is_strict: bool

    def values(self, text: str) -> tuple[str, ...] | None:
        """Return the values of a text, each as short as it can be, but not empty; None if it differs."""
        first, *between = self.literals
        if not between:
            return () if text == first else None
        last = between.pop()
        end = len(text) - len(last)
        if not text.startswith(first) or not text.endswith(last):
            return None
        found, start = [], len(first)
        for literal in between:
            position = text.find(literal, start + 1, end)
            if position < 0:
                return None
            found.append(text[start:position])
            start = position + len(literal)
        return (*found, text[start:end]) if start < end else None


class Sentences:
    """The sentences of one language.

    Args:
        said: translations by pattern.
        parts: those of parts of sentences.
        joined: those of parts of which every value must be translated.
    """

    def __init__(self, said: Mapping[str, str], parts: Mapping[str, str], joined: Mapping[str, str]) -> None:
        self._said = _patterns(said, is_strict=False)
        self._parts = [*_patterns(joined, is_strict=True), *_patterns(parts, is_strict=False)]
        self._translated = lru_cache(maxsize=2_000)(self._translate)

    def __call__(self, text: str) -> str:
        """Return a text in this language; as it is if any of its sentences is not known."""
        return self._translated(text) if self._said and len(text) <= _LONGEST else text

    def _translate(self, text: str) -> str:
        for pieces, between in ((_ENDS.split(text), " "), ([text], ""), (text.split("; "), "; ")):
            found = [self._matched(piece, 0) for piece in pieces]
            if all(one is not None for one in found):
                return between.join(one or "" for one in found)
        return text

    def _matched(self, text: str, depth: int) -> str | None:
        """Return the translation by the first pattern that fits, or None.

        It begins with a capital letter if the English does.
        """
        for pattern in (*self._said, *(self._parts if depth else ())):
            values = pattern.values(text)
            filled = None if values is None else self._filled(values, pattern, depth)
            if filled is not None:
                return filled
        if not "A" <= text[:1] <= "Z":
            return None
        found = self._matched(text[:1].lower() + text[1:], depth)
        return None if found is None else found[:1].upper() + found[1:]

    def _filled(self, values: Sequence[str], pattern: _Pattern, depth: int) -> str | None:
        filled: dict[str, str] = {}
        for named in _VALUE.finditer(pattern.own):
            value = values[int(named[1])]
            translated = self._matched(value, depth + 1) if named[2] and depth < _DEEPEST else None
            if named[2] and translated is None and pattern.is_strict:
                return None
            filled[named[0]] = value if translated is None else translated
        return _VALUE.sub(lambda named: filled[named[0]], pattern.own)


def _patterns(sentences: Mapping[str, str], *, is_strict: bool) -> list[_Pattern]:
    """Return the patterns of sentences, those that say more first."""
    ordered = sorted(sentences.items(), key=lambda one: len(one[0].replace("{}", "")), reverse=True)
    return [_Pattern(tuple(english.split("{}")), own, is_strict) for english, own in ordered]


NO_SENTENCES: Final = Sentences({}, {}, {})
