"""Decisions that the server stores while no worker runs are shown with their sender, if it is known."""

import pytest

from plangate.domain.decisions.decision import who_withdrew, withdrawal
from plangate.domain.escaping import cut
from tests.support.gate import Gate


async def test_an_unread_withdrawal_is_shown_with_its_sender(idle_gate: Gate) -> None:
    async with idle_gate.worker():
        workflow_id = (await idle_gate.in_review("one")).workflow_id
    await idle_gate.api.withdraw(workflow_id, withdrawal("rita", "not now: later"))
    (unread,) = (await idle_gate.api.status(workflow_id)).unread
    assert (unread.decision, unread.by, unread.plan) == ("withdraw", "rita", None)
    async with idle_gate.worker():
        ended = await idle_gate.api.wait(workflow_id)
    assert ended.reason == "withdrawn by rita: not now: later"


@pytest.mark.parametrize(
    ("reason", "who"),
    [
        (withdrawal("rita", ""), "rita"),
        (withdrawal("dana o", "a: b"), "dana o"),
        ("withdrawn by " + "x" * 5000, cut("x" * 5000, 100)),
        ("withdrawn by ", None),
        ("enough", None),
        ("", None),
    ],
)
def test_a_cancellation_without_an_authenticated_sender_shows_the_name_in_its_reason(
    reason: str, who: str | None
) -> None:
    assert who_withdrew(reason) == who
