"""Check every promise of a tool, in the order in which a run relies on them."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Self

from plangate.testing.promises.before_act import checks_before_act
from plangate.testing.promises.check import Check
from plangate.testing.promises.crashes import Crashes, errors_of
from plangate.testing.promises.messages import LoadResult, Setting
from plangate.testing.promises.process import ToolProcess
from plangate.testing.promises.settlement import settlement_checks


class Examination:
    """The checks of a tool, with two processes that run while the block runs."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._processes = [ToolProcess(seed) for seed in (1, 2)]

    def __enter__(self) -> Self:
        for one in self._processes:
            self._stack.enter_context(one)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load(self, setting: Setting) -> LoadResult:
        """Load a tool in both processes, and replace any previous tool.

        Raises:
            OperatorError: the tool cannot be loaded, or called with these arguments.
        """
        for one in self._processes:
            one.load(setting)
        return self._processes[0].loaded

    def checks(self) -> Iterator[Check]:
        """Yield the result of each check as soon as it is known."""
        first, second = self._processes
        yield from checks_before_act(first, second)
        crashes = Crashes(first, second)
        yield from crashes.checks()
        raised = crashes.raised
        if crashes.done is not None:
            yield from settlement_checks(first, second, crashes.done)
        if first.loaded.undoable and first.loaded.undoes:
            undos = Crashes(first, second, is_undo=True)
            yield from undos.checks()
            raised = [*raised, *undos.raised]
        yield errors_of(raised)
