"""Check that the parts of a status are consistent, before a person sees or signs it.

A status may come from an untrusted worker or database. Before a machine shows or signs a status, it therefore
computes the fingerprint itself, from exactly the values that it shows. The client and the records pass every
status through `checked`.
"""

from pydantic import JsonValue

from plangate.domain.decisions.decision import Choice
from plangate.domain.errors import StatusContradicts
from plangate.domain.escaping import one_line
from plangate.domain.people.people import same_person
from plangate.domain.plans.plan import (
    SHORT_LENGTH,
    Audience,
    Plan,
    canonical_json,
    fingerprint_of,
    removed_steps,
    short,
)
from plangate.domain.plans.plan_changes import plan_before
from plangate.domain.runs.run import Phase
from plangate.domain.runs.status import DecisionStatus, Status


def checked(
    status: Status, *, workflow_id: str, namespace: str | None = None, objection: str | None = None
) -> Status:
    """Return ``status`` if its parts are consistent and there is no other ``objection``.

    Raises:
        StatusContradicts: they are not consistent; the message states which are not, and what to do.
    """
    wrong = contradiction(status, workflow_id=workflow_id, namespace=namespace) or objection
    if wrong is None:
        return status
    raise StatusContradicts(
        f"The status of {one_line(workflow_id)} is not shown, because its parts contradict each "
        f"other: {one_line(wrong)}. Do not decide on it; have an operator run `starter.py audit "
        "verify`, and check which workers poll this task queue."
    )


def contradiction(status: Status, *, workflow_id: str, namespace: str | None = None) -> str | None:
    """Return the reason why ``status`` cannot be shown for ``workflow_id``, or None if it is consistent.

    Args:
        status: as received.
        workflow_id: the requested run.
        namespace: the Temporal namespace it was requested in; None without a server.
    """
    if status.workflow_id != workflow_id:
        return f"it is the status of another run, {status.workflow_id}"
    if status.plan is None:
        has_parts = status.fingerprint or status.short_fingerprint or status.steps
        return "it has a fingerprint or steps, but no plan" if has_parts else None
    return (
        _wrong_fingerprint(status)
        or _wrong_namespace(status, namespace)
        or _wrong_steps(status)
        or _wrong_previous(status)
        or _wrong_baseline(status)
        or _wrong_author(status)
        or _wrong_hold(status)
    )


def _wrong_fingerprint(status: Status) -> str | None:
    assert status.plan is not None
    if status.installation is None or status.namespace is None:
        return "it does not give the installation for which the plan was made"
    actual = _fingerprint(status, status.plan, status.revision)
    if actual is None:
        return "its plan cannot have a fingerprint"
    if status.fingerprint != actual:
        claimed = short(status.fingerprint or "none")
        return f"the plan shown has the fingerprint {short(actual)}, but the status claims {claimed}"
    if status.short_fingerprint != actual[:SHORT_LENGTH]:
        return "its short fingerprint is not the beginning of its fingerprint"
    return None


def _fingerprint(status: Status, plan: Plan, revision: int) -> str | None:
    """Return the fingerprint of a plan of this run; None if it cannot have one."""
    audience = Audience(installation=status.installation or "", namespace=status.namespace or "")
    try:
        return fingerprint_of(plan, revision, status.workflow_id, audience)
    except ValueError:
        return None


def _wrong_namespace(status: Status, namespace: str | None) -> str | None:
    if namespace is None or status.namespace == namespace:
        return None
    return f"its plan was made for the namespace {status.namespace}, not for {namespace}"


def _wrong_steps(status: Status) -> str | None:
    assert status.plan is not None
    if len(status.steps) != len(status.plan.steps):
        return f"it lists {len(status.steps)} steps, but its plan has {len(status.plan.steps)}"
    for number, (shown, step) in enumerate(zip(status.steps, status.plan.steps, strict=True), start=1):
        listed: list[JsonValue] = [shown.number, shown.tool, shown.arguments, shown.why]
        planned: list[JsonValue] = [number, step.tool, step.arguments, step.reason]
        listed += [shown.preview, shown.observation, shown.undoable]
        planned += [step.preview, step.observation, step.undoable]
        if _canonical(listed) != _canonical(planned):
            return f"its step {number} differs from that of its plan"
    return None


def _wrong_previous(status: Status) -> str | None:
    """Return an error message if the previous revision does not match its fingerprint."""
    before = status.previous
    if before is None:
        return None
    if before.revision != status.revision - 1:
        return f"it compares revision {status.revision} with revision {before.revision}"
    if _fingerprint(status, before.plan, before.revision) != before.fingerprint:
        return f"the plan shown as revision {before.revision} does not have the fingerprint it claims"
    return None


def _wrong_baseline(status: Status) -> str | None:
    """Return an error message if the fingerprint of the plan that all changes are compared with is wrong."""
    base, newest = status.baseline, status.plan
    if base is None or newest is None:
        return None if base is None else "it compares a plan with no other plan"
    if not base.fits(len(newest.steps)) or not 1 <= base.revision < status.revision - 1:
        return f"it compares revision {status.revision} with revision {base.revision}"
    if _fingerprint(status, plan_before(base, newest), base.revision) != base.fingerprint:
        return f"the plan shown as revision {base.revision} does not have the fingerprint it claims"
    return None


def _wrong_author(status: Status) -> str | None:
    """Return an error message for an author without an accepted edit, or an edit without its author."""
    if not status.author:
        made = _asked_for(status)
        if made and all(one.decision == Choice.EDIT for one in made):
            return f"{made[-1].by} edited the plan before, but it gives no author"
        return None
    if status.planner is not None or status.revision == 1:
        return f"it names {status.author} as the author of a plan that no person edited"
    editors = [one.by or "" for one in _asked_for(status) if one.decision == Choice.EDIT]
    is_listed = any(same_person(status.author, by) for by in editors)
    if not is_listed and not status.refusals_not_listed and status.previous is not None:
        return f"it names {status.author} as the author, who made no accepted edit"
    is_excluded = any(same_person(status.author, one) for one in status.authors)
    if not is_excluded and not _may_approve_after_a_strike(status):
        return f"{status.author} edited the plan, but is not among those who may not approve it"
    return None


def _asked_for(status: Status) -> list[DecisionStatus]:
    """Return the accepted decisions on the previous plan that request a new one."""
    before = status.previous
    return [
        one
        for one in status.decisions
        if one.accepted
        and one.decision in (Choice.EDIT, Choice.REQUEST_CHANGES)
        and before is not None
        and one.plan
        and before.fingerprint.startswith(one.plan)
    ]


def _may_approve_after_a_strike(status: Status) -> bool:
    if status.previous is None or status.plan is None or status.requirement is None:
        return False
    only_removes = bool(removed_steps(status.previous.plan, status.plan.proposed()))
    return only_removes and status.requirement.strike_keeps_approver


def _wrong_hold(status: Status) -> str | None:
    """Return an error message if the state and the hold are inconsistent, or there is no such step."""
    held = status.held
    if (status.state == Phase.HELD) != (held is not None):
        return (
            "it does not give the reason why the run is held"
            if held is None
            else "the run is not held, but a reason for a hold is given"
        )
    if held is not None and not 1 <= held.step <= len(status.steps):
        return f"it is held at step {held.step}, which its plan does not have"
    return None


def _canonical(value: JsonValue) -> bytes | None:
    try:
        return canonical_json(value)
    except ValueError:
        return None
