"""Simulate approvers: they read, make mistakes, decide through any channel, and retry until accepted."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from random import Random

from temporalio.service import RPCError

from chaos.installation import Installation
from chaos.orders import APPROVER, REQUESTER, Order
from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import PlangateError
from plangate.domain.runs.status import Status


async def decide(
    installation: Installation, order: Order, rng: Random, *, with_mistakes: bool = True
) -> None:
    """Wait until the run is in review, make one or two mistakes, then decide through a random channel."""
    status = await installation.until("in_review", order.workflow_id)
    if with_mistakes and rng.random() < 0.4:
        await retry(lambda: _send_invalid(installation, status, rng))
    order.decided_at = time.time()
    channels: list[Callable[[], Awaitable[None]]] = [
        lambda: by_signal(installation, order, status),
        lambda: _by_update(installation, order, status),
    ]
    if rng.random() < 0.2:  # an approver may send the decision through both channels
        await asyncio.gather(*(retry(channel) for channel in channels))
    else:
        channel = rng.choice(channels)
        await retry(channel)
    order.acknowledged = True


async def by_signal(installation: Installation, order: Order, status: Status) -> None:
    """Send the decision as a signal, as the Web UI and the command line do."""
    message = {"by": APPROVER, "plan": status.short_fingerprint}
    await installation.handle(order.workflow_id).signal(_choice(order).value, message)


async def retry(act: Callable[[], Awaitable[None]]) -> None:
    """Retry while the server does not respond; stop when the run has ended."""
    async with asyncio.timeout(90):
        while True:
            try:
                return await act()
            except RPCError as error:
                if "already completed" in str(error):
                    return None
            except PlangateError:
                pass
            await asyncio.sleep(0.2)


async def _by_update(installation: Installation, order: Order, status: Status) -> None:
    assert status.fingerprint is not None
    decision = Decision(decision=_choice(order), by=APPROVER, plan=status.fingerprint)
    await installation.api.decide(order.workflow_id, decision)


async def _send_invalid(installation: Installation, status: Status, rng: Random) -> None:
    """Send a decision that must be refused: from the requester, about another plan, or malformed."""
    message: object = rng.choice(
        [
            {"by": REQUESTER, "plan": status.short_fingerprint},
            {"by": APPROVER, "plan": "0123456789ab"},
            {"by": APPROVER, "plan": (status.fingerprint or "")[:5]},
            "yes, do it",
            None,
        ]
    )
    await installation.handle(status.workflow_id).signal("approve", message)


def _choice(order: Order) -> Choice:
    return Choice.REJECT if order.outcome == "rejected" else Choice.APPROVE
