"""Record the golden histories again (`make histories`), but only while no open run needs the old ones."""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

from temporalio.testing import WorkflowEnvironment

from plangate.testing.server import start_temporal
from tests.replay import recordings
from tests.replay.paths import PATHS, POLICIES, PREPARED
from tests.support.bank_tool import Bank
from tests.support.gate import build_gate
from tests.support.holds import booking_gate

_WORKERS_OWN_QUEUE = re.compile(r"\d+@")


async def record(names: Collection[str] = ()) -> None:
    """Execute every path, or only the given ones, on a fresh server and record the histories."""
    env = await start_temporal()
    try:
        for path in PATHS:
            if not names or path.__name__ in names:
                await _record(env, path.__name__)
    finally:
        await env.shutdown()
        await asyncio.sleep(0.5)


async def _record(env: WorkflowEnvironment, name: str) -> None:
    path = next(path for path in PATHS if path.__name__ == name)
    with tempfile.TemporaryDirectory() as folder:
        gate = build_gate(env, Path(folder), f"record-{name}")
        gate.policy = POLICIES.get(path)
        booking_gate(gate)
        gate.tools["transfer"] = Bank(gate.settings.var_dir)
        prepare = PREPARED.get(path)
        if prepare is not None:
            prepare(gate)
        async with gate.worker():
            workflow_id = await path(gate)
            history = await gate.handle(workflow_id).fetch_history()
        gate.database.close()
    recordings.write(name, _normalized(json.loads(history.to_json())))


def _normalized(value: Any) -> Any:
    """Replace the worker's name and remove file paths; replay reads neither."""
    match value:
        case dict():
            known = {"identity": "worker@golden", "stackTrace": ""}
            return {name: known.get(name, _normalized(item)) for name, item in value.items()}
        case list():
            return [_normalized(item) for item in value]
        case str() if _WORKERS_OWN_QUEUE.match(value):
            return "worker@golden"
        case _:
            return value


if __name__ == "__main__":
    asyncio.run(record(sys.argv[1:]))
