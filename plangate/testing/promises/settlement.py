"""Check that a tool can look up the outcome of an accepted effect, without changing anything."""

from collections.abc import Iterator
from typing import Final

from plangate.testing.promises.check import Check, check_of, not_checked
from plangate.testing.promises.crashes import DoneEffect
from plangate.testing.promises.messages import CallKind, CallResult, Request
from plangate.testing.promises.process import ToolProcess

_NAME: Final = "settlement"


def settlement_checks(first: ToolProcess, second: ToolProcess, done: DoneEffect) -> Iterator[Check]:
    """Yield the check of the look-up for an effect that happened; nothing if receipts are final."""
    if first.loaded.settles or not done.receipt.final:
        yield _settlement(first, second, done)


def _settlement(first: ToolProcess, second: ToolProcess, done: DoneEffect) -> Check:
    """Check the look-up in two processes, one after the other."""
    if first.loaded.settles_within:
        return check_of(_NAME, first.loaded.settles_within, "")
    if not first.loaded.settles:
        why = "its receipt is not final, and it has no find_settlement: how it ends is not looked up"
        return not_checked(_NAME, why)
    if done.receipt.final:
        return not_checked(_NAME, "the receipt of this call was final, so nothing is looked up")
    before = first.count()
    request = Request(do=CallKind.FIND_SETTLEMENT, key=done.key, receipt=done.receipt)
    asked = [one.call(request) for one in (first, second)]
    problem = next(filter(None, map(_wrong_answer, asked)), None)
    if problem is None and first.count() != before:
        problem = "the look-up had an effect"
    return check_of(_NAME, problem, f"find_settlement returned {_said(asked[-1])}")


def _wrong_answer(ended: CallResult) -> str | None:
    match ended.how:
        case "raised" if ended.error.startswith("ToolUnavailable"):
            return None  # a tool may report that the look-up is not possible now
        case "returned" if ended.value.get("answer") in ("settled", "reversed"):
            has_summary = bool(ended.value["summary"].strip())
            return None if has_summary else "it has no summary of what happened"
        case "returned" if ended.value == {"value": None}:
            return None
        case "returned":
            return f"find_settlement must return Settled, Reversed or None, not {ended.value}"
        case _:
            return f"find_settlement failed: {ended.error or ended.how}"


def _said(ended: CallResult) -> str:
    if ended.how == "raised":
        return f"no answer for now ({ended.error})"
    answer = ended.value.get("answer")
    return f"{answer}: {ended.value['summary']}" if answer else "that it is still open"
