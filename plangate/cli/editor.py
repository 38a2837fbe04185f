"""Open a file in the person's editor, and wait until they close it."""

import asyncio
import shlex
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import Final

from plangate.cli.exits import WrongUsage
from plangate.settings import editor_of_environment

_COMMON_EDITORS: Final = ("nano", "vi")


def editor_command() -> list[str]:
    """Return the editor's command as a list: from $VISUAL or $EDITOR, else that of a common editor.

    Raises:
        WrongUsage: no editor is set or found.
    """
    named = editor_of_environment()
    try:
        words = shlex.split(named)
    except ValueError:
        raise WrongUsage(f"The editor {named!r} is not a command; set EDITOR to one, such as nano.") from None
    if words:
        if which(words[0]) is None:
            raise WrongUsage(f"The editor {words[0]} was not found; set EDITOR to one that is installed.")
        return words
    usual = next((one for one in _COMMON_EDITORS if which(one)), None)
    if usual is None:
        raise WrongUsage("There is no editor; set EDITOR to one, or supply the new plan with --plan FILE.")
    return [usual]


async def open_editor(command: Sequence[str], path: Path) -> str:
    """Open ``path`` in the editor; return the reason if it failed, or an empty string once it is closed."""
    with _ignoring_interrupts():
        try:
            editor = await asyncio.create_subprocess_exec(*command, str(path))
        except OSError as error:
            return f"The editor {command[0]} could not be started: {error.strerror}."
        code = await editor.wait()
    return f"The editor {command[0]} exited with {code}." if code else ""


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Ignore Ctrl-C in the block: the terminal also sends it to this process, but it is for the editor.

    This installs a handler that does nothing, because the editor would inherit SIG_IGN.
    """
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
