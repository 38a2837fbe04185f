"""Authorize the calling workflow: only a run's own workflow may write its record and run its steps.

Any client of the namespace can schedule these activities from its own workflow, or without one, with any
input. It cannot change what Temporal reports about the caller, and a workflow id is unique among open runs.
"""

from temporalio import activity

from plangate.domain.errors import NotApproved, OtherRecords
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.audit import RunRef
from plangate.records.records import Records
from plangate.temporal.contract import WORKFLOW_TYPE


def own_audience(records: Records) -> Audience:
    """Return the audience of the plans that this worker drafts and executes; a workflow cannot change it.

    Raises:
        RecordsUnavailable: the database did not respond.
    """
    return Audience(installation=records.database.installation, namespace=activity.info().namespace)


def check_caller(run: RunRef, records: Records, *, is_local: bool = False) -> None:
    """Check that the workflow of ``run`` scheduled the activity, and that this worker has its records.

    Args:
        run: the run whose trail is about to be written.
        records: this worker's records.
        is_local: whether it must be a local activity, which only Plangate's own workflow can schedule, in its
            own process. Any workflow with that name, on any task queue, can schedule the other activities.

    Raises:
        NotApproved: another workflow scheduled it.
        OtherRecords: the run's plan was drafted for records other than this worker's.
        RecordsUnavailable: the database did not respond.
    """
    info = activity.info()
    is_another = info.workflow_type != WORKFLOW_TYPE or info.workflow_id != run.workflow_id
    if is_another or (is_local and not info.is_local):
        caller = cut(one_line(f"{info.workflow_type} {info.workflow_id}"), 200)
        raise NotApproved(
            f"Only the run {cut(one_line(run.workflow_id), 200)} may schedule this activity, not {caller}, "
            "so none of its steps may run."
        )
    if run.audience is not None and run.audience != own_audience(records):
        raise OtherRecords(
            f"This run's plan was made for the installation {cut(one_line(str(run.audience)), 200)}, and "
            f"this worker has the records of {own_audience(records)}. Stop it, or set its "
            "PLANGATE_DATABASE_URL; a worker with the run's records continues."
        )


def check_workflow_type(workflow_type: str) -> None:
    """Check that the caller is Plangate's own workflow: no other can schedule its local activities.

    Raises:
        NotApproved: the caller is another workflow.
    """
    info = activity.info()
    if info.workflow_type != workflow_type or not info.is_local:
        caller = cut(one_line(f"{info.workflow_type} {info.workflow_id}"), 200)
        raise NotApproved(f"Only the workflow {workflow_type} may schedule this activity, not {caller}.")
