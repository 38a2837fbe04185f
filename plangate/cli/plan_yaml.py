"""Write a plan as the text that a person edits: YAML that `plangate.cli.plan_file` reads back unchanged.

Strings are in double quotes, so that "7" and 7, or "yes" and true, stay different. A string of several lines
is written line by line. Characters that an editor would not show are written as escapes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from plangate.domain.escaping import one_line
from plangate.domain.plans.plan import ProposedPlan

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_READ_AS_VALUES: Final = frozenset({"null", "true", "false"})
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_INDENT: Final = "  "


def yaml_of(plan: ProposedPlan, header: list[str], step_notes: list[str]) -> str:
    """Return ``plan`` as YAML; comments contain the lines of ``header``, and the note above each step."""
    begins = [f'not_before: "{plan.not_before.isoformat()}"'] if plan.not_before else []
    lines = [*_comments(header), "", f"summary: {_scalar(plan.summary, 1)}", *begins, "steps:"]
    for step, note in zip(plan.steps, step_notes, strict=True):
        lines += [*_comments([note], _INDENT), f"{_INDENT}- tool: {_name(step.tool)}"]
        lines += [*_member("arguments", step.arguments, 2), *_member("reason", step.reason, 2), ""]
    return "\n".join(lines)


def _comments(lines: list[str], indent: str = "") -> Iterator[str]:
    return (f"{indent}# {one_line(line)}".rstrip() for line in lines)


def _item(value: Any, depth: int) -> Iterator[str]:
    """Yield the lines of one item of a list; ``Any`` is a JSON value."""
    first, *rest = _lines(value, depth + 1)
    yield f"{_INDENT * depth}- {first.lstrip(' ')}"
    yield from rest


def _lines(value: Any, depth: int) -> Iterator[str]:
    """Yield the lines of a value that starts on a new line, indented by ``depth``."""
    match value:
        case dict() if value:
            for name, item in value.items():
                yield from _member(name, item, depth)
        case list() if value:
            for item in value:
                yield from _item(item, depth)
        case _:
            yield _INDENT * depth + _scalar(value, depth)


def _member(name: str, value: Any, depth: int) -> Iterator[str]:
    label = f"{_INDENT * depth}{_name(name)}:"
    if isinstance(value, Mapping | list) and value:
        yield label
        yield from _lines(value, depth + 1)
    else:
        yield f"{label} {_scalar(value, depth + 1)}"


def _name(name: str) -> str:
    is_plain = _PLAIN_NAME.fullmatch(name) and name.lower() not in _READ_AS_VALUES
    return name if is_plain else _quoted(name)


def _scalar(value: Any, depth: int) -> str:
    """Return a scalar; the lines of a string after its first one are indented by ``depth``."""
    match value:
        case str() if _can_be_a_block(value):
            chomping = "" if value.endswith("\n") else "-"
            indent = _INDENT * depth
            rows = [indent + row if row else "" for row in value.removesuffix("\n").split("\n")]
            return "\n".join([f"|{chomping}", *rows])
        case str():
            return _quoted(value)
        case dict():
            return "{}"
        case list():
            return "[]"
        case _:
            return json.dumps(value)


def _can_be_a_block(text: str) -> bool:
    """Return whether a string of several lines can be written line by line and is read back unchanged."""
    if "\n" not in text or text.endswith("\n\n"):
        return False
    rows = text.removesuffix("\n").split("\n")
    return bool(rows[0]) and not rows[0].startswith(" ") and all(map(_is_visible, rows))


def _is_visible(text: str) -> bool:
    return one_line(text) == text


def _quoted(text: str) -> str:
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if _is_visible(char) and _is_visible(f"a{char}"):
        return char
    return f"\\U{ord(char):08X}"
