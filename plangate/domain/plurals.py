"""Numbers with their nouns, names of steps, lists of words, and the number of lines of a string."""

from collections.abc import Sequence


def counted(count: int, one: str, many: str = "") -> str:
    """Return ``1 error`` or ``1,200 errors``; ``many`` is the plural if it is not ``one`` with an s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def step_or_undo(number: int, *, undo: bool) -> str:
    """Return ``step 2``, or ``the undo of step 2``."""
    return f"the undo of step {number}" if undo else f"step {number}"


def joined(words: Sequence[str], word: str = "and") -> str:
    """Return ``A``, ``A and B`` or ``A, B and C``; ``word`` may be another word than ``and``.

    Raises:
        ValueError: there are no words.
    """
    *most, last = words
    return f"{', '.join(most)} {word} {last}" if most else last


def line_count(text: str) -> int:
    """Return how many lines a string has. A final newline ends the last line but starts no new one."""
    return text.removesuffix("\n").count("\n") + 1
