"""Check a tool's behaviour before an approval: arguments, preview and observation must have no effect."""

from collections.abc import Iterator
from typing import Any, Final

from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.plan import MAX_PREVIEW, canonical_json
from plangate.domain.plans.tool import MAX_OBSERVATION
from plangate.testing.promises.check import Check, check_of, not_checked
from plangate.testing.promises.messages import CallKind, CallResult, LoadResult, Request
from plangate.testing.promises.process import ToolProcess

_SHOWN: Final = 120
_LONGEST_PREVIEW: Final = MAX_PREVIEW - 100


def checks_before_act(first: ToolProcess, second: ToolProcess) -> Iterator[Check]:
    """Yield the checks of the arguments, the preview and the observation."""
    yield _arguments(first.loaded, second.loaded)
    yield _undoable(first.loaded)
    yield _preview(first, second)
    yield _observation(first, second)


def _arguments(one: LoadResult, other: LoadResult) -> Check:
    problem = None
    if one.again != one.arguments:
        problem = f"they change when they go through JSON: {_shown(one.arguments)}, then {_shown(one.again)}"
    elif one.arguments != other.arguments:
        problem = (
            f"two processes fill them in differently: {_shown(one.arguments)} and {_shown(other.arguments)}"
        )
    return check_of("arguments as JSON", problem, _shown(one.arguments))


def _undoable(tool: LoadResult) -> Check:
    problem = None
    if tool.undoable and not tool.undoes:
        problem = "it is declared undoable, but has no undo() and find_out_undo()"
    elif tool.undoes and not tool.undoable:
        problem = "it has undo(), but its declaration says undoable=False, so no run will call it"
    seen = "it can be undone" if tool.undoable else "it cannot be undone, as declared"
    return check_of("undo as declared", problem, seen)


def _preview(first: ToolProcess, second: ToolProcess) -> Check:
    name = "preview"
    if not first.loaded.previews:
        return not_checked(name, "it has no preview; approvers see its name and arguments")
    before = first.count()
    seen = _observed(first) if first.loaded.observes else None
    request = Request(do=CallKind.PREVIEW, seen=(seen, None))
    shown = [one.call(request) for one in (first, first, second)]
    problem = next(filter(None, map(_wrong_preview, shown)), None)
    texts = [one.value["value"] for one in shown if one.how == "returned" and "value" in one.value]
    if problem is None and len(set(texts)) > 1:
        problem = f"it is not the same each time: {_shown(texts[0])}, then {_shown(texts[-1])}"
    problem = problem or _changed(before, first.count(), "the preview")
    return check_of(name, problem, str(texts[0]) if texts else "")


def _wrong_preview(ended: CallResult) -> str | None:
    if ended.how != "returned":
        return f"it failed: {ended.error or ended.how}"
    text = ended.value.get("value")
    if not isinstance(text, str) or not text.strip():
        return f"it must be a sentence, not {_shown(ended.value)}"
    if one_line(text) != text:
        return f"it is not one line of visible characters: {_shown(text)}"
    if len(text) > _LONGEST_PREVIEW:
        return f"it has {len(text):,} characters, more than the limit of {_LONGEST_PREVIEW:,}"
    return None


def _observation(first: ToolProcess, second: ToolProcess) -> Check:
    name = "observation"
    if not first.loaded.observes:
        return not_checked(name, "it has no precondition")
    before = first.count()
    seen = [one.call(Request(do=CallKind.OBSERVE)) for one in (first, second)]
    problem = next(filter(None, map(_wrong_observation, seen)), None)
    if problem is None:
        values = seen[0].value["value"], seen[1].value["value"]
        holds = second.call(Request(do=CallKind.HOLDS, seen=values))
        if holds.how != "returned" or holds.value != {"value": True}:
            said = holds.error or _shown(holds.value)
            problem = f"nothing happened in between, and still_holds() returned {said}"
    problem = problem or _changed(before, first.count(), "observing")
    changes = "" if before is not None else "; whether it changes anything was not checked: no --count"
    return check_of(name, problem, f"{_shown(seen[0].value)}{changes}")


def _wrong_observation(ended: CallResult) -> str | None:
    if ended.how != "returned":
        return f"it failed: {ended.error or ended.how}"
    if "value" not in ended.value:
        return f"JSON cannot represent it: it is or contains a {ended.value.get('unfit', 'receipt')}"
    size = len(canonical_json(ended.value["value"]))
    if size > MAX_OBSERVATION:
        return f"it has {size:,} bytes, more than the limit of {MAX_OBSERVATION:,}"
    return None


def _observed(process: ToolProcess) -> Any:
    ended = process.call(Request(do=CallKind.OBSERVE))
    return ended.value.get("value") if ended.how == "returned" else None


def _changed(before: int | None, after: int | None, what: str) -> str | None:
    if before == after:
        return None
    return f"{what} had an effect: there were {before}, and then {after}"


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else canonical_json(value).decode()
    return one_line(cut(text, _SHOWN))
