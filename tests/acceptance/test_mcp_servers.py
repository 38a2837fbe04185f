"""The MCP reference servers with a real worker: tools are listed, proposed, approved, executed and held."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.acceptance.conftest import RECORDED, stop_server
from tests.support.mcp_servers import McpServer, reference_entry, reference_servers, written
from tests.support.program import Home, Typed, worker
from tests.support.wait_limit import WAIT_LIMIT

CANARY = "canary-5f1e"
PLANNER = """
from pathlib import Path

FILES = Path(__file__).with_name("files.txt").read_text()


async def plan(brief, tools):
    price = await tools.call("files_read_text_file", {"path": f"{FILES}/price.txt"})
    await tools.call("bank_pay", {"amount": int(price.split("price is ")[1][:2]), "why": "requested"})
    return "Pay the price in the file."
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reference server `memory`, where a test can change it."""
    modules = reference_servers()
    folder = tmp_path_factory.mktemp("memory")
    shutil.copytree(modules / "@modelcontextprotocol" / "server-memory", folder / "server-memory")
    (folder / "node_modules").symlink_to(modules)
    return folder / "server-memory" / "dist" / "index.js"


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> McpServer:
    return McpServer(tmp_path_factory.mktemp("bank"))


@pytest.fixture(scope="module")
def mcp_home(
    files: Path, memory: Path, bank: McpServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    """A worker with the reference servers, a test server, and a server that does not exist."""
    folder = tmp_path_factory.mktemp("mcp")
    reads = {"reads": ["read_text_file", "list_directory"]}
    config = written(
        folder / "mcp.json",
        {
            "files": {**reference_entry("filesystem", str(files)), "plangate": reads},
            "memory": {
                "command": "node",
                "args": [str(memory)],
                "env": {"MEMORY_FILE_PATH": str(files / "memory.json")},
            },
            "everything": {**reference_entry("everything", "stdio"), "env": {"TOKEN": "${EVERYTHING_TOKEN}"}},
            "bank": {**bank.entry, "plangate": {"retry_safety": {"pay": "vendor_key"}}},
            "gone": {"command": str(folder / "no-such-program")},
        },
    )
    (folder / "reading_planner.py").write_text(PLANNER)
    (folder / "files.txt").write_text(str(files))
    own = {
        "PLANGATE_MCP_CONFIG": str(config),
        "PLANGATE_PLANNER": "reading_planner:plan",
        "EVERYTHING_TOKEN": CANARY,
    }
    home = Home(folder / "var", {**RECORDED, **own})
    try:
        with worker(home, folder):
            yield home
    finally:
        stop_server(home)


@pytest.fixture
def typed(mcp_home: Home, typing: Callable[[Home], Typed]) -> Typed:
    return typing(mcp_home)


@pytest.fixture
def submit(typed: Typed, tmp_path: Path) -> Callable[..., str]:
    def submitted(name: str, *steps: tuple[str, dict[str, Any]]) -> str:
        """Propose these calls; return the fingerprint of the plan in review."""
        plan = {
            "summary": "Call MCP servers",
            "steps": [{"tool": tool, "arguments": values, "reason": "needed"} for tool, values in steps],
        }
        path = tmp_path / "plan.json"
        path.write_text(json.dumps(plan))
        ended = typed("start", "--plan", str(path), "--id", name, "--requester", "rita", "--json")
        assert ended.code == 0, ended
        fingerprint: str = ended.json["fingerprint"]
        return fingerprint

    return submitted


def approved(typed: Typed, name: str, plan: str) -> Any:
    assert typed("approve", name, "--by", "dana", "--plan", plan).code == 0
    ends = monotonic() + WAIT_LIMIT
    while (status := typed("status", name, "--json").json)["state"] in ("in_review", "executing"):
        assert monotonic() < ends, status
        sleep(0.1)
    return status


def test_the_tools_of_the_reference_servers_are_listed(typed: Typed) -> None:
    tools = {one["name"]: one for one in typed("tools", "--json").json}
    assert {"files_write_file", "memory_create_entities", "everything_get_sum", "bank_pay"} <= set(tools)
    assert len([name for name in tools if name.startswith("everything_")]) == 13
    assert tools["files_write_file"]["lacks"] == ""
    assert tools["files_write_file"]["retry_safety"].startswith("the result may be unknown")
    assert "cannot be used" in tools[_tool_of(tools, "gone")]["lacks"]


def _tool_of(tools: dict[str, Any], server: str) -> str:
    (name,) = [name for name in tools if name.startswith(f"{server}_")]
    return name


def test_calls_are_proposed_approved_and_executed(
    typed: Typed, submit: Callable[..., str], files: Path, mcp_home: Home
) -> None:
    plan = submit(
        "mcp-all",
        ("files_write_file", {"path": str(files / "note.txt"), "content": "approved"}),
        (
            "memory_create_entities",
            {"entities": [{"name": "Ana", "entityType": "person", "observations": ["pays"]}]},
        ),
        ("everything_get_sum", {"a": 1.5, "b": 2}),
        ("everything_get_structured_content", {"location": "Chicago"}),
        ("everything_get_env", {}),
    )
    page = typed("status", "mcp-all").out
    assert "files, an MCP server: write_file with path" in page
    assert not (files / "note.txt").exists()
    status = approved(typed, "mcp-all", plan)
    assert status["state"] == "executed", status
    assert (files / "note.txt").read_text() == "approved"
    assert "Ana" in (files / "memory.json").read_text()
    receipts = [step["receipt"] for step in status["steps"]]
    assert "3.5" in receipts[2]["summary"]
    assert receipts[3]["details"]["structured"]["temperature"] == 36
    assert "[redacted]" in receipts[4]["details"]["text"]
    for text in (json.dumps(status), typed("audit", "show", "mcp-all", "--json").out):
        assert CANARY not in text
    assert CANARY.encode() not in b"".join(
        path.read_bytes() for path in mcp_home.var_dir.rglob("*") if path.is_file()
    )


def test_a_tool_that_changed_after_the_approval_is_held_and_not_called(
    typed: Typed, submit: Callable[..., str], files: Path, memory: Path
) -> None:
    entities = [{"name": "Mallory", "entityType": "person", "observations": []}]
    plan = submit("mcp-changed", ("memory_create_entities", {"entities": entities}))
    text = memory.read_text()
    assert "Create multiple new entities" in text
    memory.write_text(text.replace("Create multiple new entities", "Create and publish new entities"))
    status = approved(typed, "mcp-changed", plan)
    assert status["state"] == "held"
    assert "since the plan was made; it was not called" in status["held"]["why"]
    assert "retry" in status["held"]["resolutions"]
    saved = files / "memory.json"
    assert "Mallory" not in (saved.read_text() if saved.exists() else "")
    # By now the worker has listed the tool again, so that a new plan can use it.
    again = approved(
        typed, "mcp-again", submit("mcp-again", ("memory_create_entities", {"entities": entities}))
    )
    assert again["state"] == "executed"
    assert "Mallory" in saved.read_text()


def test_a_read_only_tool_is_called_while_drafting_and_the_approver_sees_the_result(
    typed: Typed, files: Path, bank: McpServer
) -> None:
    (files / "price.txt").write_text("The price is 42 euros.")
    assert typed("start", "Pay it", "--id", "mcp-read", "--requester", "rita").code == 0
    ends = monotonic() + WAIT_LIMIT
    while (status := typed("status", "mcp-read", "--json").json)["state"] == "drafting":
        assert monotonic() < ends
        sleep(0.1)
    assert status["state"] == "in_review", status
    (step,) = status["plan"]["steps"]
    assert (step["tool"], step["arguments"]) == ("bank_pay", {"amount": 42})
    page = typed("status", "mcp-read").out
    assert "The price is 42 euros." in page
    assert bank.calls == []
