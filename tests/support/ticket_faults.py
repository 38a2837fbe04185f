"""The fault matrix of the ticket tools: a tracker's faults, and the required results."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from activities.tools.tickets.answers import MAX_ANSWER
from activities.tools.tickets.ticket import Limits
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.plans.tool import Receipt
from plangate.tool import EffectStatus, Happened, NotFound
from tests.support.faulty_server import (
    Answer,
    ByteByByte,
    Cut,
    Dies,
    Dropped,
    Fault,
    Huge,
    Says,
    Slow,
    garbage,
    too_many,
)
from tests.support.tickets import TOKEN, TicketSetup, ticket_setup
from tests.support.wait_limit import WAIT_LIMIT

KEY = "plan:3f9a12bc4d5e:1"
SHORT = Limits(connect=1, read=0.2, whole=0.3)
TOOLS = ("create_ticket", "comment_ticket")
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
    "dripping": (ByteByByte(pause=0.05), EffectUnknown),
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
    """One call of a tool, and its look-up."""

    act: Callable[[], Awaitable[Receipt]]
    find_out: Callable[[], Awaitable[EffectStatus]]
    effects: Callable[[], int]


async def call(here: TicketSetup, tool: str, limits: Limits = Limits()) -> Call:  # noqa: B008  immutable
    """Prepare a call; the limits apply only to the call itself."""
    limited = replace(here, tracker=here.tracker_with(limits))
    if tool == "create_ticket":
        create, wanted = here.create, here.ticket()
        return Call(
            lambda: limited.create.act(wanted, KEY),
            lambda: create.find_out(wanted, KEY),
            lambda: len(here.vendor.issues),
        )
    await here.create.act(here.ticket(), "before")
    here.server.reset_counts()
    comment, on = here.comment, here.on(1)
    return Call(
        lambda: limited.comment.act(on, KEY),
        lambda: comment.find_out(on, KEY),
        lambda: len(here.vendor.comments),
    )


async def restart(here: TicketSetup) -> None:
    """Restart a server after it has died."""
    async with asyncio.timeout(WAIT_LIMIT):
        while True:
            try:
                here.server.start()
            except OSError:
                await asyncio.sleep(0.01)
            else:
                return


async def check(vendor: str, tool: str, name: str) -> str:
    """Apply one fault to one call; return the text of the error.

    Raises:
        AssertionError: the result is not the required one.
    """
    fault, expected = FAULTS[name]
    limits = SHORT if isinstance(fault, Slow | ByteByByte) else Limits()
    with ticket_setup(vendor) as here:
        one = await call(here, tool, limits)
        here.server.plan(fault, method="POST")
        error = await failure_of(one.act())
        assert isinstance(error, expected), f"{type(error).__name__} instead of {expected.__name__}: {error}"
        assert here.server.count("POST") == 1
        assert here.server.bytes_sent < MAX_ANSWER + 16_000_000  # and the buffers of sockets
        said = str(error)
        assert here.tracker.name in said
        assert ("create the ticket" if tool == "create_ticket" else "add the comment") in said
        assert TOKEN not in said
        assert ("nothing was" in said.lower()) == (expected is not EffectUnknown)
        if isinstance(error, ToolUnavailable):
            assert error.after is not None
            assert error.after.total_seconds() in (7, 60)
        if expected is EffectUnknown:
            here.server.clear_faults()
            if isinstance(fault, Dies):
                await restart(here)
            happened = fault.after_effect or isinstance(fault, ByteByByte)
            assert isinstance(await one.find_out(), Happened if happened else NotFound)
            assert one.effects() == int(happened)
        return said


async def failure_of(act: Awaitable[object]) -> ToolError:
    """Return the error of a tool that has to fail."""
    try:
        found = await act
    except ToolError as error:
        return error
    raise AssertionError(f"it did not fail: {found}")
