"""Show a held run before it is resolved, with the most important part at the end.

A small screen shows only the end: what happened, why it stopped, and what each choice will do. The page shows
only the held step of the plan, in full; the page of the run has the rest.
"""

from datetime import datetime
from typing import Final

from plangate.domain.runs.status import Status
from plangate.presentation.held_page import add_hold_times, add_stopped_at, add_what_happened
from plangate.presentation.page import Page
from plangate.presentation.resolutions import resolution_words
from plangate.presentation.step_page import add_step
from plangate.presentation.stops_page import add_stop
from plangate.presentation.words import SUPPLIED, spelled, status_command

CHOICE_WIDTH: Final = 10


def resolving_page(status: Status, now: datetime, *, has_choices: bool = True) -> Page:
    """Return the held step, why the run is held, and, with ``has_choices``, what each choice will do."""
    assert status.held is not None
    page = Page()
    page.gap()
    page.heading(f"{status.workflow_id}  {spelled(status.state)}", "bold red")
    page.field("requester", status.requester)
    exact = status_command(status.workflow_id, as_json=True)
    page.words("request", status.request or f"({SUPPLIED})", exact=exact)
    page.field("plan", f"{status.short_fingerprint}, revision {status.revision}", "bold")
    page.note(f"To see all of it: {status_command(status.workflow_id)}", indent=4)
    if 1 <= status.held.step <= len(status.steps):
        step = status.steps[status.held.step - 1]
        if step.failure == status.held.why:  # it is shown below, with where the run stopped
            step = step.model_copy(update={"failure": ""})
        add_step(page, step, len(status.steps), exact)
    page.gap()
    for stop in status.stops:
        add_stop(page, stop)
    add_hold_times(page, status, now)
    add_what_happened(page, status)
    add_stopped_at(page, status)
    page.gap()
    if has_choices:
        page.heading("What each choice will do")
        for resolution, said in resolution_words(status).items():
            page.field(spelled(resolution), said, width=CHOICE_WIDTH)
        page.gap()
    return page
