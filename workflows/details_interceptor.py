"""Render a run's details page when the Web UI queries it.

The SDK expects a workflow to set the page after each change, and returns it when the Web UI queries it. The
page is rarely read. Rendering it after each change would delay effects, and would slow down runs with many
signals.
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
"""The query that the Web UI uses to get a run's handlers and its page: Temporal's API, `sdk/v1`."""


class HasPage(Protocol):
    """A workflow that has a page."""

    def page(self) -> str:
        """Return the page for the run's current state, in Markdown."""
        ...


class DetailsInterceptor(Interceptor):
    """Adds the page to the result of the metadata query; every workflow of the worker is a `HasPage`."""

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type["_Asked"]:  # noqa: A002
        """Return the interceptor for a run's queries."""
        del input
        return _Asked


class _Asked(WorkflowInboundInterceptor):
    async def handle_query(self, input: HandleQueryInput) -> Any:  # noqa: A002  the SDK's own name for it
        answer = await super().handle_query(input)
        if input.query == METADATA and isinstance(answer, WorkflowMetadata):
            answer.current_details = _page(cast("HasPage", workflow.instance()))
        return answer


def _page(run: HasPage) -> str:
    try:
        return run.page()
    except Exception:  # noqa: BLE001  the same answer also contains the names of the signals
        _log.exception("The details page of the run cannot be rendered.", extra={"action": "page"})
        return "This page cannot be rendered; `starter.py status` shows the run."
