"""Tables on the screen: the runs that wait for a person, and the tools."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from console.durations import from_now
from console.page import Page
from plangate.domain.status import Status
from plangate.domain.tool import ToolDeclaration
from plangate.domain.visible import cut, one_line

_COPIED: Final = {"id": 20, "plan": 12, "deadline": 11, "requested (UTC)": 16}
_LONGEST_WHAT: Final = 80


def pending_table(waiting: Sequence[Status], now: datetime) -> Table:
    """Return one line for each run that waits, in the given order."""
    table = table_of(
        "id", "what", "requester", "plan", "needs", "deadline", ids=[one.workflow_id for one in waiting]
    )
    for status in waiting:
        deadline = from_now(status.deadline, now) if status.deadline else ""
        cells = (
            status.workflow_id,
            cut(_what(status), _LONGEST_WHAT),
            status.requester,
            status.short_fingerprint or "",
            str(status.requirement),
            deadline,
        )
        table.add_row(*(Text(one_line(cell)) for cell in cells))
    return table


def table_of(*columns: str, ids: Sequence[str]) -> Table:
    """Return an empty table of runs, in which what is copied is not broken while there is room."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    longest = max((len(workflow_id) for workflow_id in ids), default=0)
    for name in columns:
        wanted = min(_COPIED.get(name, 0), longest) if name == "id" else _COPIED.get(name)
        table.add_column(name, overflow="fold", min_width=wanted)
    return table


def sources_of(statuses: Iterable[Status]) -> list[str]:
    """Return who answered for these runs, each once."""
    return [f"the {source}" for source in sorted({status.source for status in statuses})]


def tools_page(declarations: Mapping[str, ToolDeclaration]) -> Page:
    """Return what each tool does, how it stays safe to retry, and what it takes."""
    page = Page()
    for number, declaration in enumerate(declarations.values()):
        if number:
            page.gap()
        page.heading(declaration.name)
        page.note(declaration.description, "")
        page.field("after a crash", declaration.retry_safety.value)
        schema = declaration.schema()
        required = schema.get("required", [])
        for name, argument in schema.get("properties", {}).items():
            page.field(name, _argument(argument, schema, is_required=name in required), indent=4)
    return page


def tool_as_json(declaration: ToolDeclaration) -> dict[str, Any]:
    """Return a tool for machines; ``Any`` stands for JSON."""
    return {
        "name": declaration.name,
        "description": declaration.description,
        "retry_safety": declaration.retry_safety.value,
        "arguments": declaration.schema(),
    }


def _what(status: Status) -> str:
    text = status.request.strip() or (status.plan.summary if status.plan else "")
    return text.splitlines()[0] if text else ""


def _argument(argument: Mapping[str, Any], schema: Mapping[str, Any], *, is_required: bool) -> str:
    words = [_type_of(argument, schema)]
    if not is_required:
        words.append("optional")
    described = argument.get("description")
    return ", ".join(words) + (f": {described}" if described else "")


def _type_of(argument: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the type that a JSON schema names, in words."""
    match argument:
        case {"$ref": str(reference)}:
            return _type_of(schema.get("$defs", {}).get(reference.rpartition("/")[2], {}), schema)
        case {"enum": [*choices]}:
            return " | ".join(str(choice) for choice in choices)
        case {"const": choice}:
            return str(choice)
        case {"anyOf": [*kinds]}:
            return " or ".join(dict.fromkeys(_type_of(kind, schema) for kind in kinds))
        case {"type": "array", "items": dict(items)}:
            return f"list of {_type_of(items, schema)}"
        case {"type": "object", "additionalProperties": dict(items)}:
            return f"names with {_type_of(items, schema)}"
        case {"type": "string"}:
            return "text"
        case {"type": str(kind)}:
            return kind
        case _:
            return "any JSON"
