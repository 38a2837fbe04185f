"""Compare requests and effects using independent evidence, at the end of a scenario."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from temporalio.worker import Replayer

from chaos.installation import TASK_QUEUE, WAIT_LIMIT, Installation
from chaos.orders import Order, OrderedStep, Place
from chaos.report import Report
from chaos.trail_checks import check_history, check_trail
from plangate.audit.inspection import Inspection, inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.domain.runs.status import RunResult
from plangate.signing.checkpoints import saved_checkpoint
from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.contract import WORKFLOW_TYPE
from workflows.plan_approval import PlanApproval
from workflows.runner import Runner

Mails = Mapping[str, Sequence[Path]]


async def inspect(
    installation: Installation, orders: Sequence[Order], report: Report, *, time_limit: float = WAIT_LIMIT
) -> None:
    """Wait until every run has ended, then check outcomes, effects, trails and histories."""
    results = await asyncio.gather(
        *(installation.result(order.workflow_id, time_limit) for order in orders), return_exceptions=True
    )
    mails, doubts, outcomes = installation.mails(), 0, Counter[str]()
    for order, result in zip(orders, results, strict=True):
        if isinstance(result, BaseException):
            report.record_error(f"{order.workflow_id} is lost or blocked: {type(result).__name__} {result}")
            continue
        outcomes[result.outcome] += 1
        doubts += _check_outcome(installation, order, result, mails, report)
        check_trail(installation.trail(order.workflow_id), report)
        check_history(await installation.handle(order.workflow_id).fetch_history(), report)
    for token in installation.vendor.unapproved() + installation.keyless.unapproved():
        report.record_error(f"{token} was requested before its approval was on the trail")
    report.expect(await installation.count_blocked() == 0, "the server reports a blocked run")
    await examine(installation, report)
    report.figure("outcomes", ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common()))
    report.figure("steps in doubt", doubts)
    report.figure("requested again, done once", installation.vendor.repeated())


async def examine(installation: Installation, report: Report) -> None:
    """Replay every run, and verify all records as an auditor would, once the last entries are sealed."""
    await _replay_all(installation, report)
    trust = Trust(saved=saved_checkpoint(installation.var_dir / "last-checkpoint.json"))
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            inspection = await asyncio.to_thread(_inspection, installation, trust)
            if inspection.findings or not inspection.unsealed:
                break
            await asyncio.sleep(0.5)
    for finding in inspection.findings:
        report.record_error(f"audit verify: {finding}")
    report.figure(
        "entries on the record", f"{inspection.entries}, sealed by {inspection.checkpoints} checkpoints"
    )


async def _replay_all(installation: Installation, report: Report) -> None:
    """Replay every history of the task queue, as a worker does after a restart."""
    query = f"TaskQueue = '{TASK_QUEUE}' AND WorkflowType = '{WORKFLOW_TYPE}'"
    histories = installation.client.list_workflows(query).map_histories()
    replayer = Replayer(workflows=[PlanApproval], data_converter=DATA_CONVERTER, workflow_runner=Runner())
    replayed = 0
    async with replayer.workflow_replay_iterator(histories) as results:
        async for result in results:
            replayed += 1
            if result.replay_failure is not None:
                report.record_error(
                    f"{result.history.workflow_id} cannot be replayed: {result.replay_failure}"
                )
    report.figure("runs replayed", replayed)


def _inspection(installation: Installation, trust: Trust) -> Inspection:
    with installation.database.read() as connection:
        return inspect_all(connection, trust, lambda *_: None)


def _check_outcome(
    installation: Installation, order: Order, result: RunResult, mails: Mails, report: Report
) -> int:
    """Check one run's outcome and count its effects; return how many steps are in doubt."""
    counts = [_effects(installation, step, mails) for step in order.steps]
    too_early = [step.token for step in order.steps if _is_early(step, order, mails)]
    report.expect(not too_early, f"{too_early} happened before an approval")
    if result.outcome == order.outcome:
        expected = 1 if order.outcome == "executed" else 0
        is_correct = all(count == expected for count in counts)
        report.expect(
            is_correct, f"{order.workflow_id} is {result.outcome}, its effects happened {counts} times"
        )
        return 0
    status = installation.recorded(order.workflow_id)
    states = [step.state.value for step in status.steps] if status else []
    if (result.outcome, order.outcome, states.count("in_doubt")) != ("failed", "executed", 1):
        report.record_error(f"{order.workflow_id} is {result.outcome} ({result.reason}), not {order.outcome}")
        return 0
    index_in_doubt = states.index("in_doubt")
    step = order.steps[index_in_doubt]
    known = {
        Place.KEYLESS: False,
        Place.VENDOR: True,
        Place.OUTBOX: _was_begun(installation, order, mails.get(step.token, ())),
    }
    report.expect(not known[step.place], f"{step.token} is in doubt, although its effect can be looked up")
    before, after = counts[:index_in_doubt], counts[index_in_doubt + 1 :]
    is_correct = all(count == 1 for count in before) and counts[index_in_doubt] <= 1 and not any(after)
    report.expect(is_correct, f"{order.workflow_id} is {states}, its effects happened {counts} times")
    return 1


def _was_begun(installation: Installation, order: Order, mails: Sequence[Path]) -> bool:
    """Return whether an email file of at least one byte existed when its step was recorded as in doubt."""
    recorded_at = [
        entry.at.timestamp()
        for entry in installation.trail(order.workflow_id)
        if entry.event.kind == "in_doubt"
    ]
    return any(path.stat().st_mtime < recorded_at[0] for path in mails)


def _effects(installation: Installation, step: OrderedStep, mails: Mails) -> int:
    match step.place:
        case Place.OUTBOX:
            return len(mails.get(step.token, ()))
        case Place.VENDOR:
            return installation.vendor.effects(step.token)
        case Place.KEYLESS:
            return installation.keyless.effects(step.token)


def _is_early(step: OrderedStep, order: Order, mails: Mails) -> bool:
    """Return whether an email is older than the first decision; the services check their own effects."""
    created = [path.stat().st_mtime for path in mails.get(step.token, ())]
    return any(order.decided_at is None or at < order.decided_at for at in created)
