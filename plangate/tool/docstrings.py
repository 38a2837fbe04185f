"""Parse a function's docstring: the first paragraph, and the descriptions of the arguments.

The Google, Sphinx and NumPy styles are supported.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_GOOGLE = re.compile(r"^(Args|Arguments|Parameters|Params):\s*$")
_ITEM = re.compile(r"^(\s++)\*{0,2}(\w++)\s*+(?:\([^)]*+\)\s*+)?:(.*)$")
_SPHINX = re.compile(r"^:param (?:[^:]* )?+(\w++) ?:(.*)$")
_NUMPY = re.compile(r"^\*{0,2}(\w+)\s*(?::.*)?$")


@dataclass(frozen=True, slots=True)
class Docstring:
    """The first paragraph in one line, and the description of each argument."""

    summary: str = ""
    arguments: dict[str, str] = field(default_factory=dict)


def read_docstring(text: str | None) -> Docstring:
    """Return the first paragraph of a docstring, and the descriptions of the arguments."""
    lines = inspect.cleandoc(text or "").splitlines()
    summary: list[str] = []
    for line in lines:
        if not line.strip() or _GOOGLE.match(line) or _SPHINX.match(line):
            break
        summary.append(line.strip())
    found: dict[str, list[str]] = {}
    for name, part in (*_google(lines), *_sphinx(lines), *_numpy(lines)):
        found.setdefault(name, []).append(part)
    arguments = {name: " ".join(part for part in parts if part) for name, parts in found.items()}
    return Docstring(" ".join(summary), {name: said for name, said in arguments.items() if said})


def _google(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each line about an argument in a section ``Args:``, with the argument's name."""
    name, indent, is_inside = "", 0, False
    for line in lines:
        item = _ITEM.match(line)
        if line.strip() and not line.startswith(" "):
            is_inside, name = bool(_GOOGLE.match(line)), ""
        elif is_inside and item and (not name or len(item[1]) <= indent):
            name, indent = item[2], len(item[1])
            yield name, item[3].strip()
        elif is_inside and name:
            yield name, line.strip()


def _sphinx(lines: list[str]) -> Iterator[tuple[str, str]]:
    name = ""
    for line in lines:
        item = _SPHINX.match(line)
        if item:
            name = item[1]
            yield name, item[2].strip()
        elif name and line.startswith(" "):
            yield name, line.strip()
        else:
            name = ""


def _numpy(lines: list[str]) -> Iterator[tuple[str, str]]:
    name, is_inside = "", False
    for line, below in zip(lines, [*lines[1:], ""], strict=False):
        if below.strip().startswith("---") and not line.startswith(" "):
            is_inside, name = line.strip() == "Parameters", ""
        elif is_inside and (item := _NUMPY.match(line)):
            name = item[1]
        elif is_inside and name and line.startswith(" "):
            yield name, line.strip()
