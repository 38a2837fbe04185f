"""Show how to decide on a plan or a held run: in the inbox, with this program, or with Temporal's tools."""

import json
import shlex
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from plangate.domain.decisions.decision import PLACEHOLDER, Choice
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import same_person
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.presentation.clock import moment
from plangate.presentation.held_page import (
    AT_THE_DEADLINE,
    COMMENTS,
    hold_option,
    requires_proof,
    resolution_message,
    resolvers_words,
    stopped_at,
)
from plangate.presentation.page import Page
from plangate.presentation.program_name import program
from plangate.presentation.resolutions import resolution_words
from plangate.presentation.words import must_be_proven, spelled

ANY_PERSON: Final = PLACEHOLDER


@dataclass(frozen=True, slots=True)
class TemporalAccess:
    """Other ways to view and decide a run: the inbox, Temporal's command line and Web UI.

    Attributes:
        cli_flags: the options with which ``temporal`` reaches the server.
        namespace: the Temporal namespace of the runs.
        ui_url: the Web UI's address, if known.
        is_open: whether the Temporal server responds.
        program: the ``temporal`` command, as it can be typed here.
        inbox_url: the inbox's address; None if there is no inbox.
    """

    cli_flags: tuple[str, ...] = ()
    namespace: str = "default"
    ui_url: str | None = None
    is_open: bool = True
    program: str = "temporal"
    inbox_url: str | None = None

    def signal_command(self, workflow_id: str, choice: str, by: str, plan: str) -> str:
        """Return the ``temporal`` command that sends a decision, ready for a shell."""
        return shlex.join(self.signal_words(workflow_id, choice, by, plan))

    def resolve_command(self, workflow_id: str, message: str) -> str:
        """Return the ``temporal`` command that resolves a held run with this message, ready for a shell."""
        return shlex.join(self.words(workflow_id, Choice.RESOLVE, message))

    def signal_words(self, workflow_id: str, choice: str, by: str, plan: str) -> list[str]:
        """Return the command that sends a decision, as a list of arguments."""
        return self.words(workflow_id, choice, json.dumps({"by": by, "plan": plan}))

    def words(self, workflow_id: str, choice: str, message: str) -> list[str]:
        """Return the ``temporal`` command that sends this message, as a list of arguments."""
        return [
            *(self.program, "workflow", "signal", "-w", workflow_id, "--name", choice, "--input", message),
            *self.cli_flags,
        ]

    def unpause_command(self, workflow_id: str, activity_id: str) -> str:
        """Return the ``temporal`` command that unpauses a step or draft, ready for a shell."""
        words = [self.program, "activity", "unpause", "--workflow-id", workflow_id]
        return shlex.join([*words, "--activity-id", activity_id, *self.cli_flags])

    def page_of(self, workflow_id: str) -> str | None:
        """Return the address of a run in the Web UI."""
        if self.ui_url is None:
            return None
        namespace, run = quote(self.namespace, safe=""), quote(workflow_id, safe="")
        return f"{self.ui_url}/namespaces/{namespace}/workflows/{run}"

    def inbox_page_of(self, workflow_id: str) -> str | None:
        """Return the address of a run in the inbox."""
        return None if self.inbox_url is None else f"{self.inbox_url}/runs/{quote(workflow_id, safe='')}"


def deciding_page(status: Status, access: TemporalAccess, viewer: str = "", *, signs: bool = False) -> Page:
    """Return how to decide on a plan or a held run: in the inbox, with this program, or Temporal's tools.

    ``viewer`` is the reader; if it is the requester, another person must approve. ``signs`` means that
    there are keys on this machine.
    """
    page = Page()
    page.gap()
    if not access.is_open:
        waits = status.state in (Phase.IN_REVIEW, Phase.HELD)
        then = "then decide" if waits else "and the run continues"
        page.heading(f"The Temporal server does not answer. Start it, {then}. On one machine:")
        page.command("make worker")
        return page
    is_one_kept = bool(status.unread) or (status.unrecorded is not None and status.unrecorded.decisions > 0)
    what = f"To resolve {stopped_at(status)}" if status.held is not None else "To decide"
    page.heading("To send another decision" if is_one_kept else what)
    if status.unread:
        page.note(
            "Unread decisions may already answer this: start a worker (make worker) and check again, or", ""
        )
    if why_not_you(status, viewer):
        page.note(f"You ({viewer}) {why_not_you(status, viewer)}.", "yellow")
    inbox = access.inbox_page_of(status.workflow_id)
    if inbox:
        page.note("In the inbox:", "")
        page.line(inbox)
    if status.held is not None:
        _add_resolutions(page, status, access, signs=signs)
    else:
        _add_commands(page, status, access, signs=signs)
    return page


def why_not_you(status: Status, viewer: str) -> str:
    """Return the reason why the reader may not approve or resolve, to follow 'you'; empty if they may."""
    then = f"so another person must {'resolve it' if status.held else 'approve'}"
    if same_person(viewer, status.requester):
        return f"are the requester, {then}"
    if any(same_person(viewer, one) for one in status.authors):
        return f"edited this plan, {then}"
    return ""


def _add_resolutions(page: Page, status: Status, access: TemporalAccess, *, signs: bool) -> None:
    assert status.held is not None
    page.note(f"Who may resolve it: {resolvers_words(status)}.", "")
    if status.deadline:
        page.note(f"Until {moment(status.deadline)}; then {AT_THE_DEADLINE}.", "")
    is_signed = requires_proof(status)
    plan = status.fingerprint if is_signed or signs else status.short_fingerprint
    run = shlex.quote(status.workflow_id)
    page.note(f"Replace {ANY_PERSON}, and run one of these:", "")
    for resolution, words in resolution_words(status).items():
        page.gap()
        page.note(spelled(resolution), "bold")
        page.note(words, "", indent=4)
        comment = f" --comment {COMMENTS[resolution]}" if COMMENTS[resolution] else ""
        step = f" --step {status.held.step}{hold_option(status)}{comment}"
        page.command(
            f"{program()} resolve {_behind_options(f'{run} {resolution}', plan or '', step)}", indent=6
        )
    page.gap()
    first = status.held.resolutions[0]
    if is_signed:
        must = must_be_proven(status.requirement.resolving.assurance if status.requirement else None)
        page.note(f"Resolutions {must}. This prints one for Temporal's command line or the Web UI:")
        step = f" --step {status.held.step}{hold_option(status)} --resolution {first}"
        page.command(f"{program()} sign {_behind_options(f'{run} resolve', plan or '', step)}")
        return
    page.note(f"or with Temporal's command line, here to {spelled(first)}:")
    page.command(access.resolve_command(status.workflow_id, resolution_message(status, first)))
    _add_web_page(page, status, access)
    page.note("The message of the signal resolve is one of these:")
    for resolution in status.held.resolutions:
        page.line(resolution_message(status, resolution))


def _add_commands(page: Page, status: Status, access: TemporalAccess, *, signs: bool) -> None:
    is_signed = status.requirement is not None and status.requirement.assurance > Assurance.TYPED
    # A signature needs the whole fingerprint, because the fingerprints of two plans may begin with the same
    # digits.
    whole, beginning = status.fingerprint or "", status.short_fingerprint or ""
    plan = whole if is_signed or signs else beginning
    run = shlex.quote(status.workflow_id)
    others = "reject, or request-changes with --comment" if status.may_draft else "reject, or edit"
    page.note(f"Replace {ANY_PERSON} and run this (or {others}):")
    page.command(f"{program()} approve {_behind_options(run, plan)}")
    if is_signed:
        must = must_be_proven(status.requirement.assurance if status.requirement else None)
        page.note(f"Decisions {must}. This prints one for Temporal's command line or the Web UI:")
        page.command(f"{program()} sign {_behind_options(f'{run} approve', plan)}")
        return
    names = "reject, request_changes" if status.may_draft else "reject"
    page.note(f"or with Temporal's command line (or --name {names}):")
    page.command(access.signal_command(status.workflow_id, "approve", ANY_PERSON, beginning))
    _add_web_page(page, status, access)


def _add_web_page(page: Page, status: Status, access: TemporalAccess) -> None:
    address = access.page_of(status.workflow_id)
    if address:
        page.note("or in the Web UI, with Send a Signal:")
        page.line(address)


def _behind_options(words: str, plan: str, more: str = "") -> str:
    """Return the command's words with its options; an id that looks like an option is put after ``--``."""
    options = f"--by {ANY_PERSON} --plan {plan}{more}"
    return f"{options} -- {words}" if words.startswith(("-", "'-")) else f"{words} {options}"
