"""Translate the sentences of Plangate's code that a page shows: reasons, problems and refusals.

Such a sentence arrives as English text, from a worker, the records or the client. A language file lists its
pattern under ``[said]``, with ``{}`` for each value, and the translation, with ``{0}``, ``{1}`` for the
values in their order. Patterns under ``[parts]`` match only inside others. The most specific pattern wins,
and it matches only if each value has the kind that its place in the translation specifies:

    {0}   a name or another short word, which is not translated; a clause does not match
    {0#}  a number, in the language's notation
    {0@}  a time or a day, with the language's names
    {0%}  the working time of a calendar, with the language's names
    {0_}  an identifier, such as a tool name
    {0&}  names; the words that join them are translated
    {0!}  another sentence or part, which is translated too
    {0?}  the same, or text from people or services, which is put in quotation marks and not translated
    {0*}  any text from people or services, which is not translated

If one English pattern has several meanings, it has a list of translations; the first that fits is used. A
text is therefore either translated completely or left in English. Names, comments and text from tools
are never translated.

    >>> german = Sentences({"the run ends: {}": "es endet: {0!}"}, {"rejected": "abgelehnt"})
    >>> german("the run ends: rejected"), german("The run ends: rejected"), german("the run ends: else")
    ('es endet: abgelehnt', 'Es endet: abgelehnt', 'the run ends: else')
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final, TypeAlias

from plangate.web.writing import ENGLISH, NUMBER, TIME, WORKING, Writing

Translations: TypeAlias = Mapping[str, str | Sequence[str]]
"""The translations of English patterns: each one text, or a list of texts for different kinds of values."""

_LONGEST: Final = 1_500
"""The maximum length of a text that is translated; longer text was written by other people."""
_DEEPEST: Final = 8
_MOST_SENTENCES: Final = 12
_LONGEST_NAME: Final = 200
_PREFIX_LENGTH: Final = 6
_VALUE: Final = re.compile(r"\{(\d)([#@%_&!?*]?)\}")
_ENDS: Final = re.compile(r"(?<=[.?!]) (?=[A-Z\"'])")
_ON_DAYS: Final = re.compile(rf"\Aon (.{{1,300}}?) ({WORKING.pattern})\Z")
_IDENTIFIER: Final = re.compile(r"(?!(?:days?|hours?|minutes?|seconds?|steps?)\Z)[\w.-]{1,100}")
_LIST: Final = re.compile(r"(, and |, | and | or )")
_CLAUSE: Final = re.compile(
    r"[;:?!] |[.] [a-z]|\A(?:\d[\d,.]*|The|An?|No|Its?|This|Step|Plan|and) |(?<![^\s(])(?:the|an?|is|are|was"
    r"|were|it|its|has|have|had|been|be|may|cannot|could|did|does|not|no|because|since|that|this|which|whether"
    r"|so|then|now|if|but|needs|until|with|by|at|on|from|for|to|step|plan)(?![^\s,.;:)])"
)
"""Text that names do not contain. A value that contains it is a clause, and needs another pattern."""
_BEGIN, _END = "\ue000", "\ue001"  # around text from people or services
_UNTRANSLATED: Final = re.compile(f"[{_BEGIN}{_END}]")


@dataclass(frozen=True, slots=True)
class _Pattern:
    """A sentence and its translation.

    Attributes:
        literals: the text before, between and after its values.
        own: the translation.
        kinds: the kind that each value must have, by its number.
    """

    literals: tuple[str, ...]
    own: str
    kinds: Mapping[int, str]

    def values(self, text: str) -> tuple[str, ...] | None:
        """Return the values of a text, each as short as possible but not empty; None if it does not match."""
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
        parts: translations of parts of sentences.
        writing: how the language writes numbers, times and quotations.
    """

    def __init__(self, said: Translations, parts: Translations, writing: Writing = ENGLISH) -> None:
        self._whole = _Patterns(said)
        self._all = _Patterns({**parts, **said})
        self._writing = writing
        self._translated = lru_cache(maxsize=2_000)(self._translate)

    def __call__(self, text: str) -> str:
        """Return the text in this language, or unchanged if one of its sentences is not known."""
        return "".join(piece for piece, _ in self.pieces(text))

    def pieces(self, text: str) -> Sequence[tuple[str, bool]]:
        """Return the text in this language in pieces, each with a flag for unchanged text."""
        is_translatable = (
            self._whole.is_any and len(text) <= _LONGEST and _BEGIN not in text and _END not in text
        )
        own = self._translated(text) if is_translatable else None
        return ((text, True),) if own is None else tuple(_split(own))

    def _translate(self, text: str) -> str | None:
        return _OneText(self._whole, self._all, self._writing).translation(text, 0)


class _OneText:
    """Translates one text, and each part of it once."""

    def __init__(self, whole: _Patterns, every: _Patterns, writing: Writing) -> None:
        self._whole, self._all, self._writing = whole, every, writing
        self._known: dict[tuple[str, bool], str | None] = {}

    def translation(self, text: str, depth: int) -> str | None:
        """Return the translation of one or more sentences, or of clauses between semicolons, or None."""
        key = (text, depth > 0)
        if key not in self._known:
            self._known[key] = None  # a part that contains itself does not match
            self._known[key] = self._sequence(_ENDS.split(text), " ", depth) or self._sequence(
                text.split("; "), "; ", depth
            )
        return self._known[key]

    def _sequence(self, pieces: Sequence[str], between: str, depth: int) -> str | None:
        """Return the translation of adjacent pieces; a piece may contain a separator."""
        if len(pieces) > _MOST_SENTENCES:
            return None
        ends: list[str | None] = [*([None] * len(pieces)), ""]
        for start in reversed(range(len(pieces))):
            for end in range(start + 1, len(pieces) + 1):
                rest = ends[end]
                first = None if rest is None else self._sentence(between.join(pieces[start:end]), depth)
                if first is not None and rest is not None:
                    ends[start] = f"{first}{between}{rest}" if rest else first
                    break
        return ends[0]

    def _sentence(self, text: str, depth: int) -> str | None:
        """Return the translation by the first matching pattern, with a full stop if the English has one."""
        if (depth or " " in text) and WORKING.fullmatch(text):
            return self._writing.working(text)
        if depth and TIME.fullmatch(text):
            return self._writing.time(text)
        if depth and NUMBER.fullmatch(text):
            return self._writing.number(text)
        text = _ON_DAYS.sub(r"on \1 at \2", text)
        found = self._matched(text, depth)
        if found is None and text.endswith("."):
            found = self._matched(text[:-1], depth)
            return None if found is None else f"{found}."
        if found is None and text:
            found = self._matched(f"{text}.", depth)
            return None if found is None else found.removesuffix(".")
        return found

    def _matched(self, text: str, depth: int) -> str | None:
        """Return the translation by one pattern, with a capital letter at the start if the text has one."""
        lower = text[:1].lower() + text[1:] if "A" <= text[:1] <= "Z" else ""
        known = self._all if depth else self._whole
        for pattern, one in known.candidates(text, lower):
            values = pattern.values(one)
            own = None if values is None else self._filled(values, pattern, depth)
            if own is not None:
                return own[:1].upper() + own[1:] if one is lower else own
        return None

    def _filled(self, values: Sequence[str], pattern: _Pattern, depth: int) -> str | None:
        filled: dict[int, str] = {}
        for number, kind in pattern.kinds.items():
            own = self._value(values[number], kind, depth)
            if own is None:
                return None
            filled[number] = own
        own = _VALUE.sub(lambda named: filled[int(named[1])], pattern.own)
        return own.replace(f"{_END}{self._writing.quotes[1]}.)", f"{_END}{self._writing.quotes[1]})")

    def _value(self, value: str, kind: str, depth: int) -> str | None:
        match kind:
            case "#":
                return self._writing.number(value) if NUMBER.fullmatch(value) else None
            case "@":
                return self._writing.time(value) if TIME.fullmatch(value) else None
            case "%":
                return self._writing.working(value) if WORKING.fullmatch(value) else None
            case "_":
                return value if _IDENTIFIER.fullmatch(value) else None
            case "&":
                return self._names(value, depth)
            case "*":
                return value
            case "!" | "?":
                own = self.translation(value, depth + 1) if depth < _DEEPEST else None
                return self._quoted(value) if own is None and kind == "?" else own
            case _:
                return value if _is_name(value) else None

    def _names(self, value: str, depth: int) -> str | None:
        own = self.translation(value, depth + 1) if " " in value and depth < _DEEPEST else None
        found = [] if own else [self._name(one, depth) for one in _LIST.split(value)]
        return own or ("".join(one or "" for one in found) if None not in found else None)

    def _name(self, value: str, depth: int) -> str | None:
        own = self._matched(value, depth + 1) if " " in value else None
        return own or (value if _is_name(value) else None)

    def _quoted(self, value: str) -> str:
        """Return text from people or services in quotation marks, followed by a full stop."""
        words = value.removesuffix(".")
        begin, end = self._writing.quotes
        return f"{begin}{_BEGIN}{words}{_END}{end}{value[len(words) :]}"


def _is_name(value: str) -> bool:
    return len(value) <= _LONGEST_NAME and _CLAUSE.search(value) is None


def _split(own: str) -> Iterator[tuple[str, bool]]:
    for number, piece in enumerate(_UNTRANSLATED.split(own)):
        if piece:
            yield piece, number % 2 == 1


class _Patterns:
    """Sentence patterns, the most specific first, indexed by how a text begins."""

    def __init__(self, sentences: Translations) -> None:
        pairs = [
            (english, own)
            for english, known in sentences.items()
            for own in ([known] if isinstance(known, str) else known)
        ]
        ordered = sorted(pairs, key=lambda one: len(one[0].replace("{}", "")), reverse=True)
        self.is_any = bool(ordered)
        self._anywhere: list[tuple[int, _Pattern]] = []
        self._by_prefix: dict[str, list[tuple[int, _Pattern]]] = {}
        for rank, (english, own) in enumerate(ordered):
            kinds = {int(named[1]): named[2] for named in _VALUE.finditer(own)}
            pattern = _Pattern(tuple(english.split("{}")), own, kinds)
            begin = pattern.literals[0][:_PREFIX_LENGTH]
            is_long = len(begin) == _PREFIX_LENGTH
            (self._by_prefix.setdefault(begin, []) if is_long else self._anywhere).append((rank, pattern))

    def candidates(self, text: str, lower: str) -> Iterator[tuple[_Pattern, str]]:
        """Yield each pattern that may match, with the text in that form: as given or in lower case."""
        found = [(rank, 0, one, text) for rank, one in (*self._with_prefix(text), *self._anywhere)]
        if lower:
            found += [(rank, 1, one, lower) for rank, one in (*self._with_prefix(lower), *self._anywhere)]
        for _, _, pattern, one in sorted(found, key=itemgetter(0, 1)):
            yield pattern, one

    def _with_prefix(self, text: str) -> Sequence[tuple[int, _Pattern]]:
        return self._by_prefix.get(text[:_PREFIX_LENGTH], ())


NO_SENTENCES: Final = Sentences({}, {})
