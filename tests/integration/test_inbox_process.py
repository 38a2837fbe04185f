"""The inbox as a process: it starts without Temporal, stops in time, and workers can share it."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from plangate.settings import PROJECT, Settings
from plangate.web import background
from plangate.web.web_key import public_line, web_key
from tests.support.forked import Forked
from tests.support.inbox import NO_TLS
from tests.support.program import Home
from tests.support.wait_limit import WAIT_LIMIT


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    port = free_port()
    return Home(
        tmp_path / "var",
        {
            "TEMPORAL_ADDRESS": "127.0.0.1:1",
            "PLANGATE_WEB_ADDRESS": f"127.0.0.1:{port}",
            "PLANGATE_WEB_URL": f"http://localhost:{port}",
            "PLANGATE_LOG_FORMAT": "json",
        },
    )


@contextmanager
def inbox(home: Home) -> Iterator[Forked]:
    process = home.start_forked("web.py")
    try:
        ends = monotonic() + WAIT_LIMIT
        while monotonic() < ends:
            try:
                httpx.get(f"{home.settings['PLANGATE_WEB_URL']}/healthz", verify=NO_TLS).raise_for_status()
                break
            except httpx.HTTPError:
                assert process.poll() is None, log_of(home)
                sleep(0.1)
        yield process
    finally:
        process.kill()
        process.wait()


def log_of(home: Home) -> str:
    return (home.var_dir / "programs.log").read_text()


def test_it_runs_without_temporal_and_reports_that_it_is_not_ready(home: Home) -> None:
    url = home.settings["PLANGATE_WEB_URL"]
    with inbox(home), httpx.Client(base_url=str(url), verify=NO_TLS, timeout=30) as visitor:
        assert visitor.get("/readyz").status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert visitor.get("/sign-in").status_code == httpx.codes.OK
        visitor.post("/sign-in", data={"name": "dana", "next": "/x"})
        unavailable = visitor.get("/")
        assert unavailable.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert "Traceback" not in unavailable.text
    assert f"The inbox is at {url}" in log_of(home)
    assert '"action": "web_not_ready", "error": "The Temporal server at ' in log_of(home)
    for name in ("web.pem", "web.db"):
        assert (home.var_dir / name).stat().st_mode & 0o077 == 0
    printed = home.starter("keys", "web", "--json").json["public"]
    assert printed == public_line(web_key(Settings(var_dir=home.var_dir).web_key))


def test_it_stops_despite_an_open_request(home: Home) -> None:
    with inbox(home) as process:
        host, _, port = str(home.settings["PLANGATE_WEB_ADDRESS"]).partition(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(  # without the rest of the form, for which the inbox waits
                b"POST /sign-in HTTP/1.1\r\nHost: localhost:%s\r\nContent-Length: 9\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\n\r\nn" % port.encode()
            )
            sleep(0.3)
            process.send_signal(signal.SIGTERM)
            process.wait(WAIT_LIMIT)
    assert "Cancel 1 running task(s), timeout graceful shutdown exceeded" in log_of(home)
    assert "Traceback" not in log_of(home)


def test_an_address_in_use_is_reported_in_one_sentence(home: Home) -> None:
    with inbox(home):
        second = subprocess.run(
            [sys.executable, str(PROJECT / "web.py")],
            env=home.environment(), capture_output=True, timeout=WAIT_LIMIT, check=False,
        )  # fmt: skip
    assert second.returncode == 1
    (line,) = second.stderr.decode().splitlines()
    assert line == (
        f"The inbox cannot listen on {home.settings['PLANGATE_WEB_ADDRESS']}: it is in use or not allowed; "
        "set PLANGATE_WEB_ADDRESS to another one."
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"PLANGATE_WEB_URL": "http://plangate.example.org"}, "PLANGATE_WEB_URL"),
        ({"PLANGATE_OIDC_ISSUER": "http://login.example.org"}, "PLANGATE_OIDC_ISSUER"),
        ({"PLANGATE_OIDC_ISSUER": "https://login.example.org"}, "together, or neither"),
        ({"PLANGATE_WEB_ADDRESS": "8088"}, "PLANGATE_WEB_ADDRESS"),
    ],
)
def test_an_invalid_setting_is_reported_in_one_sentence(
    home: Home, variables: dict[str, str], words: str
) -> None:
    ended = home.forked(program="web.py", changes=variables)
    assert ended.code != 0
    (line,) = ended.err.splitlines()
    assert words in line


def test_a_worker_starts_an_inbox_only_when_none_listens(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_CHECK_AGAIN", 0.2)
    for name, value in home.environment().items():
        monkeypatch.setenv(name, value)
    address = str(home.settings["PLANGATE_WEB_ADDRESS"])
    host, _, port = address.partition(":")
    taken = socket.create_server((host, int(port)))

    async def scenario() -> None:
        async with background.background_inbox(Settings(web_address=address)):
            await asyncio.sleep(0.5)
            taken.close()
            async with asyncio.timeout(WAIT_LIMIT):
                while not await background.answers(address):
                    await asyncio.sleep(0.1)
        assert not await background.answers(address)

    done = threading.Thread(target=lambda: asyncio.run(scenario()))
    done.start()
    done.join(WAIT_LIMIT * 2)
    assert not done.is_alive()


_INBOX_OF_TEST = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())
with open({log!r}, "a", buffering=1) as log:
    log.write("started\\n")
    try:
        sys.stdin.read()
    finally:
        log.write("ended\\n")
"""


async def test_workers_that_start_together_start_one_inbox_and_the_next_takes_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background, "_CHECK_AGAIN", 0.02)
    monkeypatch.setattr(background, "PROJECT", tmp_path)
    log = tmp_path / "log"
    (tmp_path / "web.py").write_text(_INBOX_OF_TEST.format(log=str(log)))
    settings = Settings(var_dir=tmp_path, web_address=f"127.0.0.1:{free_port()}")

    async def until(words: list[str]) -> None:
        async with asyncio.timeout(WAIT_LIMIT):
            while not log.exists() or log.read_text().split() != words:
                await asyncio.sleep(0.02)

    async with AsyncExitStack() as first, AsyncExitStack() as second:
        await first.enter_async_context(background.background_inbox(settings))
        await until(["started"])
        await second.enter_async_context(background.background_inbox(settings))
        await asyncio.sleep(0.1)  # so that the second one has tried several times
        await first.aclose()
        await until(["started", "ended", "started"])
    assert log.read_text().split() == ["started", "ended"] * 2
