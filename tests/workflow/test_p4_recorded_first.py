"""P4: every proposal, decision and effect is on the audit trail before it has consequences."""

import asyncio
import json
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, update

from plangate.domain.errors import RecordsUnavailable
from plangate.domain.runs.audit import FIRST_HASH, Claimed, Decided, Drafted, Requested, StepDone
from plangate.domain.runs.fold import fold
from plangate.records.queries import pending_on_record, runs_on_record
from plangate.records.tables import audit_entries
from tests.support.audit_edits import disable_guards
from tests.support.gate import Gate
from tests.support.wait_limit import WAIT_LIMIT


async def test_the_trail_contains_the_whole_run_in_order_with_times_and_identities(gate: Gate) -> None:
    status = await gate.in_review("one", "two")
    await gate.signal(status)
    await gate.result(status.workflow_id)
    trail = gate.api.trail(status.workflow_id)
    assert [entry.event.kind for entry in trail] == [
        "requested", "drafted", "decided", "claimed", "done", "claimed", "done", "closed",
    ]  # fmt: skip
    assert [entry.number for entry in trail] == list(range(1, 9))
    assert [trail[0].actor, trail[2].actor] == ["rita", "dana"]
    assert all("@" in entry.actor for entry in trail if entry.actor not in ("rita", "dana"))
    assert all(entry.at.utcoffset() is not None for entry in trail)
    assert all(earlier.at <= later.at for earlier, later in pairwise(trail))


async def test_each_entry_is_linked_to_the_previous_one_by_its_hash(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.result(status.workflow_id)
    previous = FIRST_HASH
    for entry in gate.api.trail(status.workflow_id):
        assert entry.previous_hash == previous
        assert entry.hash == entry.expected_hash()
        previous = entry.hash


async def test_a_changed_entry_has_another_hash(gate: Gate) -> None:
    entry = gate.api.trail((await gate.in_review("one")).workflow_id)[1]
    for change in (
        {"number": 3},
        {"key": "drafted:2"},
        {"at": entry.at + timedelta(microseconds=1)},
        {"actor": "mallory"},
        {"written": entry.written.replace("one", "two")},
        {"previous_hash": FIRST_HASH},
        {"workflow_id": "another"},
    ):
        assert entry.model_copy(update=change).expected_hash() != entry.hash


async def test_a_field_of_a_newer_release_is_ignored_but_hashed(
    gate: Gate,
) -> None:
    status = await gate.in_review("one")
    with gate.database.write() as connection:
        disable_guards(connection)
        row = connection.execute(select(audit_entries).where(audit_entries.c.number == 1)).one()
        event = {**json.loads(row.event), "a_newer_field": 7}
        connection.execute(
            update(audit_entries).where(audit_entries.c.number == 1).values(event=json.dumps(event))
        )
    entry = gate.api.trail(status.workflow_id)[0]
    assert entry.event.kind == "requested"
    assert entry.expected_hash() != entry.hash  # it was edited; no part of the text is skipped


async def test_nothing_is_executed_under_a_changed_trail(gate: Gate) -> None:
    status = await gate.in_review("one", "two")
    with gate.database.write() as connection:
        disable_guards(connection)
        changed = update(audit_entries).where(audit_entries.c.number == 2)
        connection.execute(changed.values(actor="mallory"))
    await gate.signal(status)
    result = await gate.result(status.workflow_id)
    assert result.outcome == "failed"
    assert "entry 2: was changed" in result.reason
    assert f"audit verify {status.workflow_id}" in result.reason
    assert gate.notebook.texts() == []


async def test_a_run_with_an_unreadable_trail_does_not_hide_other_runs(gate: Gate) -> None:
    damaged, intact = await gate.in_review("one"), await gate.in_review("two")
    with gate.database.write() as connection:
        disable_guards(connection)
        of_damaged = update(audit_entries).where(audit_entries.c.workflow_id == damaged.workflow_id)
        connection.execute(of_damaged.values(event="gone"))
    pending = await asyncio.to_thread(pending_on_record, gate.database)
    assert [status.workflow_id for status in pending.runs] == [intact.workflow_id]
    assert set(pending.unread) == {damaged.workflow_id}
    listed = {run.workflow_id: run.state for run in runs_on_record(gate.database)}
    assert listed == {damaged.workflow_id: "damaged", intact.workflow_id: "in_review"}


async def test_refused_and_unreadable_decisions_are_on_the_trail_with_their_reasons(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.signal(status, by="rita")
    await gate.handle(status.workflow_id).signal("approve", "yes please")
    await gate.handle(status.workflow_id).signal("aprove", {"by": "dana", "plan": status.short_fingerprint})
    await gate.signal(status)
    await gate.result(status.workflow_id)
    decided = [
        entry.event for entry in gate.api.trail(status.workflow_id) if isinstance(entry.event, Decided)
    ]
    assert [event.verdict.accepted for event in decided] == [False, False, False, True]
    assert "another person must approve" in decided[0].verdict.reason
    assert "one JSON object" in decided[1].verdict.reason
    assert decided[1].arrival.excerpt == '"yes please"'
    assert "there is no signal called 'aprove'" in decided[2].verdict.reason


async def test_the_state_folded_from_the_trail_equals_the_state_of_the_workflow(gate: Gate) -> None:
    status = await gate.in_review(request="one\ntwo")
    await gate.decide(status, by="rita")
    await gate.decide(status, "request_changes", comment="three")
    second = await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)
    await gate.signal(second)
    await gate.result(status.workflow_id)
    shown = await gate.api.status(status.workflow_id)
    recorded = gate.recorded(status.workflow_id)
    assert recorded is not None
    assert recorded.model_copy(update={"source": "workflow"}) == shown


async def test_an_approval_and_a_claim_are_recorded_before_a_tool_acts(gate: Gate) -> None:
    gate.notebook.gate.clear()
    status = await gate.in_review("one")
    await gate.signal(status)
    await gate.notebook.entered.wait()
    kinds = [type(entry.event) for entry in gate.api.trail(status.workflow_id)]
    assert kinds == [Requested, Drafted, Decided, Claimed]
    gate.notebook.gate.set()
    await gate.result(status.workflow_id)
    assert isinstance(gate.api.trail(status.workflow_id)[4].event, StepDone)


async def test_the_request_is_recorded_before_the_planner_runs(gate: Gate) -> None:
    gate.planner.gate.clear()
    workflow_id = await gate.submit(request="one")
    async with asyncio.timeout(WAIT_LIMIT):
        while not gate.planner.briefs:
            await asyncio.sleep(0.02)
    assert [entry.event.kind for entry in gate.api.trail(workflow_id)] == ["requested"]
    gate.planner.gate.set()
    await gate.until("in_review", workflow_id)


async def test_only_recorded_plans_are_shown_for_review(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(**_: object) -> object:
        raise RecordsUnavailable("The records are unavailable.")

    write = gate.database.write
    monkeypatch.setattr(gate.database, "write", unavailable)
    workflow_id = await gate.submit("one")
    await asyncio.sleep(0.5)
    assert (await gate.api.status(workflow_id)).state == "drafting"
    monkeypatch.setattr(gate.database, "write", write)
    await gate.until("in_review", workflow_id)


async def test_an_update_returns_its_result_only_after_recording_it(gate: Gate) -> None:
    status = await gate.in_review("one")
    await gate.decide(status, by="rita")
    state = fold(status.workflow_id, (entry.event for entry in gate.api.trail(status.workflow_id)))
    assert [event.verdict.accepted for event in state.decisions] == [False]
