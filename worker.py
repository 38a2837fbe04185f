"""The composition root: settings -> adapters -> activities -> Worker.

Nothing else constructs adapters, except `starter.py` to list tools.

`python worker.py` connects to the Temporal server in the environment; `python worker.py --dev` also starts an
embedded server.
"""

import sys

from plangate.own_python import use_own_python

use_own_python()

import argparse
import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
import uvloop
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from activities.accesses import AccessRecording
from activities.checking import Checking
from activities.closing import Closing
from activities.decisions import Decisions
from activities.delegating import Delegating
from activities.execution import Execution
from activities.failed_step import Holding
from activities.heartbeat import HEARTBEAT_EVERY
from activities.plan_check import PlanCheck
from activities.planner import Planner
from activities.planners.choosing import planner_of
from activities.planners.function import FunctionPlanner
from activities.planners.reading import readers_of
from activities.planning import Planning
from activities.requirement_check import Requiring
from activities.settling import Settling
from activities.signal_times import SignalTimes
from activities.stopping import Stopping
from activities.tools.live import Live
from activities.tools.mcp.servers import McpServers
from activities.tools.registry import build_tools
from activities.waiting_for_records import Waiting
from plangate import __version__
from plangate.audit.sealing import Sealing, seal_key
from plangate.domain.errors import FileInvalid, PlangateError
from plangate.domain.people.people import Directory, NoDirectory
from plangate.domain.plans.tool import ToolDeclaration
from plangate.domain.policies.policy import OneApproval, Policy
from plangate.files.private_files import is_accessible_to_others
from plangate.files.working_directory import require_working_directory
from plangate.logs.setup import configure_logs, temporal_runtime, warn_of_unknown_variables
from plangate.notifications.notifier_process import notifier_of
from plangate.policy.effective_people import trusted_web
from plangate.policy.rules import Rules, delegation_rules_of, policy_hash_of, read_rules, stop_rules_of
from plangate.process_end import end_process
from plangate.records.attachments import StoredAttachments
from plangate.records.database import Database
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from plangate.settings import Settings, load_settings
from plangate.signing.trusted_keys import check_trusted_keys
from plangate.temporal import dev_server
from plangate.temporal.connection import connect
from plangate.temporal.search_attributes import ensure_search_attributes
from plangate.temporal.worker_agreement import (
    WorkerAgreement,
    facts_of,
    hash_of_tools,
    polling_identity,
    record_both_rules,
)
from plangate.temporal.worker_process import (
    finished,
    in_background,
    raise_gc_threshold,
    run_until,
    stop_on_signals,
)
from plangate.tool import Advises, Blobs, Tool, UsesBlobs, lacks_of
from plangate.tool.listing import unavailable_tools_warning
from plangate.web.background import background_inbox
from workflows.access import PlangateLook
from workflows.delegation import PlangateDelegation
from workflows.details_interceptor import DetailsInterceptor
from workflows.plan_approval import PlanApproval
from workflows.runner import Runner
from workflows.settlement import PlangateSettlement
from workflows.stop import PlangateStop

# After this time, the server gives a killed worker's task to another worker.
STICKY_TIMEOUT: Final = timedelta(seconds=1)
# How long running activities may take to finish at shutdown: enough for most tools.
GRACE: Final = timedelta(seconds=75)
# A shutdown that takes longer than this is aborted, for example if a thread waits for a database that does
# not respond.
KILL_AFTER: Final = timedelta(seconds=85)
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
    """Build one worker with the given adapters; without a policy and a directory, anyone may approve."""
    times, requiring = SignalTimes(client), Requiring(policy or OneApproval())
    records = Records(database)
    tools = _with_blobs(tools, StoredAttachments(records))
    plans = PlanCheck(tools, settings.max_steps)
    lendable, web = delegation_rules_of(policy), trusted_web(settings)
    people = RecordedPeople(directory or NoDirectory(), records, client.identity, lendable, web=web)
    planning = Planning(
        records,
        planner,
        plans,
        requiring,
        directory=people,
        times=times,
        outage_limit=timedelta(seconds=settings.model_outage_seconds),
    )
    settling, deployment = Settling(records, tools), _deployment(settings)
    activities: list[Callable[..., Any]] = [
        planning.draft_plan,
        planning.draft_at_once,
        planning.keep_plan,
        Decisions(records, times, people, plans, can_draft=planner.has_model).admit_decisions,
        Execution(
            records,
            tools,
            people,
            requiring,
            longest_wait=timedelta(seconds=settings.late_effect_seconds),
        ).execute_step,
        Stopping(records, people, stop_rules_of(policy), policy_hash_of(policy), tools).judge_order,
        Delegating(records, people, lendable, policy_hash_of(policy)).judge_delegation,
        AccessRecording(records).record_look,
        Checking(plans).check_plan,
        settling.look_up_settlement,
        settling.record_settlement,
        Holding(records, requiring).hold_run,
        Closing(records).close_run,
        Waiting(records, people).wait_for_records,
    ]
    return Worker(
        client,
        identity=polling_identity(client.identity, database.installation),
        task_queue=settings.task_queue,
        workflows=[PlanApproval, PlangateDelegation, PlangateSettlement, PlangateStop, PlangateLook],
        activities=activities,
        # The sandbox would detect code that cannot be replayed. Instead, the replay tests run in the sandbox,
        # and a test checks the code paths that no history covers (docs/decisions/0022).
        workflow_runner=Runner(),
        interceptors=[DetailsInterceptor()],
        sticky_queue_schedule_to_start_timeout=STICKY_TIMEOUT,
        graceful_shutdown_timeout=GRACE,
        # By default the SDK delays heartbeats by up to 80% of the heartbeat timeout.
        max_heartbeat_throttle_interval=HEARTBEAT_EVERY,
        deployment_config=deployment,
        # By default, the SDK hashes the code of all loaded modules, which takes a tenth of the start time.
        build_id=None if deployment else f"plangate-{__version__}",
    )


def plan_with_model(settings: Settings, tools: Mapping[str, Tool]) -> FunctionPlanner:
    """Return the planner for these tools. It gets their declarations, and may call the read-only tools.

    Raises:
        PlannerInvalid: the planner in the settings cannot be used.
    """
    usable = Live(lambda: {name: tool for name, tool in tools.items() if not lacks_of(tool)})
    return planner_of(
        settings,
        Live(lambda: {name: _advised(tool) for name, tool in usable.items()}),
        Live(lambda: dict(readers_of(usable))),
    )


def _with_blobs(tools: Mapping[str, Tool], blobs: Blobs) -> Mapping[str, Tool]:
    """Return the tools, with a blob store for those that need one."""
    if not any(isinstance(tool, UsesBlobs) for tool in tools.values()):
        return tools
    given = {name: tool.with_blobs(blobs) for name, tool in tools.items() if isinstance(tool, UsesBlobs)}
    return Live(lambda: {**tools, **given})


def _advised(tool: Tool) -> ToolDeclaration:
    """Return a tool's declaration, with its advice for the planner."""
    declaration = tool.declaration
    if not isinstance(tool, Advises):
        return declaration
    return replace(declaration, description=f"{declaration.description} {tool.advice()}")


def _deployment(settings: Settings) -> WorkerDeploymentConfig | None:
    """Return the worker versioning options, if versioning is on; open runs move to the newest version."""
    if settings.worker_build_id is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name="plangate", build_id=settings.worker_build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


async def run(settings: Settings, *, dev: bool) -> None:
    """Run a worker until SIGTERM or SIGINT; running steps then have `GRACE` to finish.

    Args:
        settings: the settings of this process.
        dev: whether to start an embedded Temporal server as well.

    Raises:
        PlangateError: the worker cannot start; the message says what to do.
    """
    check_trusted_keys(settings)
    stopping = stop_on_signals()
    if is_accessible_to_others(settings.var_dir):
        _log.warning(
            f"Other users can read {settings.var_dir}; restrict it with: chmod 700 {settings.var_dir}",
            action="files",
        )
    fixed = build_tools(settings)
    servers = McpServers.from_settings(settings, fixed)
    await servers.list_all()
    tools: Mapping[str, Tool] = Live(lambda: {**fixed, **servers.tools()})
    tools_hash = hash_of_tools((tool.declaration for tool in fixed.values()), servers.shared)
    _log_missing_tools(tools)
    # Done before anything else starts, so that a file with errors stops the worker here.
    rules = read_rules(settings, {name: tool.declaration for name, tool in tools.items()})
    connected = partial(_run_connected, settings, stopping, tools, rules, tools_hash)
    if not dev:
        async with in_background(servers.keep_refreshing()):
            await connected()
        return
    async with dev_server.leased(settings.var_dir) as server:
        _log.info(
            "The embedded Temporal server is running.",
            action="server_found",
            address=server.address,
            web_ui=server.ui_url,
        )
        supervisor = asyncio.create_task(dev_server.keep_running(settings.var_dir))
        supervisor.add_done_callback(lambda _: stopping.set())  # the server was stopped on purpose
        try:
            async with in_background(servers.keep_refreshing()), background_inbox(settings):
                await connected()
        finally:
            supervisor.cancel()


def _log_missing_tools(tools: Mapping[str, Tool]) -> None:
    """Log in one line which tools are unavailable; most workers need only some of them."""
    lacking = [name for name, tool in tools.items() if lacks_of(tool)]
    if lacking:
        _log.warning(unavailable_tools_warning(lacking), action="tools_lack", tools=sorted(lacking))


async def _run_connected(
    settings: Settings, stopping: asyncio.Event, tools: Mapping[str, Tool], rules: Rules, tools_hash: str
) -> None:
    planner, web = plan_with_model(settings, tools), trusted_web(settings)
    await planner.try_model()
    client = await connect(settings, runtime=temporal_runtime(settings))
    database = Database(settings.records)
    try:
        await asyncio.to_thread(database.migrate)
        await asyncio.to_thread(record_both_rules, database, rules, client.identity, web)
        await ensure_search_attributes(client, client.namespace)
        worker = build_worker(
            client,
            settings,
            database=database,
            tools=tools,
            planner=planner,
            policy=rules.policy,
            directory=rules.directory,
        )
        notifier = notifier_of(settings, database, sends=settings.notices == "on")
        sealing = Sealing(
            database,
            seal_key(settings.seal_key),
            settings.last_checkpoint,
            settings.seal_seconds,
            notifier.report_problem,
        )
        agreement = WorkerAgreement(
            client,
            database,
            lambda: facts_of(client, settings.task_queue, rules, tools_hash, web, drafts=planner.has_model),
            lambda: record_both_rules(database, rules, client.identity, web),
        )
        if await finished(agreement.wait_for_own_queue(settings.task_queue), stopping):
            async with (
                in_background(notifier.keep_notifying()),
                in_background(sealing.keep_sealing()),
                in_background(agreement.keep_comparing(settings.task_queue)),
            ):
                await run_until(stopping, worker, kill_after=KILL_AFTER)
    finally:
        database.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker from the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="worker.py", description="Run a worker until Ctrl-C or SIGTERM.")
    parser.add_argument(
        "--dev",
        action="store_true",
        help="also start an embedded Temporal server, with its data under var/, and the inbox",
    )
    options = parser.parse_args(arguments)
    try:
        require_working_directory()
        settings = load_settings()
        configure_logs(settings)
        warn_of_unknown_variables()
        raise_gc_threshold()
        uvloop.run(run(settings, dev=options.dev))  # measured: uses 10% less CPU than asyncio's own loop
    except FileInvalid as error:
        sys.stderr.write(
            f"The worker did not start, because {error.path} cannot be used; fix it and try again:\n"
        )
        sys.stderr.write("".join(f"  {fault}\n" for fault in error.faults))
        return 1
    except PlangateError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    end_process(main())
