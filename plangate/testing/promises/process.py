"""A process with a tool, as the checks use it."""

import subprocess
import sys
from collections.abc import Mapping
from os import killpg
from signal import SIGKILL
from types import TracebackType
from typing import Final, Self

from plangate.domain.errors import OperatorError
from plangate.settings import PROJECT, environment_with
from plangate.testing.promises.messages import Do, Ended, Loaded, Request, Setting

_BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from plangate.testing.promises.program import main; main()"
)


class ToolProcess:
    """Loads a tool and calls it, each time in a fork of its own.

    Args:
        setting: what it loads.
        hash_seed: of Python's `hash`, which differs from one process to the next.

    Raises:
        OperatorError: the tool cannot be loaded, or called with these arguments.
    """

    def __init__(self, setting: Setting, hash_seed: int) -> None:
        environment: Mapping[str, str] = environment_with({"PYTHONHASHSEED": str(hash_seed)}, without=())
        self._process = subprocess.Popen(  # noqa: S603  this Python, with the package's own program
            [sys.executable, "-c", _BOOT, str(PROJECT), setting.model_dump_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._setting = setting
        self._loaded: Loaded | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        killpg(self._process.pid, SIGKILL)
        self._process.communicate()

    @property
    def loaded(self) -> Loaded:
        """The tool that it has loaded.

        Raises:
            OperatorError: it cannot be loaded, or called with these arguments.
        """
        if self._loaded is None:
            self._loaded = Loaded.model_validate_json(self._line())
        if self._loaded.fault:
            raise OperatorError(self._loaded.fault)
        return self._loaded

    def call(self, request: Request) -> Ended:
        """Call the tool and return how the call ended."""
        assert self.loaded
        assert self._process.stdin is not None
        self._process.stdin.write(request.model_dump_json() + "\n")
        self._process.stdin.flush()
        return Ended.model_validate_json(self._line())

    def count(self) -> int | None:
        """Return how many effects there are; None if the author has no function that counts them.

        Raises:
            OperatorError: that function fails.
        """
        if not self._setting.count:
            return None
        ended = self.call(Request(do=Do.COUNT))
        value = ended.value.get("value") if ended.how == "returned" else None
        if not isinstance(value, int):
            why = ended.error or ended.how
            raise OperatorError(f"{self._setting.count} must return a whole number of effects, but: {why}.")
        return value

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise OperatorError(f"The process that loads {self._setting.tool} ended without an answer.")
        return line
