"""The results of a scenario: progress while it runs, figures for the table, and errors that make it fail."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass
class Report:
    """One scenario's results; every error is one sentence."""

    say: Callable[[str], None] = lambda _line: None
    figures: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def expect(self, holds: object, fault: str) -> None:
        """Record an error unless the condition is true."""
        if not holds:
            self.record_error(fault)

    def record_error(self, fault: str) -> None:
        """Record an error."""
        self.faults.append(fault)
        self.say(f"FAULT: {fault}")

    def record_errors(self, faults: Iterable[str]) -> None:
        """Record errors."""
        for fault in faults:
            self.record_error(fault)

    @contextmanager
    def checking(self, name: str) -> Iterator[None]:
        """Record an assertion that fails in the block as an error."""
        try:
            yield
        except AssertionError as error:
            self.record_error(f"{name}: {str(error)[:200]}")

    def progress(self, number: int, total: int) -> None:
        """Say every 500 cases how many of them have run."""
        if number % 500 == 0:
            self.say(f"{number} of {total} cases")

    def figure(self, name: str, value: object) -> None:
        """Record a figure for the table."""
        self.figures[name] = str(value)
        self.say(f"{name}: {value}")

    @property
    def seconds(self) -> float:
        """The seconds since the start of the scenario."""
        return time.monotonic() - self.began
