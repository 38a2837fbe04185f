"""Distinguish a refusal before a tool ran from an error that may have come after its effect.

The code -32602 (invalid parameters) is used for both. The official SDKs return it if there is no such tool,
or if the arguments do not match its schema. They also return it if the tool has run and its result does not
match its output schema. A tool can raise it, or pass on an error from another server. The same is true of
-32601. Therefore, only an SDK's own messages that contain this tool's name count as refusals.
"""

from typing import Final

INVALID_PARAMS: Final = -32602
_PREFIX: Final = f"MCP error {INVALID_PARAMS}: "
_MESSAGES: Final = ("Unknown tool: {tool}", "Tool {tool} not found", "Tool {tool} disabled")
_MESSAGE_PREFIXES: Final = (
    "Input validation error: Invalid arguments for tool {tool}: ",
    "Invalid arguments for tool {tool}: ",
)
# The server refused the request before the tool ran: unknown address, unknown caller or wrong format.
REFUSED: Final = frozenset({401, 403, 405, 406, 413, 415})
LATER: Final = frozenset({404, 429})


def is_refusal(code: int, message: str, tool: str) -> bool:
    """Return whether a protocol error means that ``tool`` was not run."""
    return code == INVALID_PARAMS and _is_refusal_of(message.removeprefix(_PREFIX), tool)


def is_reported_refusal(text: str, tool: str) -> bool:
    """Return whether the text of a response with ``isError`` means that ``tool`` was not run."""
    return text.startswith(_PREFIX) and _is_refusal_of(text.removeprefix(_PREFIX), tool)


def _is_refusal_of(text: str, tool: str) -> bool:
    return text in [one.format(tool=tool) for one in _MESSAGES] or text.startswith(
        tuple(one.format(tool=tool) for one in _MESSAGE_PREFIXES)
    )
