"""The effect to check: the tool's act, or the undo of an act."""

from dataclasses import dataclass, field
from typing import Any, Final

from plangate.domain.plans.tool import Receipt
from plangate.testing.promises.messages import CallKind, CallResult, Kill, Request
from plangate.testing.promises.process import ToolProcess

ACT: Final = "call"
UNDO: Final = "undo"


@dataclass(slots=True)
class Effect:
    """The act of a tool, or its undo, under one idempotency key.

    Attributes:
        first: the process that starts the call, and is killed.
        second: the process that takes over.
        key: the idempotency key of the effect.
        undone: the receipt of the act, if this is its undo.
        raised: the errors of all calls, whose classes are checked.
    """

    first: ToolProcess
    second: ToolProcess
    key: str
    undone: Receipt | None = None
    raised: list[CallResult] = field(default_factory=list)

    def begin(
        self, kill: Kill | None = None, *, is_traced: bool = False, is_offline: bool = False
    ) -> CallResult:
        """Act in the first process."""
        return self._call(
            self.first,
            CallKind.ACT if self.undone is None else CallKind.UNDO,
            kill=kill,
            is_traced=is_traced,
            is_offline=is_offline,
        )

    def repeat(self) -> CallResult:
        """Act in the second process, under the same key."""
        return self._call(self.second, CallKind.ACT if self.undone is None else CallKind.UNDO)

    def find_out(self) -> CallResult:
        """Ask the second process whether the effect happened."""
        return self._call(self.second, CallKind.FIND_OUT if self.undone is None else CallKind.FIND_OUT_UNDO)

    def count(self) -> int | None:
        """Return the number of effects that the second process counts."""
        return self.second.count()

    def _call(self, process: ToolProcess, do: CallKind, **more: Any) -> CallResult:
        ended = process.call(Request(do=do, key=self.key, receipt=self.undone, **more))
        if ended.how == "raised":
            self.raised.append(ended)
        return ended


def receipt_in(ended: CallResult) -> Receipt | None:
    """Return the receipt that a call returned."""
    found = ended.value.get("receipt") if isinstance(ended.value, dict) else None
    return Receipt.model_validate(found) if found is not None else None
