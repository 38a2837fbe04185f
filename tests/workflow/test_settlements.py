"""An accepted effect is looked up after its run has ended, until its final result is recorded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from copy import copy
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from pydantic import JsonValue
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

from activities.settling import LookedUp, RecordResult, RecordTask, Settling
from activities.tasks import StepResult
from plangate.domain.errors import ToolRefused
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.settlements import SettlementState
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.presentation.page import Page
from plangate.presentation.run_page import outcome_page, run_page
from plangate.records.lists import Wanted
from plangate.records.queries import runs_on_record
from plangate.records.records import Records
from plangate.temporal.contract import SETTLEMENT_TYPE
from plangate.tool import Reversed, Settled
from tests.support.audit_edits import disable_guards, rewrite_trail, trail_of
from tests.support.bank_tool import Bank, TransferArguments, transfers
from tests.support.gate import Gate, build_gate
from tests.support.holds import found, kinds
from tests.support.postgres import PostgresServer
from tests.support.transactions import hook_transactions
from tests.support.wait_limit import WAIT_LIMIT
from tests.unit.test_run_page import printed
from tests.workflow.test_audit_no_false_positives import reset
from tests.workflow.test_unrecorded_decisions import records_unavailable
from workflows import options


@pytest.fixture
def bank(idle_gate: Gate) -> Bank:
    """The bank of a test instance without a worker yet."""
    return add_bank(idle_gate)


@pytest_asyncio.fixture(loop_scope="session")
async def paying(idle_gate: Gate, bank: Bank) -> AsyncIterator[Gate]:
    """A test instance with a bank and one worker."""
    del bank
    async with idle_gate.worker():
        yield idle_gate


def add_bank(gate: Gate) -> Bank:
    bank = Bank(gate.settings.var_dir)
    gate.tools["transfer"] = bank
    return bank


async def approved(gate: Gate, *to: str, **more: bool) -> Status:
    status = await gate.until("in_review", await gate.submit(plan=transfers(*to, **more)))
    assert (await gate.decide(status)).accepted
    return status


async def executed(gate: Gate, *to: str, **more: bool) -> Status:
    """Run transfers to these people; return the status of the run when it has ended."""
    status = await approved(gate, *to, **more)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    return await gate.api.status(status.workflow_id)


async def after(gate: Gate, workflow_id: str, **duration: float) -> Status:
    """Advance the time while the effects of a run are looked up; return the run's status."""
    handle = gate.handle(f"{workflow_id}:settlement")
    await wait_for_timer(handle)
    with suppress(RPCError):  # the run has ended already
        await gate.env.fast_forward(handle, timedelta(**duration))
        await wait_for_timer(handle)
    if (await handle.describe()).status is not WorkflowExecutionStatus.RUNNING:
        await handle.result()
    return await gate.api.status(workflow_id)


async def wait_for_timer(handle: WorkflowHandle[Any, Any]) -> None:
    """Wait until a look-up has started its timer; otherwise, the timer would start after the time has passed.

    Without a worker, or while its activity is retried, the timer never starts, so the wait is limited to 5 s.
    """
    with suppress(TimeoutError, RPCError):
        async with asyncio.timeout(WAIT_LIMIT):
            while True:
                seen = (await handle.describe()).raw_description
                if not seen.pending_activities and not seen.HasField("pending_workflow_task"):
                    return
                await asyncio.sleep(0.02)


async def assert_not_looked_up(gate: Gate, bank: Bank, workflow_id: str) -> None:
    """Check that no final result was looked up, and that the run's history has no trace of a look-up."""
    history = await gate.handle(workflow_id).fetch_history()
    assert not any("CHILD" in EventType.Name(event.event_type) for event in history.events)
    assert bank.look_ups() == 0


async def wait_for_queries(bank: Bank, times: int = 1) -> None:
    """Wait until the bank has been queried this many times."""
    async with asyncio.timeout(WAIT_LIMIT):
        while bank.look_ups() < times:
            await asyncio.sleep(0.02)


def settlements(status: Status) -> list[str]:
    """Return the settlement of each step."""
    found = [step.settlement for step in status.steps]
    return [f"{one.state}: {one.summary}" if one else "" for one in found]


def on_screen(page: Page) -> str:
    return printed(page, terminal=False)


# ---- results of look-ups ------------------------------------------------------------------------


async def test_an_accepted_transfer_is_open_until_the_bank_reports_it_as_settled(
    paying: Gate, bank: Bank
) -> None:
    status = await executed(paying, "ann")
    assert settlements(status) == ["open: "]
    assert "it may still be reversed" in on_screen(outcome_page(status))
    bank.ends("ann", "settled", "credited on 3 May")
    status = await after(paying, status.workflow_id, minutes=2)
    assert settlements(status) == ["settled: credited on 3 May"]
    assert kinds(paying, status.workflow_id)[-2:] == ["closed", "settled"]
    assert found(paying, status.workflow_id) == []
    assert bank.count("transfer") == 1


async def test_a_reversed_transfer_is_first_on_the_page_and_in_the_lists(paying: Gate, bank: Bank) -> None:
    untouched = await executed(paying, "eve")
    bank.ends("bob", "reversed", "account closed")
    with capture_logs() as logs:
        status = await executed(paying, "ann", "bob")
        bank.ends("ann", "settled", "credited")
        status = await after(paying, status.workflow_id, minutes=2)
    assert (status.state, settlements(status)) == (
        "executed",
        ["settled: credited", "reversed: account closed"],
    )
    first, second, *_ = on_screen(run_page(status, now())).splitlines()
    assert first == f"{status.workflow_id}  executed, but step 2 was reversed"
    assert second.split()[:5] == ["reversed", "step", "2,", "transfer:", "account"]
    (warning,) = [line for line in logs if line.get("action") == "reversed"]
    assert (warning["log_level"], warning["step"], warning["summary"]) == ("warning", 2, "account closed")
    listed = runs_on_record(paying.database, Wanted(settlement=SettlementState.REVERSED))
    assert [(one.workflow_id, one.settlement) for one in listed] == [(status.workflow_id, "reversed")]
    still = runs_on_record(paying.database, Wanted(settlement=SettlementState.OPEN))
    assert [one.workflow_id for one in still] == [untouched.workflow_id]
    assert runs_on_record(paying.database, Wanted(settlement=SettlementState.SETTLED)) == []
    description = await paying.handle(f"{status.workflow_id}:settlement").describe()
    assert description.search_attributes["PlangateState"] == ["reversed"]
    assert found(paying, status.workflow_id) == []


async def test_a_large_message_or_one_with_a_secret_does_not_delay_a_settlement(
    paying: Gate, bank: Bank
) -> None:
    status = await executed(paying, "ann")
    secret = "sk_live_" + "x7" * 20
    bank.ends("ann", "settled", f"with the key {secret}, " + "x" * 3_000_000)
    status = await after(paying, status.workflow_id, minutes=2)
    (end,) = settlements(status)
    assert end.startswith("settled: with the key")
    assert len(end) < 3_000
    history = await paying.handle(f"{status.workflow_id}:settlement").fetch_history()
    assert secret not in history.to_json()
    assert bank.look_ups() <= 2, "once more if it was queried before the transfer had ended"


async def test_no_run_can_take_the_id_of_the_lookup_of_another(paying: Gate, bank: Bank) -> None:
    """Otherwise a run under this id would prevent the look-up of the other run's transfer."""
    status = await paying.until("in_review", await paying.submit(plan=transfers("ann")))
    name = f"{status.workflow_id}:settlement"
    run = await paying.client.start_workflow(
        "PlanApproval",
        {"requester": "rita", "request": "", "plan": transfers("eve")},
        id=name,
        task_queue=paying.settings.task_queue,
    )
    assert "is reserved for the settlement of another run" in (await run.result())["reason"]
    assert paying.recorded(name) is None
    assert (await paying.decide(status)).accepted
    await paying.result(status.workflow_id)
    bank.ends("ann", "settled", "credited")
    assert settlements(await after(paying, status.workflow_id, minutes=2)) == ["settled: credited"]


async def test_a_final_effect_is_not_looked_up_and_adds_no_event(paying: Gate, bank: Bank) -> None:
    status = await executed(paying, "ann", clears_at_once=True)
    assert settlements(status) == [""]
    await assert_not_looked_up(paying, bank, status.workflow_id)


async def test_the_result_of_a_transfer_that_is_still_open_at_the_end_is_unknown(
    paying: Gate, bank: Bank
) -> None:
    bank.settles_within = timedelta(minutes=6)
    status = await executed(paying, "ann")
    status = await after(paying, status.workflow_id, minutes=5)
    assert settlements(status) == ["open: "]
    assert bank.look_ups() == 3, "after one minute, and two more"
    status = await after(paying, status.workflow_id, minutes=2)
    assert settlements(status) == ["unknown: when the time for its look-up was over, it was still open"]
    assert bank.look_ups() == 4
    assert "check it yourself" in on_screen(run_page(status, now()))
    assert found(paying, status.workflow_id) == []


async def test_an_unavailable_bank_is_queried_for_longer(
    paying: Gate, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "LOOK_UP_GRACE", timedelta(hours=1))
    bank.settles_within = timedelta(minutes=2)
    bank.closed.touch()
    status = await executed(paying, "ann")
    status = await after(paying, status.workflow_id, minutes=6)
    assert settlements(status) == ["open: "]
    said = await paying.handle(f"{status.workflow_id}:settlement").query("status")
    assert said["reason"] == "The bank is closed."
    bank.ends("ann", "reversed", "returned")
    bank.closed.unlink()
    status = await after(paying, status.workflow_id, minutes=10)
    assert settlements(status) == ["reversed: returned"]


async def test_the_final_result_says_that_the_bank_was_unavailable(
    paying: Gate, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(options, "LOOK_UP_GRACE", timedelta(minutes=3))
    bank.settles_within = timedelta(minutes=2)
    bank.closed.touch()
    status = await executed(paying, "ann")
    status = await after(paying, status.workflow_id, minutes=10)
    (end,) = settlements(status)
    assert end.startswith("unknown: ")
    assert "its tool could not be queried: The bank is closed." in end
    result = await paying.handle(f"{status.workflow_id}:settlement").result()
    assert (result["run"], result["still_open"]) == (status.workflow_id, [])


async def test_a_tool_with_a_bug_is_called_again(
    paying: Gate, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        return "settled"

    monkeypatch.setattr(bank, "find_settlement", broken)
    status = await executed(paying, "ann")
    handle = paying.handle(f"{status.workflow_id}:settlement")
    async with asyncio.timeout(WAIT_LIMIT):
        while not (said := (await handle.query("status"))["reason"]):
            await asyncio.sleep(0.02)
    assert said == "The tool failed unexpectedly (TypeError); see the worker's log."
    monkeypatch.undo()
    bank.ends("ann", "settled", "credited")
    assert settlements(await after(paying, status.workflow_id, minutes=2)) == ["settled: credited"]


class BankOfBranches(Bank):
    """A bank whose look-up needs the branch observed in the draft."""

    branch: JsonValue = None

    async def observe(self, arguments: TransferArguments) -> JsonValue:
        return f"branch of {arguments.to}"

    def still_holds(self, arguments: object, seen: JsonValue, now: JsonValue, receipts: object) -> bool:
        del arguments, receipts
        return seen == now

    def having_observed(self, seen: JsonValue) -> Bank:
        informed = copy(self)
        informed.branch = seen
        return informed

    async def find_settlement(
        self, arguments: TransferArguments, receipt: Receipt, idempotency_key: str
    ) -> Settled | Reversed | None:
        del arguments, receipt, idempotency_key
        return Settled(f"confirmed by the {self.branch}")


async def test_the_lookup_gets_the_observation_of_the_draft(idle_gate: Gate) -> None:
    idle_gate.tools["transfer"] = BankOfBranches(idle_gate.settings.var_dir)
    async with idle_gate.worker():
        status = await executed(idle_gate, "ann")
        status = await after(idle_gate, status.workflow_id, minutes=2)
    assert settlements(status) == ["settled: confirmed by the branch of ann"]


# ---- runs with other outcomes -------------------------------------------------------------------


async def test_a_held_run_shows_an_accepted_step_and_an_undone_step_is_not_looked_up(
    paying: Gate, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_the_second(bank, monkeypatch)
    status = await approved(paying, "ann", "bob")
    held = await paying.held(status.workflow_id)
    page = on_screen(run_page(held, now()))
    assert "accepted by the bank; accepted, not final: it may still be reversed (can be undone)" in " ".join(
        page.split()
    )
    assert (await paying.resolve(status.workflow_id, "undo")).accepted
    await paying.result(status.workflow_id)
    status = await paying.api.status(status.workflow_id)
    assert [step.state for step in status.steps] == ["undone", "failed"]
    assert settlements(status) == ["", ""]
    await assert_not_looked_up(paying, bank, status.workflow_id)


async def test_the_effects_of_an_aborted_run_are_looked_up(
    paying: Gate, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_the_second(bank, monkeypatch)
    bank.ends("ann", "reversed", "account closed")
    status = await approved(paying, "ann", "bob")
    assert (await paying.resolve(status.workflow_id, "abort")).accepted
    assert (await paying.result(status.workflow_id)).outcome == "failed"
    status = await after(paying, status.workflow_id, minutes=1)
    assert settlements(status) == ["reversed: account closed", ""]
    assert on_screen(run_page(status, now())).startswith(
        f"{status.workflow_id}  failed, and step 1 was reversed"
    )
    assert found(paying, status.workflow_id) == []


def refuse_the_second(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    act = bank.act

    async def refusing(arguments: Any, key: str) -> Any:
        if arguments.to == "bob":
            raise ToolRefused("There is no such account.")
        return await act(arguments, key)

    monkeypatch.setattr(bank, "act", refusing)


# ---- crashes ------------------------------------------------------------------------------------


async def test_a_worker_that_dies_after_storing_the_receipt_does_not_lose_the_lookup(
    paying: Gate, bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    died = asyncio.Event()

    async def die_after_receipt(result: object, is_receipt: bool) -> None:
        if isinstance(result, StepResult) and is_receipt and not died.is_set():
            died.set()
            raise RuntimeError("killed between the commit and the report")

    hook_transactions(monkeypatch, "execute_step", after=die_after_receipt)
    bank.ends("ann", "settled", "credited")
    status = await executed(paying, "ann")
    assert died.is_set()
    assert settlements(await after(paying, status.workflow_id, minutes=1)) == ["settled: credited"]
    assert found(paying, status.workflow_id) == []


async def test_a_reset_run_looks_up_again_and_records_each_result_once(paying: Gate, bank: Bank) -> None:
    bank.ends("ann", "settled", "credited")
    status = await executed(paying, "ann", "bob")
    await after(paying, status.workflow_id, minutes=1)
    await reset(paying, status.workflow_id, "activity_task_scheduled_event_attributes")
    await paying.result(status.workflow_id)
    bank.ends("bob", "settled", "credited too")
    status = await after(paying, status.workflow_id, minutes=2)
    assert settlements(status) == ["settled: credited", "settled: credited too"]
    assert kinds(paying, status.workflow_id).count("settled") == 2
    assert bank.count("transfer") == 2
    assert found(paying, status.workflow_id) == []


async def another_client(gate: Gate) -> Client:
    config = gate.client.service_client.config
    return await Client.connect(config.target_host, data_converter=gate.client.data_converter)


async def test_a_result_that_is_recorded_again_changes_and_reports_nothing(paying: Gate, bank: Bank) -> None:
    """This happens if a worker dies between the commit and its report. A final result never changes."""
    bank.ends("ann", "reversed", "account closed")
    status = await executed(paying, "ann")
    await after(paying, status.workflow_id, minutes=2)
    before = kinds(paying, status.workflow_id)
    final = await executed(paying, "bob", clears_at_once=True)
    with capture_logs() as logs:
        for run in (status, final):
            found = LookedUp(step=1, state=SettlementState.REVERSED, summary="again", until=now())
            recorded = await as_if_scheduled(paying, run.workflow_id, found)
            assert [one.summary for one in recorded.events] == ["account closed"] * (run is status)
    assert [line for line in logs if line.get("action") == "reversed"] == []
    assert kinds(paying, status.workflow_id) == before
    assert kinds(paying, final.workflow_id)[-1] == "closed"


async def as_if_scheduled(gate: Gate, run: str, *ended: LookedUp) -> RecordResult:
    """Record these final results like the local activity that Plangate's own workflow schedules."""
    environment = ActivityEnvironment()
    environment.info = replace(
        environment.info,
        namespace=gate.client.namespace,
        workflow_type=SETTLEMENT_TYPE,
        workflow_id=f"{run}:settlement",
        is_local=True,
    )
    settling = Settling(Records(gate.database), gate.tools)
    return await environment.run(settling.record_settlement, RecordTask(ended=ended, at=now()))


async def test_two_workers_record_each_result_once(idle_gate: Gate) -> None:
    gate, bank = idle_gate, add_bank(idle_gate)
    async with gate.worker(), gate.worker(await another_client(gate)):
        people = [f"person {number}" for number in range(3)]
        for one in people:
            bank.ends(one, "settled", "credited")
        runs = [await executed(gate, one) for one in people]
        for run in runs:
            assert settlements(await after(gate, run.workflow_id, minutes=2)) == ["settled: credited"]
            assert kinds(gate, run.workflow_id).count("settled") == 1


async def test_a_stopping_worker_leaves_the_lookup_to_the_next(idle_gate: Gate) -> None:
    gate, bank = idle_gate, add_bank(idle_gate)
    async with gate.worker():
        status = await executed(gate, "ann")
        await wait_for_queries(bank)
    bank.ends("ann", "settled", "credited")
    assert settlements(await gate.api.status(status.workflow_id)) == ["open: "]
    async with gate.worker():
        assert settlements(await after(gate, status.workflow_id, minutes=2)) == ["settled: credited"]


async def test_a_result_that_cannot_be_recorded_is_recorded_later(paying: Gate, bank: Bank) -> None:
    status = await executed(paying, "ann")
    await wait_for_queries(bank)
    bank.ends("ann", "settled", "credited")
    with records_unavailable(paying):
        moved = asyncio.create_task(after(paying, status.workflow_id, minutes=2))
        handle = paying.handle(f"{status.workflow_id}:settlement")
        async with asyncio.timeout(WAIT_LIMIT):
            while not any(
                one.attempt > 1 for one in (await handle.describe()).raw_description.pending_activities
            ):
                await asyncio.sleep(0.05)
        assert not moved.done()
        assert kinds(paying, status.workflow_id)[-1] == "closed"
    assert settlements(await moved) == ["settled: credited"]


async def test_the_records_may_be_in_postgresql(
    env: WorkflowEnvironment, tmp_path: Path, postgres: PostgresServer
) -> None:
    gate = build_gate(env, tmp_path, f"pg-{uuid4().hex[:12]}", database_url=postgres.new_records())
    bank = add_bank(gate)
    async with gate.worker(), gate.worker(await another_client(gate)):
        bank.ends("ann", "reversed", "account closed")
        bank.ends("bob", "settled", "credited")
        status = await executed(gate, "ann", "bob")
        status = await after(gate, status.workflow_id, minutes=1)
        assert settlements(status) == ["reversed: account closed", "settled: credited"]
        assert found(gate, status.workflow_id) == []
        listed = runs_on_record(gate.database, Wanted(settlement=SettlementState.REVERSED))
        assert [one.workflow_id for one in listed] == [status.workflow_id]
    gate.database.close()


# ---- forgeries ----------------------------------------------------------------------------------


@workflow.defn(name="PlangateSettlement", sandboxed=False)
class Forged:
    """Makes Plangate's worker look up results, and record results that no tool has found."""

    @workflow.run
    async def run(self, queue: str, ended: list[dict[str, Any]] | None) -> Any:
        options: dict[str, Any] = {"task_queue": queue, "start_to_close_timeout": timedelta(seconds=20)}
        if ended is None:
            return await workflow.execute_activity("look_up_settlement", **options)
        task = RecordTask.model_validate({"ended": ended, "at": workflow.now()})
        return await workflow.execute_activity("record_settlement", task, **options)


async def test_another_workflow_can_start_a_lookup_and_nothing_else(paying: Gate, bank: Bank) -> None:
    status = await executed(paying, "ann")
    await wait_for_queries(bank)
    await paying.handle(f"{status.workflow_id}:settlement").terminate()
    forged_result = {"step": 1, "state": "settled", "summary": "credited", "until": now().isoformat()}
    async with paying.foreign_worker(Forged) as queue:

        async def forged(run: str, ended: object) -> Any:
            name, arguments = f"{run}:settlement", [paying.settings.task_queue, ended]
            return await paying.client.execute_workflow(
                "PlangateSettlement", args=arguments, id=name, task_queue=queue
            )

        looked = await forged(status.workflow_id, None)
        assert [one["state"] for one in looked["steps"]] == ["open"]
        with pytest.raises(WorkflowFailureError) as caught:
            await forged(status.workflow_id, [forged_result])
        assert "Only the workflow PlangateSettlement of a run may schedule" in str(
            caught.value.cause.__cause__
        )
        waiting = await paying.in_review("one")
        with pytest.raises(WorkflowFailureError) as caught:
            await forged(waiting.workflow_id, None)
        assert "has not ended according to the records" in str(caught.value.cause.__cause__)
    assert settlements(await paying.api.status(status.workflow_id)) == ["open: "]


@pytest.mark.parametrize("kept", ["removed", "replaced"])
async def test_a_reversal_cannot_be_removed_once_it_is_sealed(paying: Gate, bank: Bank, kept: str) -> None:
    bank.ends("ann", "reversed", "account closed")
    status = await executed(paying, "ann")
    status = await after(paying, status.workflow_id, minutes=1)
    assert found(paying, status.workflow_id) == []
    with paying.database.write() as connection:
        disable_guards(connection)
        *rows, last = trail_of(connection, status.workflow_id)
        forged_end = {**last, "kind": "settled", "event": last["event"].replace("reversed", "settled")}
        rewrite_trail(connection, status.workflow_id, rows if kept == "removed" else [*rows, forged_end])
    assert any("sealed" in one for one in found(paying, status.workflow_id))


async def test_an_operator_may_start_a_lookup_again(paying: Gate, bank: Bank) -> None:
    status = await executed(paying, "ann")
    await wait_for_queries(bank)
    name = f"{status.workflow_id}:settlement"
    await paying.handle(name).terminate()
    bank.ends("ann", "settled", "credited")
    result = await paying.client.execute_workflow(
        "PlangateSettlement", id=name, task_queue=paying.settings.task_queue
    )
    assert result["ends"][0]["summary"] == "credited"
    assert settlements(await paying.api.status(status.workflow_id)) == ["settled: credited"]


async def test_nothing_is_looked_up_for_an_open_run(paying: Gate, bank: Bank) -> None:
    waiting = await paying.in_review("one")
    for run in (waiting.workflow_id, "no-such-run", "plangate:stops"):
        result = await paying.client.execute_workflow(
            "PlangateSettlement", id=f"{run}:settlement", task_queue=paying.settings.task_queue
        )
        assert result["ends"] == []
        assert "so nothing is looked up" in result["reason"] or "is not recorded" in result["reason"]
    assert bank.look_ups() == 0
