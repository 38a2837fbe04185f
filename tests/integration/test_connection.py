"""The connection to Temporal: its address settings, and a one-sentence error for each failure."""

import asyncio
import os
import signal
import socket
from contextlib import asynccontextmanager

import pytest
from temporalio.testing import WorkflowEnvironment

from plangate.cli.environment import access_of
from plangate.client import Client
from plangate.domain.errors import SettingsInvalid, TemporalUnreachable
from plangate.records.lists import Wanted
from plangate.settings import Settings
from plangate.temporal import connection
from plangate.temporal import dev_server as embedded_server
from plangate.temporal.connection import address_of, cli_flags, connect
from tests.support.grpc_stub import OK, UNAVAILABLE, refusing
from tests.support.wait_limit import WAIT_LIMIT

FIRST_PORT = 10_000 + os.getpid() % 20_000  # of this process, because one test uses the port of another


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch, tmp_path):
    """A machine without any settings."""
    for name in ("ADDRESS", "NAMESPACE", "PROFILE", "API_KEY", "TLS"):
        monkeypatch.delenv(f"TEMPORAL_{name}", raising=False)
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "none.toml"))


@pytest.fixture
def settings(tmp_path):
    return Settings(var_dir=tmp_path / "var")


@pytest.fixture
def address(env: WorkflowEnvironment, monkeypatch):
    """A real server, set by an environment variable."""
    address = env.client.service_client.config.target_host
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)
    return address


@pytest.fixture
def profile(tmp_path, monkeypatch):
    def write(text: str) -> None:
        (tmp_path / "temporal.toml").write_text(text)
        monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(tmp_path / "temporal.toml"))

    return write


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def answering(answer: bytes | None):
    """A program that is not a Temporal server: it sends this text and disconnects, or never responds."""
    ended = asyncio.Event()

    async def handle(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is None:
            await ended.wait()
        else:
            writer.write(answer)
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        ended.set()


@pytest.mark.usefixtures("address")
async def test_a_reachable_server_is_used_under_the_configured_identity(settings):
    client = await connect(settings, identity="worker-1")

    assert client.identity == "worker-1"
    assert client.namespace == "default"
    assert await client.service_client.check_health()
    assert client.data_converter is connection.DATA_CONVERTER


async def test_an_unreachable_server_is_reported_with_instructions(settings, monkeypatch):
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("TEMPORAL_ADDRESS", address)

    with pytest.raises(TemporalUnreachable) as caught:
        await connect(settings)

    assert str(caught.value) == (
        f"The Temporal server at {address} cannot be used: nothing is listening there; "
        "start one with make worker, or set TEMPORAL_ADDRESS."
    )


@pytest.mark.parametrize(
    ("answer", "seconds", "sentence"),
    [
        (None, 0.5, r"did not respond within 0\.5 s"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", WAIT_LIMIT, "it is not a Temporal server"),
    ],
)
async def test_another_program_on_the_port_is_reported(settings, monkeypatch, answer, seconds, sentence):
    monkeypatch.setattr(connection, "_SECONDS", seconds)
    async with answering(answer) as address:
        monkeypatch.setenv("TEMPORAL_ADDRESS", address)

        with pytest.raises(TemporalUnreachable, match=sentence):
            await connect(settings)


async def test_a_host_that_does_not_exist_is_reported(settings, monkeypatch):
    monkeypatch.setenv("TEMPORAL_ADDRESS", "nobody.invalid:7233")

    with pytest.raises(
        TemporalUnreachable, match=r"nobody\.invalid:7233 cannot be used: the host is unknown"
    ):
        await connect(settings)


async def test_a_namespace_that_does_not_exist_is_reported(settings, address, monkeypatch):
    monkeypatch.setenv("TEMPORAL_NAMESPACE", "elsewhere")

    with pytest.raises(TemporalUnreachable) as caught:
        await connect(settings)

    assert str(caught.value) == (
        f"The Temporal server at {address} has no namespace elsewhere; set TEMPORAL_NAMESPACE, "
        "or create it with temporal operator namespace create --namespace elsewhere."
    )


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize(("name", "value"), [("TEMPORAL_API_KEY", "secret-key"), ("TEMPORAL_TLS", "true")])
async def test_tls_to_a_server_without_it_is_reported_without_the_secret(settings, monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(TemporalUnreachable, match=r"does not use TLS; check .* TEMPORAL_TLS") as caught:
        await connect(settings)

    assert "secret-key" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("Status { code: Unauthenticated, message: x }", "rejects the credentials"),
        ("Status { code: PermissionDenied, message: x }", "denies access"),
        ("InvalidData, error: InvalidCertificate(UnknownIssuer)", "certificate is not trusted"),
        ("PrivateKeyParseError", "client certificate or its key cannot be read"),
        ("something new", "not a Temporal server"),
    ],
)
def test_each_refusal_is_classified(error, sentence):
    assert sentence in str(connection._explained("there", error))  # noqa: SLF001  no server here refuses in this way


async def test_reading_from_a_server_that_is_down_fails_soon(settings, monkeypatch):
    with refusing(OK, OK, UNAVAILABLE) as address:
        monkeypatch.setenv("TEMPORAL_ADDRESS", address)
        async with await Client.connect(settings) as client:
            reads = (
                client.status("plan-1"),
                client.pending(),
                client.pending(Wanted(state="in_review", limit=None)),
                client.still_open(["plan-1"]),
                client.still_open(["plan-'\"1"]),
                client.stops(),
                client.delegations(),
                client.withdraw("plan-1", "checks first what it is"),
            )
            async with asyncio.timeout(10):  # the SDK repeats the two calls of a status for 16 seconds
                errors = await asyncio.gather(*reads, return_exceptions=True)

    assert {type(error) for error in errors} == {TemporalUnreachable}
    assert all("it did not respond within" in str(error) for error in errors)


async def test_a_lazy_client_sends_no_request(settings, monkeypatch):
    monkeypatch.setenv("TEMPORAL_ADDRESS", f"127.0.0.1:{free_port()}")

    await connect(settings, lazy=True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[profile.default\n", r"TOML parse error at line 1.*TEMPORAL_PROFILE"),
        ("[profile.other]\naddress = 7\n", r"invalid type"),
    ],
)
async def test_an_invalid_profile_file_is_reported_in_one_line(settings, profile, text, sentence):
    profile(text)

    with pytest.raises(SettingsInvalid, match=sentence) as caught:
        await connect(settings)

    assert "\n" not in str(caught.value)


def test_a_missing_profile_is_reported(settings, monkeypatch):
    monkeypatch.setenv("TEMPORAL_PROFILE", "production")

    with pytest.raises(SettingsInvalid, match="'production' not found"):
        address_of(settings)


def test_a_missing_certificate_is_reported(settings, profile):
    profile(
        '[profile.default.tls]\nclient_cert_path = "/nowhere/c.pem"\nclient_key_path = "/nowhere/k.pem"\n'
    )

    with pytest.raises(SettingsInvalid, match=r"TLS file /nowhere/.\.pem"):
        address_of(settings)


@pytest.mark.parametrize("value", ["http://here:7233", "here", "here:port", "a b:7233"])
def test_an_invalid_address_is_reported(settings, monkeypatch, value):
    monkeypatch.setenv("TEMPORAL_ADDRESS", value)

    with pytest.raises(SettingsInvalid, match="TEMPORAL_ADDRESS as HOST:PORT"):
        address_of(settings)


async def test_the_environment_takes_precedence_over_the_profile_the_embedded_server_and_localhost(
    settings, profile, monkeypatch
):
    assert address_of(settings) == "localhost:7233"
    assert cli_flags(settings) == ()

    server = await embedded_server.ensure_running(settings.var_dir, first_port=FIRST_PORT)
    try:
        assert address_of(settings) == server.address
        assert cli_flags(settings) == ("--address", server.address)
        assert (await connect(settings)).service_client.config.target_host == server.address

        profile(
            '[profile.default]\naddress = "profile:1"\nnamespace = "ours"\n[profile.b]\naddress = "b:1"\n'
        )
        assert address_of(settings) == "profile:1"
        assert cli_flags(settings) == ("--address", "profile:1", "--namespace", "ours")

        monkeypatch.setenv("TEMPORAL_PROFILE", "b")
        assert address_of(settings) == "b:1"

        monkeypatch.setenv("TEMPORAL_ADDRESS", "environment:1")
        assert address_of(settings) == "environment:1"
    finally:
        os.kill(server.pid, signal.SIGKILL)


async def test_while_the_embedded_server_is_down_no_other_server_is_used(settings):
    server = await embedded_server.ensure_running(settings.var_dir, first_port=FIRST_PORT)
    await embedded_server.stop(settings.var_dir)

    assert address_of(settings) == server.address
    with pytest.raises(TemporalUnreachable, match="make worker"):
        await connect(settings)

    port = int(server.address.rpartition(":")[2])
    other = await embedded_server.ensure_running(settings.var_dir / "other", first_port=port)
    try:
        assert other.address == server.address
        with pytest.raises(TemporalUnreachable) as raised:
            await connect(settings)
    finally:
        os.kill(other.pid, signal.SIGKILL)
    assert str(raised.value) == (
        f"The Temporal server at {server.address} cannot be used: it is not running; start one with make "
        "worker, or set TEMPORAL_ADDRESS."
    )


@pytest.mark.parametrize("default", ["localhost:7233", "127.0.0.1:7233"])
def test_a_command_shows_no_flags_for_its_defaults(settings, monkeypatch, default):
    monkeypatch.setenv("TEMPORAL_ADDRESS", default)

    assert cli_flags(settings) == ()


def test_commands_to_copy_fit_the_readers_environment(settings, monkeypatch):
    monkeypatch.setenv("TEMPORAL_ADDRESS", "temporal:7233")
    assert cli_flags(settings) == ("--address", "temporal:7233")
    outside = settings.model_copy(
        update={
            "public_temporal_address": "localhost:7233",
            "public_temporal_ui": "http://localhost:8080/",
        }
    )
    access = access_of(outside, "default")
    assert access.signal_words("plan-1", "approve", "dana", "12345678")[0] == "temporal"
    assert "--address" not in access.signal_words("plan-1", "approve", "dana", "12345678")
    assert access.page_of("plan-1") == "http://localhost:8080/namespaces/default/workflows/plan-1"
    assert access.inbox_page_of("plan-1") == "http://localhost:8088/runs/plan-1"
    elsewhere = settings.model_copy(update={"public_temporal_address": "temporal.example.org:7233"})
    assert cli_flags(elsewhere) == ("--address", "temporal.example.org:7233")


def test_an_inbox_is_mentioned_only_if_it_exists():
    off = Settings(web_address="off")
    assert access_of(off, "default").inbox_page_of("plan-1") is None
    elsewhere = Settings(web_address="off", web_url="https://gate.example.org")
    assert access_of(elsewhere, "default").inbox_page_of("plan-1") == "https://gate.example.org/runs/plan-1"
