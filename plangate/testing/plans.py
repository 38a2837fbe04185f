"""Write a test's plans briefly. Imports only the standard library."""

from collections.abc import Mapping, Sequence
from typing import Any

Plan = Mapping[str, Any]
"""A plan in the JSON form of a plan file; ``Any`` is a JSON value."""


def step(tool: str, /, *, reason: str = "requested by the test", **arguments: Any) -> dict[str, Any]:
    """Return one step of a plan: a tool with its arguments. ``Any`` is a JSON value."""
    return {"tool": tool, "arguments": arguments, "reason": reason}


def as_plan(given: Plan | Sequence[Plan]) -> Plan:
    """Return a plan; bare steps become a plan with these steps."""
    steps = [given] if isinstance(given, Mapping) and "tool" in given else given
    if isinstance(steps, Mapping):
        return steps
    return {"summary": f"A test of {', '.join(str(one.get('tool')) for one in steps)}", "steps": list(steps)}


def without_steps(plan: Plan, removed: Sequence[int]) -> Plan:
    """Return the plan without these steps, counted from 1."""
    kept = [one for number, one in enumerate(plan["steps"], start=1) if number not in removed]
    return {**plan, "steps": kept}
