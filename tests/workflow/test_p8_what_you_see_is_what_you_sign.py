"""P8: a terminal shows an approver exactly what runs, whichever worker responds."""

import asyncio
import os
import shlex
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from temporalio import activity, workflow
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from plangate.domain.errors import ListIncomplete, StatusContradicts
from plangate.domain.plans.plan import Plan
from plangate.domain.runs.status import Status, StepStatus
from plangate.records.tables import audit_entries
from plangate.settings import PROJECT
from tests.support.audit_edits import disable_guards
from tests.support.fakes import notes
from tests.support.gate import Gate, build_gate
from tests.support.program import Home
from tests.support.record_writer import run_ref, write_down
from tests.support.wait_limit import WAIT_LIMIT
from workflows.plan_approval import PlanApproval

HARMLESS = Plan.model_validate(
    {"summary": "Say hello", "steps": [{"tool": "note", "arguments": {"text": "hello"}}]}
)


def harmless(status: Status) -> Status:
    """Return the status that an attacker presents: a harmless plan under the same fingerprint."""
    step = HARMLESS.steps[0]
    shown = status.steps[0].model_copy(update={"arguments": step.arguments, "why": step.reason})
    return status.model_copy(update={"plan": HARMLESS, "steps": (shown,)})


def harmless_steps(status: Status) -> Status:
    """Return the real plan, with other steps below it."""
    shown = status.steps[0].model_copy(update={"arguments": {"text": "hello"}})
    return status.model_copy(update={"steps": (shown,)})


def another_run(status: Status) -> Status:
    return status.model_copy(update={"workflow_id": "another-run"})


def more_steps(status: Status) -> Status:
    more = status.steps[0].model_copy(update={"number": 2})
    steps: tuple[StepStatus, ...] = (*status.steps, more)
    return status.model_copy(update={"steps": steps})


def another_preview(status: Status) -> Status:
    shown = status.steps[0].model_copy(update={"preview": "Write a harmless note"})
    return status.model_copy(update={"steps": (shown,)})


def another_observation(status: Status) -> Status:
    shown = status.steps[0].model_copy(update={"observation": {"status": "paid"}})
    return status.model_copy(update={"steps": (shown,)})


def an_editor(status: Status) -> Status:
    return status.model_copy(update={"author": "dana", "authors": ("dana",)})


FORGERIES: tuple[Callable[[Status], Status], ...] = (
    harmless,
    harmless_steps,
    another_run,
    more_steps,
    another_preview,
    another_observation,
    an_editor,
)


@workflow.defn(name="PlanApproval", sandboxed=False)
class Impostor(PlanApproval):
    """An attacker's worker: it behaves like Plangate's, but returns a forged status."""

    forge: Callable[[Status], Status] = staticmethod(harmless)

    @workflow.run
    async def run(self, request: Any = None, *more: Any) -> Any:
        return await super().run(request, *more)

    @workflow.query
    def status(self) -> Status:
        return type(self).forge(super().status())


@activity.defn(name="draft_at_once")
async def _never(task: Any) -> None:
    """Stand in for the activity in the history, which does not run again."""
    raise AssertionError(task)


@asynccontextmanager
async def impostor(gate: Gate, forge: Callable[[Status], Status]) -> AsyncIterator[None]:
    Impostor.forge = staticmethod(forge)
    async with Worker(
        gate.client,
        task_queue=gate.settings.task_queue,
        workflows=[Impostor],
        activities=[_never],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield


@pytest.mark.parametrize("forge", FORGERIES)
async def test_a_plan_forged_by_a_worker_is_not_shown(
    idle_gate: Gate, forge: Callable[[Status], Status]
) -> None:
    async with idle_gate.worker():
        honest = await idle_gate.in_review("transfer everything")

    async def look() -> None:
        while True:  # while the worker does not respond, the status comes from the records, and is correct
            shown = await idle_gate.api.status(honest.workflow_id)
            assert (shown.plan, shown.steps) == (honest.plan, honest.steps)

    async with impostor(idle_gate, forge), asyncio.timeout(WAIT_LIMIT):
        with pytest.raises(StatusContradicts, match="not shown, because its parts contradict each other"):
            await look()
    async with idle_gate.worker():
        assert (await idle_gate.until("in_review", honest.workflow_id)).plan == honest.plan


async def test_the_record_and_the_run_show_the_same_changes_of_an_edit(idle_gate: Gate) -> None:
    async with idle_gate.worker():
        first = await idle_gate.in_review("transfer everything")
        answer = await idle_gate.decide(first, "edit", new_plan=notes("transfer half"))
        assert answer.accepted, answer
        second = await idle_gate.until("in_review", first.workflow_id, lambda status: status.revision == 2)
    assert second.source == "workflow"
    assert (second.author, second.authors) == ("dana", ("dana",))
    assert second.previous is not None
    assert (second.previous.plan, second.previous.fingerprint) == (first.plan, first.fingerprint)
    assert idle_gate.recorded(first.workflow_id) == second.model_copy(update={"source": "records"})


async def test_a_plan_that_was_changed_in_the_database_is_not_shown(idle_gate: Gate) -> None:
    async with idle_gate.worker():
        honest = await idle_gate.in_review("transfer everything")
    with idle_gate.database.write() as connection:
        disable_guards(connection)
        drafted = audit_entries.c.workflow_id == honest.workflow_id, audit_entries.c.kind == "drafted"
        written = connection.scalars(select(audit_entries.c.event).where(*drafted)).one()
        changed = written.replace("transfer everything", "say hello to all")
        connection.execute(update(audit_entries).where(*drafted).values(event=changed))
    with pytest.raises(StatusContradicts, match="has the fingerprint"):
        await idle_gate.api.status(honest.workflow_id)
    with pytest.raises(ListIncomplete) as incomplete:
        await idle_gate.api.pending()
    assert "has the fingerprint" in str(incomplete.value.unread[honest.workflow_id])
    without_server = Home(
        idle_gate.settings.var_dir, {"TEMPORAL_ADDRESS": "127.0.0.1:1", "PLANGATE_KEYS_DIR": "keys"}
    )
    for options in ((), ("--json",)):
        ended = await asyncio.to_thread(without_server.forked, "status", honest.workflow_id, *options)
        assert (ended.code, "has the fingerprint" in ended.err) == (3, True), ended
        assert "hello" not in ended.out
    for options in ((), ("--json",)):
        ended = await asyncio.to_thread(without_server.forked, "pending", *options)
        assert (ended.code, "left out of the list" in ended.err) == (1, True), ended
        assert "The status of 1 open run cannot be read, so it may wait for a person" in ended.out
        assert "No run waits" not in ended.out
        assert "hello" not in ended.out


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with dana's key."""
    folder = tmp_path_factory.mktemp("dana")
    made = Home(folder / "var", {"PLANGATE_KEYS_DIR": str(folder / "keys")}).starter("keys", "new", "dana")
    assert made.code == 0, made.err
    return folder / "keys"


def a_terminal_of(gate: Gate, keys: Path) -> Home:
    """A person's machine: it reaches the server, but has neither the records nor a worker."""
    at = gate.client.service_client.config.target_host
    return Home(
        gate.settings.var_dir / "theirs",
        {
            "TEMPORAL_ADDRESS": at,
            "PLANGATE_TASK_QUEUE": gate.settings.task_queue,
            "PLANGATE_KEYS_DIR": str(keys),
        },
    )


@pytest.mark.parametrize(
    "words",
    [
        ("status", "ID"),
        ("status", "ID", "--json"),
        ("watch", "ID"),
        ("approve", "ID", "--by", "dana", "--plan", "FINGERPRINT"),
        ("sign", "ID", "approve", "--by", "dana", "--plan", "FINGERPRINT"),
    ],
)
async def test_no_command_shows_or_signs_what_a_forging_worker_returns(
    idle_gate: Gate, keys: Path, words: tuple[str, ...]
) -> None:
    async with idle_gate.worker():
        honest = await idle_gate.in_review("transfer everything")
    home = a_terminal_of(idle_gate, keys)
    names = {"ID": honest.workflow_id, "FINGERPRINT": honest.fingerprint or ""}
    async with impostor(idle_gate, harmless):
        ended = await asyncio.to_thread(home.forked, *(names.get(word, word) for word in words))
    assert ended.code == 3, ended
    assert "its parts contradict each other" in ended.sentence
    assert "hello" not in ended.out
    assert "signature" not in ended.out
    async with idle_gate.worker():
        assert (await idle_gate.api.status(honest.workflow_id)).decisions == ()


async def test_a_key_signs_no_plan_identified_by_a_prefix_of_its_fingerprint(
    idle_gate: Gate, keys: Path
) -> None:
    """Two fingerprints may share a prefix; the approver saw one plan, and signs its full fingerprint."""
    async with idle_gate.worker():
        honest = await idle_gate.in_review("transfer everything")
        home = a_terminal_of(idle_gate, keys)
        for words in (("approve", honest.workflow_id), ("sign", honest.workflow_id, "approve")):
            short = (*words, "--by", "dana", "--plan", honest.short_fingerprint or "")
            refused = await asyncio.to_thread(home.forked, *short)
            assert (refused.code, "covers the whole plan: give all 64 digits" in refused.sentence) == (
                2,
                True,
            )
        assert (await idle_gate.api.status(honest.workflow_id)).decisions == ()
        whole = ("approve", honest.workflow_id, "--by", "dana", "--plan", honest.fingerprint or "")
        signing = ("sign", honest.workflow_id, "approve", *whole[2:])
        signed = await asyncio.to_thread(home.forked, *signing, changes={"PATH": os.defpath})
        program, *rest = shlex.split(signed.err.splitlines()[-1])
        assert rest[:2] == ["workflow", "signal"]
        assert os.access(PROJECT / program, os.X_OK)  # where `temporal` alone would not be found
        accepted = await asyncio.to_thread(home.forked, *whole)
        assert accepted.code == 0, accepted.err


async def test_a_plan_of_another_installation_is_not_shown_with_the_records_of_the_run(
    idle_gate: Gate, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = build_gate(idle_gate.server, tmp_path / "other", idle_gate.settings.task_queue)
    async with idle_gate.worker():
        honest = await idle_gate.in_review("transfer everything")
        shown = await other.api.status(honest.workflow_id)
        assert shown == honest.model_copy(update={"duplicates_now": None})  # from records without this run
        write_down(other.database, run_ref(honest.workflow_id))
        with pytest.raises(StatusContradicts, match="was made for the installation"):
            await other.api.status(honest.workflow_id)
    other.database.close()
