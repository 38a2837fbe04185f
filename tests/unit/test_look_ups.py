"""The look-ups of a decorated tool: what they may return, and which results leave the effect in doubt."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from activities.effect_once import EarlierState, act_once
from plangate.domain.errors import EffectUnknown, ToolInvalid
from plangate.domain.plans.tool import Receipt
from plangate.tool import (
    Accepted,
    DidNotHappen,
    Happened,
    Repeatable,
    Reversed,
    Settled,
    ToolFunction,
    Undoes,
    Unknown,
    arguments_for,
    tool,
)

SENT = Receipt(summary="sent")


class Sent(BaseModel):
    number: int = 0


def sender() -> ToolFunction[..., Any]:
    @tool
    def send(text: str, idempotency_key: str) -> str:
        """Send."""
        raise OSError(text, idempotency_key)

    return send


@pytest.mark.parametrize(
    ("found", "described"),
    [
        (False, "False"),
        (True, "True"),
        (Accepted(False), "False"),
        (Happened(False), "False"),  # type: ignore[arg-type]
        ("", "an empty value (str)"),
        (0, "an empty value (int)"),
        (Decimal("0.00"), "an empty value (Decimal)"),
        ([], "an empty value (list)"),
        ({}, "an empty value (dict)"),
        (set(), "an empty value (set)"),
        (ValueError("secret"), "an error (ValueError) instead of raising it"),
        (DidNotHappen, "the class DidNotHappen"),
        (iter([1]), "list_iterator"),
        (NotImplemented, "NotImplementedType"),
        (Settled("paid"), "Settled"),
        (Reversed("sent back"), "Reversed"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_a_value_that_is_not_a_result_leaves_the_effect_in_doubt(found: Any, described: str) -> None:
    send = sender()
    send.find_out(lambda: found)
    send.undo(lambda: None)
    send.find_out_undo(lambda: found)
    made = send.from_settings()
    assert isinstance(made, Undoes)
    arguments = arguments_for(made.declaration, {"text": "hi"})
    unknown = Unknown(
        f"The look-up of send returned {described}, which does not show whether the effect happened (it must "
        "return a result, or None if it did not happen); check by hand."
    )
    assert await made.find_out(arguments, "k") == unknown
    assert await made.find_out_undo(arguments, SENT, "k") == unknown
    with pytest.raises(EffectUnknown, match=re.escape(f"returned {described}, ")):
        await act_once(made, arguments, "k", EarlierState.NOTHING)


@pytest.mark.parametrize(
    "found",
    ["sent", 7, Sent(), {"number": 0}, SENT, Accepted("sent")],
    ids=lambda value: type(value).__name__,
)
async def test_a_result_shows_that_the_effect_happened(found: Any) -> None:
    send = sender()
    send.find_out(lambda: found)
    made = send.from_settings()
    assert isinstance(await made.find_out(arguments_for(made.declaration, {"text": "hi"}), "k"), Happened)


@pytest.mark.parametrize(
    ("undo", "status"),
    [
        (lambda idempotency_key: idempotency_key, Repeatable()),
        (lambda receipt: receipt, Unknown("pay cannot look it up; check by hand.")),
        (lambda: None, Unknown("pay cannot look it up; check by hand.")),
    ],
    ids=["takes the key", "takes the receipt", "takes nothing"],
)
async def test_an_undo_is_repeated_under_a_vendors_key_only_if_it_accepts_the_key(
    undo: Callable[..., Any], status: Any
) -> None:
    @tool(retry_safety="vendor_key")
    def pay(idempotency_key: str) -> Sent:
        """Pay."""
        raise OSError(idempotency_key)

    pay.undo(undo)
    made = pay.from_settings()
    assert isinstance(made, Undoes)
    arguments = arguments_for(made.declaration, {})
    assert await made.find_out_undo(arguments, SENT, "k") == status
    assert await made.find_out(arguments, "k") == Repeatable()


@pytest.mark.parametrize(
    ("undo", "status"),
    [(lambda idempotency_key: idempotency_key, Repeatable()), (lambda: None, DidNotHappen())],
    ids=["takes the key", "takes nothing"],
)
async def test_a_look_up_that_finds_no_undo_makes_it_repeatable_only_under_its_key(
    undo: Callable[..., Any], status: Any
) -> None:
    @tool(retry_safety="vendor_key")
    def pay(idempotency_key: str) -> None:
        """Pay."""
        raise OSError(idempotency_key)

    pay.undo(undo)
    pay.find_out_undo(lambda: None)
    made = pay.from_settings()
    assert isinstance(made, Undoes)
    assert await made.find_out_undo(arguments_for(made.declaration, {}), SENT, "k") == status


@pytest.mark.parametrize(
    ("found", "receipt"),
    [
        (SENT, SENT),
        ({"number": 1}, Receipt(summary="number 1", details={"number": 1})),
        (None, Receipt(summary="done")),
    ],
)
async def test_a_status_with_the_result_of_the_call_gets_its_receipt(found: Any, receipt: Receipt) -> None:
    send = sender()
    send.find_out(lambda: Happened(found))
    made = send.from_settings()
    status = await made.find_out(arguments_for(made.declaration, {"text": "hi"}), "k")
    assert status == Happened(receipt)


def yes_or_no(idempotency_key: str) -> bool:
    return bool(idempotency_key)


async def later(idempotency_key: str) -> bool | None:
    return bool(idempotency_key)


def accepted(idempotency_key: str) -> str | Accepted[bool]:
    return idempotency_key


@pytest.mark.parametrize("kind", ["find_out", "find_out_undo"])
@pytest.mark.parametrize("function", [yes_or_no, later, accepted])
def test_a_look_up_that_returns_bool_is_refused(function: Callable[..., Any], kind: str) -> None:
    with pytest.raises(ToolInvalid) as refused:
        getattr(sender(), kind)(function)
    line = function.__code__.co_firstlineno
    assert str(refused.value) == (
        f"tests/unit/test_look_ups.py:{line}: the tool send ({kind}) cannot be used: "
        "it returns bool; return what the call returned if it happened, or None if it did not."
    )
