"""Verify the entries that start a review: drafts of plans, and reopened reviews.

- A draft has the fingerprint of its plan, the next revision, the same installation, namespace and requester
  as before, and a review that is no longer than requested. It is made while the run is drafting, and may not
  be seen by more people than the previous plan.
- An edited plan states its author, and is the plan that the edit contains.
- A reopened review has the same requirement or a stricter one.
- A review is reopened only after an edit, or while its plan is being executed, and for no longer than the
  first time. Approvals recorded as invalid must have been accepted.
"""

from collections.abc import Iterable, Iterator

from plangate.domain.errors import PlanInvalid
from plangate.domain.escaping import one_line
from plangate.domain.people.people import same_person
from plangate.domain.plans.drafting import as_proposed_plan
from plangate.domain.plans.plan import removed_steps, short
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.domain.policies.viewers import missing_viewers
from plangate.domain.runs.audit import AuditEntry, Drafted, Reopened
from plangate.domain.runs.deadlines import exceeds_first_review, exceeds_request
from plangate.domain.runs.findings import Finding
from plangate.domain.runs.run import Phase, RunState
from plangate.domain.runs.starting import wrong_start_times


def foreign_plans(workflow_id: str, trail: Iterable[AuditEntry], installation: str) -> Iterator[Finding]:
    """Yield every plan of a run that was drafted for another installation."""
    for entry in trail:
        if isinstance(entry.event, Drafted) and entry.event.audience.installation != installation:
            what = f"its plan was made for the installation {one_line(entry.event.audience.installation)}"
            yield Finding(workflow_id=workflow_id, entry=entry.number, what=what)


def wrong_draft(state: RunState, event: Drafted) -> str | None:
    """Return why a draft is not allowed in this state, or None."""
    if not event.fingerprint_matches(state.workflow_id):
        return f"the fingerprint {short(event.fingerprint)} is not that of its plan"
    if event.revision != state.next_revision:
        return f"is revision {event.revision}, expected revision {state.next_revision}"
    if state.drafted is not None and state.drafted.audience != event.audience:
        return "was made for a different installation or namespace than the previous revision"
    if state.phase is not Phase.DRAFTING:
        return f"drafts a plan while the run is {state.state}"
    if event.requester and not same_person(event.requester, state.requester):
        return (
            f"has the requester {one_line(event.requester)}, but {one_line(state.requester)} sent the request"
        )
    wrong_times = wrong_start_times(event)
    if wrong_times:
        return wrong_times
    if exceeds_request(event, state.requested):
        return "allows a longer review than was requested"
    before = state.drafted.requirement.seen_by if state.drafted else ()
    if missing_viewers(event.requirement.seen_by, before):
        return "may be seen by more people than the previous plan"
    return _wrong_reads(state, event) or _wrong_author(state, event)


def _wrong_reads(state: RunState, event: Drafted) -> str | None:
    """Return an error if the reads are not a planner's; an edit keeps the reads of the previous plan."""
    if event.planner is not None:
        return None
    before = state.drafted.plan.reads if state.drafted and state.edit else ()
    return None if event.plan.reads == before else "lists reads that no planner made"


def _wrong_author(state: RunState, event: Drafted) -> str | None:
    """Compare an edited plan with the edit; the tools may have normalized its arguments."""
    author = state.edit.by if state.edit else ""
    if event.author != author:
        return (
            f"has the author {one_line(event.author) or 'planner'}, expected {one_line(author) or 'planner'}"
        )
    if state.edit is None or state.drafted is None:
        return "lists removed steps without an edit" if event.struck else None
    if event.struck != (removed_steps(state.drafted.plan, event.plan.proposed()) or ()):
        return "lists removed steps other than those that the edit left out"
    try:
        sent = as_proposed_plan(state.edit.plan)
    except PlanInvalid:
        return "drafts an edit that has no plan"
    if (sent.summary, sent.not_before) != (event.plan.summary, event.plan.not_before) or [
        (one.tool, one.reason) for one in sent.steps
    ] != [(one.tool, one.reason) for one in event.plan.steps]:
        return "is not the plan of the edit"
    return None


def wrong_reopening(state: RunState, event: Reopened) -> str | None:
    """Return why the review must not be reopened in this state, or None."""
    if event.edit and (state.edit is None or event.lost or event.fingerprint != state.fingerprint):
        return "records that an edit could not be drafted, but no edit was pending"
    if not event.edit and (state.phase is not Phase.EXECUTING or event.fingerprint != state.fingerprint):
        return "reopens the review of a plan that was not being executed"
    if not event.edit and not event.lost and event.requirement is None:
        return "reopens the review without an invalid approval"
    drafted = state.drafted
    if event.requirement is not None and drafted is not None:
        less = missing_demand(event.requirement, drafted.requirement)
        if less:
            return f"requires less than the plan needed before: {less}"
        if missing_demand(drafted.requirement, event.requirement) is None:
            return "reopens the review for a requirement that is no stricter"
    if drafted and event.requirement is not None:
        drafted = drafted.with_stricter_requirement(event.requirement, event.recent)
    wrong_times = wrong_start_times(event, drafted) if drafted else None
    if wrong_times:
        return wrong_times
    if drafted and exceeds_first_review(event, drafted, state.requested):
        return "reopens the review for longer than the first time"
    unknown = {one.name for one in event.lost} - {one.name for one in state.approvers}
    if unknown:
        return f"lists invalid approvals that did not exist: {', '.join(map(one_line, sorted(unknown)))}"
    return None
