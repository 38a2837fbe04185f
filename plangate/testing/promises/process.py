"""Run a tool in a separate process for the checks."""

import subprocess
import sys
from collections.abc import Mapping
from os import killpg
from signal import SIGKILL
from types import TracebackType
from typing import Final, Self

from plangate.domain.errors import OperatorError
from plangate.own_python import ALLOCATIONS
from plangate.settings import PROJECT, environment_with
from plangate.testing.promises.messages import CallKind, CallResult, Command, LoadResult, Request, Setting

_BOOT: Final = (
    f"import gc, sys; gc.set_threshold({ALLOCATIONS}); sys.path.insert(0, sys.argv.pop(1)); "
    "from plangate.testing.promises.program import main; main()"
)


class ToolProcess:
    """Loads a tool and calls it, each time in a new fork.

    Args:
        hash_seed: the seed of Python's `hash`, which differs between processes.
    """

    def __init__(self, hash_seed: int) -> None:
        environment: Mapping[str, str] = environment_with({"PYTHONHASHSEED": str(hash_seed)}, without=())
        self._process = subprocess.Popen(  # noqa: S603  this Python, with the package's own program
            [sys.executable, "-c", _BOOT, str(PROJECT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._count = ""
        self._loaded: LoadResult | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        killpg(self._process.pid, SIGKILL)
        self._process.communicate()

    @property
    def loaded(self) -> LoadResult:
        """The loaded tool."""
        assert self._loaded is not None
        return self._loaded

    def load(self, setting: Setting) -> None:
        """Load a tool, and replace any previous tool.

        Raises:
            OperatorError: the tool cannot be loaded, or called with these arguments.
        """
        loaded = LoadResult.model_validate_json(self._answer(Command(load=setting)))
        if loaded.fault:
            raise OperatorError(loaded.fault)
        self._loaded, self._count = loaded, setting.count

    def call(self, request: Request) -> CallResult:
        """Call the tool and return how the call ended."""
        return CallResult.model_validate_json(self._answer(Command(call=request)))

    def count(self) -> int | None:
        """Return the number of effects; None if the author has no function that counts them.

        Raises:
            OperatorError: that function fails.
        """
        if not self._count:
            return None
        ended = self.call(Request(do=CallKind.COUNT))
        value = ended.value.get("value") if ended.how == "returned" else None
        if not isinstance(value, int):
            why = ended.error or ended.how
            raise OperatorError(f"{self._count} must return a whole number of effects, but: {why}.")
        return value

    def _answer(self, asked: Command) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(asked.model_dump_json() + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise OperatorError("The process that loads the tool exited without a response.")
        return line
