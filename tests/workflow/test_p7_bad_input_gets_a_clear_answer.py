"""P7: bad input never blocks a workflow, crashes a worker or is mistaken for an approval."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis.strategies import tuples
from pydantic import JsonValue
from temporalio.api.common.v1 import Header, Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import UpdateWorkflowExecutionLifecycleStage
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import SignalWorkflowExecutionRequest, UpdateWorkflowExecutionRequest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError

from plangate.domain.decisions.decision import Choice, read_arrival, unknown_name
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import unread_of
from tests.support.gate import Gate
from tests.support.junk import LIKELY_NAMES, bad_inputs
from tests.support.times import times
from tests.support.wait_limit import WAIT_LIMIT


@pytest.mark.parametrize(
    ("name", "inputs", "reason"),
    [
        ("approve", [], "it has no input"),
        ("approve", [1, 2], "it has 2 inputs"),
        ("approve", ["yes"], "its input is text, not a JSON object"),
        ("approve", [None], "its input is null"),
        ("approve", [{}], "it does not say which plan"),
        ("approve", [{"by": "dana", "plan": ""}], "too short"),
        ("approve", [{"by": "dana", "plan": "*"}], "must consist of the digits 0-9 and a-f"),
        ("approve", [{"plan": "3f9a12bc4d5e"}], "by: is missing"),
        ("approve", [{"by": "dana", "plan": "3f9a12bc4d5e"}], "has the fingerprint 3f9a12bc4d5e"),
        ("approve", [{"by": "dana", "plan": "3f9a12bc4d5e", "role": "admin"}], "role: unknown field"),
        ("approve", [{"by": "da\u200bna", "plan": "3f9a12bc4d5e"}], "invisible characters"),
        ("approve", [{"decision": "reject", "by": "dana", "plan": "3f9a12bc4d5e"}], 'remove "decision"'),
        ("request_changes", [{"by": "dana", "plan": "3f9a12bc4d5e"}], 'needs a "comment"'),
        ("aprove", [{"by": "dana", "plan": "3f9a12bc4d5e"}], "there is no signal called 'aprove'"),
        ("\x1b[31mapprove", [], "there is no signal called '⟨U+001B⟩[31mapprove'"),
    ],
)  # fmt: skip
async def test_an_invalid_signal_is_a_refused_decision_with_its_reason_everywhere(
    gate: Gate, name: str, inputs: list[Any], reason: str
) -> None:
    status = await gate.in_review("one")
    await gate.handle(status.workflow_id).signal(name, args=inputs)
    after = await gate.until("in_review", status.workflow_id, lambda now: len(now.decisions) == 1)
    assert not after.decisions[0].accepted
    assert reason in after.decisions[0].reason
    recorded = gate.api.trail(status.workflow_id)[-1].event
    assert recorded.kind == "decided"
    assert reason in recorded.verdict.reason
    details = await gate.handle(status.workflow_id).query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    assert "refused" in details.current_details
    assert (await gate.decide(status)).accepted


async def test_each_signal_documents_its_input_even_if_decisions_must_be_signed(gate: Gate) -> None:
    status = await gate.in_review("one")
    metadata = await gate.handle(status.workflow_id).query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    descriptions = {one.name: one.description for one in metadata.definition.signal_definitions if one.name}
    assert set(descriptions) == set(Choice)
    for description in descriptions.values():
        assert 'Send {"by": ' in description
        assert description.endswith("}, or the output of `starter.py sign`")


@pytest.mark.parametrize(
    "payload",
    [
        Payload(metadata={"encoding": b"binary/encrypted"}, data=b"\x00"),
        Payload(metadata={"encoding": b"json/plain"}, data=b"{not json"),
        Payload(metadata={}, data=b""),
        Payload(metadata={"encoding": b"binary/plain"}, data=b"\xff\x00"),
        Payload(
            metadata={"encoding": b"json/plain", "__temporal_external_storage_reference": b"true"}, data=b"{}"
        ),
        Payload(metadata={"encoding": b"json/external-storage-reference"}, data=b"{}"),
        Payload(metadata={"encoding": b"json/plain"}, data=b"[" * 5000 + b"]" * 5000),
        Payload(metadata={"encoding": b"json/plain"}, data=b'{"by": "\\ud800", "plan": "\\udfff"}'),
    ],
    ids=[
        "unknown encoding",
        "broken JSON",
        "no encoding",
        "bytes",
        "stored elsewhere",
        "stored elsewhere, old format",
        "deep nesting",
        "lone surrogates",
    ],
)
@pytest.mark.parametrize("name", ["approve", "nonsense"])
async def test_an_undecodable_signal_is_a_refused_decision_too(
    gate: Gate, payload: Payload, name: str
) -> None:
    status = await gate.in_review("one")
    await gate.client.workflow_service.signal_workflow_execution(
        SignalWorkflowExecutionRequest(
            namespace=gate.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=status.workflow_id),
            signal_name=name,
            input=Payloads(payloads=[payload]),
        )
    )
    assert (await gate.decide(status)).accepted
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    trail = [entry.event for entry in gate.api.trail(status.workflow_id)]
    verdicts = [event.verdict.accepted for event in trail if isinstance(event, Decided)]
    assert verdicts == [False, True]


async def test_a_thousand_undecodable_queued_signals_block_nothing(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
    request = SignalWorkflowExecutionRequest(
        namespace=gate.client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=status.workflow_id),
        signal_name="approve",
        input=Payloads(payloads=[Payload(metadata={"encoding": b"binary/encrypted"}, data=b"\x00")]),
    )
    for _ in range(20):
        service = gate.client.workflow_service
        await asyncio.gather(*(service.signal_workflow_execution(request) for _ in range(50)))
    await gate.signal(status)
    async with gate.worker():
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        after = await gate.api.status(status.workflow_id)
    assert len(after.decisions) + after.refusals_not_listed == 1_001
    assert "(cannot be decoded: binary/encrypted)" in after.decisions[0].excerpt
    assert await gate.blocked() == 0


async def test_an_undecodable_start_or_update_gets_a_response(gate: Gate) -> None:
    broken = RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"{not json"))
    handle = await gate.client.start_workflow(
        "PlanApproval",
        broken,
        id=f"broken-{gate.settings.task_queue}",
        task_queue=gate.settings.task_queue,
    )
    assert (await handle.result())["outcome"] == "failed"
    status = await gate.in_review("one")
    answer = await gate.handle(status.workflow_id).execute_update("decide", broken)
    assert answer["accepted"] is False
    assert "not a JSON object" in answer["reason"]


_COMPLETED = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_COMPLETED
_PADDED = Payload(metadata={"encoding": b"json/plain"}, data=b"{}" + b" " * 900_000)


@pytest.mark.parametrize(
    ("name", "inputs", "header"),
    [
        ("decide", [Payload(metadata={"encoding": b"json/plain"}, data=b"[" + b" " * 3_000_000 + b"]")], {}),
        ("decide", [_PADDED] * 3, {}),
        ("decide", [], {"a": _PADDED, "b": _PADDED, "c": _PADDED}),
        ("nonsense", [_PADDED] * 3, {}),
    ],
    ids=["one input", "several inputs", "header", "unknown name"],
)
async def test_an_update_that_the_server_cannot_store_is_refused_and_blocks_nothing(
    gate: Gate, name: str, inputs: list[Payload], header: dict[str, Payload]
) -> None:
    """The server delivers an update of up to 4 MB, but fails each workflow task with more than 2 MB."""
    status = await gate.in_review("one")
    request = UpdateWorkflowExecutionRequest(
        namespace=gate.client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=status.workflow_id),
        wait_policy=WaitPolicy(lifecycle_stage=_COMPLETED),
        request=Request(
            meta=Meta(update_id="large"),
            input=Input(name=name, args=Payloads(payloads=inputs), header=Header(fields=header)),
        ),
    )
    async with asyncio.timeout(WAIT_LIMIT):
        answer = await gate.client.workflow_service.update_workflow_execution(request)
    assert "rejected" in answer.outcome.failure.message
    assert (await gate.decide(status)).accepted
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_updates_that_are_too_large_together_are_refused_and_block_nothing(idle_gate: Gate) -> None:
    """The server closes a run whose worker responds to them in one workflow task."""
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
    message = {"decision": "approve", "by": "dana", "plan": "0" * 12, "comment": "x" * 1_800_000}
    handle = idle_gate.handle(status.workflow_id)
    updates = [asyncio.create_task(handle.execute_update("decide", message)) for _ in range(4)]
    await asyncio.sleep(0.5)  # until the server has them
    async with idle_gate.worker():
        async with asyncio.timeout(WAIT_LIMIT):
            answers = await asyncio.gather(*updates, return_exceptions=True)
        refused = [one for one in answers if isinstance(one, WorkflowUpdateFailedError)]
        assert len(refused) == 3
        assert (await idle_gate.decide(status)).accepted
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"


@pytest.mark.parametrize("inputs", [[], [1, 2], ["yes"], [{"decision": "maybe", "by": "dana"}], [{}]])
async def test_an_invalid_update_is_answered_with_its_reason(gate: Gate, inputs: list[Any]) -> None:
    status = await gate.in_review("one")
    answer = await gate.handle(status.workflow_id).execute_update("decide", args=inputs)
    assert answer["accepted"] is False
    assert answer["reason"]
    assert answer["state"] == "in_review"


@pytest.mark.parametrize(
    "inputs",
    [
        [], [1, 2], ["go"], [None], [{}], [{"requester": ""}], [{"requester": "rita"}],
        [{"requester": "rita", "request": "x", "timeout_seconds": -1}],
        [{"requester": "rita", "request": "x", "approved": True}],
        [{"carried": {"phase": "executing"}, "request": {"requester": "rita"}}],
    ],
)  # fmt: skip
async def test_a_workflow_with_invalid_input_fails_immediately_with_the_reason(
    gate: Gate, inputs: list[Any]
) -> None:
    handle = await gate.client.start_workflow(
        "PlanApproval",
        args=inputs,
        id=f"nonsense-{gate.settings.task_queue}",
        task_queue=gate.settings.task_queue,
    )
    result = await handle.result()
    assert result["outcome"] == "failed"
    assert result["reason"]
    assert gate.api.trail(handle.id)[-1].event.kind == "closed"


@pytest.mark.parametrize(
    "plan",
    [
        [], "plan", 7, {}, {"summary": "x"}, {"summary": "x", "steps": []},
        {"summary": "x", "steps": [{"tool": "nuke", "arguments": {}}]},
        {"summary": "x", "steps": [{"tool": "note", "arguments": {"text": 7}}]},
        {"summary": "x", "steps": [{"tool": "note", "arguments": {"text": "x", "more": 1}}]},
        {"summary": "x", "steps": [{"tool": "note", "arguments": {"text": "x"}}] * 21},
        {"summary": "x", "steps": [{"tool": "note", "arguments": {"text": "x" * 300_000}}]},
        {"summary": "x", "steps": [{"tool": "note", "arguments": {"text": "x", "n": 2**60}}]},
    ],
)  # fmt: skip
async def test_an_invalid_plan_ends_the_run_with_its_errors(gate: Gate, plan: Any) -> None:
    result = await gate.result(await gate.api.submit(PlanRequest(requester="rita", request="x", plan=plan)))
    assert result.outcome == "failed"
    assert "plan cannot be used" in result.reason


async def test_a_decision_after_the_end_is_refused_with_the_outcome(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.decide(status, "reject")
    await gate.result(status.workflow_id)
    answer = await gate.decide(status)
    assert not answer.accepted
    assert "the run has ended (rejected)" in answer.reason
    with pytest.raises(RPCError, match="already completed"):
        await gate.signal(status)


async def test_the_same_approval_sent_twice_is_accepted_once(gate: Gate) -> None:
    status = await gate.in_review("one")
    gate.notebook.gate.clear()
    await gate.decide(status)
    again = await gate.decide(status)
    assert not again.accepted
    gate.notebook.gate.set()
    result = await gate.result(status.workflow_id)
    assert result.approved_by == ("dana",)
    assert gate.notebook.texts() == ["one"]


@pytest.mark.parametrize("name", ["rita", "RITA", " rita ", "\uff52\uff49\uff54\uff41"])
async def test_the_requester_cannot_approve_under_any_spelling(gate: Gate, name: str) -> None:
    status = await gate.in_review("one")
    assert not (await gate.decide(status, by=name)).accepted


async def test_many_invalid_signals_do_not_prevent_a_later_approval(gate: Gate) -> None:
    status = await gate.in_review("one")
    handle = gate.handle(status.workflow_id)
    for _ in range(8):
        await asyncio.gather(*(handle.signal("approve", {"junk": number}) for number in range(50)))
    after = await gate.until(
        "in_review", status.workflow_id, lambda now: len(now.decisions) + now.refusals_not_listed == 400
    )
    assert len(after.decisions) == 50
    await gate.signal(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"
    entries = gate.api.trail(status.workflow_id)
    assert sum(entry.event.kind == "decided" for entry in entries) == 401


async def test_large_queued_decisions_do_not_exceed_the_servers_message_limit(
    idle_gate: Gate,
) -> None:
    gate = idle_gate
    async with gate.worker():
        status = await gate.in_review("one")
    handle = gate.handle(status.workflow_id)
    large = {"by": "mallory", "plan": "deadbeef", "comment": "é" * 4_000, "signature": "s" * 8_000}
    for _ in range(12):
        await asyncio.gather(*(handle.signal("approve", large) for _ in range(25)))
    await gate.signal(status)
    async with gate.worker():
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        after = await gate.api.status(status.workflow_id)
    assert await gate.blocked() == 0
    assert len(after.model_dump_json()) < 100_000
    trail = [entry.event for entry in gate.api.trail(status.workflow_id)]
    whole = [event for event in trail if isinstance(event, Decided) and not event.verdict.accepted]
    assert len(whole) == 300
    assert {event.arrival.decision and event.arrival.decision.signature for event in whole} == {"s" * 8_000}


async def test_errors_that_exceed_the_servers_limit_are_truncated_and_end_the_run(gate: Gate) -> None:
    arguments: dict[str, JsonValue] = {f"unknown-{number}": 1 for number in range(15_000)}
    plan: JsonValue = {"summary": "x", "steps": [{"tool": "note", "arguments": arguments}]}
    result = await gate.result(await gate.api.submit(PlanRequest(requester="rita", plan=plan)))
    assert result.outcome == "failed"
    assert result.reason.startswith("The plan cannot be used (15,001 errors): step 1, text: is missing")
    assert len(result.reason) < 11_000


async def test_a_plan_too_large_to_be_passed_on_ends_the_run_with_the_reason(gate: Gate) -> None:
    text = "x" * 2_096_500  # with the workflow's additions, it exceeds the server's limit
    plan: JsonValue = {"summary": "x", "steps": [{"tool": "note", "arguments": {"text": text}}]}
    handle = await gate.client.start_workflow(
        "PlanApproval",
        PlanRequest(requester="rita", plan=plan),  # `plangate.client` would refuse it
        id=f"large-{gate.settings.task_queue}",
        task_queue=gate.settings.task_queue,
    )
    result = await gate.result(handle.id)
    assert result.outcome == "failed"
    assert "more than the limit of 262,144" in result.reason


async def test_a_schedule_cannot_supply_a_state(gate: Gate) -> None:
    handle = await gate.client.start_workflow(
        "PlanApproval",
        {"carried": {"phase": "executing"}, "request": {"requester": "rita"}},
        id=f"forged-{gate.settings.task_queue}",
        task_queue=gate.settings.task_queue,
        cron_schedule="@every 1s",
    )
    async with asyncio.timeout(WAIT_LIMIT):
        while (await gate.client.count_workflows(f"WorkflowId = '{handle.id}'")).count < 2:
            await asyncio.sleep(0.05)
    history = await gate.client.get_workflow_handle(handle.id).fetch_history()
    assert not any(event.HasField("workflow_task_failed_event_attributes") for event in history.events)
    await handle.terminate()


@given(name=LIKELY_NAMES, inputs=bad_inputs)
@example(name="approve", inputs=[{"by": "dana", "plan": "0" * 64, "comment": "secret"}])
@settings(max_examples=times(100), deadline=None)
def test_any_signal_is_read_and_listed_without_an_exception(name: str, inputs: list[Any]) -> None:
    at = "2026-01-01T00:00:00Z"
    for choice in (None, *Choice):
        one = read_arrival(key="k", via="signal", name=name, choice=choice, inputs=inputs, received_at=at)  # type: ignore[arg-type]
        assert (one.decision is None) == bool(one.fault)
        assert one.decision is None or not one.excerpt
        assert unread_of(one).by == (one.decision.by if one.decision else None)
    assert unknown_name(key="k", name=name, inputs=inputs, received_at=at).fault  # type: ignore[arg-type]


async def test_generated_invalid_messages_neither_block_nor_approve(gate: Gate) -> None:
    status = await gate.in_review("one")
    handle = gate.handle(status.workflow_id)
    sent: list[tuple[str, list[Any]]] = []

    @given(tuples(LIKELY_NAMES, bad_inputs))
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def collect(message: tuple[str, list[Any]]) -> None:
        sent.append(message)

    collect()
    for start in range(0, len(sent), 25):
        await asyncio.gather(
            *(handle.signal(name or "x", args=inputs) for name, inputs in sent[start : start + 25])
        )
    for name, inputs in sent[:40]:
        answer = await handle.execute_update("decide", args=inputs)
        assert answer["accepted"] is False, (name, inputs)
    after = await gate.api.status(status.workflow_id)
    assert after.state == "in_review"
    assert not any(decision.accepted for decision in after.decisions)
    assert await gate.blocked() == 0
    await gate.signal(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_changes_are_refused_without_a_model_and_the_plan_still_waits(idle_gate: Gate) -> None:
    idle_gate.planner.has_model = False
    async with idle_gate.worker():
        status = await idle_gate.in_review("one")
        answer = await idle_gate.decide(status, "request_changes", comment="two, please")
        assert (answer.accepted, answer.state) == (False, "in_review")
        assert "no model is configured, so the plan cannot be redrafted" in answer.reason
        assert (await idle_gate.decide(status)).accepted
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"
