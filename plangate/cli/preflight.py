"""Check before a decision that there is a plan to decide on and that this person may decide."""

from contextlib import suppress

from plangate.cli.console import Console
from plangate.cli.decisions import names_a_plan
from plangate.cli.exits import WrongUsage
from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import NotAnswered, RecordsUnavailable, Refused, TemporalUnreachable
from plangate.domain.people.people import same_person
from plangate.domain.plans.plan import FINGERPRINT_LENGTH, short
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import Status
from plangate.presentation.program_name import program
from plangate.presentation.run_page import is_over
from plangate.presentation.words import spelled


async def require_named_plan(console: Console, workflow_id: str, decision: Decision) -> None:
    """If the plan cannot be shown and confirmed, check that the person specified it.

    Raises:
        RunNotFound: there is no such run.
        Refused: the run has no plan that can be decided on.
        WrongUsage: the plan must be specified.
    """
    if names_a_plan(decision) or console.screen.can_ask:
        return
    with suppress(NotAnswered, RecordsUnavailable, TemporalUnreachable):
        async with console.connected() as session:
            status = await session.client.status(workflow_id)
        if is_over(status):
            raise Refused(f"{workflow_id} has ended ({spelled(status.state)}).")
        decidable(status, decision.decision)
    raise WrongUsage(
        f"Specify the plan that you reviewed, with {_option(decision)} and its fingerprint; "
        f"{program()} status {workflow_id} shows it."
    )


def must_be_shown(console: Console, decision: Decision) -> bool:
    """Return whether the plan must be shown before the decision is made.

    Two plans can be constructed whose fingerprints begin with the same digits. A signature therefore requires
    that this command has shown the plan, or that the whole fingerprint was given.

    Raises:
        WrongUsage: it must be shown, and there is no terminal.
    """
    if not names_a_plan(decision):
        return True
    is_whole = len(decision.plan) == FINGERPRINT_LENGTH
    if is_whole or not console.keys.has(decision.by):
        return False
    if not console.screen.can_ask:
        raise WrongUsage(
            f"A signature covers the whole plan: give all {FINGERPRINT_LENGTH} digits of its fingerprint "
            f"with {_option(decision)}; {program()} status prints them."
        )
    return True


def decidable(status: Status, choice: Choice) -> str:
    """Return the fingerprint of the plan on which ``choice`` can be decided now.

    Raises:
        Refused: no plan can be decided on.
    """
    open_for = {Phase.HELD if choice is Choice.RESOLVE else Phase.IN_REVIEW}
    if choice is Choice.WITHDRAW_APPROVAL:
        open_for.add(Phase.EXECUTING)  # the worker's record shows whether a step has begun
    if status.state in open_for and status.fingerprint is not None:
        return status.fingerprint
    what = "resolve" if choice is Choice.RESOLVE else "decide"
    raise Refused(f"{status.workflow_id} is {spelled(status.state)}; there is nothing to {what} now.")


def _option(decision: Decision) -> str:
    """Return the option for the plan; `edit --plan` is the file of the new plan."""
    return "--replaces" if decision.decision is Choice.EDIT else "--plan"


def checked(status: Status, decision: Decision) -> str:
    """Return the fingerprint of the plan to decide on, before the person is asked.

    Raises:
        Refused: the worker would refuse this decision, or the specified plan is not in review.
    """
    fingerprint = decidable(status, decision.decision)
    if names_a_plan(decision) and not fingerprint.startswith(decision.plan):
        raise Refused(
            f"The plan in review is {short(fingerprint)}, not {short(decision.plan)}; "
            f"see it with: {program()} status {status.workflow_id}"
        )
    if decision.decision is Choice.RESOLVE:
        _check_resolution(status, decision)
    if decision.decision is Choice.APPROVE and same_person(decision.by, status.requester):
        raise Refused(f"Refused: {status.requester} is the requester; another person must approve.")
    if decision.decision is Choice.APPROVE and any(same_person(decision.by, one) for one in status.authors):
        raise Refused(f"Refused: {decision.by} edited this plan; another person must approve.")
    has_approved = any(same_person(decision.by, name) for name in status.approved_by)
    if decision.decision is Choice.WITHDRAW_APPROVAL and not has_approved:
        raise Refused(f"Refused: {decision.by} has not approved this plan; there is nothing to withdraw.")
    return fingerprint


def _check_resolution(status: Status, decision: Decision) -> None:
    """Check that the held run can be resolved in this way. Skip parts that were not typed yet.

    Raises:
        Refused: the run cannot be resolved in this way.
    """
    held = status.held
    if held is None:
        return
    for name in (status.requester, *status.authors):
        if same_person(decision.by, name):
            what = "is the requester" if name == status.requester else "edited this plan"
            raise Refused(f"Refused: {name} {what}; another person must resolve it.")
    if decision.step not in (None, held.step):
        raise Refused(f"Refused: {status.workflow_id} is held at step {held.step}, not at {decision.step}.")
    if decision.resolution not in (None, *held.resolutions):
        possible = ", ".join(held.resolutions)
        raise Refused(
            f"Refused: '{decision.resolution}' is not possible here; possible resolutions: {possible}."
        )
