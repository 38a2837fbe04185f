"""Long external text is visibly truncated when it enters a run, and blocks nothing."""

import asyncio
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError

from activities.temporal_failures import as_application_errors
from plangate.domain.decisions.decision import MAX_COMMENT, Choice, Via, read_arrival, unknown_name
from plangate.domain.errors import RequestInvalid
from plangate.domain.runs.request import read_request
from plangate.domain.runs.status import Status
from tests.support.fakes import notes
from tests.support.gate import Gate
from workflows.recording import reason_of

HUGE = 1_900_000  # near the server's limit for one input
HOSTILE = ("x", "é", "\u202e", "\x00", '"', "\\", "⟨", "\n", "`", "𓂀")
AT = "2026-01-01T00:00:00Z"


async def test_a_cancellation_with_an_oversized_reason_ends_the_run(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.handle(status.workflow_id).cancel(reason="why " * 600_000)
    result = await gate.result(status.workflow_id)
    assert result.outcome == "withdrawn"
    assert result.reason.endswith("more characters are not shown here)")
    assert len(result.reason) < MAX_COMMENT + 100
    assert len(gate.api.trail(status.workflow_id)[-1].written) < MAX_COMMENT + 200


async def test_the_largest_accepted_input_leaves_a_small_run(gate: Gate) -> None:
    status = await gate.in_review("one")
    handle = gate.handle(status.workflow_id)
    named = {"by": "dana", "plan": status.short_fingerprint}
    large: list[Any] = [
        "x" * HUGE,
        {**named, "comment": "\u202e" * (HUGE // 6)},
        {**named, "by": "é" * (HUGE // 6)},
        {**named, "y" * HUGE: 1},
        {**named, "signature": "s" * HUGE},
        [["z"] * 10] * 30_000,
    ]
    for message in large:
        await handle.signal("approve", message)
        answer = await handle.execute_update("decide", message)
        assert answer["accepted"] is False
        assert len(answer["reason"]) < 1_000
    await handle.signal("n" * 900, "x" * HUGE)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("u" * 900, "x" * HUGE)
    await handle.execute_update("decide", "x", id="i" * 900)
    after = await gate.until(
        "in_review", status.workflow_id, lambda now: len(now.decisions) == 2 * len(large) + 2
    )
    assert len(after.model_dump_json()) < 40_000
    assert all(len(entry.written) < 3_000 for entry in gate.api.trail(status.workflow_id))
    await gate.signal(status)
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def test_a_start_with_the_largest_input_fails_with_the_reason(gate: Gate) -> None:
    async def started(number: int, *inputs: Any) -> dict[str, Any]:
        handle = await gate.client.start_workflow(
            "PlanApproval",
            args=inputs,
            id=f"large-{number}-{gate.settings.task_queue}",
            task_queue=gate.settings.task_queue,
            result_type=dict,
        )
        result: dict[str, Any] = await handle.result()
        return result

    inputs = ({"requester": "é" * (HUGE // 6)}, {"requester": "rita", "k" * HUGE: 1}, "x" * HUGE)
    for result in await asyncio.gather(*(started(number, one) for number, one in enumerate(inputs))):
        assert result["outcome"] == "failed"
        assert len(result["reason"]) < 1_000


def test_an_unexpected_failure_is_truncated_at_every_attempt() -> None:
    for is_last in (False, True):
        with (
            capture_logs(),
            pytest.raises(ApplicationError) as caught,
            as_application_errors(1 if is_last else 2, 1),
        ):
            raise ZeroDivisionError("x" * 30_000)
        assert len(caught.value.message) < 11_000
        assert (caught.value.__cause__, caught.value.non_retryable) == (None, is_last)


def test_the_cause_of_an_unexpected_failure_is_not_sent_in_full() -> None:
    failure = ZeroDivisionError()
    failure.__cause__ = KeyError("x" * 30_000)
    with capture_logs(), pytest.raises(ApplicationError) as caught, as_application_errors(3, 3):
        raise failure
    assert caught.value.__cause__ is None


def test_the_failure_of_any_activity_is_truncated() -> None:
    """Any program that polls the task queue may respond instead of Plangate's worker, with any text."""
    for kind in (ApplicationError, CancelledError):
        assert len(reason_of(kind("x" * HUGE))) < 11_000


texts = st.builds(lambda char, times: char * times, st.sampled_from(HOSTILE), st.integers(0, 30_000))
values = st.recursive(
    texts | st.integers() | st.none(), lambda inner: st.lists(inner, max_size=4), max_leaves=4
)
messages = st.dictionaries(
    st.sampled_from(("by", "plan", "comment", "signature", "decision", "more")) | texts, values, max_size=5
)


@given(name=texts, inputs=st.lists(messages | values, max_size=3), choice=st.sampled_from([None, *Choice]))
@settings(max_examples=150)
def test_an_unreadable_message_becomes_a_small_record(name: str, inputs: list[Any], choice: Any) -> None:
    arrivals = [
        read_arrival(key="k", via=Via.SIGNAL, name=name, choice=choice, inputs=inputs, received_at=AT),  # type: ignore[arg-type]
        unknown_name(key="k", name=name, inputs=inputs, received_at=AT),  # type: ignore[arg-type]
    ]
    for arrival in arrivals:
        assert len(arrival.model_dump_json()) < (120_000 if arrival.decision else 6_000)


@given(inputs=st.lists(messages | values, max_size=2))
@settings(max_examples=100)
def test_an_invalid_request_is_refused_in_a_short_sentence(inputs: list[Any]) -> None:
    try:
        read_request(inputs)
    except RequestInvalid as error:
        assert len(str(error)) < 1_000  # noqa: PT017  most of these are refused; some are valid


def _has_revision(revision: int, status: Status) -> bool:
    return status.revision == revision


async def test_many_edits_with_long_comments_leave_a_run_that_can_be_shown(gate: Gate) -> None:
    """A status has to fit into one response; the trail has every comment in full."""
    status, edits = await gate.in_review("one"), 12
    for number in range(edits):
        comment = str(number) + "\x01" * (MAX_COMMENT - 2)
        answer = await gate.decide(
            status, "edit", by="rita", new_plan=notes(f"edit {number}"), comment=comment
        )
        assert answer.accepted, answer.reason
        workflow_id, has_it = status.workflow_id, partial(_has_revision, number + 2)
        status = await gate.until("in_review", workflow_id, has_it)
    assert len(status.model_dump_json()) < 250_000
    assert status.refusals_not_listed == edits - len(status.decisions) > 0
    assert status.decisions[-1].comment.startswith(str(edits - 1))
    written = [entry.written for entry in gate.api.trail(status.workflow_id)]
    assert sum("\\u0001" * 3_000 in one for one in written) == edits


async def test_a_run_whose_status_cannot_be_queried_is_shown_from_its_records(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = await gate.in_review("one")

    def too_large(*_: object, **__: object) -> None:
        raise ApplicationError("Blob data size exceeds limit.")

    monkeypatch.setattr("workflows.plan_approval.status_of", too_large)
    shown = await gate.api.status(status.workflow_id)
    assert (shown.state, shown.fingerprint) == ("in_review", status.fingerprint)
    assert shown.source != "workflow"
