"""The request that `start` submits: read from an argument, standard input or a plan file."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from plangate.cli.answer import error_as_json
from plangate.cli.application import declared_tools, has_tools
from plangate.cli.durations import read_timeout
from plangate.cli.environment import settings_for_people
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.plan_file import STANDARD_INPUT, PlanFileFaults, read_plan_file
from plangate.cli.plan_tree import PlacedFault
from plangate.cli.screen import Screen
from plangate.domain.escaping import one_line
from plangate.domain.plans.drafting import check_plan
from plangate.domain.runs.remaining_steps import remainder_of
from plangate.domain.runs.request import MAX_REQUEST, PlanRequest
from plangate.domain.runs.status import Status
from plangate.domain.validation import faults_in
from plangate.presentation.page import Page
from plangate.presentation.program_name import program
from plangate.settings import Settings

_FROM_STDIN: Final = "-"
_PLAN_SUFFIXES: Final = (".json", ".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class RequestReader:
    """Creates a request from typed options.

    Attributes:
        timeout: how long the review may take, as typed.
        requester: the name of the requester.
        settings: the settings, which contain the limits of a plan.
    """

    timeout: str
    requester: str
    settings: Settings

    def read(self, text: str, plan_path: Path | None) -> PlanRequest:
        """Return the request.

        Args:
            text: the request in plain language; "-" means standard input.
            plan_path: the file of a prepared plan; "-" means standard input.

        Raises:
            WrongUsage: there is neither text nor plan, or one of them cannot be used.
            PlanFileFaults: the plan file has errors.
        """
        if text == _FROM_STDIN and plan_path == STANDARD_INPUT:
            raise WrongUsage(
                "The standard input is the request or the plan, not both; use a file for the plan."
            )
        read_timeout(self.timeout)  # checked before standard input is read, which may take a long time
        words = _words(text)
        if plan_path is None and Path(words).suffix in _PLAN_SUFFIXES and Path(words).is_file():
            raise WrongUsage(f"{words} is a file; to submit the plan in it, write --plan {words}.")
        if not words.strip() and plan_path is None:
            raise WrongUsage(
                f'Say what you want done ({program()} start "…"), or supply a plan: --plan FILE.'
            )
        return self._request(words, _plan_in(plan_path, self.settings) if plan_path else None)

    def read_continuation(self, status: Status, text: str) -> PlanRequest:
        """Return the request to run the remaining steps of a run; ``text`` is added by the requester.

        Raises:
            PlanInvalid: the steps can no longer run, because a tool has changed.
            Refused: the run cannot be continued.
            WrongUsage: a part of the request cannot be used.
        """
        left = remainder_of(status)
        plan = left.plan.model_dump(mode="json")
        if has_tools():
            check_plan(plan, declared_tools(), self.settings.max_steps)
        words = "\n\n".join(part for part in (_words(text).strip(), left.request) if part)
        return self._request(words, plan)

    def _request(self, words: str, plan: Any) -> PlanRequest:
        seconds = int(read_timeout(self.timeout).total_seconds())
        try:
            return PlanRequest(requester=self.requester, request=words, plan=plan, timeout_seconds=seconds)
        except ValidationError as error:
            raise WrongUsage(
                _TOO_LONG
                if faults_in(error)[0].path == ("request",)
                else "The name after --requester must have 1 to 100 visible characters."
            ) from None


_TOO_LONG: Final = f"The request is longer than {MAX_REQUEST:,} characters; shorten it."


def _plan_in(path: Path, settings: Settings) -> Any:
    return read_plan_file(path, declared_tools() if has_tools() else None, settings.max_steps)


def _words(text: str) -> str:
    return _standard_input() if text == _FROM_STDIN else text


def _standard_input() -> str:
    """Return the request on standard input.

    Raises:
        WrongUsage: it is closed, is not text, or is too long.
    """
    if sys.stdin is None:
        raise WrongUsage("The standard input is closed; give the request as TEXT.")
    content = sys.stdin.buffer.read(4 * MAX_REQUEST + 1)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        if len(content) <= 4 * MAX_REQUEST:
            raise WrongUsage("The standard input is not UTF-8 text; convert it.") from None
        text = content.decode(errors="replace")
    if len(text) > MAX_REQUEST:
        raise WrongUsage(_TOO_LONG)
    return text


def show_faults(screen: Screen, error: PlanFileFaults) -> int:
    """Print every error of a plan file, on stderr or as one JSON object, and return the exit code."""
    if screen.is_json:
        faults = [_fault_as_json(fault) for fault in error.faults]
        screen.print_json(error_as_json(str(error), Exit.USAGE, faults))
        return Exit.USAGE
    page = Page()
    page.sentence(one_line(str(error)))
    for place, fault in error.faults:
        name = "line " if error.path == STANDARD_INPUT else f"{error.path}:"
        where = f"{name}{place.line}:{place.column}"
        page.note(f"{where}: {fault if fault.path else fault.message}", "")
    is_unknown = any(fault.message.startswith("there is no tool called") for _, fault in error.faults)
    if is_unknown and not settings_for_people().tools:
        page.note("PLANGATE_TOOLS is not set here; it lists the modules with your tools.", "yellow")
    screen.show_on_stderr(page)
    return Exit.USAGE


def _fault_as_json(placed: PlacedFault) -> dict[str, Any]:
    return {"line": placed.place.line, "column": placed.place.column, **placed.fault.as_json()}
