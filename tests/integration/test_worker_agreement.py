"""Workers on one queue must have the same records; differences in policies, people or tools are reported."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs
from temporalio.client import Client
from temporalio.worker import Worker

from plangate.domain.errors import DirectoryUnavailable
from plangate.domain.runs.audit import RULES_TRAIL, RulesInEffect
from plangate.records.database import Database
from plangate.records.rule_texts import record_rules
from plangate.records.tables import workers
from plangate.records.trail import read_trail
from plangate.records.workers import WorkerFacts, differences, remove_worker, report_worker, running_workers
from plangate.temporal.worker_agreement import WorkerAgreement, hash_of_tools, polling_identity
from tests.integration.stuck_workflow import Stuck
from tests.support.fakes import Notebook
from tests.support.gate import Gate
from tests.support.grpc_stub import NOT_FOUND, OK, PERMISSION_DENIED, refusing
from tests.support.wait_limit import WAIT_LIMIT


def facts(worker: str, **more: str) -> WorkerFacts:
    same = {"namespace": "default", "task_queue": "q", "policy": "aa" * 32, "people": "", "tools": "bb" * 32}
    return WorkerFacts(worker=worker, **{**same, **more})


def reported(database: Database, *all_facts: WorkerFacts) -> tuple[str, ...]:
    with database.write() as connection:
        for one in all_facts:
            report_worker(connection, one)
        return differences(running_workers(connection, "default", "q"))


def test_agreeing_workers_are_not_reported(database: Database) -> None:
    assert reported(database, facts("1@one"), facts("2@two"), facts("1@one")) == ()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"policy": "cc" * 32}, "differ in their policy: 1@one has aaaaaaaaaaaa; 2@two has cccccccccccc."),
        ({"people": "cc" * 32}, "differ in their list of people: 1@one has none; 2@two has cccccccccccc."),
        ({"tools": "cc" * 32}, "differ in their tools: 1@one has bbbbbbbbbbbb; 2@two has cccccccccccc."),
        ({"web": "cc" * 32}, "differ in their trusted web servers: 1@one has none; 2@two has cccccccccccc."),
    ],
)
def test_each_difference_is_reported_until_it_is_gone(
    database: Database, more: dict[str, str], words: str
) -> None:
    (said,) = reported(database, facts("1@one"), facts("2@two", **more))
    assert words in said
    assert reported(database, facts("2@two")) == ()


@pytest.mark.parametrize("more", [{"task_queue": "other"}, {"namespace": "other"}])
def test_workers_on_another_queue_may_differ(database: Database, more: dict[str, str]) -> None:
    assert reported(database, facts("1@one"), facts("2@two", policy="cc" * 32, **more)) == ()


def test_a_stopped_or_inactive_worker_is_not_compared(database: Database) -> None:
    assert reported(database, facts("1@one"), facts("2@two", policy="cc" * 32)) != ()
    with database.write() as connection:
        remove_worker(connection, "2@two")
    assert reported(database) == ()
    reported(database, facts("3@three", policy="dd" * 32))
    with database.write() as connection:
        three = workers.c.worker == "3@three"
        connection.execute(update(workers).where(three).values(seen_at=workers.c.seen_at))
        (row,) = connection.execute(workers.select().where(three)).all()
        long_ago = row.seen_at - timedelta(seconds=91)
        connection.execute(update(workers).where(three).values(seen_at=long_ago))
    assert reported(database) == ()


def test_tools_differ_if_a_plan_would_record_them_differently(tmp_path: Path) -> None:
    one, other = (
        Notebook("note", tmp_path / "n", remembers=remembers).declaration for remembers in (True, False)
    )
    assert hash_of_tools([one]) == hash_of_tools([one])
    assert hash_of_tools([one]) != hash_of_tools([other])


@asynccontextmanager
async def polling(gate: Gate, installation: str) -> AsyncIterator[None]:
    elsewhere = await Client.connect(gate.client.service_client.config.target_host)
    async with Worker(
        elsewhere,
        task_queue=gate.settings.task_queue,
        identity=polling_identity("7@elsewhere", installation),
        workflows=[Stuck],
    ):
        yield


def agreement_of(gate: Gate) -> WorkerAgreement:
    mine = facts(gate.client.identity, task_queue=gate.settings.task_queue)
    return WorkerAgreement(
        gate.client,
        gate.database,
        lambda: mine,
        lambda: record_rules(gate.database, "policy", "", mine.policy, mine.worker),
    )


async def until_seen(gate: Gate) -> set[str]:
    async with asyncio.timeout(WAIT_LIMIT):
        while not (found := await agreement_of(gate).foreign_pollers(gate.settings.task_queue)):
            await asyncio.sleep(0.05)
    return found


async def test_a_worker_with_other_records_polls_for_no_work_and_says_why(idle_gate: Gate) -> None:
    queue, agreement = idle_gate.settings.task_queue, agreement_of(idle_gate)
    async with polling(idle_gate, "0" * 32):
        assert await until_seen(idle_gate) == {"7@elsewhere installation=000000000000"}
        with capture_logs() as logs:
            waiting = asyncio.create_task(agreement.wait_for_own_queue(queue, every=0.1))
            async with asyncio.timeout(WAIT_LIMIT):
                while not logs:
                    await asyncio.sleep(0.02)
            await asyncio.sleep(0.3)
        assert not waiting.done()
        waiting.cancel()
        assert "workers with other records poll its task queue" in logs[0]["event"]
        assert "PLANGATE_DATABASE_URL" in logs[0]["event"]


async def test_workers_with_the_same_or_no_records_do_not_conflict(idle_gate: Gate) -> None:
    async with polling(idle_gate, idle_gate.database.installation), idle_gate.worker():
        await idle_gate.in_review("one")
        await agreement_of(idle_gate).wait_for_own_queue(idle_gate.settings.task_queue)


async def test_a_foreign_worker_that_starts_later_is_logged_and_does_not_stop_this_worker(
    idle_gate: Gate,
) -> None:
    async with polling(idle_gate, "0" * 32):
        await until_seen(idle_gate)
        with capture_logs() as logs:
            comparing = asyncio.create_task(
                agreement_of(idle_gate).keep_comparing(idle_gate.settings.task_queue, every=0.1)
            )
            await asyncio.sleep(0.5)
            assert not comparing.done()
            comparing.cancel()
            await asyncio.wait((comparing,))
    assert "Workers with other records poll this worker's task queue" in logs[0]["event"]


async def test_workers_are_compared_again_after_each_failure_and_partial_lists_do_not_differ(
    idle_gate: Gate,
) -> None:
    queue = idle_gate.settings.task_queue
    mine = facts(idle_gate.client.identity, task_queue=queue, people="dd" * 32)
    outcomes: list[WorkerFacts | Exception] = [mine, DirectoryUnavailable("It is being saved."), TypeError()]

    def read_facts() -> WorkerFacts:
        outcome = outcomes.pop(0) if outcomes else mine
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    agreement = WorkerAgreement(idle_gate.client, idle_gate.database, read_facts, lambda: None)
    with capture_logs() as logs:
        comparing = asyncio.create_task(agreement.keep_comparing(queue, every=0.05))
        async with asyncio.timeout(WAIT_LIMIT):
            while outcomes:
                await asyncio.sleep(0.02)
                with idle_gate.database.read() as connection:
                    seen = running_workers(connection, mine.namespace, queue)
                assert {one.people for one in seen} <= {mine.people}
        await asyncio.sleep(0.2)
        with idle_gate.database.read() as connection:
            assert running_workers(connection, mine.namespace, queue) == (mine,)
        assert not comparing.done()
        comparing.cancel()
        await asyncio.wait((comparing,))
    assert [log["event"] for log in logs] == ["The workers cannot be compared."]


@pytest.mark.parametrize(("status", "is_polling"), [(NOT_FOUND, False), (PERMISSION_DENIED, True)])
async def test_a_worker_that_cannot_compare_does_not_poll_unless_the_server_denies_the_permission(
    idle_gate: Gate, status: int, is_polling: bool
) -> None:
    """A server may refuse to list the other workers; operators then have to keep them consistent."""
    with refusing(OK, status) as address:
        client = await Client.connect(address)
        agreement = WorkerAgreement(client, idle_gate.database, lambda: facts("1@one"), lambda: None)
        waiting = asyncio.create_task(agreement.wait_for_own_queue("q", every=0.1))
        with capture_logs() as logs:
            await asyncio.wait((waiting,), timeout=WAIT_LIMIT if is_polling else 2)
        assert waiting.done() is is_polling
        waiting.cancel()
        await asyncio.wait((waiting,))
    assert {log["event"] for log in logs} == {"The workers of the task queue cannot be listed."}


async def test_a_stopped_worker_is_recognized_by_its_last_poll_and_not_by_the_clock(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue, agreement = idle_gate.settings.task_queue, agreement_of(idle_gate)
    async with polling(idle_gate, "0" * 32):
        await until_seen(idle_gate)
    began = time.monotonic()
    await agreement.foreign_pollers(queue)
    real = time.monotonic
    monkeypatch.setattr("plangate.temporal.worker_agreement.monotonic", lambda: began + 70)
    assert await agreement.foreign_pollers(queue) != set()
    monkeypatch.setattr("plangate.temporal.worker_agreement.monotonic", lambda: real() + 80)
    assert await agreement.foreign_pollers(queue) == set()


async def test_current_rules_are_recorded_again_after_a_differing_worker_stops(gate: Gate) -> None:
    queue, other = gate.settings.task_queue, facts("2@two", task_queue=gate.settings.task_queue, policy="")
    agreement = agreement_of(gate)

    async def compare() -> str:
        comparing = asyncio.create_task(agreement.keep_comparing(queue, every=60))
        await asyncio.sleep(0.3)
        with gate.database.read() as connection:
            (entry, *_) = reversed(read_trail(connection, RULES_TRAIL))
        comparing.cancel()
        await asyncio.wait((comparing,))
        assert isinstance(entry.event, RulesInEffect)
        return entry.event.hash

    assert await compare() == "aa" * 32
    record_rules(gate.database, "policy", "", "", "2@two")
    with gate.database.write() as connection:
        report_worker(connection, other)
    assert await compare() == ""  # they differ, because an update may be in progress
    with gate.database.write() as connection:
        remove_worker(connection, "2@two")
    assert await compare() == "aa" * 32


async def test_a_difference_between_workers_is_in_every_status_until_it_is_resolved(gate: Gate) -> None:
    status = await gate.in_review("one")
    assert status.workers_differ == ()
    queue = gate.settings.task_queue
    with gate.database.write() as connection:
        report_worker(connection, facts("1@one", task_queue=queue))
        report_worker(connection, facts("2@two", task_queue=queue, policy="cc" * 32))
    (said,) = (await gate.api.status(status.workflow_id)).workers_differ
    assert "differ in their policy" in said
    with gate.database.write() as connection:
        remove_worker(connection, "2@two")
    assert (await gate.api.status(status.workflow_id)).workers_differ == ()
