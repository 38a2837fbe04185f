"""A decorated tool: its arguments, its receipt, its attached functions, and the reasons for refusing it."""

import asyncio
import functools
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue, SecretStr, ValidationError

from activities.effect_once import EarlierState, act_once
from activities.observing import is_observed, observed, unmet_precondition
from activities.planners.reading import readers_of
from plangate.domain.errors import EffectUnknown, OutcomePending, ToolInvalid, ToolRefused, ToolUnavailable
from plangate.domain.plans.drafting import check_plan, complete
from plangate.domain.plans.plan import Plan
from plangate.domain.plans.tool import Receipt, RetrySafety, StepReceipt, ToolArguments, storable
from plangate.policy.policy_input import numbers_of, variables_of_steps
from plangate.settings import PROJECT
from plangate.tool import (
    DidNotHappen,
    Happened,
    Observes,
    Reads,
    Referable,
    Reference,
    Repeatable,
    ToolFunction,
    Undoes,
    Unknown,
    arguments_for,
    tool,
)
from plangate.tool.attached import OFFERED, attach
from plangate.tool.function_tool import FunctionTool, sendable
from plangate.tool.threads import ToolCrashed
from tests.support.wait_limit import WAIT_LIMIT

Euros = Annotated[Decimal, Field(gt=0, decimal_places=2)]


class Refunded(BaseModel):
    number: str
    amount: Decimal


class Currency(StrEnum):
    EUR = "EUR"
    USD = "USD"


class Line(BaseModel):
    article: str
    count: int = 1


def built(function: Any) -> FunctionTool:
    return (function if isinstance(function, ToolFunction) else tool(function)).from_settings()


def arguments(of: Any, /, **values: Any) -> ToolArguments:
    return arguments_for(of.declaration, values)


async def act(of: Any, /, key: str = "run:f:1", **values: Any) -> Receipt:
    made = built(of)
    return await act_once(made, arguments(made, **values), key, EarlierState.NOTHING)


# ---- the declaration ------------------------------------------------------------------------------


def refund(payment: str, amount: Euros, idempotency_key: str, currency: Currency = Currency.EUR) -> Refunded:
    """Pay a part of a payment
    back to the customer.

    This paragraph is not for the model.

    Args:
        payment: the number of the payment,
            such as P-1
        amount (Decimal): how much
    """
    del payment, currency, idempotency_key
    return Refunded(number="R-1", amount=amount)


def test_a_function_is_declared_by_its_signature_and_its_docstring() -> None:
    declared = built(refund).declaration

    assert (declared.name, declared.retry_safety) == ("refund", RetrySafety.UNKNOWABLE)
    assert declared.description == "Pay a part of a payment back to the customer."
    schema = declared.schema()
    assert list(schema["properties"]) == ["payment", "amount", "currency"]
    assert schema["required"] == ["payment", "amount"]
    assert schema["properties"]["payment"]["description"] == "the number of the payment, such as P-1"
    assert schema["properties"]["amount"]["description"] == "how much"
    assert schema["properties"]["amount"]["type"] == "number"
    assert declared.receipt is Refunded


def sphinx(first: int, second: str) -> None:
    """Do.

    :param first: one
        and more
    :param str second: two
    """


def numpy(first: int, second: str) -> None:
    """Do.

    Parameters
    ----------
    first : int
        one
        and more
    second
        two

    Returns
    -------
    nothing
    """


@pytest.mark.parametrize("function", [sphinx, numpy])
def test_other_docstring_styles_are_read(function: Callable[..., Any]) -> None:
    described = built(function).declaration.schema()["properties"]
    assert [one["description"] for one in described.values()] == ["one and more", "two"]


def test_the_decorated_function_can_still_be_called() -> None:
    decorated = tool(retry_safety="vendor_key")(refund)
    assert decorated("P-1", Decimal(5), "key") == Refunded(number="R-1", amount=Decimal(5))
    assert decorated.declaration.retry_safety is RetrySafety.VENDOR_KEY


DEFINITION = """
import sys
from decimal import Decimal
from typing import Annotated, Literal
from pydantic import Field
from plangate.tool import tool, Referable

@tool
def ticket(title: str, kind: Literal["b", "a"], fee: Decimal = Decimal(1), of: Annotated[int, Referable] = 1):
    '''Open a ticket.

       Args:
           title: what it says
    '''

print(ticket.declaration.definition())
"""


def test_the_definition_is_the_same_in_every_process() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DEFINITION],
            stdout=subprocess.PIPE,
            text=True,
            cwd=PROJECT,
            env={"PYTHONHASHSEED": seed},
        )
        for seed in ("1", "2")
    ]
    seen = {process.communicate()[0].strip() for process in processes}
    assert len(seen) == 1
    assert len(seen.pop()) == 64


# ---- arguments ------------------------------------------------------------------------------------


@tool
def order(  # noqa: PLR0917  the arguments of the tool
    lines: list[Line],
    due: datetime,
    price: Decimal,
    kind: Literal["fast", "slow"] = "slow",
    copy: tuple[str, ...] = (),
    ticket: Annotated[int, Field(ge=1), Referable] = 1,
) -> None:
    """Order."""


def checked(**values: Any) -> dict[str, JsonValue]:
    return complete(arguments(order, **{"lines": [], "due": "2026-05-03T09:00:00Z", "price": 1, **values}))


def test_a_value_has_the_same_notation_however_it_was_written() -> None:
    for due in ("2026-05-03T09:00:00+02:00", "2026-05-03T07:00:00Z", "2026-05-03T03:00:00-04:00"):
        assert checked(due=due)["due"] == "2026-05-03T07:00:00Z"
    for price in (600, 600.0, "600", "600.00", "6e2", "0600"):
        assert checked(price=price)["price"] == 600
    assert checked(price="-0.0")["price"] == 0
    assert checked(lines=[{"article": "pen"}])["lines"] == [{"article": "pen", "count": 1}]


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_checking_a_checked_number_changes_nothing(number: Decimal) -> None:
    try:
        once = checked(price=str(number))
    except ValidationError:
        return
    assert arguments(order, **once).price == number  # type: ignore[attr-defined]
    assert complete(arguments(order, **once)) == once


@given(st.datetimes(timezones=st.timezones()))
def test_checking_a_checked_time_changes_nothing(time: datetime) -> None:
    try:
        once = checked(due=time.isoformat())
    except ValidationError:
        return
    assert complete(arguments(order, **once)) == once
    assert arguments(order, **once).due == time.astimezone(UTC)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": "NaN"},
        {"price": "1e400"},
        {"price": 12345678901234567},
        {"due": "2026-05-03T09:00:00"},
        {"due": "0001-01-01T00:00:00+14:00"},
        {"kind": "7"},
        {"copy": "all"},
        {"ticket": 0},
        {"ticket": "1"},
        {"more": 1},
    ],
)
def test_a_value_of_a_wrong_type_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        checked(**wrong)


async def test_the_function_receives_python_values() -> None:
    got: list[object] = []

    def take(
        amount: Euros, when: datetime, currency: Currency, line: Line, of: Annotated[int, Referable]
    ) -> None:
        """Take."""
        got.extend([amount, when, currency, line, of])

    await act(take, amount=42.5, when="2026-05-03T09:00:00Z", currency="EUR", line={"article": "pen"}, of=3)
    assert got == [
        Decimal("42.50"),
        datetime(2026, 5, 3, 9, tzinfo=UTC),
        Currency.EUR,
        Line(article="pen"),
        3,
    ]
    assert str(got[0]) == "42.50"


def test_policies_sum_decimals() -> None:
    tools = {"refund": built(refund).declaration}
    steps = [
        {"tool": "refund", "arguments": {"payment": "P", "amount": amount}} for amount in ("0.1", 0.2, 600)
    ]
    plan: Plan = check_plan({"summary": "x", "steps": steps}, tools, 5)
    variables = next(variables_of_steps(plan, numbers_of(tools), request="", requester="rita"))
    assert variables["totals"]["refund"]["amount"] == 600.3


def test_an_argument_may_be_a_reference_where_its_author_allows_it() -> None:
    tools = {"refund": built(refund).declaration, "note": built(note_of).declaration}
    steps = [
        {"tool": "refund", "arguments": {"payment": "P", "amount": 1}},
        {"tool": "note", "arguments": {"number": {"from_step": 1, "field": "number"}}},
    ]
    plan = check_plan({"summary": "x", "steps": steps}, tools, 5)
    read = arguments_for(tools["note"], plan.steps[1].arguments)
    assert read.number == Reference(from_step=1, field="number")  # type: ignore[attr-defined]
    assert built(note_of).preview(read, None) == "note: number the number of step 1"
    steps[0]["arguments"] = {"payment": {"from_step": 1, "field": "number"}, "amount": 1}
    with pytest.raises(Exception, match="payment: must be text"):
        check_plan({"summary": "x", "steps": steps}, tools, 5)


@tool(name="note")
def note_of(number: Annotated[str, Referable]) -> None:
    """Note."""


@pytest.mark.parametrize(
    ("observe", "still_holds", "is_seen"),
    [
        (lambda payment: payment, None, True),
        (lambda payment: payment, lambda payment, seen: (payment, seen), True),
        (lambda ticket: ticket, None, False),
        (lambda: 1, lambda ticket, seen: (ticket, seen), False),
    ],
)
def test_a_step_with_a_reference_has_a_precondition_if_it_needs_only_known_arguments(
    observe: Callable[..., Any], still_holds: Callable[..., Any] | None, *, is_seen: bool
) -> None:
    @tool(name="pay")
    def pay(payment: str, ticket: Annotated[int, Referable]) -> None:
        """Pay."""

    pay.observe(observe)
    if still_holds is not None:
        pay.still_holds(still_holds)
    referring: dict[str, JsonValue] = {"payment": "P", "ticket": {"from_step": 1, "field": "number"}}
    assert is_observed(built(pay), referring) is is_seen
    assert is_observed(built(pay), {"payment": "P", "ticket": 1})
    assert not is_observed(built(note_of), {"number": "1"})


# ---- results and errors ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "summary", "details"),
    [
        (None, "done", {}),
        ("paid back", "paid back", {}),
        (
            {"number": "R-1", "amount": Decimal("2.50")},
            "number R-1, amount 2.50",
            {"number": "R-1", "amount": "2.50"},
        ),
        (
            Refunded(number="R 1", amount=Decimal(2)),
            'number "R 1", amount 2',
            {"number": "R 1", "amount": "2"},
        ),
        (Receipt(summary="own", details={"a": 1}), "own", {"a": 1}),
        ([1, 2], "result 1 and 2", {"result": [1, 2]}),
        ({"at": object}, None, None),
        ({"x": float("inf")}, "x Infinity", {"x": "inf"}),
    ],
)
async def test_any_return_value_becomes_a_receipt(returned: Any, summary: str | None, details: Any) -> None:
    def give() -> Any:
        """Give."""
        return returned

    receipt = storable(await act(give))
    if summary is not None:
        assert (receipt.summary, receipt.details) == (summary, details)


class Given(TypedDict):
    article: str


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (dict, {"article": "pen"}),
        (dict[str, str], {"article": "pen"}),
        (dict[str, str] | None, {"article": "pen"}),
        (Mapping[str, str], {"article": "pen"}),
        (Annotated[dict[str, str], "of the bank"], {"article": "pen"}),
        (Given, {"article": "pen"}),
        (Line, Line(article="pen")),
        (Line | None, Line(article="pen")),
        (Receipt, Receipt(summary="sold", details={"article": "pen"})),
        (Receipt | None, Receipt(summary="sold", details={"article": "pen"})),
    ],
)
def test_a_function_gets_the_receipt_in_the_type_of_its_annotation(annotation: Any, expected: Any) -> None:
    def cancel(receipt: Any) -> None: ...

    cancel.__annotations__["receipt"] = annotation
    attached = attach("undo", "sell", BaseModel, cancel)
    given = attached.values(None, receipt=Receipt(summary="sold", details={"article": "pen"}))
    assert given == {"receipt": expected}


async def test_receipt_details_that_are_too_large_are_dropped_with_a_note() -> None:
    def give() -> dict[str, str]:
        """Give."""
        return {"text": "x" * 100_000}

    receipt = await act(give)
    assert "more than the limit of 65,536, and were not kept" in receipt.summary
    assert receipt.details == {}


async def test_an_object_that_cannot_be_serialized_does_not_lose_the_receipt() -> None:
    def give() -> Any:
        """Give."""
        loop: list[Any] = []
        loop.append(loop)
        return loop

    assert (await act(give)).summary == "done; the returned value (list) cannot be stored"


@pytest.mark.parametrize("error", [ToolUnavailable("later"), ToolRefused("never")])
async def test_a_tools_report_of_its_effect_is_used_unchanged(error: Exception) -> None:
    async def fail() -> None:
        """Fail."""
        raise error

    with pytest.raises(type(error), match=str(error)):
        await act(fail)


class Panic(BaseException):
    """What libraries raise so that no ``except Exception`` catches it."""


@pytest.mark.parametrize(
    "raised", [KeyError("x"), SystemExit(3), KeyboardInterrupt(), StopIteration(), Panic()]
)
@pytest.mark.parametrize("is_async", [False, True])
async def test_any_other_exception_is_in_doubt_and_never_stops_the_worker(
    raised: BaseException, is_async: bool
) -> None:
    if is_async and isinstance(raised, (KeyboardInterrupt, StopIteration)):
        return  # Python itself stops the loop, or raises RuntimeError instead

    async def later() -> None:
        """Fail."""
        raise raised

    def now() -> None:
        """Fail."""
        raise raised

    with pytest.raises(EffectUnknown, match=rf"\({type(raised).__name__}\); see the worker's log"):
        await act(later if is_async else now)


async def test_a_task_that_cancels_itself_is_not_a_cancellation() -> None:
    async def cancel() -> None:
        """Cancel."""
        raise asyncio.CancelledError

    made = built(cancel)
    with pytest.raises(ToolCrashed):
        await made.act(arguments(made), "key")


async def test_a_wrapped_coroutine_is_awaited() -> None:
    def twice(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    @twice
    async def send(text: str) -> str:
        """Send."""
        return f"sent {text}"

    assert (await act(send, text="it")).summary == "sent it"


async def test_the_key_is_passed_if_the_function_asks_for_it() -> None:
    def ask(idempotency_key: str) -> str:
        """Ask."""
        return idempotency_key

    assert (await act(ask, "plan-1:abc:1")).summary == "plan-1:abc:1"
    sent = (await act(ask, "plän 1\n:abc:1")).summary
    assert sent == sendable("plän 1\n:abc:1")
    assert sent.isalnum()
    assert len(sent) == 64


# ---- the limit of a thread ------------------------------------------------------------------------


class Slow:
    """A function that runs until it is released."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.release, self.calls, self._fails = threading.Event(), 0, fails

    def __call__(self, idempotency_key: str) -> str:
        """Be slow."""
        del idempotency_key
        self.calls += 1
        self.release.wait(2 * WAIT_LIMIT)
        if self._fails:
            raise self._fails
        return "done late"


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plangate.tool.threads._LAST_SECONDS", 0.05)


async def call_past_limit(
    made: FunctionTool, key: str = "k", earlier: EarlierState = EarlierState.NOTHING
) -> Receipt:
    """Call the tool with a very short limit."""
    acting = asyncio.create_task(act_once(made, arguments(made), key, earlier))
    return await acting


def slow_tool(slow: Slow, **options: Any) -> FunctionTool:
    made: FunctionTool = tool(name="slow", seconds=1, **options)(slow).from_settings()
    return made


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("safety", ["unknowable", "vendor_key"])
async def test_a_call_that_exceeds_its_limit_is_in_doubt(safety: Any) -> None:
    slow = Slow()
    made = slow_tool(slow, retry_safety=safety)
    with pytest.raises(EffectUnknown, match="is still running in the worker, beyond its limit of 1 seconds"):
        await call_past_limit(made)
    slow.release.set()
    # Once the call has ended, the worker has the result, and a manual retry gets the receipt.
    assert (await call_past_limit(made, earlier=EarlierState.RULED_OUT)).summary == "done late"
    assert slow.calls == 1


@pytest.mark.usefixtures("short")
async def test_a_retry_does_not_repeat_a_running_call() -> None:
    slow = Slow()
    made = slow_tool(slow)
    for earlier in (EarlierState.NOTHING, EarlierState.RULED_OUT, EarlierState.RULED_OUT):
        with pytest.raises(EffectUnknown, match="still running"):
            await call_past_limit(made, earlier=earlier)
    assert slow.calls == 1
    slow.release.set()


@pytest.mark.usefixtures("short")
async def test_a_call_refused_after_the_limit_did_not_happen() -> None:
    slow = Slow(ToolRefused("no"))
    made = slow_tool(slow)
    with pytest.raises(EffectUnknown):
        await call_past_limit(made)
    slow.release.set()
    assert isinstance(await made.find_out(arguments(made), "k"), DidNotHappen)


async def test_hanging_calls_do_not_exhaust_the_threads_of_other_calls() -> None:
    slow = Slow()
    made = slow_tool(slow)
    calls = [asyncio.create_task(made.act(arguments(made), str(number))) for number in range(40)]
    while slow.calls < 40:
        await asyncio.sleep(0.01)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), WAIT_LIMIT) == 7
    slow.release.set()
    assert {receipt.summary for receipt in await asyncio.gather(*calls)} == {"done late"}


# ---- attached functions ---------------------------------------------------------------------------


def complete_tool() -> tuple[ToolFunction[..., Any], list[tuple[Any, ...]]]:
    calls: list[tuple[Any, ...]] = []

    @tool(retry_safety="vendor_key")
    async def pay(payment: str, amount: Euros, idempotency_key: str) -> Refunded:
        """Pay."""
        calls.append(("pay", payment, amount, idempotency_key))
        return Refunded(number="R-1", amount=amount)

    @pay.preview
    def sentence(payment: str, amount: Decimal, observation: Any) -> str:
        return f"Pay {amount} of {payment}, of which {observation} is left"

    @pay.observe
    def left(payment: str) -> Decimal:
        calls.append(("observe", payment))
        return Decimal("70.00")

    @pay.still_holds
    def is_enough(amount: Decimal, now: str, receipts: Any) -> bool:
        calls.append(("holds", len(receipts)))
        return Decimal(now) >= amount

    @pay.undo
    def cancel(receipt: Refunded, payment: str, idempotency_key: str) -> None:
        calls.append(("undo", receipt, payment, idempotency_key))

    @pay.objection
    def too_much(amount: Decimal) -> str | None:
        return "too much" if amount > 1_000 else None

    return pay, calls


async def test_each_attached_function_gets_the_parameters_that_it_declares() -> None:
    pay, calls = complete_tool()
    made = pay.from_settings()
    given = arguments(made, payment="P-1", amount=42.5)
    assert isinstance(made, Observes)
    assert isinstance(made, Undoes)
    assert made.declaration.undoable
    assert made.objection(given) is None
    assert made.objection(arguments(made, payment="P", amount=5_000)) == "too much"
    seen = await observed(made, given)
    assert made.preview(given, seen) == "Pay 42.50 of P-1, of which 70.00 is left"
    assert unmet_precondition(made, given, seen, "50.00", [StepReceipt(summary="x", tool="pay")]) is None
    assert 'is now "10.00"' in (unmet_precondition(made, given, seen, "10.00", []) or "")
    receipt = await made.act(given, "k")
    assert (await made.undo(given, receipt, "k:undo")).summary == "done"
    assert calls == [
        ("observe", "P-1"),
        ("holds", 1),
        ("holds", 0),
        ("pay", "P-1", Decimal("42.50"), "k"),
        ("undo", Refunded(number="R-1", amount=Decimal("42.5")), "P-1", "k:undo"),
    ]
    assert await made.find_out(given, "k") == Repeatable()
    assert await made.find_out_undo(given, receipt, "k") == Repeatable()


async def test_a_tool_has_a_precondition_and_an_undo_only_if_attached() -> None:
    made = built(refund)
    assert not isinstance(made, (Observes, Undoes))
    assert not made.declaration.undoable
    assert await observed(made, arguments(made, payment="P", amount=1)) is None


@pytest.mark.parametrize(
    ("found", "status"),
    [
        (None, DidNotHappen()),
        ({"number": 1}, Happened(Receipt(summary="number 1", details={"number": 1}))),
        ("it is there", Happened(Receipt(summary="it is there"))),
        (EffectUnknown("ask the bank"), Unknown("ask the bank")),
        (Repeatable(), Repeatable()),
    ],
)
async def test_a_lookup_returns_what_happened(found: Any, status: Any) -> None:
    @tool
    def send(text: str, idempotency_key: str) -> str:
        """Send."""
        raise TimeoutError(text, idempotency_key)

    @send.find_out
    def look(text: str, idempotency_key: str) -> Any:
        assert (text, idempotency_key) == ("hi", "k")
        if isinstance(found, Exception):
            raise found
        return found

    made = built(send)
    assert made.declaration.retry_safety is RetrySafety.LOOK_UP
    assert await made.find_out(arguments(made, text="hi"), "k") == status
    if status == Repeatable():
        with pytest.raises(OutcomePending, match="did not answer"):
            await act_once(made, arguments(made, text="hi"), "k", EarlierState.NOTHING)


async def test_a_call_that_is_not_found_is_repeated_only_under_a_vendors_key() -> None:
    @tool(retry_safety="vendor_key")
    def send(text: str, idempotency_key: str) -> str:
        """Send."""
        return f"{text} {idempotency_key}"

    @send.find_out
    def look() -> None:
        return None

    made = built(send)
    assert await made.find_out(arguments(made, text="hi"), "k") == Repeatable()


# ---- functions that can be decorated ---------------------------------------------------------------


class Bank:
    """Not a tool."""

    def __init__(self) -> None:
        self.paid: list[Decimal] = []

    def refund(self, amount: Euros) -> None:
        """Pay back."""
        self.paid.append(amount)

    def __call__(self, amount: Euros) -> None:
        """Pay back when called."""
        self.paid.append(amount)


async def test_methods_partials_and_callable_objects_are_tools() -> None:
    bank = Bank()

    def pay(amount: Euros, to: str, currency: str = "EUR") -> str:
        """Pay."""
        return f"{amount} {currency} to {to}"

    await act(tool(bank.refund), amount=1)
    await act(tool(name="bank")(bank), amount=2)
    fixed = tool(functools.partial(pay, to="Ann"))
    assert list(fixed.declaration.schema()["properties"]) == ["amount", "currency"]
    assert (await act(fixed, amount=3)).summary == "3.00 EUR to Ann"
    assert bank.paid == [1, 2]


# ---- refusals, with file and line -----------------------------------------------------------------


def untyped(x) -> None:
    """Do."""


def anything(x: Any) -> None:
    """Do."""


def starred(*numbers: int) -> None:
    """Do."""


def double_starred(**numbers: int) -> None:
    """Do."""


def positional(x: int, /) -> None:
    """Do."""


def undocumented(x: int) -> None: ...


def only_arguments(x: int) -> None:
    """
    Args:
        x: one
    """


def reasoned(why: str) -> None:
    """Do."""


def opened(file: Path, stream: threading.Event) -> None:
    """Do."""


def with_a_set(names: set[str]) -> None:
    """Do."""


def secret(password: SecretStr) -> None:
    """Do."""


def binary(data: bytes) -> None:
    """Do."""


def called(back: Callable[[], None]) -> None:
    """Do."""


def unknown(x: "Nowhere") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Do."""


def bad_default(x: int = "one") -> None:  # type: ignore[assignment]
    """Do."""


def odd_default(x: float = float("nan")) -> None:
    """Do."""


def hidden(_x: int) -> None:
    """Do."""


def keyed(idempotency_key: int) -> None:
    """Do."""


def aliased(x: Annotated[int, Field(alias="y")]) -> None:
    """Do."""


def yielding(x: int) -> Iterator[int]:
    """Do."""
    yield x


async def yielding_later(x: int) -> AsyncIterator[int]:
    """Do."""
    yield x


def long(x: int) -> None:
    pass


long.__doc__ = "Do " + "much " * 300


class Odd(Enum):
    A = object()


def enumerated(x: Odd) -> None:
    """Do."""


REFUSED = [
    (
        untyped,
        "the argument x has no type that a plan can be checked against; write one, for example x: str.",
    ),
    (anything, "the argument x has no type"),
    (starred, "a plan cannot contain *numbers; name each argument, with its type."),
    (double_starred, "a plan cannot contain **numbers"),
    (positional, "remove the '/'"),
    (undocumented, "it has no docstring; describe in one sentence what it does"),
    (only_arguments, "it has no docstring"),
    (reasoned, "'why' is reserved for the reason of a step; rename it."),
    (opened, "JSON cannot represent the argument stream"),
    (with_a_set, "JSON cannot represent the argument names: JSON has no sets"),
    (secret, "JSON cannot represent the argument password: a secret must not be in a plan"),
    (binary, "JSON cannot represent the argument data: use str instead of bytes."),
    (called, "JSON cannot represent the argument back"),
    (
        unknown,
        "a type in its signature is unknown (name 'Nowhere' is not defined); define it at module level.",
    ),
    (bad_default, "the default of x is not valid: it must be a whole number."),
    (odd_default, "the default of x is not valid: it must be a number."),
    (hidden, "an argument cannot be called _x; rename it."),
    (keyed, "idempotency_key must be str."),
    (aliased, "the argument x has an alias; use one name."),
    (yielding, "it is a generator; return a value instead of yielding."),
    (yielding_later, "it is a generator"),
    (long, "the first paragraph of its docstring has 1,502 characters; use at most 1,000."),
    (enumerated, "JSON cannot represent the argument x"),
    (Bank.refund, "it is a method without a bound self; create an instance and decorate its method"),
]


@pytest.mark.parametrize(("function", "said"), REFUSED, ids=lambda one: getattr(one, "__name__", ""))
def test_an_invalid_tool_is_refused_with_file_and_line(function: Callable[..., Any], said: str) -> None:
    with pytest.raises(ToolInvalid) as refused:
        tool(function)
    line = function.__code__.co_firstlineno
    name = function.__name__
    assert str(refused.value).startswith(
        f"tests/unit/test_tool_decorator.py:{line}: the tool {name} cannot be used: "
    )
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def plain(x: int, idempotency_key: str) -> str:
    """Do."""
    return f"{x}{idempotency_key}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"retry_safety": "safe"},
            "the retry safety 'safe' is unknown; use one of: look_up, vendor_key, unknowable",
        ),
        ({"name": "Pay Back"}, "the tool Pay Back cannot be used: its name is invalid"),
        ({"seconds": 0}, "seconds=0 must be a whole number from 1 to 3600."),
        ({"seconds": "9"}, "seconds='9' must be"),
        ({"name": 5}, "the tool plain cannot be used: name=5 must be text."),
        ({"name": ["pay"]}, "name=['pay'] must be text."),
        ({"description": 5}, "description=5 must be text."),
        ({"description": 0}, "description=0 must be text."),
        ({"description": ["x"]}, "description=['x'] must be text."),
        ({"description": " "}, "it has no docstring"),
        ({"description": "x" * 1_001}, "its description has 1,001 characters; use at most 1,000."),
        ({"retry_safety": ["look_up"]}, "the retry safety ['look_up'] is unknown"),
        ({"identifying": [[]]}, "identifying contains [], which is not one of its arguments: x."),
        ({"identifying": [5]}, "identifying contains 5, which is not one of its arguments: x."),
        ({"identifying": 5}, "identifying=5 must be names of arguments"),
        (
            {"receipt": 5},
            "receipt=5 must be a pydantic model; if the function returns no model, remove receipt.",
        ),
        ({"receipt": "x"}, "receipt='x' must be a pydantic model"),
        ({"receipt": ""}, "receipt='' must be a pydantic model"),
        ({"receipt": dict}, "receipt=dict must be a pydantic model"),
        ({"receipt": Receipt}, "receipt=Receipt must be a pydantic model"),
        ({"receipt": Line(article="pen")}, "receipt=Line(article='pen', count=1) must be a pydantic model"),
        ({"reads_only": "no"}, "reads_only='no' must be True or False."),
        ({"bogus": 1}, "the tool plain cannot be used: @tool has no option bogus; its options are: name, "),
    ],
)
def test_invalid_options_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ToolInvalid) as refused:
        tool(**options)(plain)
    place = f"tests/unit/test_tool_decorator.py:{plain.__code__.co_firstlineno}: "
    assert str(refused.value).startswith(place)
    assert said in str(refused.value)


def test_the_declared_model_of_the_receipt_is_used() -> None:
    assert tool(receipt=Refunded)(plain).declaration.receipt is Refunded


@pytest.mark.parametrize(
    ("thing", "said"),
    [
        (Bank, "decorate a function, not a class or a value."),
        (Bank(), "it has no name; give one"),
        (staticmethod(plain), "decorate a plain function, or a bound method."),
        (7, "decorate a function, not a class or a value."),
        (len, "builtins: the tool len cannot be used: obj can only be passed by position"),
    ],
)
def test_a_value_that_is_not_a_function_is_refused(thing: Any, said: str) -> None:
    with pytest.raises(ToolInvalid, match=said):
        tool(thing)


def parts(kind: str) -> None:
    """Attach functions that do not match the tool."""
    made = tool(plain)

    match kind:
        case "unknown parameter":

            @made.undo
            def undo(y: int) -> None: ...

        case "no details":

            @made.undo
            def undo_by(receipt: Receipt) -> None: ...

        case "other model":

            @tool(retry_safety="vendor_key")
            def pay(idempotency_key: str) -> Refunded:
                """Pay."""
                raise NotImplementedError

            @pay.undo
            def undo_of(receipt: Line) -> None: ...

        case "twice":
            made.preview(lambda x: f"{x}")
            made.preview(lambda x: f"{x}!")
        case "async preview":

            @made.preview
            async def preview(x: int) -> str:
                return f"{x}"

        case "no observe":
            made.still_holds(lambda now: now == 1)
            made.from_settings()
        case "no look-up":
            tool(retry_safety="look_up")(plain).from_settings()
        case "look-up":
            unknowable = tool(retry_safety="unknowable")(plain)
            unknowable.find_out(lambda x: x)
            unknowable.from_settings()
        case "no key":
            tool(retry_safety="vendor_key")(note_of._function).from_settings()  # noqa: SLF001


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (
            "unknown parameter",
            r"plain \(undo\) cannot be used: it asks for y; it can ask for: x, receipt, idempotency_key",
        ),
        (
            "no details",
            "its undo asks for the receipt, which has no details; let the tool return a pydantic model",
        ),
        ("other model", "its undo expects a receipt of Line, but the tool returns Refunded"),
        ("twice", "it has two functions for preview; remove one."),
        ("async preview", "it must not be async; write def instead of async def."),
        ("no observe", "still_holds needs observe; add it with @plain.observe."),
        ("no look-up", "its retry safety needs a look-up; add one with @plain.find_out."),
        ("look-up", "its results are declared unknowable, but it has a look-up; remove one of the two."),
        ("no key", "its retry safety needs the argument idempotency_key: str"),
    ],
)
def test_incompatible_parts_are_refused(kind: str, said: str) -> None:
    with pytest.raises(ToolInvalid, match=said):
        parts(kind)


@pytest.mark.parametrize(
    ("kind", "function", "said"),
    [
        (
            "undo",
            lambda idempotencykey="": idempotencykey,
            "idempotencykey; it can ask for: x, receipt, idempotency_key; did you mean idempotency_key?",
        ),
        ("find_out", lambda key="": key, "it asks for key; it can ask for: x, idempotency_key."),
        ("find_out_undo", lambda x, recipt=None: (x, recipt), "did you mean receipt?"),
        ("still_holds", lambda now, sean=1: (now, sean), "did you mean seen?"),
        ("lacks", lambda setting="": setting, "it asks for setting; it can ask for: nothing."),
    ],
)
def test_a_parameter_that_is_never_passed_is_refused_despite_its_default(
    kind: str, function: Callable[..., Any], said: str
) -> None:
    with pytest.raises(ToolInvalid) as refused:
        getattr(tool(plain), kind)(function)
    assert f"the tool plain ({kind}) cannot be used: " in str(refused.value)
    assert str(refused.value).endswith(said)


async def test_a_function_may_be_attached_twice_with_defaults_and_have_preset_arguments() -> None:
    def look(prefix: str, idempotency_key: str, receipt: Receipt | None = None) -> str:
        return f"{prefix} {idempotency_key} {receipt.summary if receipt else 'alone'}"

    made = tool(plain)
    made.undo(lambda: None)
    both = made.find_out_undo(made.find_out(functools.partial(look, prefix="found")))
    assert both.keywords == {"prefix": "found"}
    found = made.from_settings()
    assert isinstance(found, Undoes)
    given = arguments(found, x=1)
    assert await found.find_out(given, "k") == Happened(Receipt(summary="found k alone"))
    undone = await found.find_out_undo(given, Receipt(summary="paid"), "k")
    assert undone == Happened(Receipt(summary="found k paid"))


async def yielding_attached() -> AsyncIterator[str]:
    yield "back"


class YieldingObject:
    def __call__(self) -> Iterator[str]:
        yield "back"


def keyed_attached(idempotency_key: int) -> None: ...


@pytest.mark.parametrize("kind", [*OFFERED])
@pytest.mark.parametrize(
    ("function", "said"),
    [
        (yielding_attached, "it is a generator; return a value instead of yielding."),
        (functools.partial(yielding_attached), "it is a generator"),
        (YieldingObject(), "it is a generator"),
        (lambda: (yield), "it is a generator"),
        (Bank, "decorate a function, not a class or a value."),
        (7, "decorate a function, not a class or a value."),
        (staticmethod(plain), "decorate a plain function, or a bound method."),
        (keyed_attached, "idempotency_key must be str."),
    ],
)
def test_an_attached_function_is_checked_like_the_main_function(kind: str, function: Any, said: str) -> None:
    made = tool(plain)
    attached = getattr(made, kind)
    if kind == "find_settlement":
        attached = attached(settles_within=timedelta(days=1))
    with pytest.raises(ToolInvalid) as refused:
        attached(function)
    assert f"the tool plain ({kind}) cannot be used: {said}" in str(refused.value)


async def test_an_effect_whose_function_returns_a_generator_is_in_doubt() -> None:
    def delegate() -> Any:
        """Do."""
        return yielding_attached()

    made = tool(delegate)
    made.undo(delegate)
    lazy = made.from_settings()
    assert isinstance(lazy, Undoes)
    with pytest.raises(EffectUnknown, match="returned a generator, whose code has not run"):
        await act_once(lazy, arguments(lazy), "k", EarlierState.NOTHING)
    with pytest.raises(EffectUnknown, match="returned a generator, whose code has not run"):
        await lazy.undo(arguments(lazy), Receipt(summary="done"), "k")


# ---- tools that only read -------------------------------------------------------------------------


async def test_a_reading_function_is_read_and_never_acts() -> None:
    @tool(reads_only=True)
    def look(place: str) -> Refunded:
        """Look there."""
        return Refunded(number=place, amount=Decimal("42.50"))

    made = look.from_settings()
    assert isinstance(made, Reads)
    assert (made.declaration.reads_only, made.declaration.receipt) == (True, None)
    assert await made.read(arguments(made, place="office")) == {"number": "office", "amount": "42.50"}
    with pytest.raises(ToolRefused, match="only reads"):
        await made.act(arguments(made, place="office"), "key")
    assert not isinstance(built(refund), Reads)


@pytest.mark.parametrize("kind", ["undo", "observe", "find_out", "preview"])
def test_a_reading_tool_has_no_functions_for_effects(kind: str) -> None:
    @tool(reads_only=True)
    def look(place: str) -> str:
        """Look there."""
        return place

    getattr(look, kind)(lambda: None)
    with pytest.raises(ToolInvalid, match=f"only reads, so {kind} has no effect"):
        _ = look.declaration


async def test_a_planner_reads_only_what_the_settings_allow() -> None:
    @tool(reads_only=True)
    def look(place: str) -> str:
        """Look there."""
        return place

    @look.objection
    def _safe(place: str) -> str | None:
        return "No safe may be opened." if place == "safe" else None

    @look.lacks
    def _key() -> str | None:
        return lacking[-1]

    lacking: list[str | None] = [None]
    tools = {"look": look.from_settings(), "refund": built(refund)}
    (reader,) = dict(readers_of(tools)).values()
    assert await reader(arguments(tools["look"], place="office")) == "office"
    with pytest.raises(ToolRefused, match="No safe may be opened"):
        await reader(arguments(tools["look"], place="safe"))
    lacking.append("LOOK_KEY is not set")
    assert dict(readers_of(tools)) == {}
