"""`start`: submit a request, wait for its plan, show it, and say how to decide."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from plangate.cli import console, following, options, plan_file, progress, request, watching
from plangate.cli.exits import Exit, Interrupted, WrongUsage
from plangate.domain import errors, escaping
from plangate.domain.runs import audit, remaining_steps, run, status
from plangate.domain.runs import request as requests
from plangate.presentation import clock, deciding_page, problems, program_name, run_page


@click.command()
@click.argument("text", default="", help="What you want done, in plain language; - reads standard input.")
@click.option("--plan", type=options.PATH, help="A prepared plan, in JSON or YAML; - reads standard input.")
@click.option(
    "--from",
    "from_run",
    metavar="ID",
    callback=options.not_empty,
    help="Propose the remaining steps of a failed run, as the run ID-rest; this works once per run.",
)
@click.option(
    "--id",
    "workflow_id",
    metavar="ID",
    show_default="generated",
    callback=options.not_empty,
    help="The run's id.",
)
@options.requester
@click.option(
    "--timeout",
    metavar="TIME",
    default="72h",
    show_default=True,
    help="How long the review may take: 72h, 30m, 7d, 1h30m.",
)
@options.optional_by
@click.option("--watch", is_flag=True, help="Watch the run to its end, and ask for the decision.")
@click.option("--no-wait", is_flag=True, help="Return immediately, without waiting for the plan.")
@options.as_json
def start(
    text: str,
    *,
    plan: Path | None,
    from_run: str | None,
    workflow_id: str | None,
    requester: str | None,
    timeout: str,
    by: str | None,
    watch: bool,
    no_wait: bool,
    as_json: bool,
) -> int:
    """Start a run, and wait for its plan.

    Exit 0: the plan is ready (with --watch: it was executed). Exit 1: it could not be drafted (with --watch:
    or was not executed). Exit 2: the request or the plan file is invalid. Exit 3: the id is taken, or the run
    given with --from cannot be continued or was continued before.
    """
    here = console.open_console(as_json=as_json)
    if watch and no_wait:
        raise WrongUsage("--watch and --no-wait are mutually exclusive; leave one out.")
    if from_run is not None and plan is not None:
        raise WrongUsage("--from and --plan are mutually exclusive; leave one out.")
    if from_run is not None and workflow_id is not None:
        raise WrongUsage("--from sets the id, so a run is continued only once; leave out --id.")
    reader = request.RequestReader(
        timeout=timeout, requester=here.user if requester is None else requester, settings=here.settings
    )
    try:
        known = None if from_run is not None else reader.read(text, plan)
    except plan_file.PlanFileFaults as error:
        return request.show_faults(here.screen, error)

    async def submit() -> int:
        async with here.connected() as session:
            if known is None:
                asked = reader.read_continuation(await session.client.status(from_run or ""), text)
                started = await _start_continuation(session, from_run or "", asked)
            else:
                asked = known
                started = await session.client.submit(asked, workflow_id)
            if not here.screen.is_json:
                here.screen.write_line(f"Started {escaping.one_line(started)}.")
            if no_wait:
                return _show_started(session, started)
            if watch:
                return await watching.watch_to_the_end(session, started, by)
            return await _wait_for_the_plan(session, started, asked)

    return asyncio.run(submit())


async def _start_continuation(session: console.Session, from_run: str, asked: requests.PlanRequest) -> str:
    """Start the run that continues ``from_run``, and return its id.

    Raises:
        Refused: that run was already continued, perhaps at the same moment.
    """
    rest = remaining_steps.continuation_id(from_run)
    try:
        return await session.client.submit(asked, rest)
    except errors.IdInUse:
        raise errors.Refused(
            f"{from_run} was already continued as {rest}; see {program_name.program()} status {rest}. If it "
            f"has ended too, continue that one: {program_name.program()} start --from {rest}"
        ) from None


async def _wait_for_the_plan(session: console.Session, workflow_id: str, asked: requests.PlanRequest) -> int:
    here = session.console
    try:
        found = await drafted(session, workflow_id, is_supplied=asked.plan is not None)
    except asyncio.CancelledError:
        raise Interrupted(
            f"Stopped waiting for the plan; {escaping.one_line(workflow_id)} continues. "
            f"See it with: {program_name.program()} status {escaping.one_line(workflow_id)}"
        ) from None
    if here.screen.is_json:
        here.screen.print_json(found.model_dump(mode="json"))
    else:
        here.screen.show(run_page.run_page(found, clock.now()))
        if found.state == run.Phase.IN_REVIEW:
            signs = here.keys.has_any
            here.screen.show(deciding_page.deciding_page(found, session.access, here.user, signs=signs))
    is_failed = run_page.is_over(found) and found.state != audit.Outcome.EXECUTED
    return Exit.FAILED if is_failed else Exit.DONE


async def drafted(session: console.Session, workflow_id: str, *, is_supplied: bool) -> status.Status:
    """Wait until the plan is ready or the run has ended; print once what it waits for.

    Args:
        session: where the run is.
        workflow_id: the run.
        is_supplied: whether the requester supplied the plan, so none is drafted.
    """
    known: set[str] = set()
    with progress.Progress(session.screen.err) as waiting:
        async for polled in following.poll(session.client, workflow_id):
            if isinstance(polled, status.Status) and polled.state != run.Phase.DRAFTING:
                return polled
            warning = following.no_worker_warning(polled)
            if warning:
                waiting.note(warning)
            elif isinstance(polled, status.Status):
                waiting.update(following.waiting_words(polled, is_supplied=is_supplied))
                found = dict(problems.problems_by_cause(polled))
                for cause in [one for one in found if one not in known]:
                    waiting.note(f"{found[cause]} Ctrl-C exits; the run continues.")
                    known.add(cause)
    raise AssertionError("poll() never ends")


def _show_started(session: console.Session, workflow_id: str) -> int:
    address = session.access.page_of(workflow_id)
    if session.screen.is_json:
        session.screen.print_json({"workflow_id": workflow_id, "web_ui": address})
        return Exit.DONE
    session.screen.write_line(
        f"See it with: {program_name.program()} status {escaping.one_line(workflow_id)}"
    )
    if address:
        session.screen.write_line(address)
    return Exit.DONE
