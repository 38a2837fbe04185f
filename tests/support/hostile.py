"""Build hostile strings from the parts of a regular expression, and measure how the time grows with them."""

import gc
import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from time import thread_time
from typing import Any

_parser: Any = importlib.import_module("re._parser")
_NEVER = "\x00"  # few character classes match it, so a text that ends with it does not match
_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d",
    "CATEGORY_SPACE": r"\s",
    "CATEGORY_WORD": r"\w",
    "CATEGORY_NOT_DIGIT": r"\D",
    "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_NOT_WORD": r"\W",
}
_MEASURABLE = 0.002  # seconds
_LARGEST = 128_000
_TRIES = 4
_LENGTHS = (12, 18, 24, 36, 50, 70, 100, 500, 4_000)
_SHORT = 100
_MOST_PIECES = 20
_MOST_BEGINS = 40


@dataclass(frozen=True)
class Hostile:
    """A text of any length: a beginning, a repeated part and an end."""

    begin: str
    piece: str
    end: str

    def __call__(self, length: int) -> str:
        return self.begin + self.piece * (length // len(self.piece) + 1) + self.end


def hostile_texts(pattern: str, flags: int = 0) -> Iterator[Hostile]:
    """Yield strings that repeat parts of ``pattern``, alone and in pairs, and then fail to match."""
    tree = _parser.parse(pattern, flags)
    pieces = list(dict.fromkeys(piece for piece in _pieces(tree) if piece))[:_MOST_PIECES]
    begins = ["", *dict.fromkeys(begin for begin in _begins(tree, "") if begin)][:_MOST_BEGINS]
    for begin, piece, end in product(begins, pieces, ("", _NEVER, *_forbidden(tree))):
        yield Hostile(begin, piece, end)
        yield Hostile("", begin + piece, end)
        yield Hostile("", piece + begin, end)
    for one, other in product(pieces, pieces):
        yield Hostile("", one + other, _NEVER)


def growth(work: Callable[[Any], object], make: Callable[[int], Any]) -> float:
    """Return the growth factor of the time when the input is doubled: the minimum of several measurements.

    It is the CPU time of this thread, so that other load on the machine has little influence.
    """
    length = 60
    while length < _LARGEST and seconds(work, make(length)) < _MEASURABLE:
        length *= 2
    small, large = make(length), make(2 * length)
    smallest = float("inf")
    for _ in range(_TRIES):
        before = min(_once(work, small) for _ in range(3))
        after = min(_once(work, large) for _ in range(3))
        smallest = min(smallest, after / before)
        if smallest < 3:
            break
    return smallest


def slowest(work: Callable[[Any], object], texts: Iterator[Hostile]) -> Hostile:
    """Return the text that takes longest at growing lengths; stop at the first slow one."""
    candidates = list(dict.fromkeys(texts))
    for length in _LENGTHS:
        timed = []
        for text in candidates:
            spent = seconds(work, text(length))
            timed.append((spent, text))
            if spent > 10 * _MEASURABLE and length > _SHORT:
                return text
            assert spent < 100 * _MEASURABLE, f"{spent:.1f} s for {length} characters: {text}"
        if length > _SHORT:
            timed.sort(key=lambda one: -one[0])
            candidates = [text for _, text in timed[: max(12, len(timed) // 3)]]
    return candidates[0]


def seconds(work: Callable[[Any], object], value: Any) -> float:
    """Return how long ``work`` takes. Slow work is measured again, because other load may have slowed it."""
    least = _once(work, value)
    if least > _MEASURABLE:
        least = min(least, *(_once(work, value) for _ in range(2)))
    return least


def _once(work: Callable[[Any], object], value: Any) -> float:
    gc.disable()  # garbage collection takes 0.1 s after many tests
    try:
        began = thread_time()
        work(value)
        return thread_time() - began
    finally:
        gc.enable()


def _pieces(tree: Any) -> Iterator[str]:
    """Yield each run of literal characters, and a sample of everything that is repeated or chosen."""
    literal = ""
    for op, argument in tree:
        if str(op) == "LITERAL":
            literal += chr(argument)
            continue
        yield literal
        literal = ""
        yield _sample([(op, argument)])
        if str(op) == "IN":
            yield from _kinds_of(argument)
        for inner in _inner(op, argument):
            yield from _pieces(inner)
    yield literal


def _begins(tree: Any, before: str) -> Iterator[str]:
    """Yield the text before each part, so that the part itself is repeated."""
    for index, (op, argument) in enumerate(tree):
        begin = before + _sample(tree[:index])
        yield begin
        for inner in _inner(op, argument):
            yield from _begins(inner, begin)


def _forbidden(tree: Any) -> Iterator[str]:
    """Yield the shortest text that each negative look-ahead stops at."""
    for op, argument in tree:
        if str(op) == "ASSERT_NOT" and argument[0] > 0:
            yield _sample(argument[1], least=0)
        for inner in _inner(op, argument):
            yield from _forbidden(inner)


def _inner(op: Any, argument: Any) -> list[Any]:
    match str(op):
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return [argument[2]]
        case "SUBPATTERN":
            return [argument[3]]
        case "BRANCH":
            return list(argument[1])
        case "ASSERT" | "ASSERT_NOT":
            return [argument[1]]
        case "ATOMIC_GROUP":
            return [argument]
        case _:
            return []


def _sample(tree: Any, least: int = 1) -> str:
    """Return a short text that the parts of a pattern match, one after the other."""
    text = ""
    for op, argument in tree:
        match str(op):
            case "LITERAL":
                text += chr(argument)
            case "NOT_LITERAL" | "ANY":
                text += "a" if argument != ord("a") else "b"
            case "IN":
                text += _one_of(argument)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                text += _sample(argument[2]) * max(least, min(argument[0], 100))
            case "ASSERT" if argument[0] > 0:
                text += _sample(argument[1])
            case "SUBPATTERN" | "ATOMIC_GROUP":
                text += _sample(_inner(op, argument)[0])
            case "BRANCH":
                text += _sample(argument[1][0])
            case _:
                pass
    return text


def _one_of(argument: Any) -> str:
    return next(_kinds_of(argument), "a")


def _kinds_of(argument: Any) -> Iterator[str]:
    """Yield a character of each kind that a class matches, and those that it lists."""
    compiled = re.compile("[" + _class(argument) + "]")
    taken = [char for char in "aA0" + "".join(map(chr, range(1, 300))) if compiled.match(char)]
    for kind in (str.isalnum, str.isspace, lambda char: not char.isalnum() and not char.isspace()):
        yield from [char for char in taken if kind(char)][:1]
    yield from [chr(value) for op, value in argument if str(op) == "LITERAL" and chr(value) in taken][:4]


def _class(argument: Any) -> str:
    text = ""
    for op, value in argument:
        match str(op):
            case "NEGATE":
                text += "^"
            case "LITERAL":
                text += re.escape(chr(value))
            case "RANGE":
                text += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
            case "CATEGORY":
                text += _CATEGORIES[str(value)]
    return text
