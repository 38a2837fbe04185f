"""Refunds as steps of runs, against localstripe: what is held and refused, and where the key never is."""

from collections.abc import Iterator
from typing import Any

import pytest

from activities.tools.stripe.refund import RefundPayment
from tests.support.faulty_server import Answer as HttpAnswer
from tests.support.faulty_server import FaultyServer, Says
from tests.support.gate import Gate
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
    """Return all that is kept of a run: its status, its trail and the bytes of the records."""
    trail = "".join(entry.model_dump_json() for entry in gate.api.trail(workflow_id))
    files = [one for one in gate.settings.var_dir.rglob("*") if one.is_file()]
    kept = "".join(one.read_bytes().decode("latin-1") for one in files)
    return f"{status.model_dump_json()}{trail}{kept}"


async def test_two_refunds_of_one_payment_are_fine_as_long_as_both_fit(idle_gate: Gate, stripe) -> None:
    gate, payment = idle_gate, stripe.paid()
    gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings())
    async with gate.worker():
        status = await gate.in_review(plan=refunds(payment, 100, 150))
        assert "(250.00 EUR, card ending 4242, " in str(status.steps[0].preview)
        await gate.decide(status)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert sorted(one["amount"] for one in stripe.refunds(payment)) == [10_000, 15_000]


async def test_a_refund_by_another_hand_in_between_holds_the_run(idle_gate: Gate, stripe) -> None:
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


async def test_more_than_is_left_is_refused_at_the_draft(idle_gate: Gate, stripe) -> None:
    gate, payment = idle_gate, stripe.paid()
    gate.tools["refund_payment"] = RefundPayment.from_settings(stripe.settings())
    async with gate.worker():
        run = await gate.submit(plan=refunds(payment, 300))
        result = await gate.result(run)
    assert result.outcome == "failed"
    assert "only 250.00 EUR of it is left" in result.reason


async def test_the_key_is_nowhere_on_the_record_even_if_the_vendor_echoes_it(
    idle_gate: Gate, stripe, capfd
) -> None:
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
