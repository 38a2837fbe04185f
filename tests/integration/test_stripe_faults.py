"""The fault matrix of the payment tools: the right error each time, one request per attempt.

The failing server is in front of localstripe, which shows whether the effect happened.
"""

import gc
import json
import logging
import os
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from activities.effect_once import EarlierState, act_once
from activities.tools.stripe import client
from activities.tools.stripe.payment import CreatePayment, PaymentArguments
from activities.tools.stripe.refund import RefundArguments, RefundPayment
from plangate.domain.errors import EffectUnknown, OutcomePending, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.plans.tool import Receipt
from plangate.tool import Happened, Repeatable
from tests.support.faulty_server import (
    Answer,
    ByteByByte,
    Cut,
    Dies,
    Dropped,
    Fault,
    FaultyServer,
    Huge,
    Says,
    Slow,
    garbage,
    too_many,
)
from tests.support.stripe_server import KEY, StripeServer, stripe_server


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeServer]:
    with stripe_server() as server:
        yield server


@pytest.fixture(scope="module")
def one_front(stripe: StripeServer) -> Iterator[FaultyServer]:
    with FaultyServer(upstream=stripe.url) as server:
        yield server


@pytest.fixture(scope="module")
def tools(stripe: StripeServer, one_front: FaultyServer) -> dict[str, Any]:
    settings = stripe.settings(one_front.url)
    return {one.declaration.name: one.from_settings(settings) for one in (RefundPayment, CreatePayment)}


@pytest.fixture
def front(one_front: FaultyServer) -> FaultyServer:
    one_front.start()
    one_front.clear_faults()
    one_front.reset_counts()
    return one_front


@dataclass
class Call:
    """One call of a tool, with its look-up and the count of its effects."""

    tool: Any
    arguments: Any
    path: str
    key: str
    happened: Callable[[], int]

    def act(self) -> Awaitable[Receipt]:
        return self.tool.act(self.arguments, self.key)  # type: ignore[no-any-return]


@pytest.fixture(params=["refund_payment", "create_payment"])
def call(request: pytest.FixtureRequest, stripe: StripeServer, tools: dict[str, Any]) -> Call:
    given: dict[str, Any] = {"amount": 42.5, "currency": "EUR"}
    tool = tools[request.param]
    if request.param == "refund_payment":
        given["payment"] = payment = stripe.paid()
        refund = RefundArguments.model_validate_json(json.dumps(given))
        return Call(tool, refund, "/v1/refunds", payment, lambda: len(stripe.refunds(payment)))
    customer, given["payment_method"] = stripe.customer()
    given["customer"] = customer
    payment_of = PaymentArguments.model_validate_json(json.dumps(given))
    return Call(tool, payment_of, "/v1/payment_intents", customer, lambda: len(stripe.payments(customer)))


def stripe_error(status: int, kind: str, code: str = "", message: str = "no") -> Says:
    body = {"error": {"type": kind, "message": message, "code": code or None}}
    return Says(answer=Answer(status, body))


def in_doubt(fault: Callable[..., Fault]) -> list[Fault]:
    return [fault(after_effect=False), fault(after_effect=True)]


def failing(status: int) -> Callable[..., Fault]:
    return lambda *, after_effect: Says(answer=Answer(status, "<html>bad gateway"), after_effect=after_effect)


MATRIX: list[tuple[Fault, type[ToolError], str]] = [
    (stripe_error(400, "invalid_request_error", "parameter_invalid"), ToolRefused, "parameter_invalid"),
    (
        stripe_error(402, "card_error", "card_declined", "Your card was declined."),
        ToolRefused,
        "was declined",
    ),
    (stripe_error(404, "invalid_request_error", "resource_missing"), ToolRefused, "resource_missing"),
    (stripe_error(401, "invalid_request_error"), ToolRefused, "check PLANGATE_STRIPE_API_KEY"),
    (
        stripe_error(403, "invalid_request_error", message="needs 'rak_refund_write'"),
        ToolRefused,
        "permission rak_refund_write",
    ),
    (Says(answer=Answer(404, "<html>")), ToolRefused, "the answer is not Stripe's"),
    (too_many("7"), ToolUnavailable, "wait 7 seconds"),
    (too_many("7", {"error": {"type": "rate_limit_error"}}), ToolUnavailable, "wait 7 seconds"),
    (too_many("soon"), ToolUnavailable, "too many requests"),
    (stripe_error(409, "invalid_request_error", "idempotency_key_in_use"), EffectUnknown, "still busy"),
    (stripe_error(400, "idempotency_error"), EffectUnknown, "other parameters"),
    *[(fault, EffectUnknown, r"failed \(50") for status in (500, 503) for fault in in_doubt(failing(status))],
    *[(fault, EffectUnknown, "cannot be used") for fault in in_doubt(garbage)],
    *[(fault, EffectUnknown, "RemoteProtocolError") for fault in in_doubt(Cut)],
    *[
        (fault, EffectUnknown, "(RemoteProtocol|Read)Error")
        for kind in (Dropped, Dies)
        for fault in in_doubt(kind)
    ],
    *[(fault, EffectUnknown, "has more than 4,194,304 bytes") for fault in in_doubt(Huge)],
    (Huge(size=20_000_000, compressed=True), EffectUnknown, "compressed"),
    (Huge(status=500), EffectUnknown, "more than"),
    (Says(answer=Answer(200, [])), EffectUnknown, "not (understood|known)|does not match"),
    (Says(answer=Answer(200, {"id": 7})), EffectUnknown, "does not match"),
    (Says(answer=Answer(200, "[" * 100_000)), EffectUnknown, "not known|could not be parsed"),
    (
        Says(answer=Answer(302, "", {"Location": "https://elsewhere.example"})),
        EffectUnknown,
        "cannot be used",
    ),
]


# Both tools send with the same code, so the suite runs a third of the second one's cases; for all:
# PLANGATE_TEST_TIMES=3 make test ARGS=tests/integration/test_stripe_faults.py
EACH = max(1, 3 // int(os.environ.get("PLANGATE_TEST_TIMES", "1")))
CASES = [
    *[("refund_payment", *case) for case in MATRIX],
    *[("create_payment", *case) for case in MATRIX[::EACH]],
]


@pytest.mark.parametrize(
    ("call", "fault", "kind", "said"), CASES, indirect=["call"], ids=lambda value: str(value)[:60]
)
async def test_each_fault_is_classified_after_one_request(call, front, fault, kind, said):
    front.plan(fault, method="POST")

    with pytest.raises(kind, match=said) as raised:
        await call.act()

    assert type(raised.value) is kind
    assert front.count("POST", call.path) == 1
    assert call.happened() == fault.after_effect
    assert KEY not in str(raised.value)
    assert raised.value.__cause__ is None  # it may quote the response, which may contain the key
    front.start()
    front.clear_faults()
    if kind is EffectUnknown:
        found = await call.tool.find_out(call.arguments, call.key)
        assert isinstance(found, Happened if fault.after_effect else Repeatable)
        await call.act()  # with the same key: never twice
        assert call.happened() == 1


async def test_retry_after_is_passed_on(call, front):
    front.plan(too_many("7"), method="POST")

    with pytest.raises(ToolUnavailable) as raised:
        await call.act()

    assert raised.value.after == timedelta(seconds=7)


async def test_a_server_that_refuses_connections_received_nothing(call, front):
    front.stop()
    with pytest.raises(ToolUnavailable, match="nothing was sent"):
        await call.act()
    front.start()

    await call.act()

    assert call.happened() == 1


@pytest.mark.parametrize("fault", [*in_doubt(Slow), ByteByByte(pause=0.02, after_effect=True)], ids=str)
async def test_a_slow_answer_times_out_and_leaves_the_step_in_doubt(call, front, fault, monkeypatch):
    monkeypatch.setattr(client, "CALL_SECONDS", 0.5)
    front.plan(fault, method="POST")

    with pytest.raises(EffectUnknown, match=r"it took more than"):
        await call.act()

    assert front.count("POST", call.path) == 1


@pytest.mark.parametrize("fault", [*in_doubt(Cut), *in_doubt(garbage), *in_doubt(Dropped)], ids=str)
async def test_an_interrupted_step_is_looked_up_before_it_is_repeated(call, front, fault):
    front.plan(fault, method="POST")

    with capture_logs():  # otherwise structlog renders each traceback, which takes a second
        if fault.after_effect:
            await act_once(call.tool, call.arguments, call.key, EarlierState.NOTHING)
        else:
            with pytest.raises(OutcomePending):
                await act_once(call.tool, call.arguments, call.key, EarlierState.NOTHING)

    assert front.count("POST", call.path) == 1
    await act_once(call.tool, call.arguments, call.key, EarlierState.BEGUN)
    assert front.count("POST", call.path) == (1 if fault.after_effect else 2)
    assert call.happened() == 1


@pytest.mark.parametrize("call", ["refund_payment"], indirect=True)  # both tools read with the same code
@pytest.mark.parametrize(
    "fault", [fault for fault, *_ in MATRIX if not fault.after_effect], ids=lambda one: str(one)[:60]
)
async def test_a_failed_read_makes_one_request_and_leaves_nothing_in_doubt(call, front, fault):
    front.plan(fault, method="GET")

    with pytest.raises((ToolUnavailable, ToolRefused)) as raised:
        await call.tool.observe(call.arguments)

    assert front.count("GET") == 1
    assert KEY not in str(raised.value)


async def test_a_huge_answer_needs_little_memory(call, front):
    front.plan(Huge(size=500_000_000), method="POST")
    gc.collect()
    tracemalloc.start()
    try:
        with pytest.raises(EffectUnknown):
            await call.act()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 40_000_000
    assert front.bytes_sent < 40_000_000


async def test_an_answer_that_echoes_the_key_does_not_reveal_it(call, front, caplog):
    caplog.set_level(logging.WARNING)
    for status in (200, 400, 401, 402, 403, 404, 409, 500):
        front.plan(
            stripe_error(status, "invalid_request_error", "x", f"key {KEY}, Bearer {KEY}!"), method="POST"
        )
        with pytest.raises((ToolRefused, EffectUnknown)) as raised:
            await call.act()
        assert KEY not in str(raised.value)
        assert KEY[8:] not in str(raised.value)
    assert KEY not in caplog.text
    for request in front.seen():
        assert KEY not in request.target
        assert KEY.encode() not in request.body
