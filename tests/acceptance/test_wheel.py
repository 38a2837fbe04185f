"""The wheel in an empty environment: the base package for auditors, the client for app developers."""

import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from uuid import uuid4
from zipfile import ZipFile

import httpx
import pytest

from plangate.settings import PROJECT
from plangate.temporal.dev_server import known_address
from tests.support.installed import Environment, install
from tests.support.program import Home, Typed
from tests.support.wait_limit import WAIT_LIMIT

HEAVY = ("temporalio", "sqlalchemy", "alembic", "structlog", "autogen_core", "openai", "yaml")
APPLICATION = ("workflows", "activities", "worker", "starter", "tests")
MAX_MEGABYTES = 55
DECIDE_SCRIPT = """
import asyncio, sys
from plangate.client import Choice, Client, Decision

async def main(run):
    async with await Client.connect() as client:
        while (status := await client.status(run)).state != "in_review":
            await asyncio.sleep(0.1)
        decision = Decision(decision=Choice.APPROVE, by="dana", plan=status.fingerprint)
        print((await client.decide(run, decision)).accepted)

asyncio.run(main(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def base(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return install(wheel, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="module")
def client(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return install(wheel, tmp_path_factory.mktemp("client"), "client")


def importable(environment: Environment, names: tuple[str, ...]) -> list[str]:
    script = f"from importlib.util import find_spec; print(*[n for n in {names} if find_spec(n)])"
    return environment.run("python", "-c", script).out.split()


def test_the_wheel_contains_all_files_of_the_package_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0].partition("-")[0] for name in names} == {"plangate"}
    kept = {
        str(path.relative_to(PROJECT))
        for path in (PROJECT / "plangate").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == kept
    assert "plangate/py.typed" in kept


def test_auditing_needs_only_the_base_package(
    base: Environment, plangate: Home, typing: Callable[[Home], Typed], mail_plan: Path, tmp_path: Path
) -> None:
    typed, name, bundle = typing(plangate), f"run-{uuid4().hex[:8]}", tmp_path / "bundle.json"
    fingerprint = typed(
        "start", "--plan", str(mail_plan), "--id", name, "--requester", "rita", "--json"
    ).json["fingerprint"]
    assert typed("approve", name, "--by", "dana", "--plan", fingerprint).code == 0
    assert typed("watch", name).code == 0
    assert typed("audit", "export", name, "--output", str(bundle)).code == 0
    sealer = next(word for word in typed("keys", "seal").out.split() if word.startswith("ed25519:"))

    assert importable(base, (*HEAVY, *APPLICATION)) == []
    assert base.megabytes <= MAX_MEGABYTES
    proved = base.run("plangate", "verify-bundle", str(bundle), "--sealer", sealer)
    assert (proved.code, proved.err) == (0, "")
    assert "Verified: the bundle is authentic." in proved.out
    assert base.run("plangate", "audit", "verify-bundle", str(bundle), "--sealer", sealer) == proved

    bundle.write_text(bundle.read_text().replace("ann@example.org", "eve@example.org"))
    changed = base.run("plangate", "verify-bundle", str(bundle), "--sealer", sealer)
    assert (changed.code, "The bundle is not valid" in changed.out) == (1, True)


@pytest.mark.parametrize("words", [("status", "x"), ("audit", "list"), ("approve", "x", "--by", "dana")])
def test_other_commands_of_the_base_package_report_the_missing_extra(
    base: Environment, words: tuple[str, ...]
) -> None:
    ended = base.run("plangate", *words)
    assert ended.code == 1
    assert "the extra 'client' of Plangate" in ended.sentence


def test_importing_the_client_from_the_base_package_reports_the_missing_extra(base: Environment) -> None:
    ended = base.run("python", "-c", "import plangate.client")
    assert ended.code == 1
    assert "ModuleNotFoundError: plangate.client needs the extra 'client' of Plangate" in ended.err


@pytest.mark.parametrize(("command", "extra"), [("serve", "web"), ("notify", "worker")])
def test_commands_report_the_extra_that_the_client_lacks(
    client: Environment, command: str, extra: str
) -> None:
    ended = client.run("plangate", command)
    assert (ended.code, f"the extra '{extra}' of Plangate" in ended.sentence) == (1, True), ended


def test_the_inbox_needs_only_its_extra(
    wheel: Path, plangate: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    web = install(wheel, tmp_path_factory.mktemp("web"), "web")
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    settings = {
        "TEMPORAL_ADDRESS": known_address(plangate.var_dir),
        "PLANGATE_VAR_DIR": str(plangate.var_dir),
        "PLANGATE_WEB_ADDRESS": address,
        "PLANGATE_WEB_URL": f"http://localhost:{address.rpartition(':')[2]}",
    }
    serving = subprocess.Popen(
        web.command("plangate", "serve"), cwd=web.folder, env=web.variables(settings), stderr=subprocess.PIPE
    )
    try:
        ends = monotonic() + WAIT_LIMIT
        while True:
            with suppress(httpx.TransportError):
                assert httpx.get(f"http://{address}/healthz").status_code == httpx.codes.OK
                break
            assert serving.poll() is None, serving.stderr.read() if serving.stderr else ""
            assert monotonic() < ends, "the inbox does not answer"
            sleep(0.1)
    finally:
        serving.kill()
        serving.communicate()


@pytest.mark.parametrize("command", ["demo", "tools"])
def test_commands_of_the_application_say_where_to_run_them(client: Environment, command: str) -> None:
    ended = client.run("plangate", command)
    assert (ended.code, "python starter.py" in ended.sentence) == (1, True)


def test_an_application_submits_and_awaits_a_plan_with_the_client(
    client: Environment, plangate: Home
) -> None:
    assert importable(client, ("alembic", "autogen_core", "openai", *APPLICATION)) == []
    settings = {
        "TEMPORAL_ADDRESS": known_address(plangate.var_dir),
        **{name: value for name, value in plangate.settings.items() if name == "PLANGATE_TASK_QUEUE"},
    }
    example = subprocess.Popen(
        client.command("python", str(PROJECT / "examples" / "submit_a_plan.py")),
        cwd=client.folder,
        env=client.variables(settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert example.stdout is not None
        run = example.stdout.readline().split()[0]
        decided = client.run("python", "-c", DECIDE_SCRIPT, run, changes=settings)
        assert (decided.out, decided.err) == ("True\n", "")
        out, err = example.communicate(timeout=WAIT_LIMIT)
    finally:
        example.kill()
    assert (out, err) == (f"{run} executed, approved by dana.\n", "")

    shown = client.run("plangate", "status", run, "--json", changes=settings)
    assert (shown.code, shown.json["state"]) == (0, "executed")
    again = client.run("plangate", "approve", run, "--by", "erin", "--plan", "0" * 12, changes=settings)
    assert (again.code, "has ended" in again.sentence) == (3, True)
