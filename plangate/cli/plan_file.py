"""Reading ``--plan FILE`` or ``--plan -``: JSON or YAML, strictly, and every fault with its place.

The worker checks the plan again in any case; here its author learns everything at once, before a run begins.
"""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from plangate.cli.exits import WrongUsage
from plangate.cli.json_reader import read_json
from plangate.cli.tree import Fault, Place, Tree, Unreadable
from plangate.cli.yaml_reader import read_yaml
from plangate.domain.drafting import check_arguments, check_plan, plan_shaped
from plangate.domain.errors import PlanInvalid
from plangate.domain.tool import ToolDeclaration

MAX_BYTES: Final = 1_000_000
STANDARD_INPUT: Final = Path("-")
_START: Final = Place(1, 1)
_ENDS_OF_PATHS: Final = re.compile(r"[:.\[(\s]|$")
_LONGEST_PATH: Final = 2_000  # of a sentence that begins with one


class PlanFileFaults(WrongUsage):
    """A plan file cannot be used; ``faults`` are all that is wrong with it, in the order of the file."""

    def __init__(self, path: Path, faults: Sequence[Fault]) -> None:
        self.path = path
        self.faults = tuple(sorted(faults))
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        super().__init__(f"The plan file {shown(path)} cannot be used ({count}); mend it and start again.")


def read_plan_file(path: Path, tools: Mapping[str, ToolDeclaration] | None, max_steps: int) -> Any:
    """Return the plan in a file as JSON, after it passed the checks that the worker makes too.

    ``-`` is the standard input. Where ``tools`` is None, the worker alone checks tools and arguments.

    Raises:
        WrongUsage: the file cannot be opened.
        PlanFileFaults: it can, and what it holds is no plan.
    """
    text = _text_of(path)
    try:
        tree = read_json(text) if _is_json(path, text) else read_yaml(text)
    except Unreadable as error:
        raise PlanFileFaults(path, [error.fault]) from None
    faults = [*tree.faults, *_faults_of_plan(tree, tools, max_steps)]
    if faults:
        raise PlanFileFaults(path, faults)
    return tree.value


def shown(path: Path) -> str:
    """Return what to call the file."""
    return "on the standard input" if path == STANDARD_INPUT else str(path)


def _text_of(path: Path) -> str:
    try:
        if path == STANDARD_INPUT:
            content = _typed_in()
        else:
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise WrongUsage(f"The plan file {path} cannot be opened: {why}.") from None
    if len(content) > MAX_BYTES:
        raise PlanFileFaults(path, [Fault(_START, "", f"the file is larger than {MAX_BYTES:,} bytes")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        place = Place(before.count(b"\n") + 1, error.start - before.rfind(b"\n"))
        message = f"the byte 0x{content[error.start]:02X} is not UTF-8; save the file as UTF-8"
        raise PlanFileFaults(path, [Fault(place, "", message)]) from None


def _typed_in() -> bytes:
    if sys.stdin is None:
        raise WrongUsage("There is no standard input to read the plan from; name its file.")
    return sys.stdin.buffer.read(MAX_BYTES + 1)


def _is_json(path: Path, text: str) -> bool:
    match path.suffix.lower():
        case ".json":
            return True
        case ".yaml" | ".yml":
            return False
        case _:
            return text.lstrip().startswith(("{", "["))


def _faults_of_plan(tree: Tree, tools: Mapping[str, ToolDeclaration] | None, max_steps: int) -> list[Fault]:
    sentences = _sentences(tree.value, tools, max_steps)
    faults = dict.fromkeys(_located(sentence, tree) for sentence in sentences)  # each once
    return [fault for fault in faults if fault.place not in tree.blanks]


def _sentences(value: Any, tools: Mapping[str, ToolDeclaration] | None, max_steps: int) -> Iterator[str]:
    """Yield every fault: `check_plan` stops before the arguments where the plan around them is broken."""
    try:
        if tools is None:
            plan_shaped(value)
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
                check_arguments(tool, arguments, tools, f"steps[{index}]")
            except PlanInvalid as error:
                yield from error.faults


def _located(sentence: str, tree: Tree) -> Fault:
    """Return a sentence that begins with a path as a fault at the innermost part that the path leads to."""
    sentence = sentence.removeprefix("plan.")
    ends = [match.start() for match in _ENDS_OF_PATHS.finditer(sentence[:_LONGEST_PATH])]
    known = next((sentence[:end] for end in reversed(ends) if sentence[:end] in tree.places), "")
    path, colon, message = sentence[len(known) :].partition(": ")
    if not colon:
        path, message = "", sentence[len(known) :].lstrip(": ")
    whole = f"{known}{path}"
    return Fault(tree.places.get(known, _START), "" if whole == "plan" else whole, message)
