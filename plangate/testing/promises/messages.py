"""The messages to and from a process with a tool."""

from enum import StrEnum
from typing import Any, Literal

from pydantic import Field, JsonValue

from plangate.domain.base import Frozen
from plangate.domain.plans.tool import Receipt, RetrySafety


class Setting(Frozen):
    """The tool to load in a process.

    Attributes:
        tool: the tool, as ``module:name``.
        arguments: the arguments of every call.
        count: the function that counts effects, as ``module:function``; empty if there is none.
        path: the folders to search before Python's own path.
    """

    tool: str
    arguments: dict[str, JsonValue]
    count: str = ""
    path: tuple[str, ...] = ()


class LoadResult(Frozen):
    """The tool that a process has loaded, or the error that prevents it.

    Attributes:
        arguments: the arguments, in the form of a plan.
        sees: whether it recognises its effect in an observation.
        settles_within: the error in the tool's ``settles_within``; empty if it is valid.
        again: the arguments after another round trip through JSON.
    """

    fault: str = ""
    name: str = ""
    retry_safety: RetrySafety = RetrySafety.UNKNOWABLE
    seconds: int = 60
    undoable: bool = False
    previews: bool = False
    observes: bool = False
    sees: bool = False
    undoes: bool = False
    settles: bool = False
    settles_within: str = ""
    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    again: dict[str, JsonValue] = Field(default_factory=dict)


class CallKind(StrEnum):
    """The kinds of calls that a process can make."""

    COUNT = "count"
    PREVIEW = "preview"
    OBSERVE = "observe"
    HOLDS = "still_holds"
    ACT = "act"
    FIND_OUT = "find_out"
    UNDO = "undo"
    FIND_OUT_UNDO = "find_out_undo"
    FIND_SETTLEMENT = "find_settlement"


class Kill(Frozen):
    """When to kill the process: before the call, at the n-th line of code, after the call, or by time."""

    when: Literal["before", "line", "after", "clock"]
    line: int = 0
    seconds: float = 0.0


class Request(Frozen):
    """One call of the tool, in its own process.

    Attributes:
        key: the idempotency key.
        receipt: the receipt of the effect to undo or look up.
        seen: the observations: when the plan was drafted, and now.
        is_traced: whether the lines of the tool's code are counted.
        is_offline: whether no connection can be opened.
    """

    do: CallKind
    key: str = ""
    receipt: Receipt | None = None
    seen: tuple[JsonValue, JsonValue] = (None, None)
    kill: Kill | None = None
    is_traced: bool = False
    is_offline: bool = False


class Command(Frozen):
    """One line for a process: load another tool, or call the loaded tool."""

    load: Setting | None = None
    call: Request | None = None


class CallResult(Frozen):
    """How a call ended.

    Attributes:
        how: whether it returned, raised an error, was killed with its process, or took too long.
        value: its result as JSON; for a killed process, the result before the kill, if there was one.
        error: the error's class and text.
        is_tool_error: whether the error is a `ToolError`, which states whether the effect happened.
        place: the line of code at which it was killed.
        lines: how many lines of the tool's code ran.
        connections: the number of connections that it tried to open.
        seconds: how long it took.
    """

    how: Literal["returned", "raised", "killed", "overdue"]
    value: Any = None
    error: str = ""
    is_tool_error: bool = False
    place: str = ""
    lines: int = 0
    connections: int = 0
    seconds: float = 0.0
