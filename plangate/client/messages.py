"""Check a message before it is sent to the Temporal server."""

from typing import Any, Final

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError

from plangate.domain.errors import RequestInvalid

_MAX_BYTES: Final = 2_000_000
"""The maximum size of a message: a little less than the server's limit (2 MB)."""


def message_of(model: BaseModel, **options: Any) -> dict[str, Any]:
    """Return the JSON object for a request or a decision; ``options`` are those of `model_dump`.

    Raises:
        RequestInvalid: it is larger than a message may be, or its text is not valid Unicode.
    """
    try:
        size = len(model.model_dump_json(**options).encode())
    except PydanticSerializationError:
        raise RequestInvalid(
            "The message contains text that is not valid Unicode (a lone surrogate); remove it."
        ) from None
    if size > _MAX_BYTES:
        raise RequestInvalid(
            f"The message has {size:,} bytes, more than the limit of {_MAX_BYTES:,}; make it smaller."
        )
    return model.model_dump(mode="json", **options)
