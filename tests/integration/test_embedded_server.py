"""The embedded server, with the real program: found, reused, restarted, and stopped by its last user."""

import asyncio
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.worker import Worker

from plangate.domain.errors import OperatorError, TemporalUnreachable
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.dev_server import EmbeddedServer
from plangate.temporal.dev_server_files import ServerFiles, ServerState, until
from plangate.temporal.search_attributes import KEYS, ensure_search_attributes
from tests.integration.chain_workflow import Chain, link
from tests.support.wait_limit import WAIT_LIMIT

FIRST_PORT = 27233  # not the port of a developer's own server


@pytest.fixture
async def var_dir(tmp_path):
    yield tmp_path / "var"
    server = embedded_server.running(tmp_path / "var")
    if server:
        os.kill(server.pid, signal.SIGKILL)  # a graceful shutdown takes a second


async def start(var_dir: Path) -> EmbeddedServer:
    return await embedded_server.ensure_running(var_dir, first_port=FIRST_PORT)


async def kill_9(var_dir: Path, server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    assert await until(lambda: embedded_server.running(var_dir) is None, WAIT_LIMIT)


async def test_a_running_server_is_reused_and_stopped_once(var_dir):
    assert embedded_server.running(var_dir) is None
    assert not await embedded_server.stop(var_dir)

    first = await start(var_dir)
    second = await start(var_dir)

    assert first.started_by_us
    assert not second.started_by_us
    assert (first.pid, first.address, first.ui_url) == (second.pid, second.address, second.ui_url)
    assert await embedded_server.stop(var_dir)
    assert embedded_server.running(var_dir) is None
    assert not await embedded_server.stop(var_dir)


async def test_after_a_kill_9_no_run_is_lost_and_no_address_changes(var_dir):
    before = await start(var_dir)
    client = await Client.connect(before.address)
    handle = await client.start_workflow("NoWorker", id="waits", task_queue="no-worker")

    await kill_9(var_dir, before)
    after = await start(var_dir)

    assert after.started_by_us
    assert after.pid != before.pid
    assert (after.address, after.ui_url) == (before.address, before.ui_url)
    description = await handle.describe(rpc_timeout=timedelta(seconds=5))
    assert description.status is WorkflowExecutionStatus.RUNNING


async def test_the_supervisor_restarts_it_until_it_is_stopped_explicitly(var_dir):
    before = await start(var_dir)
    supervisor = asyncio.create_task(embedded_server.keep_running(var_dir))
    await kill_9(var_dir, before)

    assert await until(lambda: embedded_server.running(var_dir) is not None, WAIT_LIMIT)
    after = await start(var_dir)  # waits until it responds
    assert not after.started_by_us
    assert after.address == before.address

    await embedded_server.stop(var_dir)
    await asyncio.wait_for(supervisor, WAIT_LIMIT)
    assert embedded_server.running(var_dir) is None


async def test_the_last_user_stops_the_server(var_dir):
    first = await embedded_server.take_lease(var_dir)
    await start(var_dir)
    second = await embedded_server.take_lease(var_dir)

    assert not await embedded_server.release_lease(first)
    assert embedded_server.running(var_dir)
    assert await embedded_server.release_lease(second)
    assert embedded_server.running(var_dir) is None


async def test_the_server_of_a_killed_process_is_reused_and_stopped_by_the_next(var_dir):
    script = (
        "import asyncio, os, signal, sys; from pathlib import Path\n"
        "from plangate.temporal import dev_server as e\n"
        "async def main():\n"
        f"    async with e.leased(Path(sys.argv[1]), first_port={FIRST_PORT}):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", script, str(var_dir))
    assert await killed.wait() == -signal.SIGKILL

    assert embedded_server.running(var_dir)
    async with embedded_server.leased(var_dir) as server:
        assert not server.started_by_us
    assert embedded_server.running(var_dir) is None


async def test_two_concurrent_starts_start_one_server(var_dir):
    script = (
        "import asyncio, sys; from pathlib import Path; from plangate.temporal import dev_server as e\n"
        f"server = asyncio.run(e.ensure_running(Path(sys.argv[1]), first_port={FIRST_PORT}))\n"
        "print(server.pid, server.started_by_us)\n"
    )
    both = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(var_dir), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    # If the server kept our pipe open, this would hang: communicate() returns when the last writer closes it.
    answers = [await asyncio.wait_for(process.communicate(), WAIT_LIMIT) for process in both]

    output = sorted(out.decode().split() for out, _ in answers)
    assert [err for _, err in answers] == [b"", b""]
    assert output[0][0] == output[1][0]
    assert sorted(started for _, started in output) == ["False", "True"]


async def test_a_port_in_use_is_skipped(var_dir):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        server = await embedded_server.ensure_running(var_dir, first_port=taken)

    assert taken < int(server.address.partition(":")[2])


async def test_the_supervisor_waits_for_ports_in_use(var_dir):
    files = ServerFiles(var_dir)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        files.make_directory()
        files.write_state(ServerState(port=port, ui_port=port + 1, http_port=port + 2))

        with pytest.raises(TemporalUnreachable, match="address already in use"):
            await embedded_server._start(files, first_port=None)  # noqa: SLF001  the supervisor's only attempt


async def test_a_server_that_hangs_is_replaced(var_dir, monkeypatch):
    monkeypatch.setattr(embedded_server, "_RESPONSE_SECONDS", 0.2)
    monkeypatch.setattr(embedded_server, "_REQUEST_SECONDS", 0.2)
    before = await start(var_dir)
    monkeypatch.setattr(embedded_server, "_END_SECONDS", 0.2)
    os.kill(before.pid, signal.SIGSTOP)
    state = ServerFiles(var_dir).read_state()
    assert state
    responds = embedded_server._namespace_responds  # noqa: SLF001  the check that start() makes
    assert await until(lambda: not responds(state.http_port), WAIT_LIMIT)

    after = await start(var_dir)

    assert after.started_by_us
    assert after.pid != before.pid


async def test_the_search_attributes_exist_with_the_right_types(var_dir):
    client = await Client.connect((await start(var_dir)).address)

    assert await ensure_search_attributes(client, "default") is None


async def test_a_search_attribute_of_another_type_is_reported(var_dir, monkeypatch):
    monkeypatch.setattr(embedded_server, "KEYS", ())
    client = await Client.connect((await start(var_dir)).address)
    wrong = {KEYS[0].name: IndexedValueType.INDEXED_VALUE_TYPE_INT}
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace="default", search_attributes=wrong)
    )

    problem = await ensure_search_attributes(client, "default")

    assert problem == (
        "The search attribute PlangateState is of type Int in the namespace default; "
        "remove it and register it as Keyword."
    )


async def test_a_server_that_cannot_start_is_reported_with_its_last_output(var_dir):
    var_dir.mkdir()
    (var_dir / "temporal.db").write_text("this text file is not a database")

    with pytest.raises(
        TemporalUnreachable, match=r"did not start: .*file is not a database.*\(its log: .*\)\.$"
    ):
        await start(var_dir)


async def test_a_partly_created_database_is_created_again(var_dir):
    var_dir.mkdir()
    with closing(sqlite3.connect(var_dir / "temporal.db")) as database:
        database.execute("CREATE TABLE namespaces (id INT)")

    await start(var_dir)

    assert (var_dir / "temporal.db.unfinished").exists()


async def test_a_database_with_a_run_is_never_moved(var_dir):
    files = ServerFiles(var_dir)
    server = await start(var_dir)
    client = await Client.connect(server.address)
    await client.start_workflow("NoWorker", id="waits", task_queue="no-worker")
    await kill_9(var_dir, server)

    assert not files.move_incomplete_database()
    assert files.database.exists()


async def test_a_path_may_contain_any_character(var_dir):
    odd = var_dir / "a b#c?d%41"
    server = await start(odd)
    os.kill(server.pid, signal.SIGKILL)

    assert (odd / "temporal.db").exists()


async def test_a_missing_program_is_reported_with_instructions(var_dir, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(var_dir / "python"))
    monkeypatch.setenv("PATH", str(var_dir))

    with pytest.raises(OperatorError, match="run make install"):
        await start(var_dir)


async def test_a_directory_that_cannot_be_created_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OperatorError, match="cannot be created"):
        await start(tmp_path / "file" / "var")


async def test_a_lease_that_cannot_be_used_is_reported_in_one_sentence(var_dir):
    lease = var_dir / "embedded-server.lease"
    lease.mkdir(parents=True)
    with pytest.raises(OperatorError) as raised:
        await embedded_server.take_lease(var_dir)
    assert str(raised.value) == (
        f"The lock file {lease} cannot be used: Is a directory; make its folder writable, or set "
        "PLANGATE_VAR_DIR."
    )


async def test_the_command_line_reports_each_event_in_one_sentence(var_dir, monkeypatch):
    monkeypatch.setenv("PLANGATE_VAR_DIR", str(var_dir))

    async def run(command: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "plangate.temporal.dev_server", command),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        out, _ = await asyncio.wait_for(process.communicate(), WAIT_LIMIT)
        return process.returncode, out.decode()

    assert await run("status") == (0, "No embedded Temporal server is running.\n")
    code, output = await run("start")
    assert code == 0
    assert output.startswith("The embedded Temporal server is running at 127.0.0.1:")
    code, output = await run("status")
    server = embedded_server.running(var_dir)
    assert server
    assert f"(process {server.pid})" in output
    assert await run("stop") == (
        0,
        "The embedded Temporal server was stopped; a worker that make worker started stops too.\n",
    )


async def test_the_setting_for_consecutive_work_limits_how_often_the_server_polls(var_dir, monkeypatch):
    """The server silently accepts any setting name, so only the effect shows that the name is correct.

    With a limit of two polls a second, the chain's 11 tasks take about five seconds on any machine; with the
    default of 20 polls, they take half a second.
    """
    real = embedded_server._arguments  # noqa: SLF001  the command line of the server

    def slower(*given: Any) -> list[str]:
        arguments = real(*given)
        (setting,) = [one for one in arguments if one.endswith("MaxPollRPS=1000")]
        return [one.replace("=1000", "=2") if one == setting else one for one in arguments]

    monkeypatch.setattr(embedded_server, "_arguments", slower)
    server = await start(var_dir)
    client = await Client.connect(server.address)
    async with Worker(
        client,
        task_queue="chain",
        workflows=[Chain],
        activities=[link],
        disable_eager_activity_execution=True,
    ):
        begun = time.monotonic()
        await client.execute_workflow(Chain.run, 5, id="chain", task_queue="chain")
        assert time.monotonic() - begun > 3
