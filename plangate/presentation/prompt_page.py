"""Write the lines above a question at the terminal: warnings, what runs and when, its needs, the deadline."""

from datetime import datetime
from typing import Final

from plangate.domain.plans.what_runs import what_runs
from plangate.domain.runs.status import Status
from plangate.presentation.clock import in_readers_zone, moment
from plangate.presentation.durations import from_now
from plangate.presentation.page import Page
from plangate.presentation.run_page import needed_words, warnings_of
from plangate.presentation.start_words import when_it_runs

_LABEL: Final = len("This plan:")


def prompt_page(status: Status, now: datetime) -> Page:
    """Return a short summary of the decision, because the run's page may have scrolled off the screen."""
    page = Page()
    if status.plan is None:
        return page
    for label, line in warnings_of(status):
        page.field(label, line, "bold red", indent=0, width=_LABEL)
    page.field("This plan:", what_runs(status.plan), "bold", indent=0, width=_LABEL)
    if status.requirement is not None and status.held is None:
        page.field("needs", in_readers_zone(needed_words(status)), indent=0, width=_LABEL)
    for label, words in when_it_runs(status, now):
        page.field(label, words, indent=0, width=_LABEL)
    if status.deadline is not None:
        until = f"until {moment(status.deadline)}, {from_now(status.deadline, now)}"
        page.field("decide", until, indent=0, width=_LABEL)
    for stop in status.stops:
        what = "every step" if stop.tool is None else f"each step of {stop.tool}"
        page.sentence(
            f"Stopped: {what} waits, even if approved, until stop {stop.number} is released.", "bold red"
        )
    return page
