"""Show the active stops."""

import shlex
from collections.abc import Sequence

from plangate.domain.escaping import one_line
from plangate.domain.runs.stops import StopStatus
from plangate.presentation.clock import moment
from plangate.presentation.page import Page
from plangate.presentation.program_name import program


def stops_page(stops: Sequence[StopStatus]) -> Page:
    """Return every stop with its reason, and how to release it."""
    page = Page()
    for stop in stops:
        add_stop(page, stop)
    return page


def add_stop(page: Page, stop: StopStatus) -> None:
    """Add a stop: its scope, who requested it and why, and who can release it."""
    what = "everything" if stop.tool is None else stop.tool
    page.field("STOPPED", f"{what}, since {moment(stop.since)} (stop {stop.number})", "bold red")
    page.note("Steps wait before they begin. Decisions are still accepted.", indent=4)
    proof = "" if stop.is_verified else " (not verified)"
    page.field("by", f"{stop.by}{proof}: {stop.reason}", indent=4)
    released = f"{', '.join(stop.released_by)} released it; " if stop.released_by else ""
    page.field("release", f"{released}it needs {stop.still_needed}", indent=4)
    tool = f" --tool {shlex.quote(one_line(stop.tool))}" if stop.tool is not None else ""
    page.command(f"{program()} go{tool} --stop {stop.number} --by YOUR-NAME --reason '…'", indent=6)
