"""Who asks: a run's record is written, and its steps are executed, for that run's own workflow alone.

Whoever can reach the namespace can schedule our activities from a workflow of their own, or without one, with
any input. What Temporal says of the caller is not theirs to choose: its id belongs to the run that holds it.
"""

from temporalio import activity

from plangate.domain.audit import RunRef
from plangate.domain.errors import NotApproved, OtherRecords
from plangate.domain.escaping import cut, one_line
from plangate.domain.plan import Audience
from plangate.records.database import Database
from plangate.temporal.contract import WORKFLOW_TYPE


def own_audience(database: Database) -> Audience:
    """Return where plans that this worker drafts and executes count, whatever a workflow says.

    Raises:
        RecordsUnavailable: the database did not answer.
    """
    return Audience(installation=database.installation, namespace=activity.info().namespace)


def check_caller(run: RunRef, database: Database, *, is_local: bool = False) -> None:
    """Do nothing if the activity was scheduled by the workflow of ``run``, whose records are here.

    Args:
        run: whose record is to be written.
        database: the records of this worker.
        is_local: whether only our own workflow may ask, in the process that runs it. What is scheduled at the
            server can be asked for by any workflow of that name, on any task queue; a local activity cannot.

    Raises:
        NotApproved: it was scheduled by something else.
        OtherRecords: the run's plan was made for other records than those of this worker.
        RecordsUnavailable: the database did not answer.
    """
    info = activity.info()
    is_another = info.workflow_type != WORKFLOW_TYPE or info.workflow_id != run.workflow_id
    if is_another or (is_local and not info.is_local):
        asker = cut(one_line(f"{info.workflow_type} {info.workflow_id}"), 200)
        raise NotApproved(
            f"Only the run {cut(one_line(run.workflow_id), 200)} itself may ask for this, not {asker}, "
            "so nothing of it may run."
        )
    if run.audience is not None and run.audience != own_audience(database):
        raise OtherRecords(
            f"This run's plan was made for the installation {cut(one_line(str(run.audience)), 200)}, and "
            f"this worker has the records of {own_audience(database)}. Stop it, or set its "
            "PLANGATE_DATABASE_URL; a worker with the run's records goes on."
        )
