"""Run command lines one after the other in one process, through `starter.main` but without exiting.

Each line of stdin is a JSON list of words; the response is a JSON object with code, out and err. A command's
output goes to files in place of descriptors 1 and 2, because a command may itself redirect these.
"""

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import starter
from plangate.process_end import end_process


def typed(words: list[str]) -> dict[str, Any]:
    """Run one command line like ``python starter.py``."""
    sys.argv = ["starter.py", *words]
    with _redirected(1) as out, _redirected(2) as err:
        try:
            code: object = starter.main()
        except BaseException:  # noqa: BLE001  the test looks for any error that escapes
            code = "escaped"
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        output = {"out": _content(out), "err": _content(err)}
    return {"code": code, **output}


@contextmanager
def _redirected(descriptor: int) -> Iterator[IO[bytes]]:
    """Replace a descriptor with an empty file."""
    original = os.dup(descriptor)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), descriptor)
        try:
            yield file
        finally:
            os.dup2(original, descriptor)
            os.close(original)


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def main() -> None:
    """Run each command line from stdin."""
    for line in sys.stdin:
        answer = json.dumps(typed(json.loads(line)))
        sys.stdout.write(answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
    end_process(0)
