"""Mistakes in a test with `plangate.testing` are reported; none of them makes the test pass."""

from pathlib import Path
from typing import Any

import pytest

from plangate.domain.errors import OperatorError
from plangate.testing.gate import Gate
from plangate.testing.run import Run
from plangate.tool import tool

NOTHING: Any = None  # replaces the server and its client, which are not reached after a mistake


@tool
def pay(amount: int) -> None:
    """Pay."""


@tool
def refund(amount: int) -> None:
    """Refund."""


def again(amount: int) -> None:
    """Pay again."""


def run() -> Run:
    return Run("run-1", NOTHING, NOTHING, [], ("pay", "refund"))


@pytest.mark.parametrize("name", ["pai", "", "Pay", pay])
@pytest.mark.parametrize("assertion", ["assert_not_called", "assert_called_once", "assert_undone"])
def test_an_assertion_on_a_tool_that_plangate_does_not_have_is_an_error(assertion: str, name: Any) -> None:
    with pytest.raises(OperatorError) as refused:
        getattr(run(), assertion)(name)
    assert str(refused.value) == (f"This test has no tool called {name!r}; use one of: pay, refund.")


def test_a_tool_that_must_be_called_zero_times_must_exist() -> None:
    run().assert_called("pay", times=0)
    run().assert_not_called("refund")
    run().assert_not_called()
    with pytest.raises(OperatorError, match="no tool called 'pai'"):
        run().assert_called("pai", times=0)


@pytest.mark.parametrize(
    ("duration", "given"),
    [({"days": -1}, "days=-1"), ({"hours": 1, "minutes": -60}, "hours=1, minutes=-60"), ({}, "")],
)
def test_the_clock_of_a_run_only_moves_forward(duration: dict[str, float], given: str) -> None:
    with pytest.raises(OperatorError) as refused:
        run().pass_time(**duration)
    assert str(refused.value) == (
        f"pass_time({given}) does not move the clock ahead; give a time above 0: pass_time(days=3)."
    )


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ((), "A plan needs a tool; pass at least one: plangate"),
        ((pay, refund, pay), "Two tools are called pay; pass each tool once, or"),
        ((pay, tool(name="pay")(again)), "Two tools are called pay"),
    ],
    ids=["no tool", "one tool twice", "two tools with one name"],
)
def test_the_tools_of_a_test_have_different_names(tmp_path: Path, tools: tuple[Any, ...], said: str) -> None:
    with pytest.raises(OperatorError, match=said):
        Gate(NOTHING, NOTHING, tmp_path, tools=tools)
