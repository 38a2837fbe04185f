"""`start`: hand a request in, wait for its plan, show it, and say how to decide."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from rich.text import Text

from plangate.cli.answer import error_as_json
from plangate.cli.application import declared_tools, has_tools
from plangate.cli.durations import read_timeout
from plangate.cli.exits import Exit, Interrupted, WrongUsage
from plangate.cli.following import absence, looks, waiting_words
from plangate.cli.keys import KeyChain
from plangate.cli.plan_file import STANDARD_INPUT, PlanFileFaults, read_plan_file
from plangate.cli.progress import Progress
from plangate.cli.screen import Screen, open_screen
from plangate.cli.session import Session, opened, run_async, settings_for_people
from plangate.cli.watching import watch_to_the_end
from plangate.domain.audit import Outcome
from plangate.domain.escaping import one_line
from plangate.domain.request import MAX_REQUEST, PlanRequest
from plangate.domain.run import Phase
from plangate.domain.status import Status
from plangate.presentation.clock import now
from plangate.presentation.program import program
from plangate.presentation.run_page import deciding_page, is_over, run_page
from plangate.presentation.troubles import troubles_by_cause
from plangate.settings import Settings, operating_system_user

FROM_STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class StartOrder:
    """What was typed after ``start``."""

    text: str
    plan_file: Path | None
    workflow_id: str | None
    requester: str | None
    timeout: str
    by: str | None
    watch: bool
    wait: bool
    as_json: bool


def start(order: StartOrder) -> int:
    """Start a run; by default wait for its plan."""
    settings, screen = settings_for_people(), open_screen(as_json=order.as_json)
    try:
        request = _request(order, settings)
    except PlanFileFaults as error:
        return _show_faults(screen, error)

    async def main() -> int:
        async with opened(settings) as session:
            workflow_id = await session.gateway.submit(request, order.workflow_id)
            return await _after_submit(session, screen, order, workflow_id)

    return run_async(main())


async def _after_submit(session: Session, screen: Screen, order: StartOrder, workflow_id: str) -> int:
    if not screen.is_json:
        screen.out.print(Text(f"Started {one_line(workflow_id)}."), soft_wrap=True)
    if not order.wait:
        return _show_started(session, screen, workflow_id)
    if order.watch:
        return await watch_to_the_end(session, screen, workflow_id, order.by)
    try:
        status = await _drafted(session, screen, workflow_id, is_brought=order.plan_file is not None)
    except asyncio.CancelledError:
        raise Interrupted(
            f"Stopped waiting for the plan; {one_line(workflow_id)} continues. "
            f"Look at it with: {program()} status {one_line(workflow_id)}"
        ) from None
    if screen.is_json:
        screen.print_json(status.model_dump(mode="json"))
    else:
        screen.show(run_page(status, now()))
        if status.state == Phase.IN_REVIEW:
            screen.show(
                deciding_page(
                    status,
                    session.doors,
                    operating_system_user(),
                    signs=KeyChain(session.settings, screen).has_any,
                )
            )
    return Exit.FAILED if is_over(status) and status.state != Outcome.EXECUTED else Exit.DONE


async def _drafted(session: Session, screen: Screen, workflow_id: str, *, is_brought: bool) -> Status:
    """Wait until the plan is there, or never will be; what is in the way is said once."""
    known: set[str] = set()
    with Progress(screen.err) as progress:
        async for look in looks(session.gateway, workflow_id):
            if isinstance(look, Status) and look.state != Phase.DRAFTING:
                return look
            away = absence(look)
            if away:
                progress.note(away)
            elif isinstance(look, Status):
                progress.update(waiting_words(look, is_brought=is_brought))
                fresh = {cause: said for cause, said in troubles_by_cause(look) if cause not in known}
                for trouble in fresh.values():
                    progress.note(f"{trouble} Ctrl-C leaves; the run continues.")
                known.update(fresh)
    raise AssertionError("looks() never ends by itself")


def _show_started(session: Session, screen: Screen, workflow_id: str) -> int:
    address = session.doors.page_of(workflow_id)
    if screen.is_json:
        screen.print_json({"workflow_id": workflow_id, "web_ui": address})
        return Exit.DONE
    screen.out.print(Text(f"Look at it with: {program()} status {one_line(workflow_id)}"), soft_wrap=True)
    if address:
        screen.out.print(Text(address), soft_wrap=True)
    return Exit.DONE


def _request(order: StartOrder, settings: Settings) -> PlanRequest:
    """Return the request that the order makes.

    Raises:
        WrongUsage: it makes none.
    """
    if order.watch and not order.wait:
        raise WrongUsage("--watch and --no-wait cannot both be meant; leave one out.")
    if order.text == FROM_STDIN and order.plan_file == STANDARD_INPUT:
        raise WrongUsage("The standard input is the request or the plan, not both; name a file for the plan.")
    timeout = read_timeout(order.timeout)
    text = _typed_in() if order.text == FROM_STDIN else order.text
    if order.plan_file is None and Path(text).suffix in (".json", ".yaml", ".yml") and Path(text).is_file():
        raise WrongUsage(f"{text} is a file; to bring a plan, write --plan {text}.")
    if not text.strip() and order.plan_file is None:
        raise WrongUsage(f'Say what you want done ({program()} start "…"), or bring a plan with --plan FILE.')
    plan = _plan_in(order.plan_file, settings) if order.plan_file else None
    requester = operating_system_user() if order.requester is None else order.requester
    try:
        return PlanRequest(
            requester=requester, request=text, plan=plan, timeout_seconds=int(timeout.total_seconds())
        )
    except ValidationError as error:
        field = error.errors(include_url=False, include_input=False)[0]["loc"][0]
        raise WrongUsage(
            f"The request is longer than {MAX_REQUEST:,} characters; shorten it."
            if field == "request"
            else "The name after --requester must have 1 to 100 visible characters."
        ) from None


def _plan_in(path: Path, settings: Settings) -> Any:
    return read_plan_file(path, declared_tools() if has_tools() else None, settings.max_steps)


def _typed_in() -> str:
    """Return what stands on stdin.

    Raises:
        WrongUsage: it is no text, or too much of it.
    """
    if sys.stdin is None:
        raise WrongUsage("There is no standard input to read the request from; give it as TEXT.")
    content = sys.stdin.buffer.read(4 * MAX_REQUEST + 1)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        if len(content) <= 4 * MAX_REQUEST:
            raise WrongUsage("What stands on the standard input is not UTF-8 text; convert it.") from None
        text = content.decode(errors="replace")
    if len(text) > MAX_REQUEST:
        raise WrongUsage(f"The request is longer than {MAX_REQUEST:,} characters; shorten it.")
    return text


def _show_faults(screen: Screen, error: PlanFileFaults) -> int:
    """Print every fault of a plan file: on stderr for people, as one JSON object for machines."""
    if screen.is_json:
        faults = [_fault_as_json(fault) for fault in error.faults]
        screen.print_json(error_as_json(str(error), Exit.USAGE, faults))
        return Exit.USAGE
    screen.err.print(Text(one_line(str(error))), soft_wrap=True)
    for place, path, message in error.faults:
        name = "line " if error.path == STANDARD_INPUT else f"{error.path}:"
        where = f"{name}{place.line}:{place.column}"
        said = f"{path}: {message}" if path else message
        screen.err.print(Text(f"  {one_line(f'{where}: {said}')}"), soft_wrap=True)
    return Exit.USAGE


def _fault_as_json(fault: Any) -> dict[str, Any]:
    return {
        "line": fault.place.line,
        "column": fault.place.column,
        "path": fault.path,
        "message": fault.message,
    }
