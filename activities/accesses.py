"""The local activity that records accesses, for programs that cannot write to the records themselves."""

from temporalio import activity

from activities.calling_workflow import check_workflow_type
from activities.tasks import MessageTask
from activities.temporal_failures import as_application_errors
from activities.waiting_for_records import with_time_limit
from plangate.domain.decisions.accesses import AccessAnswer, read_access
from plangate.records.accesses import record_access
from plangate.records.records import Records
from plangate.temporal.contract import LOOK_TYPE


class AccessRecording:
    """Records accesses."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @activity.defn
    async def record_look(self, task: MessageTask) -> AccessAnswer:
        """Record the access, unless it is already recorded or cannot be parsed.

        Raises:
            ApplicationError: the records are unavailable.
        """
        with as_application_errors():
            check_workflow_type(LOOK_TYPE)
            try:
                look = read_access(task.inputs)
            except ValueError as error:
                return AccessAnswer(recorded=False, reason=str(error))
            await with_time_limit(
                self._records,
                self._records.write(
                    lambda connection: record_access(connection, task.key, look, task.received_at)
                ),
            )
            return AccessAnswer(recorded=True)
