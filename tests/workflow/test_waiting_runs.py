"""Pages of waiting runs: the records list them, and Temporal reports whether they are open."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import update

from plangate.client import Client, ListIncomplete
from plangate.client import waiting_runs as waiting
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.run import Phase
from plangate.records.lists import WAITING, Sort
from plangate.records.tables import runs
from plangate.temporal.search_attributes import KEYS, PLANGATE_STATE
from tests.support.fakes import notes
from tests.support.gate import Gate
from tests.support.program import Home
from tests.support.wait_limit import WAIT_LIMIT
from tests.support.waiting_runs import put_waiting
from tests.workflow.test_search_attributes import plain_gate

ODD_IDS = ['a "quoted" id', "b's id \\ with a backslash", "c', d) OR WorkflowId != 'x", "d 東京 é"]


async def page(api: Client, *, skip: int = 0, limit: int | None = 2) -> list[str]:
    wanted = WAITING.model_copy(update={"sort": Sort.ID, "skip": skip, "limit": limit})
    return [status.workflow_id for status in await api.pending(wanted)]


async def until_paged(api: Client, expected: Sequence[str]) -> None:
    """Wait until a page has the runs; lists lag by up to a second."""
    async with asyncio.timeout(WAIT_LIMIT):
        while await page(api) != expected:
            await asyncio.sleep(0.05)


async def start(gate: Gate, workflow_id: str) -> None:
    await gate.api.submit(PlanRequest(requester="rita", plan=notes(workflow_id)), workflow_id)


async def test_a_page_is_found_without_reading_the_whole_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with plain_gate(tmp_path, *(f"{key.name}=Keyword" for key in KEYS)) as gate, gate.worker():
        for workflow_id in ODD_IDS:
            await start(gate, workflow_id)
            await gate.until("in_review", workflow_id)
        await until_paged(gate.api, ODD_IDS[:2])
        in_review = f"{PLANGATE_STATE.name} = 'in_review'"
        async with asyncio.timeout(WAIT_LIMIT):
            while (await gate.client.count_workflows(in_review)).count != len(ODD_IDS):
                await asyncio.sleep(0.05)
        monkeypatch.delattr(waiting, "_all_open")
        assert await page(gate.api) == ODD_IDS[:2]
        assert await page(gate.api, skip=2) == ODD_IDS[2:]


async def test_pages_omit_runs_ended_in_temporal_and_include_runs_without_records_here(
    tmp_path: Path,
) -> None:
    async with plain_gate(tmp_path, *(f"{key.name}=Keyword" for key in KEYS)) as gate, gate.worker():
        elsewhere = Client(gate.client, gate.settings.task_queue, None)
        for workflow_id in ("a", "b", "c"):
            await start(gate, workflow_id)
            await gate.until("in_review", workflow_id)
        await gate.handle("b").terminate("by hand")
        for api in (gate.api, elsewhere):
            await until_paged(api, ["a", "c"])
            assert await page(api, limit=None) == ["a", "c"]


async def test_a_run_is_listed_though_its_plan_is_missing_in_restored_records(tmp_path: Path) -> None:
    async with plain_gate(tmp_path, *(f"{key.name}=Keyword" for key in KEYS)) as gate, gate.worker():
        for workflow_id in ("a", "b"):
            await start(gate, workflow_id)
            await gate.until("in_review", workflow_id)
        with gate.database.write() as connection:  # as in a backup from while "a" was drafted
            older = {"state": Phase.DRAFTING, "deadline": None}
            connection.execute(update(runs).where(runs.c.workflow_id == "a").values(**older))
        await until_paged(gate.api, ["a", "b"])


async def test_a_recorded_plan_is_listed_before_its_run_has_it(tmp_path: Path) -> None:
    async with plain_gate(tmp_path, *(f"{key.name}=Keyword" for key in KEYS)) as gate:
        await start(gate, "w-00000")  # no worker takes it: in Temporal, it is still drafting
        put_waiting(gate.database, 1)
        await until_paged(gate.api, ["w-00000"])


async def test_open_runs_whose_status_cannot_be_read_are_listed(tmp_path: Path) -> None:
    async with plain_gate(tmp_path, *(f"{key.name}=Keyword" for key in KEYS)) as gate:
        async with gate.worker():
            for workflow_id in ("a", "b", "c"):
                await start(gate, workflow_id)
                await gate.until("in_review", workflow_id)
            await until_paged(gate.api, ["a", "b"])
        assert await page(gate.api, limit=None) == ["a", "b", "c"]
        elsewhere = Client(gate.client, gate.settings.task_queue, None)
        waiting = await elsewhere.waiting()
        assert (waiting.found, set(waiting.unread)) == ((), {"a", "b", "c"})
        theirs = await elsewhere.waiting(WAITING.model_copy(update={"requester": "hugo"}))
        assert not theirs.unread, "Temporal knows the requester"
        said = (
            "The status of 3 open runs cannot be read, so they may wait for a person: a, b, c. "
            "No worker responds for a, and there are no records of it here; start a worker."
        )
        with pytest.raises(ListIncomplete) as incomplete:
            await elsewhere.pending()
        assert str(incomplete.value) == said

        address = gate.client.service_client.config.target_host
        settings = {"TEMPORAL_ADDRESS": address, "PLANGATE_TASK_QUEUE": gate.settings.task_queue}
        home = Home(tmp_path / "elsewhere", {"TEMPORAL_CONFIG_FILE": "/dev/null", **settings})
        listed, as_json = await asyncio.gather(
            asyncio.to_thread(home.forked, "pending"), asyncio.to_thread(home.forked, "pending", "--json")
        )
    assert (listed.code, listed.out.splitlines()[-1]) == (1, said)
    assert "No run waits" not in listed.out
    assert (as_json.code, as_json.sentence) == (1, said)
    assert (as_json.json["error"], as_json.json["waiting"]) == (said, [])
    assert [one["workflow_id"] for one in as_json.json["unread"]] == ["a", "b", "c"]
