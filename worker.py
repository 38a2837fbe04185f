"""The worker, and the map of the system: settings -> adapters -> activities -> Worker.

This is the only place that constructs adapters. `python worker.py` runs against the Temporal server that the
environment names, `python worker.py --dev` brings an embedded one along.
"""

import sys

from plangate.own_python import use_own_python

use_own_python()

import argparse
import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import structlog
import uvloop
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkerDeploymentConfig

from activities.closing import Closing
from activities.decisions import Decisions
from activities.execution import Execution
from activities.heartbeat import HEARTBEAT_EVERY
from activities.planner import Planner
from activities.planners.autogen.model_client import model_client_factory
from activities.planners.autogen.planner import AutoGenPlanner
from activities.planning import Planning
from activities.requiring import Requiring
from activities.signal_times import SignalTimes
from activities.tools.registry import build_tools
from activities.waiting import Waiting
from plangate.audit.sealing import Sealing
from plangate.domain.errors import FileInvalid, PlangateError
from plangate.domain.people import Directory, NoDirectory, People
from plangate.domain.policy import OneApproval, Policy
from plangate.files.private_files import is_open_to_others
from plangate.logs.setup import configure_logs, temporal_runtime
from plangate.policy.people_file import PeopleFile, read_people
from plangate.policy.policy_file import FilePolicy, read_policy
from plangate.process_end import end_process
from plangate.records.database import Database
from plangate.records.rule_texts import RecordedPeople, record_rules
from plangate.records.workers import WorkerFacts
from plangate.settings import Settings, load_settings
from plangate.signing.checkpoints import seal_key
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import connect
from plangate.temporal.search_attributes import ensure_search_attributes
from plangate.temporal.worker_agreement import WorkerAgreement, hash_of_tools, polling_identity
from plangate.tool import Tool
from workflows.details_interceptor import PageWhenAsked
from workflows.plan_approval import PlanApproval

# The cache of a worker that was killed is waited for no longer than this, before another worker is asked.
STICKY_TIMEOUT: Final = timedelta(seconds=1)
# A step may be acting when the worker is told to stop: most tools need no more than a minute to end.
GRACE: Final = timedelta(seconds=75)
# Whatever hangs then (a thread in a database that does not answer) ends with the process, as a kill ends it.
LAST: Final = timedelta(seconds=85)
# And where all work is done, threads that still wait for a database are not waited for longer.
AFTERWARDS: Final = timedelta(seconds=3)
_log = structlog.get_logger("worker")


def build_worker(
    client: Client,
    settings: Settings,
    *,
    database: Database,
    tools: Mapping[str, Tool],
    planner: Planner,
    policy: Policy | None = None,
    directory: Directory | None = None,
) -> Worker:
    """Wire one worker over the given adapters; without a policy and a directory, anybody's approval does."""
    times, requiring = SignalTimes(client), Requiring(policy or OneApproval())
    directory = RecordedPeople(directory or NoDirectory(), database, client.identity)
    activities: list[Callable[..., Any]] = [
        Planning(
            database,
            planner,
            tools,
            requiring,
            directory=directory,
            max_steps=settings.max_steps,
            times=times,
            patience=timedelta(seconds=settings.model_outage_seconds),
        ).draft_plan,
        Decisions(database, times, directory, can_draft=planner.has_model).admit_decisions,
        Execution(database, tools, directory, requiring).execute_step,
        Closing(database).close_run,
        Waiting(database, directory).wait_for_records,
    ]
    return Worker(
        client,
        identity=polling_identity(client.identity, database.installation),
        task_queue=settings.task_queue,
        workflows=[PlanApproval],
        activities=activities,
        # The sandbox finds what would not replay; so do the replay tests, which run in it, and for paths that
        # no history has a test that reads the code (docs/decisions/0022).
        workflow_runner=UnsandboxedWorkflowRunner(),
        # Runs take their turns in the event loop, and no clock takes one for deadlocked (the same decision).
        debug_mode=True,
        interceptors=[PageWhenAsked()],
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACE,
        # By default the SDK keeps heartbeats back for four fifths of the time after which they are missed.
        max_heartbeat_throttle_interval=HEARTBEAT_EVERY,
        deployment_config=_deployment(settings),
    )


def collect_seldom() -> None:
    """Let Python look for garbage every 20,000 new objects, not every 700; never in what was there before.

    A run that has ended is garbage that only this finds, the one that waited long at the third look: after
    180,000 objects, some thousand runs. Measured: a twenty-fifth of an approved step's time in the worker.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 2, 2)


def _deployment(settings: Settings) -> WorkerDeploymentConfig | None:
    """Worker versioning is opt-in; open approvals always move on to the newest version."""
    if settings.worker_build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name="plangate", build_id=settings.worker_build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


async def run(settings: Settings, *, dev: bool) -> None:
    """Run a worker until SIGTERM or SIGINT tells it to stop; a step that acts has `GRACE` to end.

    Raises:
        PlangateError: it cannot start; the message says what to do.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if is_open_to_others(settings.var_dir):
        _log.warning(
            f"Other users can look into {settings.var_dir}; close it to them with chmod 700.", action="files"
        )
    tools = build_tools(settings)
    rules = _rules(settings, tools)  # before anything is started
    if not dev:
        await _run_connected(settings, told, tools, rules)
        return
    async with embedded_server.leased(settings.var_dir) as server:
        _log.info("The embedded Temporal server runs.", action="server_found", web_ui=server.ui_url)
        supervisor = asyncio.create_task(embedded_server.keep_running(settings.var_dir))
        supervisor.add_done_callback(lambda _: told.set())  # somebody stopped the server on purpose
        try:
            await _run_connected(settings, told, tools, rules)
        finally:
            supervisor.cancel()


async def _run_connected(
    settings: Settings, told: asyncio.Event, tools: Mapping[str, Tool], rules: tuple[Policy, Directory]
) -> None:
    policy, directory = rules
    planner = AutoGenPlanner(model_client_factory(settings), settings.draft_seconds)
    await planner.try_model()
    client = await connect(settings, runtime=temporal_runtime(settings))
    database = Database(settings.records)
    try:
        await asyncio.to_thread(database.migrate)
        await asyncio.to_thread(_record_rules, database, policy, directory, client.identity)
        await ensure_search_attributes(client, client.namespace)
        worker = build_worker(
            client,
            settings,
            database=database,
            tools=tools,
            planner=planner,
            policy=policy,
            directory=directory,
        )
        sealing = Sealing(
            database, seal_key(settings.seal_key), settings.last_checkpoint, settings.seal_seconds
        )
        declared = hash_of_tools(tool.declaration for tool in tools.values())
        agreement = WorkerAgreement(
            client,
            database,
            lambda: _facts(client, settings, policy, directory, declared),
            lambda: _record_rules(database, policy, directory, client.identity),
        )
        if await _unless(told, agreement.wait_for_own_queue(settings.task_queue)):
            async with (
                beside(sealing.keep_sealing()),
                beside(agreement.keep_comparing(settings.task_queue)),
            ):
                await _run_until(told, worker)
    finally:
        database.close()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Let ``work`` go on beside the block, and come to its own end behind it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))


def _rules(settings: Settings, tools: Mapping[str, Tool]) -> tuple[Policy, Directory]:
    """Read the policy and the list of people.

    Raises:
        FileInvalid: one of them is broken; nothing starts with it.
    """
    directory = PeopleFile(settings.people_file) if settings.people_file else NoDirectory()
    roles = read_people(settings.people_file).roles() if settings.people_file else None
    if settings.policy_file is None:
        return OneApproval(), directory
    declared = {name: tool.declaration for name, tool in tools.items()}
    return read_policy(settings.policy_file, declared, roles), directory


def _record_rules(database: Database, policy: Policy, directory: Directory, identity: str) -> None:
    """Keep what this worker judges by, before it takes any work."""
    text, text_hash = (policy.text, policy.policy_hash) if isinstance(policy, FilePolicy) else ("", "")
    record_rules(database, "policy", text, text_hash, identity)
    people = directory.people() or People()
    record_rules(database, "people", people.text, people.hash, identity)


def _facts(
    client: Client, settings: Settings, policy: Policy, directory: Directory, tools: str
) -> WorkerFacts:
    """Return what this worker works with now; the list of people may have changed since its start.

    Raises:
        DirectoryUnavailable: there is a list of people, and it cannot be read now.
    """
    people = directory.people() or People()
    return WorkerFacts(
        worker=client.identity,
        namespace=client.namespace,
        task_queue=settings.task_queue,
        policy=policy.policy_hash if isinstance(policy, FilePolicy) else "",
        people=people.hash,
        tools=tools,
    )


async def _unless(told: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do ``work`` unless the worker is told to stop before it is done; return whether it is done."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(told.wait())
    await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if working.done():
        await working
        return True
    working.cancel()
    return False


async def _run_until(told: asyncio.Event, worker: Worker) -> None:
    running = asyncio.create_task(worker.run())
    waiting = asyncio.create_task(told.wait())
    _log.info("The worker is ready.", action="ready", task_queue=worker.task_queue)
    await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    if told.is_set():
        _log.info("The worker finishes what it is doing and stops.", action="stopping")
        end_in(LAST, 1)
        await worker.shutdown()
    waiting.cancel()
    await running
    _log.info("The worker has stopped.", action="stopped")
    end_in(AFTERWARDS, 0)


def end_in(time: timedelta, code: int) -> None:
    """End the process with this exit code when so much time has passed, whatever it is doing then.

    Nothing is lost by it: a worker may be killed at any moment.
    """

    def end() -> None:
        _log.warning(
            "The worker did not stop in time, and its process ends now; nothing is lost by it.",
            action="stopped",
        )
        end_process(code)

    timer = threading.Timer(time.total_seconds(), end)
    timer.daemon = True
    timer.start()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker from the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="worker.py", description="Run a worker, until Ctrl-C or SIGTERM ends it."
    )
    parser.add_argument(
        "--dev", action="store_true", help="bring an embedded Temporal server along, its data under var/"
    )
    options = parser.parse_args(arguments)
    try:
        settings = load_settings()
        configure_logs(settings)
        collect_seldom()
        uvloop.run(run(settings, dev=options.dev))  # a tenth less of the worker's CPU than on asyncio's own
    except FileInvalid as error:
        sys.stderr.write(
            f"{error.path} cannot be used, so the worker does not start; mend it and try again:\n"
        )
        sys.stderr.write("".join(f"  {fault}\n" for fault in error.faults))
        return 1
    except PlangateError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    end_process(main())
