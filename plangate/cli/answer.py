"""Reserve standard output for the result of a command.

While a command runs, all other output to it goes to stderr: log lines of libraries (also from Rust or C),
child processes, stray ``print`` calls. With ``--json``, the result is one JSON value, even if the command
fails: ``{"error": sentence, "exit_code": code, "faults": [...]}``. Imports few modules, because ``--help``
uses it.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, TextIO


@dataclass(slots=True)
class _Answer:
    """The state of the result: whether JSON is expected, whether it was printed, and the stream for it."""

    is_json: bool = False
    is_given: bool = False
    stream: TextIO | None = None


_answer: Final = _Answer()


def detect_json_option(words: Sequence[str]) -> None:
    """Check whether the arguments of the command line ask for JSON, and remember it."""
    options = words[: words.index("--")] if "--" in words else words
    _answer.is_json, _answer.is_given = "--json" in options, False


@contextmanager
def reserve_stdout() -> Iterator[None]:
    """Reserve standard output for `answer_stream`; anything else that is printed there goes to stderr."""
    ours = sys.stdout
    try:
        kept = os.dup(1)
        os.fstat(2)
    except OSError:  # stdout or stderr is closed
        yield
        return
    if ours is None:
        os.close(kept)
        yield
        return
    ours.flush()
    os.dup2(2, 1)
    stream = os.fdopen(  # closed below, even if its buffer cannot be written
        kept,
        "w",
        buffering=1 if os.isatty(kept) else -1,
        encoding=ours.encoding,
        errors=ours.errors,
    )
    _answer.stream, sys.stdout = stream, sys.stderr
    try:
        yield
        stream.flush()
    finally:
        _answer.stream, sys.stdout = None, ours
        os.dup2(kept, 1)
        with suppress(OSError, ValueError):
            stream.close()


def answer_stream() -> TextIO | None:
    """Return the stream for the result; None if standard output is closed."""
    return _answer.stream or sys.stdout


def write_json(value: Any) -> None:
    """Write one JSON value in ASCII, so that it contains no control characters. ``Any`` is a JSON value."""
    stream = answer_stream()
    if stream is not None:
        stream.write(json.dumps(value, indent=2, ensure_ascii=True).replace("\x7f", "\\u007f") + "\n")
        _answer.is_given = True


def write_error(sentence: str, code: int) -> None:
    """Write an error as JSON, if that is expected and nothing was written yet."""
    if _answer.is_json and not _answer.is_given:
        write_json(error_as_json(sentence, code))


def error_as_json(sentence: str, code: int, faults: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return an error as JSON; each fault has at least ``message``. ``Any`` is a JSON value."""
    error: dict[str, Any] = {"error": sentence, "exit_code": code}
    return {**error, "faults": list(faults)} if faults else error
