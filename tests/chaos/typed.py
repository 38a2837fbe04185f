"""A process in which command lines are typed one after the other: `starter.main` with all of it, but its end.

Reads a JSON list of words per line on stdin; writes a JSON object with code, out and err for each.
"""

import io
import json
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import starter
from plangate.process_end import end_process


def typed(words: list[str]) -> dict[str, Any]:
    """Run one command line as ``python starter.py`` would."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace") for _ in range(2))
    sys.argv = ["starter.py", *words]
    with redirect_stdout(out), redirect_stderr(err):
        try:
            code: object = starter.main()
        except BaseException:  # noqa: BLE001  whatever got out is what we look for
            code = "escaped"
            traceback.print_exc()
    return {"code": code, "out": _said(out), "err": _said(err)}


def _said(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()


def main() -> None:
    """Type everything that comes in."""
    terminal = sys.stdout
    for line in sys.stdin:
        terminal.write(json.dumps(typed(json.loads(line))) + "\n")
        terminal.flush()


if __name__ == "__main__":
    main()
    end_process(0)
