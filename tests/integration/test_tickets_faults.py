"""Whatever a tracker does: the right class, one request, bounded memory, and a message that helps."""

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from activities.tools.tickets.answers import MAX_ANSWER
from activities.tools.tickets.ticket import Limits
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.tool import Receipt
from plangate.tool import EffectStatus, Happened, NotFound
from tests.support.faulty_server import (
    Answer,
    Cut,
    Dies,
    Drips,
    Dropped,
    Fault,
    Huge,
    Says,
    Slow,
    garbage,
    too_many,
)
from tests.support.tickets import TOKEN, VENDORS, Desk, desk

KEY = "plan:3f9a12bc4d5e:1"
SHORT = Limits(connect=1, read=0.2, whole=0.3)
BASIC = base64.b64encode(f"dana@example.org:{TOKEN}".encode()).decode()
ECHO = {"message": f"Bearer {TOKEN} is not allowed", "errorMessages": [f"It is {TOKEN}"]}


def says(status: int, *, after_effect: bool = False, **headers: str) -> Fault:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Says(answer=Answer(status, ECHO, named), after_effect=after_effect)


FAULTS: dict[str, tuple[Fault, type[ToolError]]] = {
    "401": (says(401), ToolRefused),
    "403": (says(403), ToolRefused),
    "404": (says(404), ToolRefused),
    "410": (says(410), ToolRefused),
    "413": (says(413), ToolRefused),
    "422": (says(422), ToolRefused),
    "301": (says(301, Location="http://127.0.0.1:9/elsewhere"), ToolRefused),
    "307": (says(307, Location="http://127.0.0.1:9/elsewhere"), ToolRefused),
    "429": (too_many("7", ECHO), ToolUnavailable),
    "429 with a date": (
        says(429, Retry_After="Thu, 26 Nov 2026 12:00:07 GMT", Date="Thu, 26 Nov 2026 12:00:00 GMT"),
        ToolUnavailable,
    ),
    "429 with junk": (says(429, Retry_After="soon"), ToolUnavailable),
    "403 with a wait": (says(403, Retry_After="7"), ToolUnavailable),
    "503 with a wait": (says(503, Retry_After="7"), ToolUnavailable),
    "500": (says(500), EffectUnknown),
    "502": (says(502), EffectUnknown),
    "503": (says(503), EffectUnknown),
    "504 after the effect": (says(504, after_effect=True), EffectUnknown),
    "303": (says(303, Location="/elsewhere"), EffectUnknown),
    "garbage": (garbage(), EffectUnknown),
    "garbage after the effect": (garbage(after_effect=True), EffectUnknown),
    "another document": (Says(answer=Answer(201, {"number": "one"})), EffectUnknown),
    "a list": (Says(answer=Answer(201, [1])), EffectUnknown),
    "nothing": (Says(answer=Answer(204, b"")), EffectUnknown),
    "slow": (Slow(seconds=5), EffectUnknown),
    "slow after the effect": (Slow(seconds=5, after_effect=True), EffectUnknown),
    "dripping": (Drips(pause=0.05), EffectUnknown),
    "cut": (Cut(), EffectUnknown),
    "cut after the effect": (Cut(after_effect=True), EffectUnknown),
    "dropped": (Dropped(), EffectUnknown),
    "dropped after the effect": (Dropped(after_effect=True), EffectUnknown),
    "huge": (Huge(status=201), EffectUnknown),
    "huge when unpacked": (Huge(size=20_000_000, status=201, compressed=True), EffectUnknown),
    "dead": (Dies(), EffectUnknown),
    "dead after the effect": (Dies(after_effect=True), EffectUnknown),
}


@dataclass
class Call:
    """One call of a tool, and how it is looked up."""

    act: Callable[[], Awaitable[Receipt]]
    find_out: Callable[[], Awaitable[EffectStatus]]
    effects: Callable[[], int]


async def call(here: Desk, tool: str) -> Call:
    if tool == "create_ticket":
        create, wanted = here.create, here.ticket()
        return Call(
            lambda: create.act(wanted, KEY),
            lambda: create.find_out(wanted, KEY),
            lambda: len(here.vendor.issues),
        )
    await here.create.act(here.ticket(), "before")
    here.server.forget()
    comment, on = here.comment, here.on(1)
    return Call(
        lambda: comment.act(on, KEY), lambda: comment.find_out(on, KEY), lambda: len(here.vendor.comments)
    )


async def started_again(here: Desk) -> None:
    """Start a server that is about to be dead."""
    async with asyncio.timeout(5):
        while True:
            try:
                here.server.start()
            except OSError:
                await asyncio.sleep(0.01)
            else:
                return


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("tool", ["create_ticket", "comment_ticket"])
@pytest.mark.parametrize("vendor", VENDORS[:2])
async def test_each_fault_has_its_class_and_is_sent_once(
    vendor: str, tool: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)  # of libraries, as in the product
    fault, expected = FAULTS[name]
    with desk(vendor, SHORT) as here:
        one = await call(here, tool)
        here.server.plan(fault, method="POST")
        with pytest.raises(ToolError) as caught:
            await one.act()
        assert type(caught.value) is expected or (
            expected is ToolRefused and isinstance(caught.value, ToolRefused)
        )
        assert here.server.count("POST", None) == 1
        assert here.server.bytes_sent < 2 * MAX_ANSWER + 8_000_000
        said = str(caught.value)
        assert here.tracker.name in said
        assert ("create the ticket" if tool == "create_ticket" else "add the comment") in said
        assert not ("nothing was" in said.lower() and expected is EffectUnknown)
        if isinstance(caught.value, ToolUnavailable):
            assert caught.value.after is not None
            assert caught.value.after.total_seconds() in (7, 60)
        assert TOKEN not in f"{said}{caplog.text}"
        if expected is EffectUnknown:
            here.server.heal()
            if isinstance(fault, Dies):
                await started_again(here)
            happened = fault.after_effect or isinstance(fault, Drips)
            assert isinstance(await one.find_out(), Happened if happened else NotFound)
            assert one.effects() == int(happened)


@pytest.mark.parametrize("tool", ["create_ticket", "comment_ticket"])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_server_that_refuses_connections_was_sent_nothing(vendor: str, tool: str) -> None:
    with desk(vendor, SHORT) as here:
        one = await call(here, tool)
        here.server.stop()
        with pytest.raises(ToolUnavailable, match=r"cannot be reached .* nothing was sent"):
            await one.act()
        with pytest.raises(ToolUnavailable, match="cannot be reached"):
            await one.find_out()
        here.server.start()
        await one.act()
        assert one.effects() == 1


@pytest.mark.parametrize(
    "name", ["401", "404", "429", "500", "garbage", "a list", "slow", "cut", "huge", "dropped"]
)
@pytest.mark.parametrize("tool", ["create_ticket", "comment_ticket"])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_look_up_that_fails_says_nothing_about_the_effect(vendor: str, tool: str, name: str) -> None:
    with desk(vendor, SHORT) as here:
        one = await call(here, tool)
        await one.act()
        here.server.plan(FAULTS[name][0], method="GET", times=None)
        with pytest.raises((ToolUnavailable, ToolRefused)) as caught:
            await one.find_out()
        assert here.tracker.name in str(caught.value)
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_the_vendor_echoes_of_the_credentials_is_not_repeated(
    vendor: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    said = ""
    for status in (301, 401, 403, 409, 422, 429, 500, 503):
        with desk(vendor, SHORT) as here:
            here.server.plan(Says(answer=Answer(status, {"message": f"{BASIC} {TOKEN}"})), times=None)
            for asked in (here.create.act(here.ticket(), KEY), here.comment.observe(here.on(1))):
                with pytest.raises(ToolError) as caught:
                    await asked
                said += str(caught.value) + repr(caught.value)
            assert TOKEN in str(here.server.requests[0].headers) or BASIC in str(
                here.server.requests[0].headers
            )
    assert TOKEN not in said + caplog.text
    assert vendor != "jira-cloud" or BASIC not in said + caplog.text
