"""The page that the Web UI shows of a run is drawn when somebody looks at it.

Temporal's library wants it set after each move of a run, and hands it out when the Web UI asks. It is seldom
looked at; to draw it anew each time is work between an approval and its effect, and a good part of a flood.
"""

import logging
from typing import Any, Final, Protocol, cast

from temporalio import workflow
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.worker import (
    HandleQueryInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

_log = logging.getLogger(__name__)

METADATA: Final = "__temporal_workflow_metadata"
"""The query by which the Web UI asks for a run's handlers and its page: Temporal's API, `sdk/v1`."""


class HasPage(Protocol):
    """A workflow of which there is a page."""

    def page(self) -> str:
        """Return the page as the run stands, in Markdown."""
        ...


class PageWhenAsked(Interceptor):
    """Puts the page into the answer to whoever asks for it; the worker's only workflow is a `HasPage`."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type["_Asked"]:  # noqa: A002
        """Return what stands between a run and the queries to it."""
        del input
        return _Asked


class _Asked(WorkflowInboundInterceptor):
    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002  the library's own name for it
        answer = await super().handle_query(input)
        if input.query == METADATA and isinstance(answer, WorkflowMetadata):
            answer.current_details = _page(cast("HasPage", workflow.instance()))
        return answer


def _page(run: HasPage) -> str:
    try:
        return run.page()
    except Exception:  # noqa: BLE001  the names of the signals are in the same answer, and are to be had
        _log.exception("The page of the run cannot be drawn.", extra={"action": "page"})
        return "This page cannot be drawn; `starter.py status` shows the run."
