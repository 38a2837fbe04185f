"""Format the figures of all rounds as a table, for the terminal and for ``bench/README.md``."""

import os
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from textwrap import fill
from typing import Final, Generic, TypeVar

from bench.measure import Load, Rest, Waiting
from plangate.presentation.console import Console
from plangate.presentation.page import Page
from plangate.presentation.table import Table

README: Final = Path(__file__).parent / "README.md"
_BEGIN: Final = "<!-- rewritten by make bench, from here -->"
_END: Final = "<!-- to here -->"
_COLUMNS: Final = ("", "Plangate", "bare", "ratio", "target")

Measured = TypeVar("Measured")


@dataclass(frozen=True, slots=True)
class Pair(Generic[Measured]):
    """One measurement of both variants, one taken immediately after the other."""

    plangate: Measured
    bare: Measured


@dataclass(frozen=True, slots=True)
class Figures:
    """All measurements, and a description of the method."""

    load: Sequence[Pair[Load]]
    rest: Sequence[Pair[Rest]]
    row: Sequence[Pair[Rest]]
    waiting: Sequence[Pair[Waiting]]
    method: str
    server: str


def show(figures: Figures) -> None:
    """Print the table."""
    page = Page()
    page.gap()
    page.sentence(figures.method, "dim")
    console = Console(sys.stdout)
    console.print(Table(_COLUMNS, list(_rows(figures))))
    console.print(page)


def write_table(figures: Figures) -> None:
    """Replace only the table in the README."""
    lines = [
        "| " + " | ".join(_COLUMNS) + " |",
        "|---|" + "---:|" * (len(_COLUMNS) - 1),
        *("| " + " | ".join(row) + " |" for row in _rows(figures)),
        "",
        fill(figures.method, 120),
        "",
        (
            f"{os.cpu_count()} cores, Python {platform.python_version()}, "
            f"temporalio {version('temporalio')}, {figures.server}, SQLAlchemy {version('sqlalchemy')}."
        ),
    ]
    text = README.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    README.write_text(f"{before}{_BEGIN}\n" + "\n".join(lines) + f"\n{_END}{after}")


def _rows(figures: Figures) -> Iterator[tuple[str, ...]]:
    load, rest, waiting = figures.load, figures.rest, figures.waiting
    yield _row("complete runs per second", load, lambda one: one.runs_per_second, target="≥ 0.88")
    yield _row("approve → executed at rest, median ms", rest, lambda one: one.median_ms, target="≤ 1.35")
    yield _row("approve → executed at rest, p95 ms", rest, lambda one: one.p95_ms)
    yield _row(
        "approve → executed back to back, median ms", figures.row, lambda one: one.median_ms, target="≤ 1.7"
    )
    yield _row("approve → executed back to back, p95 ms", figures.row, lambda one: one.p95_ms)
    yield _row("worker: processor time per run, ms", load, lambda one: one.worker_cpu_ms)
    if load and load[0].bare.server_cpu_ms is not None:
        yield _row("server: processor time per run, ms", load, lambda one: one.server_cpu_ms or 0.0)
    yield _row("worker: memory before, MB", waiting, lambda one: one.before_mb)
    yield _row("worker: memory with the waiting runs, MB", waiting, lambda one: one.after_mb)
    yield _row("worker: memory per waiting run, kB", waiting, lambda one: one.kb_per_run)
    yield _row("events in the history", rest, lambda one: one.events, digits=0)


def _row(
    name: str,
    pairs: Sequence[Pair[Measured]],
    figure: Callable[[Measured], float],
    *,
    digits: int = 1,
    target: str = "",
) -> tuple[str, ...]:
    ours = [figure(pair.plangate) for pair in pairs]
    bare = [figure(pair.bare) for pair in pairs]
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    return (name, _with_range(ours, digits), _with_range(bare, digits), _with_range(ratios, 2), target)


def _with_range(values: Sequence[float], digits: int) -> str:
    """Return the median, with the minimum and the maximum in brackets if they differ from it."""
    middle, lowest, highest = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return middle if lowest == highest else f"{middle} ({lowest} to {highest})"
