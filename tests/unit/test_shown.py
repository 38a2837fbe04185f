"""Approvers sign exactly the displayed plan: every change of a visible part of a status is detected."""

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final

import pytest

from plangate.domain.plans.plan import Plan
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.fold import apply, fold
from plangate.domain.runs.status import Status, status_of
from plangate.domain.runs.status_consistency import contradiction
from tests.support.build import arrival, decide, drafted, requested
from tests.support.fakes import AUDIENCE
from tests.support.times import times

RUN = "refund-4711"
ATTACKS: Final = times(900)
PLAN = Plan.model_validate(
    {
        "summary": "Refund one charge, and tell the customer",
        "steps": [
            {"tool": "send_email", "arguments": {"to": ["ana@example.org"], "copies": 1}, "reason": "told"},
            {"tool": "http_request", "arguments": {"url": "https://pay.example/r", "json": {"c": 4250}}},
            {"tool": "note", "arguments": {"text": "done", "when": None, "urgent": False, "share": 0.5}},
        ],
    }
)  # fmt: skip


def a_status(plan: Plan = PLAN, revision: int = 1, run: str = RUN) -> Status:
    return status_of(fold(run, (requested(), drafted(plan, revision, run))), source="workflow")


EDITED = Plan.model_validate(
    {
        "summary": "Refund one charge, and tell the customer",
        "steps": [
            {
                "tool": "refund",
                "arguments": {"payment": "ch_1", "amount": "42.50"},
                "preview": "Refund 42.50 EUR of ch_1",
                "observation": {"status": "paid", "refunded": 0},
                "definition": "ab" * 32,
                "undoable": True,
            },
            PLAN.steps[0].model_dump(),
        ],
    }
)


def an_edited_status(**more: Any) -> Status:
    """Return the status of a run after dana edited its first plan."""
    first = drafted(PLAN, 1, RUN)
    edit = arrival("edit", plan=first.fingerprint, new_plan={})
    state = decide(fold(RUN, (requested(), first)), edit)
    return status_of(apply(state, drafted(EDITED, 2, RUN, author="dana", **more)), source="workflow")


def seen(status: Status) -> str | None:
    return contradiction(status, workflow_id=RUN, namespace=AUDIENCE.namespace)


def test_a_consistent_status_is_shown() -> None:
    assert seen(a_status()) is None
    assert seen(Status.model_validate_json(a_status().model_dump_json())) is None


def test_the_status_of_an_edited_plan_is_shown() -> None:
    assert seen(an_edited_status()) is None
    assert seen(Status.model_validate_json(an_edited_status().model_dump_json())) is None


def test_an_editor_who_removed_steps_may_approve_only_if_the_policy_allows_it() -> None:
    removed = PLAN.model_copy(update={"steps": PLAN.steps[1:]})
    first = drafted(PLAN, 1, RUN)
    edited = decide(fold(RUN, (requested(), first)), arrival("edit", plan=first.fingerprint, new_plan={}))
    keeps = ONE_APPROVAL.model_copy(update={"strike_keeps_approver": True})
    second = drafted(removed, 2, RUN, author="dana", struck=(1,), requirement=keeps)
    status = status_of(apply(edited, second), source="workflow")
    assert (status.authors, seen(status)) == ((), None)
    strict = status.model_copy(update={"requirement": ONE_APPROVAL})
    assert "not among those who may not approve it" in (seen(strict) or "")


def test_a_run_without_a_plan_yet_is_shown() -> None:
    assert seen(status_of(fold(RUN, (requested(),)), source="workflow")) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"workflow_id": "refund-4712"}, "the status of another run"),
        ({"installation": "00" * 16}, "has the fingerprint"),
        ({"namespace": "staging"}, "has the fingerprint"),
        ({"installation": None}, "does not give the installation"),
        ({"revision": 2}, "has the fingerprint"),
        ({"fingerprint": "ab" * 32}, "but the status claims abababababab"),
        ({"short_fingerprint": "ab" * 6}, "short fingerprint"),
        ({"plan": None}, "it has a fingerprint or steps, but no plan"),
        ({"steps": ()}, "lists 0 steps, but its plan has 3"),
    ],
)
def test_contradictions_are_reported(change: dict[str, Any], words: str) -> None:
    assert words in (seen(a_status().model_copy(update=change)) or "")


def test_a_plan_for_another_namespace_is_not_shown_here() -> None:
    there = contradiction(a_status(), workflow_id=RUN, namespace="production")
    assert there == "its plan was made for the namespace default, not for production"


def _changed(value: Any, rng: Random) -> Any:  # noqa: PLR0912  one branch for each kind of change
    """Make an inconspicuous change to one part of a JSON value."""
    match value:
        case dict() if value:
            name = rng.choice(list(value))
            rest = {key: item for key, item in value.items() if key != name}
            match rng.randrange(4):
                case 0:
                    return rest
                case 1:
                    return rest | {name + rng.choice((" ", "\u200b", "s")): value[name]}
                case 2:
                    return value | {"bcc": "eve@example.org"}
                case _:
                    return value | {name: _changed(value[name], rng)}
        case list() if value:
            at = rng.randrange(len(value))
            match rng.randrange(4):
                case 0:
                    return value[:at] + value[at + 1 :]
                case 1:
                    return [*value, value[at]]
                case 2 if any(item != value[0] for item in value):
                    turned = value[::-1]
                    return turned if turned != value else [*value, None]
                case _:
                    return [*value[:at], _changed(value[at], rng), *value[at + 1 :]]
        case str() if value:
            at = rng.randrange(len(value))
            other = rng.choice([char for char in "a0 ./@\u0430\u200b\u202e" if char != value[at]])
            return rng.choice((value[:at] + other + value[at + 1 :], value + other, value[:-1]))
        case bool() | None:
            return rng.choice((1, "x", [], {"a": value}))
        case int() | float():
            return rng.choice((value + 1, -value - 1, value * 10 + 1, str(value)))
        case _:
            return "something else"


def _in_the_plan(status: dict[str, Any], rng: Random) -> None:
    status["plan"] = _changed(status["plan"], rng)


def _in_a_step(status: dict[str, Any], rng: Random) -> None:
    step = rng.choice(status["steps"])
    part = rng.choice(("tool", "arguments", "why", "number"))
    step[part] = _changed(step[part], rng) if step[part] != "" else "because"


def _in_both(status: dict[str, Any], rng: Random) -> None:
    """Change the plan and the steps alike, so that only the fingerprint differs."""
    number = rng.randrange(len(status["steps"]))
    arguments = _changed(status["steps"][number]["arguments"], rng)
    status["steps"][number]["arguments"] = status["plan"]["steps"][number]["arguments"] = arguments


def _in_the_order(status: dict[str, Any], rng: Random) -> None:
    first, second = rng.sample(range(len(status["steps"])), 2)
    for steps in (status["steps"], status["plan"]["steps"]):
        steps[first], steps[second] = steps[second], steps[first]
    for number, step in enumerate(status["steps"], start=1):
        step["number"] = number


def _in_the_names(status: dict[str, Any], rng: Random) -> None:
    part = rng.choice(("workflow_id", "fingerprint", "short_fingerprint", "installation", "namespace"))
    status[part] = _changed(status[part], rng)


def _of_another_plan(status: dict[str, Any], rng: Random) -> None:
    """Show a consistent, harmless plan with the fingerprint of the plan that runs."""
    harmless = _changed(PLAN.model_dump(mode="json"), rng)
    try:
        other = a_status(Plan.model_validate(harmless), revision=rng.choice((1, 2)))
    except ValueError:
        return _in_the_plan(status, rng)
    shown = other.model_dump(mode="json")
    for kept in ("fingerprint", "short_fingerprint"):
        shown[kept] = status[kept]
    status.clear()
    status.update(shown)
    return None


def _in_an_addition(status: dict[str, Any], rng: Random) -> None:
    """Change a tool's addition to a step."""
    step = status["steps"][0]
    part = rng.choice(("preview", "observation", "undoable"))
    step[part] = _changed(step[part], rng)
    if rng.random() < 0.5:
        status["plan"]["steps"][0][part] = step[part]


def _in_the_definition(status: dict[str, Any], rng: Random) -> None:
    step = status["plan"]["steps"][0]
    step["definition"] = _changed(step["definition"], rng)


def _in_the_previous(status: dict[str, Any], rng: Random) -> None:
    """Falsify the difference from the previous plan."""
    part = rng.choice(("plan", "plan", "fingerprint", "revision"))
    status["previous"][part] = _changed(status["previous"][part], rng)


def _in_the_author(status: dict[str, Any], rng: Random) -> None:
    """Set another author or none, or allow the author to approve."""
    match rng.randrange(4):
        case 0:
            status["author"] = ""
        case 1:
            status["author"] = "erik"
        case 2:
            status["authors"] = rng.choice(([], ["erik"]))
        case _:
            status["planner"] = {"model": "gpt"}


def _in_the_hold(status: dict[str, Any], rng: Random) -> None:
    """Mark a run as held although it is not, or at a step that it does not have."""
    state, step = rng.choice((("held", 0), ("held", 3), ("in_review", 1), ("executing", 2)))
    status["state"] = state
    hold = {"step": step, "why": "lost", "since": "2026-01-01T12:00:00Z", "resolutions": ["retry"]}
    status["held"] = hold if step or rng.random() < 0.5 else None


OF_AN_EDIT: Final[tuple[Callable[[dict[str, Any], Random], None], ...]] = (
    _in_an_addition, _in_the_definition, _in_the_previous, _in_the_author, _in_the_hold,
)  # fmt: skip
KINDS: Final[tuple[Callable[[dict[str, Any], Random], None], ...]] = (
    _in_the_plan, _in_a_step, _in_both, _in_the_order, _in_the_names, _of_another_plan,
)  # fmt: skip


@pytest.mark.parametrize(("attacks", "honest"), [(KINDS, a_status()), (OF_AN_EDIT, an_edited_status())])
def test_every_generated_change_to_a_status_is_detected(
    attacks: tuple[Callable[[dict[str, Any], Random], None], ...], honest: Status
) -> None:
    """Set PLANGATE_TEST_TIMES for more than the suite's sample."""
    rng, kinds = Random(8), Counter[str]()
    for number in range(ATTACKS):
        attack = attacks[number % len(attacks)]
        told = honest.model_dump(mode="json")
        attack(told, rng)
        try:
            status = Status.model_validate(told)
        except ValueError:
            kinds["not a status"] += 1
            continue
        if status.model_dump_json() == honest.model_dump_json():  # the addition is not read
            kinds["not shown"] += 1
            continue
        reason = seen(status)
        assert reason, (attack.__name__, told)
        kinds[attack.__name__] += 1
    assert min(kinds[attack.__name__] for attack in attacks) >= ATTACKS // 40
    assert sum(kinds.values()) == ATTACKS
