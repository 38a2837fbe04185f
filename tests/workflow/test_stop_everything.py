"""A stop makes the steps of one tool or all tools wait until it is released; decisions are still accepted."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from uuid import uuid4

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError

from plangate.audit.inspection import inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.client import Client
from plangate.domain.errors import RequestInvalid
from plangate.domain.people.people import People
from plangate.domain.plans.plan import Audience
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.audit import STOPS_TRAIL
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from plangate.domain.runs.stops import StopAction, StopDecided, StopRequest
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import policy_in
from plangate.presentation.clock import now
from plangate.presentation.console import Console
from plangate.presentation.run_page import run_page
from plangate.records.trail import read_trail
from plangate.signing.jws import public_of
from plangate.signing.stops import signed_stop_request
from plangate.tool import DidNotHappen, EffectStatus
from tests.support.clock import clock_ahead
from tests.support.fakes import PERMANENT, TRANSIENT, NoteArguments, Notebook, notes
from tests.support.gate import Gate
from tests.support.orders import go, order, stop
from tests.support.policies import one_approval
from tests.support.program import Home
from tests.support.sealed_records import KEYS
from tests.support.wait_limit import WAIT_LIMIT

THREE = "".join(f'[[person]]\nname = "{name}"\n' for name in ("rita", "dana", "erik"))


class Listed:
    """A directory with a list of people that tests replace."""

    def __init__(self, text: str = THREE) -> None:
        self.text = text

    def people(self) -> People:
        return people_in(self.text)


async def stopped(gate: Gate, status: Status) -> Status:
    """Wait until the next step waits because of a stop."""
    return await gate.until(
        status.state if status.state == "undoing" else "executing",
        status.workflow_id,
        lambda now: any(step.is_stopped for step in now.steps),
    )


async def approved(gate: Gate, *texts: str) -> Status:
    status = await gate.in_review(*texts)
    assert (await gate.decide(status)).accepted
    return status


def decided(gate: Gate) -> list[StopDecided]:
    with gate.database.read() as connection:
        events = [entry.event for entry in read_trail(connection, STOPS_TRAIL)]
    return [event for event in events if isinstance(event, StopDecided)]


def assert_no_findings(gate: Gate) -> None:
    with gate.database.read() as connection:
        assert inspect_all(connection, Trust(), lambda *_: None).findings == ()


async def test_a_stopped_step_shows_why_it_waits_and_begins_within_seconds_of_the_release(gate: Gate) -> None:
    number = await stop(gate)
    status = await approved(gate, "one")
    waiting = await stopped(gate, status)
    assert gate.notebook.texts() == []
    assert "dana stopped every step" in waiting.steps[0].last_error
    assert "wrong amounts" in waiting.steps[0].last_error
    assert [one.number for one in waiting.stops] == [number]
    (step,) = (await gate.handle(status.workflow_id).describe()).raw_description.pending_activities
    delay = step.last_failure.application_failure_info.next_retry_delay
    assert delay.ToTimedelta() == timedelta(seconds=1)  # of any attempt; the retry policy's delays grow
    await go(gate, number)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]
    assert (await gate.api.status(status.workflow_id)).stops == ()
    assert_no_findings(gate)


async def test_a_run_stops_between_steps_and_a_step_in_progress_is_finished(gate: Gate) -> None:
    gate.notebook.gate.clear()
    status = await approved(gate, "one", "two")
    await gate.notebook.entered.wait()
    number = await stop(gate)
    gate.notebook.gate.set()
    waiting = await stopped(gate, status)
    assert gate.notebook.texts() == ["one"]
    assert [step.state for step in waiting.steps] == ["done", "pending"]
    await go(gate, number)
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_a_stop_of_one_tool_lets_the_others_continue(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.tools["other"] = Notebook("other", gate.notebook.path.with_name("other.tsv"))
    of_other = {"summary": "s", "steps": [{"tool": "other", "arguments": {"text": "free"}}]}
    async with gate.worker():
        number = await stop(gate, tool="note")
        free = await gate.api.submit(PlanRequest(requester="rita", plan=of_other))
        assert (await gate.decide(await gate.until("in_review", free))).accepted
        assert (await gate.result(free)).outcome == "executed"
        status = await approved(gate, "one")
        assert (await stopped(gate, status)).stops[0].tool == "note"
        assert not (await order(gate, action="go", by="dana", stop=number)).accepted
        await go(gate, number, tool="note")
        assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_a_stop_of_an_unknown_tool_is_refused_with_the_reason(gate: Gate) -> None:
    answer = await order(gate, action="stop", tool="notes", by="dana", reason="x")
    assert not answer.accepted
    assert answer.reason.startswith("there is no tool called notes; the tools are: note.")
    assert answer.stops == ()


async def test_decisions_are_accepted_during_a_stop(gate: Gate) -> None:
    number = await stop(gate)
    first = await gate.in_review("one")
    assert (await gate.decide(first, "request_changes", comment="two")).accepted
    second = await gate.until("in_review", first.workflow_id, lambda now: now.revision == 2)
    assert [one.number for one in second.stops] == [number]
    assert (await gate.decide(second)).accepted
    waiting = await stopped(gate, second)
    assert (await gate.decide(waiting, "withdraw_approval")).accepted
    again = await gate.until("in_review", first.workflow_id)
    assert (await gate.decide(again, "reject")).accepted
    assert (await gate.result(first.workflow_id)).outcome == "rejected"
    ended = await approved(gate, "three")
    await stopped(gate, ended)
    await gate.api.withdraw(ended.workflow_id, "withdrawn by rita")
    assert (await gate.result(ended.workflow_id)).outcome == "withdrawn"
    assert gate.notebook.texts() == []
    assert_no_findings(gate)


async def test_a_held_run_is_resolved_during_a_stop_and_its_retry_waits(gate: Gate) -> None:
    gate.notebook.failures = [PERMANENT]
    status = await approved(gate, "one")
    await gate.held(status.workflow_id)
    number = await stop(gate)
    assert (await gate.resolve(status.workflow_id, "retry")).accepted
    await stopped(gate, status)
    assert gate.notebook.texts() == []
    await go(gate, number)
    assert (await gate.result(status.workflow_id)).outcome == "executed"


class Undoable(Notebook):
    """A notebook that can remove a line, and refuses the word 'bad'."""

    def __init__(self, notebook: Notebook) -> None:
        super().__init__("note", notebook.path)
        self.declaration = replace(self.declaration, undoable=True)

    async def act(self, arguments: NoteArguments, idempotency_key: str) -> Receipt:
        if arguments.text == "bad":
            raise PERMANENT
        return await super().act(arguments, idempotency_key)

    async def undo(self, arguments: NoteArguments, receipt: Receipt, idempotency_key: str) -> Receipt:
        del receipt
        self._write(NoteArguments(text=f"not {arguments.text}"), idempotency_key)
        return Receipt(summary=f"removed {arguments.text!r}")

    async def find_out_undo(
        self, arguments: NoteArguments, receipt: Receipt, idempotency_key: str
    ) -> EffectStatus:
        del arguments, receipt, idempotency_key
        return DidNotHappen()


async def test_an_undo_waits_too(idle_gate: Gate) -> None:
    gate = idle_gate
    book = gate.tools["note"] = Undoable(gate.notebook)
    async with gate.worker():
        run = (await approved(gate, "one", "bad")).workflow_id
        await gate.held(run)
        number = await stop(gate)
        assert (await gate.resolve(run, "undo")).accepted
        await gate.until("undoing", run, lambda now: any(step.is_stopped for step in now.steps))
        assert book.texts() == ["one"]
        await go(gate, number)
        assert (await gate.result(run)).outcome == "failed"
        assert book.texts() == ["one", "not one"]
        assert_no_findings(gate)


async def test_waiting_adds_no_history_and_uses_no_attempts(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.execution.STEP_TRIES", 3)
    number = await stop(gate)
    status = await approved(gate, "one")
    await gate.until("executing", status.workflow_id, lambda now: (now.steps[0].attempt or 0) > 4)
    before = (await gate.handle(status.workflow_id).describe()).history_length
    await gate.until("executing", status.workflow_id, lambda now: (now.steps[0].attempt or 0) > 5)
    assert (await gate.handle(status.workflow_id).describe()).history_length == before
    gate.notebook.failures = [TRANSIENT]
    await go(gate, number)
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_an_approval_that_became_stale_meanwhile_returns_to_review(idle_gate: Gate) -> None:
    gate = idle_gate
    gate.policy = one_approval(valid_for=timedelta(days=1))
    async with gate.worker():
        number = await stop(gate)
        status = await approved(gate, "one")
        await stopped(gate, status)
        with clock_ahead(timedelta(days=2)):
            await asyncio.sleep(1.5)
            assert (await gate.api.status(status.workflow_id)).state == "executing"
            await go(gate, number)
            again = await gate.until("in_review", status.workflow_id)
    assert again.approved_by == ()
    assert gate.notebook.texts() == []


# ---- authorization -------------------------------------------------------------------------------


@pytest.fixture
def listed(idle_gate: Gate) -> Gate:
    """A test instance with a list of three people."""
    idle_gate.directory = Listed()
    return idle_gate


async def test_with_a_list_two_people_must_release_and_one_may_be_the_person_who_stopped(
    listed: Gate,
) -> None:
    async with listed.worker():
        assert not (await order(listed, action="stop", by="mallory", reason="x")).accepted
        number = await stop(listed)
        first = await order(listed, action="go", by="Dana", stop=number)
        assert first.accepted
        assert first.reason == "dana's release is recorded; 1 more person must release it too"
        assert [one.released_by for one in first.stops] == [("dana",)]
        again = await order(listed, action="go", by="dana", stop=number)
        assert (again.accepted, "another person must" in again.reason) == (False, True)
        assert not (await order(listed, action="go", by="mallory", stop=number)).accepted
        last = await order(listed, action="go", by="rita", stop=number)
        assert (last.accepted, last.reason, last.stops) == (True, "released; every step may begin again", ())
    assert_no_findings(listed)


async def test_a_stop_during_a_release_restarts_it(listed: Gate) -> None:
    async with listed.worker():
        first = await stop(listed)
        await go(listed, first, "dana")
        second = await stop(listed, by="erik", reason="still wrong")
        stale = await order(listed, action="go", by="rita", stop=first)
        assert not stale.accepted
        assert "erik stopped every step" in stale.reason
        assert (await go(listed, second, "rita")).stops != ()
        assert (await go(listed, second, "dana")).stops == ()


async def test_the_only_listed_person_can_release(listed: Gate) -> None:
    listed.directory = Listed('[[person]]\nname = "dana"\n')
    async with listed.worker():
        assert (await go(listed, await stop(listed))).stops == ()


async def test_without_a_list_of_people_a_typed_name_is_enough_with_a_warning(
    gate: Gate,
) -> None:
    number = await stop(gate)
    answer = await go(gate, number, "ann")
    assert answer.stops == ()
    assert "so the name is not verified" in answer.reason


async def test_the_policy_defines_who_may_stop_and_release_and_with_which_proof(idle_gate: Gate) -> None:
    keys = "".join(
        f'[[person]]\nname = "{name}"\nroles = ["ops"]\nkeys = [{{ public = "ed25519:{public_of(key)}" }}]\n'
        for name, key in KEYS.items()
    )
    gate = idle_gate
    gate.directory = Listed(keys + '[[person]]\nname = "rita"\nroles = ["sales"]\n')
    gate.policy = policy_in(
        '[stop]\nroles = ["ops"]\n[go]\nneeds = [{ role = "ops", count = 2 }]\nassurance = "signed"\n'
    )
    async with gate.worker():
        refused = await order(gate, action="stop", by="rita", reason="x")
        assert "allows the roles ops" in refused.reason
        number = await stop(gate)
        assert "must be signed" in (await order(gate, action="go", by="dana", stop=number)).reason
        releases = [signed(gate, name, number) for name in KEYS]
        assert (await order(gate, releases[0])).accepted
        used = await order(gate, {**releases[0], "by": "dana"})
        assert not used.accepted
        forged = await order(gate, {**releases[1], "reason": "another"})
        assert "signed with another reason" in forged.reason
        assert (await order(gate, releases[1])).stops == ()
    assert_no_findings(gate)


def signed(gate: Gate, by: str, number: int) -> dict[str, object]:
    audience = Audience(installation=gate.database.installation, namespace="default")
    made = signed_stop_request(
        StopRequest(action=StopAction.GO, by=by, stop=number, reason="fixed"),
        KEYS[by], audience=audience, at=now(), token_id=f"{by}-00000001",
    )  # fmt: skip
    return made.model_dump(mode="json", exclude_none=True)


# ---- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ((), "it has no input"),
        (("stop",), "it is not a JSON object"),
        (({"action": "stop", "by": "dana"},), 'a stop needs a "reason"'),
        (({"action": "go", "by": "dana"},), '"go" needs "stop"'),
        (({"action": "halt", "by": "dana"},), "action: must be"),
        (({"action": "stop", "by": "YOUR-NAME", "reason": "x"},), "only a placeholder"),
        (({"action": "stop", "by": "dana", "reason": "x" * 1_001},), "reason: "),
        (({"action": "stop", "by": "dana", "reason": "x", "tool": "note", "all": True},), "unknown field"),
        (({"action": "list", "by": "dana"},), '"list" needs'),
        (({"action": "stop"}, {"by": "dana"}), "2 inputs"),
    ],
)
async def test_an_unreadable_request_is_refused_with_the_reason_and_recorded(
    gate: Gate, inputs: tuple[object, ...], said: str
) -> None:
    handle = await gate.client.start_workflow(
        "PlangateStop", args=inputs, id=f"order-{uuid4().hex}", task_queue=gate.settings.task_queue,
        result_type=dict,
    )  # fmt: skip
    answer = await handle.result()
    assert answer["accepted"] is False
    assert said in answer["reason"]
    (event,) = decided(gate)
    assert event.verdict.reason == answer["reason"]
    assert event.arrival.excerpt or not inputs
    assert_no_findings(gate)


async def test_a_request_repeated_by_a_reset_or_a_cron_takes_effect_once(gate: Gate) -> None:
    identifier = f"order-{uuid4().hex}"
    handle = await gate.client.start_workflow(
        "PlangateStop", {"action": "stop", "by": "dana", "reason": "x"},
        id=identifier, task_queue=gate.settings.task_queue, cron_schedule="@every 1s",
    )  # fmt: skip
    async with asyncio.timeout(WAIT_LIMIT):
        while (await gate.handle(identifier).describe()).run_id == handle.first_execution_run_id:
            await asyncio.sleep(0.1)
    await asyncio.sleep(1.2)
    await gate.handle(identifier).terminate()
    assert [event.verdict.accepted for event in decided(gate)] == [True]


@workflow.defn(name="PlangateStop", sandboxed=False)
class SameName:
    """A foreign workflow with the same name as Plangate's, which schedules its activity with any input."""

    @workflow.run
    async def run(self, queue: str) -> None:
        task = {
            "key": "x",
            "inputs": [{"action": "stop", "by": "dana", "reason": "x"}],
            "received_at": "2020-01-01T00:00:00Z",
            "at": "2020-01-01T00:00:00Z",
        }
        await workflow.execute_activity(
            "judge_order", task, task_queue=queue, start_to_close_timeout=timedelta(seconds=10)
        )


async def test_only_plangates_own_workflow_can_submit_a_request(gate: Gate) -> None:
    async with gate.foreign_worker(SameName) as queue:
        with pytest.raises(WorkflowFailureError) as caught:
            await gate.client.execute_workflow(
                SameName.run, gate.settings.task_queue, id=f"order-{uuid4().hex}", task_queue=queue
            )
    assert "Only the workflow PlangateStop may schedule this activity" in str(caught.value.cause.__cause__)
    assert decided(gate) == []


async def test_no_run_can_have_the_same_name_as_the_trail(gate: Gate) -> None:
    request = PlanRequest(requester="rita", plan=notes("one"))
    with pytest.raises(RequestInvalid, match="is reserved"):
        await gate.api.submit(request, STOPS_TRAIL)
    run = await gate.client.start_workflow(
        "PlanApproval", request, id=STOPS_TRAIL, task_queue=gate.settings.task_queue
    )
    result = await run.result()
    assert (result["outcome"], "is reserved" in result["reason"]) == ("failed", True)


# ---- without a worker, without records, with the client ------------------------------------------


async def test_a_request_without_a_worker_is_kept_and_checked_before_many_steps_have_begun(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plangate.client.stopping.REQUEST_SECONDS", 0.5)
    gate = idle_gate
    async with gate.worker():
        waiting = [await gate.in_review(f"{number}") for number in range(6)]
    for status in waiting:
        await gate.signal(status)
    assert await gate.api.request_stop(StopRequest(action=StopAction.STOP, by="dana", reason="x")) is None
    async with gate.worker():
        async with asyncio.timeout(WAIT_LIMIT):
            while not (active := (await gate.api.stops()).stops):
                await asyncio.sleep(0.1)
        begun = len(gate.notebook.texts())
        await asyncio.sleep(1)
        assert len(gate.notebook.texts()) == begun
        await go(gate, active[0].number)
        for status in waiting:
            assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert_no_findings(gate)


async def test_a_list_of_stops_without_a_worker_shows_its_source_and_the_requests_that_wait(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = idle_gate
    with monkeypatch.context() as patch:  # only while no worker runs: a slow worker needs the real limits
        patch.setattr("plangate.client.stopping.REQUEST_SECONDS", 0.5)
        patch.setattr("plangate.client.stopping.QUERY_SECONDS", 0.5)
        known = await gate.api.known_stops()
        assert (known.answer.stops, known.source, known.waiting) == ((), "records (no worker answers)", 0)
        assert await gate.api.request_stop(StopRequest(action=StopAction.STOP, by="dana", reason="x")) is None
        async with asyncio.timeout(WAIT_LIMIT):
            while (await gate.api.known_stops()).waiting != 1:  # the server's list lags
                await asyncio.sleep(0.1)

        queue, address = gate.settings.task_queue, gate.client.service_client.config.target_host
        settings = {
            "TEMPORAL_ADDRESS": address,
            "PLANGATE_TASK_QUEUE": queue,
            "TEMPORAL_CONFIG_FILE": "/dev/null",
        }
        home = Home(gate.settings.var_dir, {**settings})
        words = ("stop", "--list"), ("stop", "--list", "--json"), ("go", "--by", "dana", "--stop", "1")
        listed, as_json, release = await asyncio.gather(
            *(asyncio.to_thread(home.forked, *typed) for typed in words)
        )
        waits = (
            "1 request to stop or to release waits on the Temporal server for a worker to check; start one. "
            "No step begins without a worker."
        )
        source = "Source: records (no worker answers)."
        assert (listed.code, listed.out.splitlines()) == (
            1,
            ["Nothing is stopped according to the records.", source, waits],
        )
        assert (as_json.code, as_json.json["error"]) == (1, f"{source} {waits}")
        assert (as_json.json["stops"], as_json.json["waiting_orders"]) == ([], 1)
        assert (release.code, release.sentence.endswith(f"{source} {waits}")) == (3, True)

    async with gate.worker():
        async with asyncio.timeout(WAIT_LIMIT):
            while not (known := await gate.api.known_stops()).answer.stops:
                await asyncio.sleep(0.1)
    assert (known.source, known.waiting) == ("worker", 0)


async def test_a_remote_approver_needs_only_the_connection_to_temporal(gate: Gate) -> None:
    elsewhere = Client(gate.client, gate.settings.task_queue, None)
    answer = await elsewhere.request_stop(
        StopRequest(action=StopAction.STOP, by="dana", reason="wrong amounts")
    )
    assert answer is not None
    assert answer.accepted
    active = await elsewhere.stops()
    assert [(one.number, one.by, one.reason) for one in active.stops] == [(1, "dana", "wrong amounts")]
    assert active.audience == Audience(installation=gate.database.installation, namespace="default")
    status = await approved(gate, "one")
    while not (seen := (await elsewhere.status(status.workflow_id)).steps[0]).is_stopped:
        await asyncio.sleep(0.1)
    assert "dana stopped every step" in seen.last_error
    released = await elsewhere.request_stop(StopRequest(action=StopAction.GO, by="erik", stop=1))
    assert released is not None
    assert released.accepted


async def test_the_page_of_every_open_run_says_what_is_stopped_and_how_to_continue(gate: Gate) -> None:
    ended = await approved(gate, "zero")
    await gate.result(ended.workflow_id)
    await stop(gate, reason="wrong amounts since the update")
    status = await gate.in_review("one")
    page = shown(status)
    assert "STOPPED      everything" in page
    assert "wrong amounts since the update" in page
    assert "go --stop 1 --by YOUR-NAME" in page
    assert [x for x in page.split("requester")[0].splitlines() if len(x) > 80] == []
    assert "STOPPED" not in shown(await gate.api.status(ended.workflow_id))
    recorded = gate.recorded(status.workflow_id)
    assert recorded is not None
    assert recorded.stops == status.stops


def shown(status: Status) -> str:
    text = StringIO()
    Console(text).print(run_page(status, datetime.now(UTC)))
    return text.getvalue()
