"""Runs that the previous release started continue under this release, and can be held (P3).

The old release is the last commit without holds, in real processes on a real server.
"""

import asyncio
import io
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from chaos.inspector import examine
from chaos.installation import TASK_QUEUE, Installation, installation
from chaos.orders import APPROVER, Order, Place, order
from chaos.people import by_signal
from chaos.report import Report
from chaos.server import EmbeddedServer
from chaos.trail_checks import check_history, check_trail
from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.settings import PROJECT
from tests.support.wait_limit import WAIT_LIMIT

OLD_COMMIT = "69eb31f"


def old_release(folder: Path) -> Path:
    """Unpack the previous release; return its worker."""
    packed = subprocess.run(
        ["git", "archive", OLD_COMMIT], cwd=PROJECT, capture_output=True, check=False, timeout=60
    )
    if packed.returncode:
        pytest.skip("the repository does not contain the old release")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "worker.py"


async def start_like_old_client(on: Installation, one: Order) -> None:
    """Start a run with the request that the previous release's client sends."""
    request = one.request(on.urls).model_dump(mode="json", exclude={"drafts_at_once"})
    await on.client.start_workflow("PlanApproval", request, id=one.workflow_id, task_queue=TASK_QUEUE)


async def resolve(on: Installation, one: Order, resolution: Resolution) -> None:
    status = await on.until("held", one.workflow_id)
    assert status.held is not None
    decision = Decision(
        decision=Choice.RESOLVE,
        by=APPROVER,
        plan=status.fingerprint or "",
        step=status.held.step,
        resolution=resolution,
        comment="checked the service's records",
    )
    answer = await on.api.decide(one.workflow_id, decision)
    assert answer is not None
    assert answer.accepted, answer.reason


async def test_runs_of_the_previous_release_continue_to_wait_and_can_be_held(tmp_path: Path) -> None:
    report = Report(print)
    async with installation(tmp_path, EmbeddedServer(tmp_path / "server"), seed=1) as on:
        on.program = old_release(tmp_path / "old")
        on.keyless.delay = lambda: 3.0
        await on.start_worker()
        waiting, acting = order("waiting", [Place.KEYLESS, Place.VENDOR]), order("acting", [Place.KEYLESS])
        for one in (waiting, acting):
            await start_like_old_client(on, one)
            one.decided_at = time.time()
        await on.until("in_review", waiting.workflow_id)
        await by_signal(on, acting, await on.until("in_review", acting.workflow_id))
        async with asyncio.timeout(WAIT_LIMIT):
            while not on.keyless.calls:
                await asyncio.sleep(0.05)
        on.worker.kill()
        on.keyless.delay = lambda: 0.0
        on.keyless.refuses.add(waiting.steps[0].token)

        on.program = PROJECT / "worker.py"
        await on.start_worker()
        await by_signal(on, waiting, await on.until("in_review", waiting.workflow_id))
        await resolve(on, waiting, Resolution.RETRY)
        await resolve(on, acting, Resolution.MARK_DONE)
        for one in (waiting, acting):
            assert (await on.result(one.workflow_id)).outcome == "executed"
            check_trail(on.trail(one.workflow_id), report)
            check_history(await on.handle(one.workflow_id).fetch_history(), report)
        assert on.keyless.effects(waiting.steps[0].token) == 1
        assert on.vendor.effects(waiting.steps[1].token) == 1
        assert on.keyless.effects(acting.steps[0].token) == 1
        await examine(on, report)
    assert report.faults == []
