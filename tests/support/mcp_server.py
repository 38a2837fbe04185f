"""A small MCP server over stdio, controlled by a test; `mcp_http_server` is the same over HTTP.

It runs as a separate process, ``python mcp_server.py FOLDER``. It uses no library, so it can break every rule
of the protocol, and starts immediately. FOLDER/tools.json has its tools, and FOLDER/behaviour its behaviour.
Both are read again for each message. It appends each call to FOLDER/calls first, and each effect to
FOLDER/effects. The arguments ``before`` and ``after`` of a call are seconds to wait before and after its
effect.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Final

HUGE: Final = 10_000_000
FOLDER = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()
STATUSES: Final = {str(one): one for one in (401, 403, 404, 413, 429, 500, 503)}
BEFORE: Final = {
    "unknown": "Unknown tool: pay",
    "gone": "Tool pay not found",
    "off": "MCP error -32602: Tool pay disabled",
    "old_invalid": "MCP error -32602: Invalid arguments for tool pay: no",
    "refuse": "MCP error -32602: Input validation error: Invalid arguments for tool pay: no",
}
"""The errors of the official SDKs before they run a tool."""
AFTER: Final = {
    "output": "MCP error -32602: Output validation error: Tool pay has an output schema but no",
    "result": "MCP error -32602: Invalid tools/call result: no",
    "passed_on": "MCP error -32602: Input validation error: Invalid arguments for tool mail: no",
    "own": "MCP error -32602: paid, but the mail was refused",
    "shorter": "MCP error -32602: Tool pay",
    "no_words": "",
}
"""The errors with the same code after the tool has run."""
NOTHING_HAPPENS: Final = {*BEFORE, *(f"{one}_reported" for one in BEFORE), "dies_first", *STATUSES}


def behaviour() -> str:
    return (FOLDER / "behaviour").read_text().strip().partition("+")[0]


def other_status() -> int:
    """Return the HTTP status of the responses to notifications and replies."""
    return int((FOLDER / "behaviour").read_text().strip().partition("+")[2] or 202)


def append(name: str, what: Any) -> None:
    with (FOLDER / name).open("a") as file:
        file.write(json.dumps(what) + "\n")
        file.flush()
        os.fsync(file.fileno())


def answer_to(message: dict[str, Any]) -> Any:
    """Return the result or error of a request, or None for a notification."""
    match message.get("method"):
        case "initialize":
            if behaviour() == "hangs":
                time.sleep(600)
            version = message["params"]["protocolVersion"]
            server = {"name": "test", "version": "1"}
            return {
                "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
            }
        case "tools/list":
            return {"result": {"tools": json.loads((FOLDER / "tools.json").read_text())}}
        case "tools/call":
            return called(message["params"])
        case _ if "id" in message:
            return {"error": {"code": -32601, "message": "Method not found"}}
    return None


def called(params: dict[str, Any]) -> Any:
    how, arguments = behaviour(), params["arguments"]
    append("calls", params)
    time.sleep(arguments.get("before", 0))
    if how not in NOTHING_HAPPENS and is_new(params):
        append("effects", arguments)
    time.sleep(arguments.get("after", 0))
    done = text(f"done {json.dumps(params['arguments'])}")
    if how == "slow":
        time.sleep(600)
    if how in ("dies", "dies_first"):
        os._exit(1)
    worded = {**BEFORE, **AFTER}
    errors = {one: {"error": {"code": -32602, "message": said}} for one, said in worded.items()}
    prefix = "MCP error -32602: "
    reported = {
        f"{one}_reported": {"result": {"isError": True, **text(prefix + said.removeprefix(prefix))}}
        for one, said in worded.items()
    }
    answers = {
        **errors,
        **reported,
        "no_method": {"error": {"code": -32601, "message": "Method not found"}},
        "broken": {"error": {"code": -32603, "message": "Internal error"}},
        "leaks_in_error": {"error": {"code": -32603, "message": os.environ.get("TOKEN", "")}},
        "leaks_in_result": {"result": {"content": os.environ.get("TOKEN", "")}},
        "fails": {"result": {"isError": True, **text("half of it failed")}},
        "unstructured": {"result": {**done, "structuredContent": {"n": "not a number"}}},
        "structured": {"result": {**done, "structuredContent": {"n": 7}}},
        "wrong": {"result": {"content": "not a list"}},
        "environment": {"result": text(json.dumps(dict(os.environ)))},
        "headers": {"result": text(json.dumps(HEADERS))},
        "long": {"result": text("x" * 100_000)},
    }
    return answers.get(how, {"result": done})


def is_new(params: dict[str, Any]) -> bool:
    """Whether a call has a new effect: a tool that honours keys has one effect for each key."""
    if not params["name"].endswith("_keyed"):
        return True
    try:
        (FOLDER / params["_meta"]["plangate/idempotency-key"]).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def text(said: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": said}]}


HEADERS: dict[str, str] = {}


def written(message: dict[str, Any]) -> bytes:
    """Return the bytes of the response to a message, complete or truncated."""
    answer = answer_to(message)
    if answer is None:
        return b""
    whole = json.dumps({"jsonrpc": "2.0", "id": message.get("id"), **answer}).encode()
    how = behaviour() if message.get("method") == "tools/call" else ""
    if how == "garbage":
        return b"\xff\x00{]"
    if how == "cut":
        return whole[: len(whole) // 2]
    if how == "huge":
        return whole[:-2] + b" " * HUGE + whole[-2:]
    return whole


def serve_stdio() -> None:
    for line in sys.stdin.buffer:
        message = json.loads(line)
        if message.get("method") == "tools/call" and behaviour() == "endless":
            append("calls", message["params"])
            append("effects", message["params"]["arguments"])
            while True:
                sys.stdout.buffer.write(b"x" * 65_536)
        sent = written(message)
        if not sent:
            continue
        is_cut = message.get("method") == "tools/call" and behaviour() == "cut"
        sys.stdout.buffer.write(sent if is_cut else sent + b"\n")
        sys.stdout.buffer.flush()
        if is_cut:
            os._exit(1)
    if behaviour() == "stays":
        time.sleep(600)


if __name__ == "__main__":
    serve_stdio()
