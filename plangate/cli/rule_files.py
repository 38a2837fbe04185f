"""Show the errors and the past contents of policies and lists of people, for several commands."""

from collections.abc import Iterable

from plangate.cli.answer import error_as_json
from plangate.cli.console import Console
from plangate.cli.exits import Exit, WrongUsage
from plangate.cli.moments import moment_of
from plangate.domain.errors import FileInvalid, RecordsMissing
from plangate.domain.escaping import many_lines, one_line
from plangate.domain.plurals import counted
from plangate.presentation.cells import cell_len
from plangate.presentation.clock import moment, now
from plangate.presentation.page import LABEL_WIDTH
from plangate.records.rule_texts import What, rules_in_effect, rules_in_effect_at


def widest(words: Iterable[str]) -> int:
    """Return the width of the widest of ``words``, at least that of a page's labels."""
    return max(LABEL_WIDTH, *map(cell_len, words))


def show_faults(console: Console, error: FileInvalid) -> int:
    """Print every error of a file, and return the exit code.

    Raises:
        WrongUsage: the closing sentence, unless the output is JSON.
    """
    screen = console.screen
    if screen.is_json:
        faults = [fault.as_json() for fault in error.faults]
        screen.print_json({"file": error.path, **error_as_json(str(error), Exit.USAGE, faults)})
        return Exit.USAGE
    for fault in error.faults:
        screen.say_on_stderr(str(fault))
    count = counted(len(error.faults), "error")
    raise WrongUsage(f"{error.path} cannot be used ({count}); fix it and try again.")


def show_as_of(console: Console, what: What, when: str) -> int:
    """Print the policy or the list of people that was in effect at a given time, from the records."""
    screen, started, at = console.screen, now(), moment_of(when)
    with console.reading() as connection:
        newest = rules_in_effect(connection, what)
        found = newest if at >= started else rules_in_effect_at(connection, what, at)
    name = "policy" if what == "policy" else "list of people"
    if found is None:
        first = f"; the newest one was recorded on {moment(newest.since)}" if newest else ""
        raise RecordsMissing(f"On {moment(at)} no worker had recorded a {name} yet{first}.")
    if screen.is_json:
        screen.print_json(found.model_dump(mode="json"))
        return Exit.DONE
    since = f"since {moment(found.since, with_seconds=True)}, by {one_line(found.worker)}"
    if found.text is None:
        screen.say_on_stderr(f"No {name} was set {since}.")
        return Exit.DONE
    screen.say_on_stderr(f"This {name} was in effect {since}; SHA-256 {found.text.hash}.")
    screen.write_plain(many_lines(found.text.text))
    return Exit.DONE
