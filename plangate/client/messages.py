"""Check what is sent to the Temporal server before it is sent."""

from typing import Any, Final, TypeVar

from pydantic import BaseModel, JsonValue
from pydantic_core import PydanticSerializationError, to_json
from temporalio.client import Client, WorkflowHandle

from plangate.domain.errors import RequestInvalid

Value = TypeVar("Value", bound=JsonValue)

_MAX_BYTES: Final = 2_000_000
"""The maximum size of a message: a little less than the server's limit (2 MB)."""


def message_of(model: BaseModel, **options: Any) -> dict[str, Any]:
    """Return the JSON object for a request or a decision; ``options`` are those of `model_dump`.

    Raises:
        RequestInvalid: as `sendable`.
    """
    return sendable(model.model_dump(mode="json", **options))


def run_handle(client: Client, workflow_id: str, result_type: type | None = None) -> WorkflowHandle[Any, Any]:
    """Return the handle for an id that a caller supplied.

    Raises:
        RequestInvalid: as `sendable`.
    """
    return client.get_workflow_handle(sendable(workflow_id), result_type=result_type)


def sendable(value: Value) -> Value:
    """Return a message, a text or an id that can be sent.

    Raises:
        RequestInvalid: it is larger than a message may be, or its text is not valid Unicode.
    """
    try:
        size = len(to_json(value))
    except PydanticSerializationError:
        raise RequestInvalid(
            "The message contains text that is not valid Unicode (a lone surrogate); remove it."
        ) from None
    if size > _MAX_BYTES:
        raise RequestInvalid(
            f"The message has {size:,} bytes, more than the limit of {_MAX_BYTES:,}; make it smaller."
        )
    return value
