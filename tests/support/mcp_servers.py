"""MCP servers for tests: our own, which can break every rule, and the reference servers from npm."""

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import pytest

from activities.tools.mcp.config import ServerConfig, Trusted
from activities.tools.mcp.secrets import Secrets
from plangate.settings import environment_with
from tests.support.wait_limit import WAIT_LIMIT

PROGRAM: Final = Path(__file__).with_name("mcp_server.py")
HTTP_PROGRAM: Final = Path(__file__).with_name("mcp_http_server.py")
REFERENCE: Final = "2026.8.31"
REFERENCE_SERVERS: Final = ("filesystem", "memory", "everything")
_CACHE: Final = Path.home() / ".cache" / "plangate-tests" / f"mcp-{REFERENCE}"
PAY: Final = {
    "name": "pay",
    "description": "Pay an amount.",
    "inputSchema": {
        "type": "object",
        "properties": {"amount": {"type": "integer", "minimum": 1}},
        "required": ["amount"],
    },
}


@dataclass
class McpServer:
    """A server of the tests; see `tests.support.mcp_server`."""

    folder: Path
    tools: list[dict[str, Any]] = field(default_factory=lambda: [dict(PAY)])
    url: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.reset()

    def lists(self, *tools: Any) -> None:
        (self.folder / "tools.json").write_text(json.dumps(tools))

    def reset(self) -> None:
        """Reset: no calls, the first list, normal behaviour."""
        for name in ("calls", "effects"):
            (self.folder / name).unlink(missing_ok=True)
        self.lists(*self.tools)
        self.behave("ok")

    def behave(self, how: str) -> None:
        (self.folder / "behaviour").write_text(how)

    @property
    def command(self) -> tuple[str, ...]:
        return (sys.executable, "-I", "-S", str(PROGRAM), str(self.folder))

    @property
    def entry(self) -> dict[str, Any]:
        """The server's entry in the MCP servers file."""
        if self.url:
            return {"type": "http", "url": self.url}
        return {"command": self.command[0], "args": list(self.command[1:])}

    @property
    def calls(self) -> list[Any]:
        return self._lines("calls")

    @property
    def effects(self) -> list[Any]:
        return self._lines("effects")

    def config(
        self, name: str = "bank", variables: dict[str, str] | None = None, **trusted: Any
    ) -> ServerConfig:
        return ServerConfig(
            name,
            command=() if self.url else self.command,
            url=self.url,
            variables=variables or {},
            secrets=Secrets((variables or {}).values()),
            trusted=Trusted(**trusted),
        )

    def _lines(self, name: str) -> list[Any]:
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextmanager
def over_http(folder: Path, tools: Sequence[dict[str, Any]] = (PAY,)) -> Iterator[McpServer]:
    """Run a server of the tests over HTTP."""
    server = unserved(folder, tools)
    process = serve(server)
    try:
        yield server
    finally:
        process.kill()
        process.wait()


def unserved(folder: Path, tools: Sequence[dict[str, Any]]) -> McpServer:
    """Return a server with an address at which no process listens yet."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return McpServer(folder, list(tools), url=f"http://127.0.0.1:{taken.getsockname()[1]}/mcp")


def serve(server: McpServer) -> subprocess.Popen[bytes]:
    """Start a server's process over HTTP and wait until it responds."""
    program = [sys.executable, "-I", str(HTTP_PROGRAM), str(server.folder), str(port_of(server))]
    process = subprocess.Popen(program)
    until_it_answers(server)
    return process


def port_of(server: McpServer) -> int:
    return int(server.url.split(":")[2].partition("/")[0])


def until_it_answers(server: McpServer) -> None:
    ends = monotonic() + WAIT_LIMIT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port_of(server)), 1).close()
        except OSError:
            assert monotonic() < ends
            sleep(0.05)
        else:
            return


def written(path: Path, servers: dict[str, Any]) -> Path:
    """Write an MCP servers file."""
    path.write_text(json.dumps({"mcpServers": servers}))
    return path


@cache
def reference_servers() -> Path:
    """Return the folder of the reference servers from npm, installed once; skip the test without them."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("the MCP reference servers need node and npm, which are not installed here")
    modules = _CACHE / "node_modules"
    if not all((modules / ".bin" / f"mcp-server-{one}").exists() for one in REFERENCE_SERVERS):
        _CACHE.mkdir(parents=True, exist_ok=True)
        names = [f"@modelcontextprotocol/server-{one}@{REFERENCE}" for one in REFERENCE_SERVERS]
        options = (
            "--no-package-lock",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            str(_CACHE),
        )
        done = subprocess.run(
            ["npm", "install", *options, *names],
            env=environment_with({}, without=("PLANGATE_",)),
            capture_output=True,
            check=False,
            timeout=300,
        )
        if done.returncode:
            pytest.skip("the MCP reference servers cannot be installed: npm reaches no registry here")
    return modules


def reference_entry(name: str, *args: str) -> dict[str, Any]:
    """Return a reference server's entry in the MCP servers file."""
    return {"command": str(reference_servers() / ".bin" / f"mcp-server-{name}"), "args": list(args)}
