"""Every fault of a tracker leads to the right error, one request, bounded memory, and a helpful message."""

import base64
import logging
from random import Random

import pytest

from activities.tools.tickets.ticket import Limits
from plangate.domain.errors import ToolError, ToolRefused, ToolUnavailable
from tests.support.faulty_server import Answer, Says
from tests.support.ticket_faults import FAULTS, KEY, SHORT, TOOLS, call, check
from tests.support.tickets import TOKEN, VENDORS, ticket_setup

BASIC = base64.b64encode(f"dana@example.org:{TOKEN}".encode()).decode()
CHANCE = Random(16)


@pytest.mark.parametrize(
    ("vendor", "tool", "name"), [(CHANCE.choice(VENDORS), CHANCE.choice(TOOLS), name) for name in FAULTS]
)
async def test_each_fault_is_classified_and_sent_once(
    vendor: str, tool: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Test a sample; `python -m chaos ticket-faults` tests all of them."""
    caplog.set_level(logging.WARNING)  # of libraries, as in the product
    await check(vendor, tool, name)
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_server_that_refuses_connections_received_nothing(vendor: str, tool: str) -> None:
    with ticket_setup(vendor) as tickets:
        one = await call(tickets, tool)
        tickets.server.stop()
        with pytest.raises(ToolUnavailable, match=r"cannot be reached .* nothing was sent"):
            await one.act()
        with pytest.raises(ToolUnavailable, match="cannot be reached"):
            await one.find_out()
        tickets.server.start()
        await one.act()
        assert one.effects() == 1


@pytest.mark.parametrize(
    ("vendor", "tool", "name"),
    [
        (CHANCE.choice(VENDORS), tool, name)
        for tool in TOOLS
        for name in ("401", "404", "429", "500", "garbage", "slow", "cut", "huge", "dropped")
    ],
)
async def test_a_failed_lookup_says_nothing_about_the_effect(vendor: str, tool: str, name: str) -> None:
    with ticket_setup(vendor, SHORT if name == "slow" else Limits()) as tickets:
        one = await call(tickets, tool)
        await one.act()
        tickets.server.plan(FAULTS[name][0], method="GET", times=None)
        with pytest.raises((ToolUnavailable, ToolRefused)) as caught:
            await one.find_out()
        assert tickets.tracker.name in str(caught.value)
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_echoed_credentials_are_not_repeated(vendor: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    said = ""
    for status in (301, 401, 403, 409, 422, 429, 500, 503):
        with ticket_setup(vendor) as tickets:
            tickets.server.plan(Says(answer=Answer(status, {"message": f"{BASIC} {TOKEN}"})), times=None)
            for asked in (tickets.create.act(tickets.ticket(), KEY), tickets.comment.observe(tickets.on(1))):
                with pytest.raises(ToolError) as caught:
                    await asked
                said += str(caught.value) + repr(caught.value)
            assert TOKEN in str(tickets.server.requests[0].headers) or BASIC in str(
                tickets.server.requests[0].headers
            )
    assert TOKEN not in said + caplog.text
    assert vendor != "jira-cloud" or BASIC not in said + caplog.text


@pytest.mark.parametrize("vendor", VENDORS[:2])
async def test_a_suspended_worker_sends_nothing_after_its_time_limit(vendor: str) -> None:
    with ticket_setup(vendor, Limits(whole=-1)) as tickets:
        with pytest.raises(ToolUnavailable, match="the time limit was reached"):
            await tickets.create.act(tickets.ticket(), KEY)
        assert tickets.server.count() == 0
