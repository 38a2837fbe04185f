"""Refunds as steps of runs, against localstripe: they are made, held or refused, and the key never leaks."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from activities.tools.stripe.refund import RefundPayment
from plangate.tool import tool
from tests.support.clock import clock_ahead
from tests.support.faulty_server import Answer as HttpAnswer
from tests.support.faulty_server import Dropped, FaultyServer, Says
from tests.support.gate import Gate
from tests.support.holds import found
from tests.support.stripe_server import KEY, StripeServer, stripe_server


@pytest.fixture(scope="module")
def stripe() -> Iterator[StripeServer]:
    with stripe_server() as server:
        yield server


def refunds(payment: str, *amounts: float) -> Any:
    given = [{"payment": payment, "amount": amount, "currency": "EUR"} for amount in amounts]
    steps = [{"tool": "refund_payment", "arguments": one, "reason": "due"} for one in given]
    return {"summary": "Refund", "steps": steps}


def everything(gate: Gate, workflow_id: str, status: Any) -> str:
    """Return everything stored about a run: its status, its trail and the bytes of the records."""
    trail = "".join(entry.model_dump_json() for entry in gate.api.trail(workflow_id))
    files = [one for one in gate.settings.var_dir.rglob("*") if one.is_file()]
    kept = "".join(one.read_bytes().decode("latin-1") for one in files)
    return f"{status.model_dump_json()}{trail}{kept}"


async def test_two_refunds_of_one_payment_are_made_if_both_fit(idle_gate: Gate, stripe) -> None:
    gate, payment = idle_gate, stripe.paid()
    gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings())
    async with gate.worker():
        status = await gate.in_review(plan=refunds(payment, 100, 150))
        assert '(250.00 EUR, "Kim Doe", card ending 4242, ' in str(status.steps[0].preview)
        await gate.decide(status)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert sorted(one["amount"] for one in stripe.refunds(payment)) == [10_000, 15_000]


async def test_a_refund_made_elsewhere_in_the_meantime_holds_the_run(idle_gate: Gate, stripe) -> None:
    gate, payment = idle_gate, stripe.paid()
    gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings())
    async with gate.worker():
        status = await gate.in_review(plan=refunds(payment, 42.5))
        stripe.post("refunds", payment_intent=payment, amount=5_000)
        await gate.decide(status)
        held = await gate.held(status.workflow_id)
        assert held.held is not None
        assert 'refundable was "250.00", is now "200.00"' in held.held.why
    assert len(stripe.refunds(payment)) == 1


@tool
def note_refund(payment: str) -> dict[str, str]:
    """Record a refund that was made elsewhere."""
    return {"refund": "re_elsewhere", "payment": payment, "amount": "50.00"}


async def test_a_receipt_of_another_tool_does_not_explain_a_refund_made_elsewhere(
    idle_gate: Gate, stripe
) -> None:
    gate, payment = idle_gate, stripe.paid()
    gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings())
    gate.tools["note_refund"] = note_refund.from_settings()
    plan = refunds(payment, 42.5)
    plan["steps"].insert(0, {"tool": "note_refund", "arguments": {"payment": payment}, "reason": "known"})
    async with gate.worker():
        status = await gate.in_review(plan=plan)
        stripe.post("refunds", payment_intent=payment, amount=5_000)
        await gate.decide(status)
        held = await gate.held(status.workflow_id)
        assert held.held is not None
        assert held.steps[0].receipt is not None
        assert held.steps[0].receipt.details["refund"] == "re_elsewhere"
        assert 'refundable was "250.00", is now "200.00"' in held.held.why
    assert len(stripe.refunds(payment)) == 1


async def test_a_refund_that_failed_before_it_was_looked_up_is_not_reported_as_made(
    idle_gate: Gate, stripe
) -> None:
    """With the same key, Stripe would repeat its first response, which reported success."""
    gate, payment = idle_gate, stripe.paid()
    unavailable = Says(answer=HttpAnswer(503))
    with FaultyServer(upstream=stripe.url) as front:
        gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings(front.url))
        async with gate.worker():
            status = await gate.in_review(plan=refunds(payment, 42.5))
            front.plan(Dropped(after_effect=True), method="POST")
            front.plan(unavailable, method="GET", path="/v1/refunds", times=None)
            await gate.decide(status)
            await gate.until("executing", status.workflow_id, lambda one: one.steps[0].last_error != "")
            (made,) = stripe.refunds(payment)
            stripe.control(f"refunds/{made['id']}", {"status": "failed"})
            front.clear_faults()
            held = await gate.held(status.workflow_id)
            assert (held.steps[0].state, held.steps[0].receipt) == ("failed", None)
            assert held.held is not None
            assert f"Stripe could not refund the payment {payment}: failed." in held.held.why
            assert front.count("POST", "/v1/refunds") == 1
            assert found(gate, status.workflow_id) == []


async def test_with_an_unusable_list_nothing_is_refunded_again_after_a_day(idle_gate: Gate, stripe) -> None:
    gate, payment = idle_gate, stripe.paid()
    with FaultyServer(upstream=stripe.url) as front:
        gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings(front.url))
        async with gate.worker():
            status = await gate.in_review(plan=refunds(payment, 100), timeout=timedelta(hours=200))
            front.plan(Dropped(after_effect=True), method="POST")
            front.plan(Says(answer=HttpAnswer(503)), method="GET", path="/v1/refunds", times=None)
            await gate.decide(status)
            await gate.until("executing", status.workflow_id, lambda one: one.steps[0].last_error != "")
        stripe.control("forget")
        front.clear_faults()
        front.plan(Says(answer=HttpAnswer(200, {})), method="GET", path="/v1/refunds")
        with clock_ahead(timedelta(hours=25)):
            async with gate.worker():
                assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert front.count("GET", "/v1/refunds") == 3
    assert [one["amount"] for one in stripe.refunds(payment)] == [10_000]


async def test_a_refund_above_the_remaining_amount_is_refused_in_the_draft(idle_gate: Gate, stripe) -> None:
    gate, payment = idle_gate, stripe.paid()
    gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings())
    async with gate.worker():
        run = await gate.submit(plan=refunds(payment, 300))
        result = await gate.result(run)
    assert result.outcome == "failed"
    assert "only 250.00 EUR of it is left" in result.reason


async def test_the_key_is_never_recorded_even_if_the_vendor_echoes_it(idle_gate: Gate, stripe, capfd) -> None:
    gate, payment = idle_gate, stripe.paid()
    body = {"error": {"type": "invalid_request_error", "code": "odd", "message": f"Bearer {KEY} {KEY}"}}
    with FaultyServer(upstream=stripe.url) as front:
        gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings(front.url))
        async with gate.worker():
            status = await gate.in_review(plan=refunds(payment, 42.5))
            front.plan(Says(answer=HttpAnswer(400, body)), method="POST")
            await gate.decide(status)
            held = await gate.held(status.workflow_id)
            kept = everything(gate, status.workflow_id, held)
        assert all(KEY not in one.target and KEY.encode() not in one.body for one in front.seen())
    said = capfd.readouterr()
    for text in (kept, said.out, said.err):
        assert KEY not in text
    assert "Stripe refused (odd)" in kept
