"""docker-compose.yml, the Dockerfile and deploy/ are consistent, and a worker runs in that environment.

No container engine is needed: the names in the files are checked, the scripts run against real servers, and
the worker is started from the files that the Dockerfile copies, with the variables of the compose file.
"""

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from aiosmtpd.smtp import SMTP, Envelope, Session
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.testing import WorkflowEnvironment

import tests.support.postgres
from plangate import __version__
from plangate.client import Client as PlangateClient
from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import RecordsUnavailable
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.status import Status
from plangate.records.database import Database
from plangate.settings import PROJECT, Settings
from plangate.temporal.connection import DATA_CONVERTER
from plangate.temporal.search_attributes import KEYS
from tests.support.postgres import PASSWORD, PostgresServer
from tests.support.server import TEMPORAL
from tests.support.wait_limit import WAIT_LIMIT
from worker import GRACE

VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
ENV_EXAMPLE = dict(
    line.split("=", 1) for line in (PROJECT / ".env.example").read_text().splitlines() if "=" in line[:40]
)
TEXT = (PROJECT / "docker-compose.yml").read_text()
DOCKERFILE = (PROJECT / "Dockerfile").read_text()
SCRIPTS = sorted((PROJECT / "deploy").rglob("*.sh"))
NUMERIC_ADDRESS = PROJECT / "deploy/temporal/numeric-address.sh"


def _value_of(match: re.Match[str]) -> str:
    name, kind, rest = match.groups()
    value = ENV_EXAMPLE.get(name, "")
    if kind == "?":
        assert value, f"{name} must be set, but .env.example does not set it"
    return value or (rest if kind == "-" else "")


def _resolved(value: Any) -> Any:
    """Put the example's values into the parsed file, as Compose does."""
    match value:
        case dict():
            return {name: _resolved(inner) for name, inner in value.items()}
        case list():
            return [_resolved(inner) for inner in value]
        case str():
            return VARIABLE.sub(_value_of, value)
        case _:
            return value


PARSED: dict[str, Any] = yaml.safe_load(TEXT)
COMPOSE: dict[str, Any] = _resolved(PARSED)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
IMAGES = [service["image"] for name, service in SERVICES.items() if name != "worker"]


def copied() -> list[str]:
    """The paths that the Dockerfile copies from the project."""
    return [
        source.rstrip("/")
        for line in re.findall(r"^COPY (.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]


# ---- names in the files ---------------------------------------------------------------------------


def test_each_dependency_exists_and_supports_its_condition() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            awaited = SERVICES[other]
            runs_once = awaited.get("restart", "").startswith("on-failure")
            expected = "service_completed_successfully" if runs_once else "service_healthy"
            assert how["condition"] == expected
            assert runs_once or "healthcheck" in awaited


def test_every_mount_has_a_file_or_a_volume() -> None:
    named = set()
    for service in SERVICES.values():
        for source, _, target in (mount.partition(":") for mount in service.get("volumes", [])):
            if source.startswith("."):
                assert (PROJECT / source).exists()
                assert target.endswith(":ro")
            else:
                named.add(source)
    assert named == set(COMPOSE["volumes"])


def test_every_image_is_pinned() -> None:
    base = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    for image in [*IMAGES, *base]:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-slim)?", image)
    assert SERVICES["worker"]["image"] == f"plangate:{__version__}"


def test_temporal_has_the_version_of_the_embedded_server() -> None:
    output = subprocess.run([TEMPORAL, "--version"], capture_output=True, text=True, check=True).stdout
    server, ui = re.findall(r"(?:Server|UI) (\d+\.\d+)", output)
    minor = {image.rpartition(":")[0]: image.rpartition(":")[2].rsplit(".", 1)[0] for image in IMAGES}
    assert minor["temporalio/server"] == minor["temporalio/admin-tools"] == server
    assert minor["temporalio/ui"] == ui


def test_every_port_listens_on_this_machine_only() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_example_lists_exactly_the_external_variables() -> None:
    assert {match[1] for match in VARIABLE.finditer(TEXT)} == set(ENV_EXAMPLE)


def test_no_password_is_in_the_file() -> None:
    secrets = {
        name: value
        for service in PARSED["services"].values()
        for name, value in service.get("environment", {}).items()
        if re.search(r"PASSWORD|PWD|KEY", name)
    }
    assert len(secrets) >= 5
    assert all(VARIABLE.fullmatch(value) for value in secrets.values())


def test_the_worker_gets_only_variables_that_are_read() -> None:
    environment = SERVICES["worker"]["environment"]
    known = {f"PLANGATE_{name.upper()}" for name in Settings.model_fields} | {
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "PLANGATE_MCP_CONFIG",
        "PLANGATE_MODEL_CONFIG",
        "PLANGATE_POLICY",
        "PLANGATE_PEOPLE",
    }
    temporal = {name: value for name, value in environment.items() if name.startswith("TEMPORAL_")}
    assert set(environment) - set(temporal) <= known
    read = ClientConfig.load_client_connect_config(disable_file=True, override_env_vars=temporal)
    assert {"target_host": read["target_host"], "namespace": read["namespace"]} == read
    assert len(read) == len(temporal)


def test_a_stopping_worker_has_enough_time() -> None:
    assert int(SERVICES["worker"]["stop_grace_period"].removesuffix("s")) > GRACE.total_seconds()


def test_the_image_contains_what_the_worker_needs_and_its_user_is_not_root() -> None:
    allowed = set(re.findall(r"^!(\S+)$", (PROJECT / ".dockerignore").read_text(), re.MULTILINE))
    assert set(copied()) == allowed
    assert all((PROJECT / source).exists() for source in copied())
    assert "--require-hashes -r requirements-tools.lock" in DOCKERFILE
    assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE) == ["plangate"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_every_script_runs_in_a_posix_shell(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)
    assert os.access(script, os.X_OK) == (script != NUMERIC_ADDRESS)  # which the other scripts source


def test_the_schemas_of_both_databases_are_set_up_and_then_updated(tmp_path: Path) -> None:
    service = SERVICES["temporal-schema"]
    tool = tmp_path / "temporal-sql-tool"
    tool.write_text('#!/bin/sh\necho "$*" >>"$CALLS"\n')
    tool.chmod(0o755)
    calls = tmp_path / "calls"
    environment = {
        **service["environment"],
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(calls),
    }
    _run(PROJECT / "deploy/temporal/set-up-schema.sh", environment)
    connection = "--plugin postgres12 --ep postgres -p 5432 -u temporal --db"
    schema = "/etc/temporal/schema/postgresql/v12"
    assert calls.read_text().splitlines() == [
        f"{connection} temporal setup-schema -v 0.0",
        f"{connection} temporal update-schema -d {schema}/temporal/versioned",
        f"{connection} temporal_visibility setup-schema -v 0.0",
        f"{connection} temporal_visibility update-schema -d {schema}/visibility/versioned",
    ]


ADDRESSES = {
    "192.0.2.7:7234": "192.0.2.7:7234",  # an address without a name
    "192.0.2.7": "192.0.2.7:7233",
    "[2001:db8::7]:7234": "[2001:db8::7]:7234",
    "[2001:db8::7]": "[2001:db8::7]:7233",
    "2001:db8::7": "[2001:db8::7]:7233",
    "::1": "[::1]:7233",
    "localhost:7234": "127.0.0.1:7234",
    "localhost": "127.0.0.1:7233",
}


@pytest.mark.parametrize("script", ["prepare-namespace.sh", "worker-is-polling.sh"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_server_is_found_by_every_kind_of_address(tmp_path: Path, script: str, address: str) -> None:
    temporal = tmp_path / "temporal"
    temporal.write_text(
        f'#!/bin/sh\necho "$TEMPORAL_ADDRESS $*" >>"$CALLS"\necho "1@{socket.gethostname()} "\n'
    )
    temporal.chmod(0o755)
    environment = {
        **_on_path(temporal),
        "CALLS": str(tmp_path / "calls"),
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": "default",
        "RETENTION": "1h",
    }
    _run(PROJECT / "deploy/temporal" / script, environment)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls
    assert all(ADDRESSES[address] in call for call in calls)


@pytest.mark.parametrize("script", ["prepare-namespace.sh", "worker-is-polling.sh"])
def test_an_unknown_name_is_reported_in_one_sentence(script: str) -> None:
    done = subprocess.run(
        ["sh", str(PROJECT / "deploy/temporal" / script)],
        env={"PATH": os.environ["PATH"], "TEMPORAL_ADDRESS": "no-such-host.invalid:7233"},
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_LIMIT,
    )
    assert done.returncode == 1
    assert "does not resolve to an address" in done.stderr


# ---- running processes -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fresh_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server as created by an image's entrypoint, here with LANG=C and only its superuser."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tests.support.postgres, "USER", "postgres")
        server = PostgresServer(encoding="SQL_ASCII")
        try:
            server.start()
            _run(
                PROJECT / "deploy/postgres/create-databases.sh",
                {
                    **SERVICES["postgres"]["environment"],
                    "PATH": f"{server.programs / 'bin'}{os.pathsep}{os.environ['PATH']}",
                    "PGHOST": "127.0.0.1",
                    "PGPORT": str(server.port),
                    "PGPASSWORD": PASSWORD,
                },
            )
            yield server
        finally:
            server.remove()


def test_every_database_stores_every_text_regardless_of_the_servers_encoding(
    fresh_postgres: PostgresServer,
) -> None:
    made = ("plangate", "temporal", "temporal_visibility")
    with fresh_postgres.connect("plangate") as connection:
        found = connection.execute(
            "SELECT datname, pg_encoding_to_char(encoding), datcollate FROM pg_database ORDER BY datname"
        ).fetchall()
    assert [row for row in found if row[0] in made] == [(name, "UTF8", "C") for name in made]


def test_neither_temporal_nor_plangate_can_open_the_others_database(fresh_postgres: PostgresServer) -> None:
    def opens(user: str, database: str) -> bool:
        password = ENV_EXAMPLE[f"{user.upper()}_DB_PASSWORD"]
        try:
            with psycopg.connect(
                host="127.0.0.1", port=fresh_postgres.port, user=user, password=password, dbname=database
            ) as connection:
                connection.execute("CREATE TABLE here (id int)")
                connection.rollback()
        except psycopg.OperationalError:
            return False
        return True

    can = {
        (user, database): opens(user, database)
        for user in ("temporal", "plangate")
        for database in ("temporal", "temporal_visibility", "plangate")
    }
    assert [key for key, opened in can.items() if opened] == [
        ("temporal", "temporal"),
        ("temporal", "temporal_visibility"),
        ("plangate", "plangate"),
    ]


def test_the_inbox_can_read_the_records_but_not_write_them(fresh_postgres: PostgresServer) -> None:
    owner, reader = (
        Database(
            f"postgresql://{user}:{ENV_EXAMPLE[f'{variable}_DB_PASSWORD']}"
            f"@127.0.0.1:{fresh_postgres.port}/plangate"
        )
        for user, variable in (("plangate", "PLANGATE"), ("plangate_web", "PLANGATE_WEB"))
    )
    owner.migrate()
    assert reader.installation == owner.installation
    with pytest.raises(RecordsUnavailable, match="does not accept writes"), reader.write():
        pass
    with psycopg.connect(
        host="127.0.0.1",
        port=fresh_postgres.port,
        user="plangate_web",
        password=ENV_EXAMPLE["PLANGATE_WEB_DB_PASSWORD"],
        dbname="plangate",
        autocommit=True,
    ) as connection:
        connection.execute(
            "SET default_transaction_read_only = off"
        )  # allowed, but gives it no right to write
        for statement in (
            "DELETE FROM runs",
            "CREATE TABLE here (id int)",
            "INSERT INTO rule_texts DEFAULT VALUES",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
    owner.close()
    reader.close()


async def test_the_namespace_is_created_with_its_search_attributes_and_again_without_an_error(
    env: WorkflowEnvironment,
) -> None:
    environment = {
        **SERVICES["temporal-namespace"]["environment"],
        **_on_path(TEMPORAL),
        "TEMPORAL_ADDRESS": _address(env),
        "TEMPORAL_NAMESPACE": "made-by-compose",
    }
    for _ in range(2):
        output = await asyncio.to_thread(_run, PROJECT / "deploy/temporal/prepare-namespace.sh", environment)
        assert output.endswith("The namespace made-by-compose is ready.\n")
    answer = await env.client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="made-by-compose")
    )
    assert {key.name for key in KEYS} == {name for name in answer.custom_attributes if "Plangate" in name}


async def test_a_worker_with_the_environment_of_the_file_sends_one_approved_mail(
    env: WorkflowEnvironment, fresh_postgres: PostgresServer, tmp_path: Path
) -> None:
    image = _image(tmp_path / "app")
    async with _mailpit() as (mail_port, mails):
        here = {
            "temporal:7233": _address(env),
            "@postgres:5432": f"@127.0.0.1:{fresh_postgres.port}",
            "mailpit:1025": f"127.0.0.1:{mail_port}",
        }
        given = {
            name: _with_local_addresses(value, here)
            for name, value in SERVICES["worker"]["environment"].items()
        }
        environment = {**given, **_on_path(TEMPORAL), "PLANGATE_VAR_DIR": str(tmp_path / "var")}
        async with _worker(image, environment) as process:
            # Like the image's HEALTHCHECK, from the same folder.
            await asyncio.to_thread(_run, Path("deploy/temporal/worker-is-polling.sh"), environment, image)
            client = await Client.connect(_address(env), data_converter=DATA_CONVERTER)
            api = PlangateClient(client, Settings().task_queue, None)
            plan = {
                "summary": "Say hello",
                "steps": [
                    {
                        "tool": "send_email",
                        "arguments": {
                            "to": ["dana@example.org"],
                            "subject": "Hello",
                            "body": "From compose.",
                        },
                    }
                ],
            }
            workflow_id = await api.submit(PlanRequest(requester="rita", plan=plan))
            status = await _in_review(api, workflow_id)
            decision = Decision(decision=Choice.APPROVE, by="dana", plan=status.fingerprint or "")
            answer = await api.decide(workflow_id, decision)
            assert answer is not None
            assert answer.accepted
            assert (await api.wait(workflow_id)).outcome == "executed"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), WAIT_LIMIT) == 0
    (mail,) = mails
    assert isinstance(mail.content, bytes)
    assert message_from_bytes(mail.content)["Subject"] == "Hello"
    assert message_from_bytes(mail.content)["From"] == given["PLANGATE_MAIL_FROM"]


def _run(script: Path, environment: dict[str, str], folder: Path = PROJECT) -> str:
    done = subprocess.run(
        ["sh", str(script)],
        env={"PATH": os.environ["PATH"], **environment},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT_LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _image(folder: Path) -> Path:
    """Create a folder with only the files that the Dockerfile copies."""
    for source in copied():
        target = folder / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT / source).is_dir():
            shutil.copytree(PROJECT / source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT / source, target)
    return folder


def _with_local_addresses(value: str, here: dict[str, str]) -> str:
    """Replace the names that only the containers' network resolves."""
    for name, address in here.items():
        value = value.replace(name, address)
    return value


def _on_path(program: Path) -> dict[str, str]:
    return {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


def _address(env: WorkflowEnvironment) -> str:
    return env.client.service_client.config.target_host


@asynccontextmanager
async def _worker(folder: Path, environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the image's command for the duration of the block, which starts when the worker is ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "worker.py", cwd=folder, env=environment, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    lines: list[str] = []
    try:
        async with asyncio.timeout(WAIT_LIMIT):
            while not lines or json.loads(lines[-1])["action"] != "ready":
                line = await process.stderr.readline()
                assert line, "\n".join(lines)
                lines.append(line.decode())
        draining = asyncio.create_task(process.stderr.read())
        yield process
        await draining
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def _mailpit() -> AsyncIterator[tuple[int, list[Envelope]]]:
    """A real mail server in place of the mail catcher."""
    mails: list[Envelope] = []

    class Handler:
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
            mails.append(envelope)
            return "250 caught"

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Handler(), hostname="mail.test"), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], mails
    finally:
        server.close()
        await server.wait_closed()


async def _in_review(api: PlangateClient, workflow_id: str) -> Status:
    async with asyncio.timeout(WAIT_LIMIT):
        while (status := await api.status(workflow_id)).state != "in_review":
            await asyncio.sleep(0.05)
        return status
