"""Read ``--plan FILE`` or ``--plan -``: JSON or YAML, strictly, and list every error with its location.

The worker checks the plan again. This check shows the plan's author all errors at once, before a run starts.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from plangate.cli.exits import WrongUsage
from plangate.cli.json_reader import json_parts
from plangate.cli.plan_tree import START, Place, PlacedFault, Unreadable, compose
from plangate.cli.yaml_reader import yaml_parts
from plangate.domain.errors import PlanInvalid
from plangate.domain.faults import Fault
from plangate.domain.plans.drafting import as_proposed_plan, check_arguments, check_plan
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.plurals import counted

MAX_BYTES: Final = 1_000_000
STANDARD_INPUT: Final = Path("-")


class PlanFileFaults(WrongUsage):
    """A plan file cannot be used; ``faults`` contains all its errors, in the order of the file."""

    def __init__(self, path: Path, faults: Sequence[PlacedFault]) -> None:
        self.path = path
        self.faults = tuple(sorted(faults, key=lambda fault: fault.place))
        count = counted(len(faults), "error")
        super().__init__(f"The plan file {shown(path)} cannot be used ({count}); fix it and try again.")


def read_plan_file(path: Path, tools: Mapping[str, ToolDeclaration] | None, max_steps: int) -> Any:
    """Return the plan in a file as JSON, after the same checks that the worker makes.

    ``-`` is the standard input. If ``tools`` is None, only the worker checks tools and arguments.

    Raises:
        WrongUsage: the file cannot be opened.
        PlanFileFaults: it does not contain a plan that can run.
    """
    text = _text_of(path)
    try:
        root, faults = compose(json_parts(text) if _is_json(path, text) else yaml_parts(text))
    except Unreadable as error:
        raise PlanFileFaults(path, [error.fault]) from None
    value = root.value()
    places = {fault.place for fault in faults}  # a value that already has an error is not checked further
    for fault in dict.fromkeys(_faults_of_plan(value, tools, max_steps)):  # yield each error once
        place = root.at(fault.path).place
        if place not in places:
            faults.append(PlacedFault(place, fault))
    if faults:
        raise PlanFileFaults(path, faults)
    return value


def shown(path: Path) -> str:
    """Return the name of the file for messages."""
    return "on the standard input" if path == STANDARD_INPUT else str(path)


def _text_of(path: Path) -> str:
    try:
        if path == STANDARD_INPUT:
            content = _read_stdin()
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise WrongUsage(f"The plan file {path} cannot be opened: {why}.") from None
    if len(content) > MAX_BYTES:
        raise PlanFileFaults(
            path, [PlacedFault(START, Fault((), f"the file is larger than {MAX_BYTES:,} bytes"))]
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Place(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        message = f"the byte 0x{content[error.start]:02X} is not UTF-8; save the file as UTF-8"
        raise PlanFileFaults(path, [PlacedFault(place, Fault((), message))]) from None


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise WrongUsage("There is no standard input to read the plan from; give its file.")
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _is_json(path: Path, text: str) -> bool:
    match path.suffix.lower():
        case ".json":
            return True
        case ".yaml" | ".yml":
            return False
        case _:
            return text.lstrip().startswith(("{", "["))


def _faults_of_plan(
    value: Any, tools: Mapping[str, ToolDeclaration] | None, max_steps: int
) -> Iterator[Fault]:
    """Yield every error; `check_plan` does not check the arguments if the rest of the plan has errors."""
    try:
        if tools is None:
            as_proposed_plan(value)
        else:
            check_plan(value, tools, max_steps)
    except PlanInvalid as error:
        yield from error.faults
    if tools is None:
        return
    steps = value.get("steps") if isinstance(value, dict) else None
    for index, step in enumerate(steps if isinstance(steps, list) else ()):
        if not isinstance(step, dict):
            continue
        tool, arguments = step.get("tool"), step.get("arguments")
        if isinstance(tool, str) and isinstance(arguments, dict):
            try:
                check_arguments(tool, arguments, tools, ("steps", index))
            except PlanInvalid as error:
                yield from error.faults
