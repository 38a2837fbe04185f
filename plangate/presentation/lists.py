"""Show lists: the runs that need a decision, and the tools."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.references import referable_arguments
from plangate.domain.plurals import counted, step_or_undo
from plangate.domain.runs.status import Status, current_step, with_stops
from plangate.domain.runs.stops import StopStatus
from plangate.presentation.clock import in_readers_zone
from plangate.presentation.durations import duration_in_words, from_now
from plangate.presentation.page import Page
from plangate.presentation.run_page import needed_words
from plangate.presentation.stops_page import stops_page
from plangate.presentation.table import Column, Table
from plangate.tool.listing import BUILT_IN, ListedTool

_LONGEST_WHAT: Final = 80
_LONGEST_WHY: Final = 200
_TOOL_LABEL: Final = 14


def pending_table(waiting: Sequence[Status], now: datetime) -> Table:
    """Return one row for each run that waits, in the given order, with its first or its held step."""
    columns = ("id", Column("step", is_text=True), "requester", "plan", Column("needs", is_text=True))
    return Table(
        (*columns, "deadline"),
        [
            (
                status.workflow_id,
                _what(status),
                status.requester,
                status.short_fingerprint or "",
                in_readers_zone(_needs(status, now)),
                from_now(status.deadline, now) if status.deadline else "",
            )
            for status in waiting
        ],
    )


def held_first(waiting: Sequence[Status]) -> list[Status]:
    """Return the held runs, which have stopped halfway, before those in review."""
    return sorted(waiting, key=lambda status: status.held is None)


def stopped_page(stops: Sequence[StopStatus], approved: Sequence[Status]) -> Page:
    """Return the active stops, and the approved runs that wait until a stop is released."""
    page = stops_page(stops)
    concerned = [one for one in (with_stops(status, stops) for status in approved) if one.stops]
    if concerned:
        page.note("Approved, and waiting until a stop is released:", "bold")
    for status in concerned:
        step = current_step(status)
        where = f": step {step} of {len(status.steps)}, {status.steps[step - 1].tool}" if step else ""
        page.note(f"{status.workflow_id}{where}", "", indent=4)
    if stops:
        page.gap()
    return page


def _needs(status: Status, now: datetime) -> str:
    """Return what a run waits for: approvals, or the resolution of a step."""
    held, requirement = status.held, status.requirement
    unmet = "; ".join(map(str, status.unmet))
    if held is None or requirement is None:
        first = status.begins(now)
        begins = f"; runs {from_now(first, now)} at the earliest" if first is not None else ""
        return (unmet or needed_words(status)) + begins
    what = step_or_undo(held.step, undo=held.undo)
    where = f"held at {what} of {len(status.steps)}, {from_now(held.since, now)}"
    why = cut(one_line(held.why), _LONGEST_WHY).rstrip(".")
    return f"{where}: {why}; {unmet or f'a resolution by {requirement.resolving}'}"


def sources_of(statuses: Iterable[Status]) -> list[str]:
    """Return the distinct sources of these runs."""
    return [f"the {source}" for source in sorted({status.source for status in statuses})]


def own_first(tools: Sequence[ListedTool]) -> list[ListedTool]:
    """Return the added tools, followed by the built-in ones."""
    return sorted(tools, key=lambda tool: tool.origin == BUILT_IN)


def tools_page(tools: Sequence[ListedTool]) -> Page:
    """Return each tool with its origin, its abilities, its missing settings and its arguments."""
    page = Page()
    for number, tool in enumerate(tools):
        declaration = tool.declaration
        if number:
            page.gap()
        page.heading(declaration.name)
        page.note(declaration.description, "")
        if tool.lacks:
            page.field("not offered", tool.lacks, "yellow", width=_TOOL_LABEL)
        for label, text in _abilities(tool):
            page.field(label, text, width=_TOOL_LABEL)
        schema = declaration.schema()
        required = schema.get("required", [])
        for name, argument in schema.get("properties", {}).items():
            page.field(name, _argument(argument, schema, is_required=name in required), indent=4)
    return page


def tool_as_json(tool: ListedTool) -> dict[str, Any]:
    """Return a tool as JSON; ``Any`` is a JSON value."""
    declaration = tool.declaration
    return {
        "name": declaration.name,
        "description": declaration.description,
        "retry_safety": declaration.retry_safety.value,
        "arguments": declaration.schema(),
        "origin": tool.origin,
        "lacks": tool.lacks,
        "seconds": declaration.seconds,
        "preview": tool.has_preview,
        "precondition": tool.has_precondition,
        "undo": declaration.undoable,
        "reads_only": declaration.reads_only,
        "settles_within": tool.settles_within.total_seconds() if tool.settles_within else None,
        "references": referable_arguments(declaration.arguments),
        "receipt": _receipt_fields(tool),
        "definition": declaration.definition(),
    }


def _abilities(tool: ListedTool) -> Iterator[tuple[str, str]]:
    declaration = tool.declaration
    yield "from", tool.origin
    if declaration.reads_only:
        yield "only reads", "a planner calls it while it drafts, without an approval; it cannot be a step"
        yield "time limit", counted(declaration.seconds, "second")
        return
    yield "after a crash", declaration.retry_safety
    yield "time limit", counted(declaration.seconds, "second")
    yield "undo", "yes" if declaration.undoable else "no"
    yield "precondition", "yes" if tool.has_precondition else "no"
    if tool.settles_within is not None:
        yield "settlement", f"an accepted call is looked up for {duration_in_words(tool.settles_within)}"
    fields = _receipt_fields(tool)
    if fields:
        yield "receipt", f"{', '.join(fields)}; later steps can refer to these"


def _receipt_fields(tool: ListedTool) -> list[str]:
    receipt = tool.declaration.receipt
    return sorted(receipt.model_fields) if receipt is not None else []


def _what(status: Status) -> str:
    """Return the preview of the held step, or of the first and how many follow, cut between words."""
    if not status.steps:
        return "(no plan yet)"
    step = status.steps[0 if status.held is None else status.held.step - 1]
    more = len(status.steps) - 1 if status.held is None else 0
    line = step.preview or step.tool
    if len(line) > _LONGEST_WHAT:
        words, _, _ = line[: _LONGEST_WHAT + 1].rpartition(" ")
        line = f"{words or line[:_LONGEST_WHAT]} …"
    return f"{line} (and {counted(more, 'more step')})" if more else line


def _argument(argument: Mapping[str, Any], schema: Mapping[str, Any], *, is_required: bool) -> str:
    words = [_type_of(argument, schema)]
    if not is_required:
        words.append("optional")
    described = argument.get("description")
    return ", ".join(words) + (f": {described}" if described else "")


def _type_of(argument: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Return the type in a JSON schema, as text."""
    match argument:
        case {"$ref": "#/$defs/Reference"}:
            return "a reference to an earlier step"
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
