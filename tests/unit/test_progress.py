"""The line that shows what a command waits for: one line on a terminal, nothing of which remains."""

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from io import StringIO
from threading import Thread, active_count

import pytest

from plangate.cli.progress import Progress
from plangate.presentation.console import Console
from tests.support.pseudo_terminal import Written, pseudo_terminal
from tests.support.screen import Screen
from tests.support.wait_limit import WAIT_LIMIT

WIDTH = 40
LONG = "waiting for 東京 and a bank that is closed until the next working day"


@pytest.fixture(autouse=True)
def _nothing_remains_in_the_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("COLUMNS", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    before = active_count(), sys.stdout, sys.stderr
    yield
    assert (active_count(), sys.stdout, sys.stderr) == before


def frames(text: str) -> set[str]:
    return set(re.findall("[\u2801-\u28ff]", text))


def wait_for_frames(terminal: Written, after: str = "") -> None:
    """Wait until the line was drawn in two ways after this text."""
    ends = time.monotonic() + WAIT_LIMIT
    while len(frames(terminal.text.partition(after)[2] if after else terminal.text)) < 2:
        assert time.monotonic() < ends, terminal.text
        time.sleep(0.02)


def test_the_line_moves_is_cut_and_is_removed() -> None:
    with pseudo_terminal(WIDTH) as terminal, Progress(Console(terminal.stream)) as progress:
        progress.update(LONG)
        wait_for_frames(terminal)
    assert "waiting for 東京 and a bank that is c…" in terminal.text
    screen = Screen(WIDTH).feed(terminal.text)
    assert (screen.text, screen.wrapped) == ("", [])


def test_a_key_that_the_terminal_echoes_does_not_keep_the_line() -> None:
    with pseudo_terminal(WIDTH) as terminal:
        with Progress(Console(terminal.stream)) as progress:
            progress.update(LONG)
            wait_for_frames(terminal)
            os.write(terminal.keyboard, b"what?")
            wait_for_frames(terminal, "what?")
        terminal.stream.write("Interrupted.\n")
    assert Screen(WIDTH).feed(terminal.text).text == "Interrupted."


def test_the_cursor_stays_visible() -> None:
    """A process that is killed, or suspended with Ctrl-Z, could not show it again."""
    with pseudo_terminal(WIDTH) as terminal, Progress(Console(terminal.stream)) as progress:
        progress.update(LONG)
        wait_for_frames(terminal)
    assert "\x1b[?25" not in terminal.text


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_the_line_does_not_return_after_a_question_that_was_not_answered(
    raised: type[BaseException],
) -> None:
    with pseudo_terminal(WIDTH) as terminal:
        with suppress(raised), Progress(Console(terminal.stream)) as progress:
            progress.update("waiting")
            with progress.paused():
                terminal.stream.write("Approve? ^C")
                terminal.stream.flush()
                raise raised
        terminal.stream.write("\nInterrupted.\n")
    assert Screen(WIDTH).feed(terminal.text).text == "Approve? ^C\nInterrupted."


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_the_line_is_removed_after_an_error(raised: type[BaseException]) -> None:
    with pseudo_terminal(WIDTH) as terminal:
        with suppress(raised), Progress(Console(terminal.stream)) as progress:
            progress.update("waiting")
            raise raised
        terminal.stream.write("Interrupted.\n")
    assert Screen(WIDTH).feed(terminal.text).text == "Interrupted."


def test_what_is_printed_meanwhile_stays_above_the_line() -> None:
    with pseudo_terminal(WIDTH) as terminal, Progress(console := Console(terminal.stream)) as progress:
        progress.update("waiting")
        progress.note("The model is busy.")
        progress.note("The model is busy.")
        writers = [Thread(target=console.write, args=(f"line {number}\n",)) for number in range(20)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        print("a", "library")  # noqa: T201
        sys.stderr.write("the rest of ")
        sys.stderr.write("a line")
        wait_for_frames(terminal, "a library")
    first, *lines, printed, rest = Screen(WIDTH).feed(terminal.text).text.splitlines()
    assert (first, printed, rest) == ("The model is busy.", "a library", "the rest of a line")
    assert sorted(lines) == sorted(f"line {number}" for number in range(20))


def test_the_line_is_hidden_while_something_is_asked() -> None:
    threads = active_count() + 1  # the reader of the terminal
    with pseudo_terminal(WIDTH) as terminal, Progress(Console(terminal.stream)) as progress:
        progress.update("waiting")
        with progress.paused():
            terminal.stream.write("Approve? y\n")
            terminal.stream.flush()
            assert active_count() == threads
        wait_for_frames(terminal, "Approve? y")
    assert Screen(WIDTH).feed(terminal.text).text == "Approve? y"


def test_in_a_pipe_each_change_is_a_line() -> None:
    out = StringIO()
    with Progress(Console(out)) as progress:
        for words in ("drafting", "drafting", "waiting"):
            progress.update(words)
        progress.brief("sealing")
    assert out.getvalue() == "drafting\nwaiting\n"


def test_a_terminal_that_is_gone_ends_only_the_line() -> None:
    with pseudo_terminal(WIDTH) as terminal, Progress(Console(terminal.stream)) as progress:
        progress.update("waiting")
        wait_for_frames(terminal)
        terminal.stream.close()
