"""Kill a tool before, during and after its call, and check that a second process continues correctly.

The second process follows the rules of a worker (`activities.effect_once`). An effect that happened is not
repeated, and an effect that did not happen is executed. If the effect may be repeated, it is repeated under
the same key if its observation is still valid. If its status is unknown, it is in doubt.
"""

import secrets
from collections.abc import Iterator
from typing import Final, NamedTuple

from pydantic import JsonValue

from plangate.domain.plans.tool import Receipt, RetrySafety
from plangate.domain.plurals import counted
from plangate.testing.promises.check import Check, check_of, failed, not_checked, passed
from plangate.testing.promises.effect import ACT, UNDO, Effect, receipt_in
from plangate.testing.promises.messages import CallKind, CallResult, Kill, Request
from plangate.testing.promises.process import ToolProcess

_MOST_LINES: Final = 12
SLOW: Final = 0.2  # in seconds; slower calls are also killed by time
_NO_COUNT: Final = "no --count"
_ANSWERS: Final = {
    RetrySafety.LOOK_UP: ("happened", "did_not_happen"),
    RetrySafety.VENDOR_KEY: ("repeatable", "happened", "did_not_happen"),
    RetrySafety.UNKNOWABLE: ("unknown",),
    RetrySafety.BY_CALL: ("happened", "did_not_happen", "repeatable", "unknown"),
}
_ANSWER_WORDS: Final = {
    "happened": "it happened",
    "did_not_happen": "it did not happen",
    "repeatable": "it can be repeated",
    "unknown": "unknown",
}


class ReferenceCall(NamedTuple):
    """The result of one uninterrupted call, with which the other calls are compared.

    Attributes:
        ended: how it ended.
        change: how much the count grew; None if effects are not counted.
        receipt: the receipt that it returned.
    """

    ended: CallResult
    change: int | None
    receipt: Receipt


class DoneEffect(NamedTuple):
    """An effect that happened: its idempotency key, and its receipt."""

    key: str
    receipt: Receipt


class Crashes:
    """The checks of one kind of effect: the tool's act, or its undo.

    Args:
        first: the process that is killed.
        second: the process that takes over.
        is_undo: whether the effect is the undo.
    """

    def __init__(self, first: ToolProcess, second: ToolProcess, *, is_undo: bool = False) -> None:
        self.raised: list[CallResult] = []
        self.done: DoneEffect | None = None
        self._first = first
        self._second = second
        self._is_undo = is_undo
        self._what = UNDO if is_undo else ACT
        self._safety = first.loaded.retry_safety
        self._run = f"check-tool-{secrets.token_hex(6)}"
        self._fingerprint = secrets.token_hex(32)
        self._steps = 0

    def checks(self) -> Iterator[Check]:
        """Yield the check of each promise, or only the first check if the call never succeeds."""
        effect = self._new()
        before = effect.count()
        ended = effect.begin(is_traced=True)
        receipt = receipt_in(ended) if ended.how == "returned" else None
        change = _difference(before, effect.count())
        if receipt is None:
            yield failed(f"{self._what} succeeds", _not_a_receipt(ended))
            return
        reference = ReferenceCall(ended, change, receipt)
        self.done = DoneEffect(effect.key, receipt)
        yield self._succeeds(reference)
        yield self._second_key(reference)
        yield self._same_key(effect, reference)
        yield self._killed("before", [Kill(when="before")], reference)
        yield self._killed("during", self._kills_during(reference), reference)
        yield self._killed("after", [Kill(when="after")], reference)
        yield self._cut_off(reference)

    def _new(self) -> Effect:
        """Return a new effect under its own key; for an undo, call the tool's act first."""
        undone = None
        if self._is_undo:
            acted = self._with_key(None)
            ended = acted.repeat()
            undone = receipt_in(ended)
        return self._with_key(undone)

    def _with_key(self, undone: Receipt | None) -> Effect:
        self._steps += undone is None
        key = f"{self._run}:{self._fingerprint}:{self._steps}" + (":undo" if undone is not None else "")
        return Effect(self._first, self._second, key, undone, self.raised)

    # ---- without a crash ------------------------------------------------------------------------

    def _succeeds(self, reference: ReferenceCall) -> Check:
        problem = None
        if reference.ended.value["is_changed"]:
            problem = "the details of its receipt cannot be stored as JSON"
        elif not reference.receipt.summary.strip():
            problem = "its receipt has no summary"
        elif reference.change == 0:
            problem = "its effect was not counted; check the function of --count"
        elif reference.change not in (None, 1) and not self._is_undo:
            problem = f"one call had {reference.change} effects"
        seen = f"in {reference.ended.seconds:.2f} s: {reference.receipt.summary}"
        return check_of(f"{self._what} succeeds", problem, seen)

    def _second_key(self, reference: ReferenceCall) -> Check:
        name = f"{self._what} with a new key"
        if reference.change is None:
            return not_checked(name, _NO_COUNT)
        effect = self._new()
        before = effect.count()
        ended = effect.begin()
        change = _difference(before, effect.count())
        problem = f"it had no separate effect ({_outcome(ended)})" if change != reference.change else None
        return check_of(name, problem, "counted again")

    def _same_key(self, effect: Effect, reference: ReferenceCall) -> Check:
        name = f"{self._what} with the same key"
        if self._safety not in (RetrySafety.LOOK_UP, RetrySafety.VENDOR_KEY) or self._is_unknowable(effect):
            return not_checked(name, "not promised; after a crash, a person is asked")
        before = effect.count()
        ended = effect.repeat()
        change = _difference(before, effect.count())
        if change is None:
            is_same = receipt_in(ended) == reference.receipt
            if ended.how == "returned" and not is_same and self._safety is RetrySafety.VENDOR_KEY:
                return failed(name, f"a different receipt was returned: {_outcome(ended)}")
            same = "the same receipt was returned" if is_same else _outcome(ended)
            return not_checked(name, f"{_NO_COUNT}; {same}")
        problem = f"it had a second effect ({_outcome(ended)})" if change else None
        if problem is None and ended.how != "returned" and self._safety is RetrySafety.VENDOR_KEY:
            problem = f"a repeat must return the receipt, but: {_outcome(ended)}"
        return check_of(name, problem, f"no second effect ({_outcome(ended)})")

    def _cut_off(self, reference: ReferenceCall) -> Check:
        name = f"{self._what} without a network"
        if not reference.ended.connections:
            return not_checked(name, "it opened no connection")
        effect = self._new()
        ended = effect.begin(is_offline=True)
        is_refused = ended.error.startswith("ToolRefused")
        problem = None
        if ended.how == "returned":
            problem = f"it returned, although no connection could be opened ({_outcome(ended)})"
        elif not ended.is_tool_error or is_refused:
            problem = f"it must raise ToolUnavailable, but: {_outcome(ended)}"
        return check_of(name, problem, _outcome(ended))

    def _is_unknowable(self, effect: Effect) -> bool:
        """Whether the effect is an undo that cannot be looked up, although the act can."""
        found = effect.find_out() if self._is_undo else None
        return found is not None and found.how == "returned" and found.value.get("answer") == "unknown"

    # ---- with a crash ---------------------------------------------------------------------------

    def _kills_during(self, reference: ReferenceCall) -> list[Kill]:
        """Return when to kill: at evenly spaced lines of the tool's code; for slow calls, also by time."""
        lines, count = reference.ended.lines, min(reference.ended.lines, _MOST_LINES)
        at = sorted({1 + round(index * (lines - 1) / max(1, count - 1)) for index in range(count)})
        kills = [Kill(when="line", line=line) for line in at]
        if reference.ended.seconds >= SLOW:
            kills += [Kill(when="clock", seconds=reference.ended.seconds * part) for part in (0.3, 0.6, 0.9)]
        return kills

    def _killed(self, when: str, kills: list[Kill], reference: ReferenceCall) -> Check:
        name = f"{self._what} killed {when}"
        answers: list[str] = []
        for kill in kills:
            answer, problem = self._continued(kill, reference)
            if problem:
                return failed(name, problem)
            answers.append(answer)
        said = ", ".join(
            f"{words} ({answers.count(one)})" for one, words in _ANSWER_WORDS.items() if one in answers
        )
        done = "" if {"unknown"}.issuperset(answers) else "; then done once"
        if reference.change is None and done:
            done = "; whether it was done once was not checked: no --count"
        return passed(name, f"{counted(len(kills), 'kill')}; find_out answered {said}{done}")

    def _continued(self, kill: Kill, reference: ReferenceCall) -> tuple[str, str | None]:
        """Kill one call and continue in the second process; return its answer, and any broken promise."""
        effect = self._new()
        before, seen = effect.count(), self._observed()
        if not self._still_holds(seen):
            return "", (
                "its precondition is no longer met, because of earlier checks: choose arguments for which it "
                "is still met after twenty effects"
            )
        killed = effect.begin(kill)
        happened = _is_change(_difference(before, effect.count()), reference.change)
        if happened is None:  # without a count, only the state before and after the call is known
            happened = {"before": False, "after": killed.how == "killed"}.get(kill.when)
        place = f" at {killed.place}" if killed.place else f" {kill.when} the {self._what}"
        answered = effect.find_out()
        answer, problem = self._checked_answer(answered, happened=happened)
        if problem:
            return answer, f"killed{place}, {problem}"
        if answer == "repeatable" and not self._still_holds(seen):
            return answer, (
                f"killed{place}, it would be in doubt, because what it observes changed: attach a find_out "
                "that looks up whether the call happened"
            )
        if answer in ("did_not_happen", "repeatable"):
            again = effect.repeat()
            if again.how != "returned":
                return answer, f"killed{place}, it could not be done afterwards: {_outcome(again)}"
        if answer != "unknown":
            problem = self._not_once(effect, before, reference)
        return answer, f"killed{place}, then {_ANSWER_WORDS[answer]!r}: {problem}" if problem else None

    def _observed(self) -> JsonValue:
        """Return the current observation, if a worker checks it before it repeats the act under its key."""
        tool = self._first.loaded
        is_asked = tool.observes and not tool.sees and self._safety is RetrySafety.VENDOR_KEY
        if self._is_undo or not is_asked:
            return None
        ended = self._second.call(Request(do=CallKind.OBSERVE))
        return {"seen": ended.value.get("value")} if ended.how == "returned" else None

    def _still_holds(self, before: JsonValue) -> bool:
        """Return whether a worker would repeat the act after the new observation."""
        now = self._observed()
        if not isinstance(before, dict) or not isinstance(now, dict):
            return True
        held = self._second.call(Request(do=CallKind.HOLDS, seen=(before["seen"], now["seen"])))
        return bool(held.value == {"value": True})

    def _checked_answer(self, ended: CallResult, *, happened: bool | None) -> tuple[str, str | None]:
        """Return the answer of `find_out`, and the reason why it is wrong or breaks a promise, if any."""
        if ended.how != "returned":
            return "", f"find_out failed: {_outcome(ended)}"
        answer = ended.value.get("answer")
        if answer is None:
            return "", f"find_out returned {_outcome(ended)}, which is not a valid answer"
        said = _ANSWER_WORDS[answer]
        if answer == "happened" and happened is False:
            return answer, "find_out reported that it happened, but it did not"
        if answer == "did_not_happen" and happened:
            return answer, "find_out reported that it did not happen, but it did: it would be done twice"
        if answer not in _ANSWERS[self._safety] and not (self._is_undo and answer == "unknown"):
            return answer, f"find_out answered {said!r}, and its retry safety is {self._safety.name}"
        if answer == "unknown" and not ended.value["reason"].strip():
            return answer, "find_out answered 'unknown' without a reason that says where to look"
        return answer, None

    def _not_once(self, effect: Effect, before: int | None, reference: ReferenceCall) -> str | None:
        change = _difference(before, effect.count())
        if change is None or change == reference.change:
            return None
        if not change:
            return "it was never done"
        return f"it was done {change / (reference.change or 1):g} times"


def errors_of(raised: list[CallResult]) -> Check:
    """Return the check that every error from these calls indicates whether the effect happened."""
    name = "errors are ToolErrors"
    others = [one.error for one in raised if not one.is_tool_error]
    if others:
        return failed(
            name,
            f"raise ToolUnavailable, ToolRefused or EffectUnknown, which say what happened; not {others[0]}",
        )
    if not raised:
        return not_checked(name, "no call failed")
    return passed(name, "; ".join(dict.fromkeys(one.error for one in raised)))


def _difference(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


def _is_change(change: int | None, once: int | None) -> bool | None:
    return None if change is None or not once else change != 0


def _not_a_receipt(ended: CallResult) -> str:
    if ended.how == "returned":
        return f"it must return a Receipt, not {_outcome(ended)}"
    return f"{_outcome(ended)}; pass arguments with which it succeeds"


def _outcome(ended: CallResult) -> str:
    """Return a description of how a call ended."""
    match ended.how:
        case "raised":
            return ended.error
        case "killed":
            return "its process ended unexpectedly"
        case "overdue":
            return "it took longer than its limit"
        case "returned":
            receipt = receipt_in(ended)
            return receipt.summary if receipt else str(ended.value.get("unfit", ended.value.get("value")))
