"""A function tool can report that its effect was only accepted, and look up the final result later."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from plangate.domain.errors import ToolInvalid
from plangate.domain.plans.tool import LONGEST_SETTLEMENT
from plangate.tool import Accepted, Observes, Receipt, Reversed, Settled, Settles, Tool, Undoes, tool
from plangate.tool.protocols import settles_within_of
from plangate.tool.returned import model_of, receipt_of, value_of

DAYS = timedelta(days=10)


class Transfer(BaseModel):
    number: str


@pytest.mark.parametrize(
    ("returned", "summary", "details"),
    [
        (Accepted(Transfer(number="T-1")), "number T-1", {"number": "T-1"}),
        (Accepted("on its way"), "on its way", {}),
        (Accepted(None), "done", {}),
        (Receipt(summary="pending", final=False), "pending", {}),
        (Accepted(Receipt(summary="sent", details={"a": 1})), "sent", {"a": 1}),
        (Accepted(Accepted("twice")), "twice", {}),
    ],
)
def test_an_accepted_effect_has_a_receipt_that_is_not_final(
    returned: Any, summary: str, details: Any
) -> None:
    assert receipt_of(returned) == Receipt(summary=summary, details=details, final=False)


@pytest.mark.parametrize("returned", ["done", None, Transfer(number="T-1"), Receipt(summary="x")])
def test_everything_else_is_final(returned: Any) -> None:
    assert receipt_of(returned).final


def test_the_model_of_a_return_annotation_is_the_same_with_and_without_accepted() -> None:
    for annotation in (Transfer, Accepted[Transfer], Transfer | Accepted[Transfer]):
        assert model_of(value_of(annotation)) is Transfer
    assert value_of(Transfer | None) == Transfer | None
    assert value_of(None) is None


def asks_for_the_receipt(receipt: Any) -> None:
    del receipt


@tool
def transfer(to: str) -> Accepted[Transfer]:
    """Transfer money."""
    return Accepted(Transfer(number=f"T-{to}"))


@transfer.find_settlement(settles_within=DAYS)
def end(to: str, receipt: Transfer, idempotency_key: str) -> Settled | Reversed | None:
    ends: dict[str, Settled | Reversed] = {"ann": Settled(receipt.number), "bob": Reversed(idempotency_key)}
    return ends.get(to)


@pytest.mark.parametrize(
    ("to", "found"), [("ann", Settled("T-ann")), ("bob", Reversed("key")), ("eve", None)]
)
async def test_a_decorated_function_uses_the_attached_settlement_lookup(to: str, found: object) -> None:
    made = transfer.from_settings()
    assert isinstance(made, Settles)
    assert not isinstance(made, Undoes | Observes)
    assert made.settles_within == DAYS == settles_within_of(made)
    arguments = made.declaration.arguments.model_validate({"to": to})
    receipt = await made.act(arguments, "key")
    assert not receipt.final
    assert await made.find_settlement(arguments, receipt, "key") == found


def test_a_function_without_a_lookup_has_none() -> None:
    @tool
    def note(text: str) -> Accepted[str]:
        """Store a note."""
        return Accepted(text)

    assert not isinstance(note.from_settings(), Settles)
    assert settles_within_of(note.from_settings()) is None


def test_a_tool_has_every_attached_capability() -> None:
    @tool
    def pay(to: str) -> Accepted[Transfer]:
        """Pay."""
        return Accepted(Transfer(number=to))

    pay.observe(lambda to: to)
    pay.undo(asks_for_the_receipt)
    pay.find_settlement(settles_within=DAYS)(asks_for_the_receipt)
    made = pay.from_settings()
    assert isinstance(made, Settles)
    assert isinstance(made, Undoes)
    assert isinstance(made, Observes)


@pytest.mark.parametrize("within", [10, timedelta(), timedelta(days=-1), LONGEST_SETTLEMENT + DAYS, None])
def test_an_invalid_time_is_refused(within: Any) -> None:
    @tool
    def pay(to: str) -> Accepted[Transfer]:
        """Pay."""
        return Accepted(Transfer(number=to))

    with pytest.raises(ToolInvalid, match="must be a timedelta of at most 400 days"):
        pay.find_settlement(settles_within=within)(lambda: None)


def test_a_lookup_without_brackets_is_refused() -> None:
    @tool
    def pay(to: str) -> Accepted[Transfer]:
        """Pay."""
        return Accepted(Transfer(number=to))

    with pytest.raises(ToolInvalid, match=r"write @pay\.find_settlement\(settles_within=timedelta"):
        pay.find_settlement(lambda: None)


def test_a_lookup_without_details_cannot_require_a_receipt() -> None:
    @tool
    def pay(to: str) -> Accepted[str]:
        """Pay."""
        return Accepted(to)

    with pytest.raises(ToolInvalid, match="its find_settlement asks for the receipt, which has no details"):
        pay.find_settlement(settles_within=DAYS)(asks_for_the_receipt)


@pytest.mark.parametrize(
    ("within", "counts"),
    [(DAYS, DAYS), (DAYS * 1000, LONGEST_SETTLEMENT), (-DAYS, timedelta()), ("ten days", None)],
)
def test_an_invalid_time_in_a_class_is_clamped_or_ignored(within: Any, counts: object) -> None:
    class Odd:
        settles_within = within

        async def find_settlement(self, *_: Any) -> None: ...

    made: Any = Odd()
    assert settles_within_of(made) == counts


def test_a_class_whose_time_raises_an_error_is_looked_up_for_the_longest_time() -> None:
    class Broken:
        @property
        def settles_within(self) -> timedelta:
            raise RuntimeError

        async def find_settlement(self, *_: Any) -> None: ...

    broken: Tool = Broken()  # type: ignore[assignment]
    assert settles_within_of(broken) == LONGEST_SETTLEMENT
