"""Report which file on this machine was read, and whether the workers use the same content."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from plangate.cli.environment import opened_records
from plangate.domain.errors import PlangateError
from plangate.policy.complete_file import UNCHANGED_SECONDS
from plangate.policy.effective_people import text_of_file
from plangate.presentation.clock import moment
from plangate.presentation.page import Page
from plangate.presentation.program_name import program
from plangate.records.rule_texts import RuleInEffect, What, rules_in_effect
from plangate.settings import Settings

_VARIABLES: Final = {"policy": "PLANGATE_POLICY", "people": "PLANGATE_PEOPLE"}


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that was read here, and the content that the workers last recorded.

    Attributes:
        what: whether it is the policy or the list of people.
        path: its path.
        hash: SHA-256 of its content.
        text: its content; empty for a policy, whose content workers record unchanged.
        workers: the content that workers recorded; None if there is none, or the records cannot be read.
    """

    what: What
    path: Path
    hash: str
    text: str
    workers: RuleInEffect | None

    @property
    def agreement(self) -> Literal["same", "other", "unknown"]:
        """Whether the workers use this content."""
        if self.workers is None:
            return "unknown"
        recorded = self.workers.text
        if recorded is None:
            return "other"
        is_file = self.what == "people" and text_of_file(recorded.text) == self.text.rstrip("\n")
        return "same" if is_file or recorded.hash == self.hash else "other"

    def add_to(self, page: Page) -> None:
        """Add which file was read, and whether the workers use the same content."""
        page.copied("file", str(self.path.absolute()))
        page.copied("hash", self.hash)
        variable = _VARIABLES[self.what]
        if self.workers is None:
            page.note(f"Read from this machine. A worker uses the file in its own {variable};")
            page.note("the records here do not say which one.")
        elif self.agreement == "same":
            since = moment(self.workers.since)
            page.note(f"The workers have used the same content since {since}.", "green")
        else:
            self._add_difference(page, self.workers)

    def _add_difference(self, page: Page, workers: RuleInEffect) -> None:
        """Add what the workers use instead, and when this content will take effect."""
        other = f"another one, with the hash {workers.text.hash}" if workers.text else "none"
        if self.what == "people":
            page.note("The workers have not read this content yet.", "bold yellow")
            page.note(
                "They read the file at the next decision or step, once it has been unchanged for "
                f"{UNCHANGED_SECONDS:g} seconds, if {_VARIABLES[self.what]} is set to it there."
            )
            page.note(f"Since {moment(workers.since)} they have used {other}. See it:")
        else:
            page.note(f"The workers have used {other} since {moment(workers.since)}.", "bold yellow")
            page.note(
                f"This file takes effect when {_VARIABLES[self.what]} is set to it and a worker starts."
            )
            page.note("See it:")
        page.command(f"{program()} {self.what} as-of 0s")

    def as_json(self) -> dict[str, str]:
        """Return the origin as a JSON object."""
        return {"file": str(self.path.absolute()), "workers": self.agreement}


def origin_of(settings: Settings, what: What, path: Path, content_hash: str, text: str) -> Origin:
    """Return the origin of a file's content; if the records cannot be read, ``workers`` is None."""
    try:
        with opened_records(settings) as database, database.read() as connection:
            workers = rules_in_effect(connection, what)
    except PlangateError:
        workers = None
    return Origin(what, path, content_hash, text, workers)
