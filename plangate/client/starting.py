"""Start the workflow of a run, with an id that was never used.

If a program submits the same request twice with the same id, the second one is refused with `IdInUse`, even
after the run has ended. Without an id, each request is a new run.
"""

import secrets
import string
from typing import Final

from temporalio.client import Client as TemporalClient
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from plangate.client.messages import message_of
from plangate.client.offline_status import error_of
from plangate.domain.errors import IdInUse, RequestInvalid
from plangate.domain.escaping import one_line
from plangate.domain.runs.audit import OWN_TRAILS
from plangate.domain.runs.request import PlanRequest
from plangate.domain.runs.run import Phase
from plangate.domain.runs.settlements import run_of
from plangate.presentation.markdown import request_page, summary_line
from plangate.temporal.contract import WORKFLOW_TYPE
from plangate.temporal.search_attributes import PLANGATE_REQUESTER, PLANGATE_STATE

_ID_ALPHABET: Final = string.ascii_lowercase + string.digits
_MAX_ID: Final = 200


async def start_run(client: TemporalClient, task_queue: str, request: PlanRequest, workflow_id: str) -> None:
    """Start the workflow, with search attributes for lists if the server has them.

    Raises:
        IdInUse: Temporal already has the id.
        RequestInvalid: the request cannot be sent.
        TemporalUnreachable: the server does not respond.
    """
    listed = TypedSearchAttributes(
        [
            SearchAttributePair(PLANGATE_STATE, Phase.DRAFTING.value),
            SearchAttributePair(PLANGATE_REQUESTER, request.requester),
        ]
    )
    # A server without these attributes refuses them: the run works without them, but lists are slower to
    # read.
    for attributes in (listed, TypedSearchAttributes.empty):
        try:
            await _start(client, task_queue, request, workflow_id, attributes)
        except WorkflowAlreadyStartedError:
            raise in_use(workflow_id) from None
        except RPCError as error:
            if attributes is not listed or not _is_about_search_attributes(error):
                raise error_of(error) from error
        else:
            return


async def _start(
    client: TemporalClient,
    task_queue: str,
    request: PlanRequest,
    workflow_id: str,
    attributes: TypedSearchAttributes,
) -> None:
    await client.start_workflow(
        WORKFLOW_TYPE,
        {**message_of(request), "drafts_at_once": True},
        id=workflow_id,
        task_queue=task_queue,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
        search_attributes=attributes,
        static_summary=summary_line(request.request),
        static_details=request_page(request.request, request.requester),
    )


def _is_about_search_attributes(error: RPCError) -> bool:
    return error.status is RPCStatusCode.INVALID_ARGUMENT and "search attribute" in str(error).lower()


def new_id() -> str:
    """Return a random id."""
    return "plan-" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(8))


def checked_id(workflow_id: str) -> str:
    """Return an id that can be used for a run.

    Raises:
        RequestInvalid: the id cannot be used for a run.
    """
    if (
        not 1 <= len(workflow_id) <= _MAX_ID
        or one_line(workflow_id) != workflow_id
        or workflow_id != workflow_id.strip()
        or workflow_id.startswith("-")  # a command line would parse such an id as an option
    ):
        raise RequestInvalid(
            f"An id has 1 to {_MAX_ID} visible characters, and must not start with - or start or end with a "
            "space; choose another id."
        )
    if workflow_id in OWN_TRAILS:
        raise RequestInvalid(f"The id {workflow_id} is reserved; choose another id.")
    if run_of(workflow_id) is not None:
        raise RequestInvalid(
            f"The id {workflow_id} is reserved for the settlement of another run; choose another id."
        )
    return workflow_id


def in_use(workflow_id: str) -> IdInUse:
    """Return the error for an id that is already used for a run."""
    return IdInUse(
        f"The id {one_line(workflow_id)} is already in use; show it with `status`, or choose another id."
    )
