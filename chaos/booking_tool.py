"""A tool with an undo but no look-up: it books lines in an external service; listed in ``PLANGATE_TOOLS``."""

import asyncio
import json
import urllib.error
import urllib.request

from plangate.domain.errors import EffectUnknown, ToolRefused
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.tool import EffectStatus, Unknown


class BookArguments(ToolArguments):
    """A line, and the place of its booking."""

    run: str
    token: str
    url: str


class Book:
    """Books a line in the external service, and cancels the booking."""

    declaration = ToolDeclaration(
        name="book",
        description="Book a line in the external service.",
        arguments=BookArguments,
        retry_safety=RetrySafety.UNKNOWABLE,
        undoable=True,
        seconds=10,
    )

    def objection(self, arguments: BookArguments) -> str | None:
        """Return None: every call is allowed."""
        del arguments
        return None

    async def act(self, arguments: BookArguments, idempotency_key: str) -> Receipt:
        """Book the line."""
        return await _ask(arguments, arguments.token, idempotency_key)

    async def find_out(self, arguments: BookArguments, idempotency_key: str) -> EffectStatus:
        """Report that the service has no look-up."""
        del arguments, idempotency_key
        return Unknown("Look in the log of the service.")

    async def undo(self, arguments: BookArguments, receipt: Receipt, idempotency_key: str) -> Receipt:
        """Cancel the line."""
        del receipt
        return await _ask(arguments, f"{arguments.token}/undo", idempotency_key)

    async def find_out_undo(
        self, arguments: BookArguments, receipt: Receipt, idempotency_key: str
    ) -> EffectStatus:
        """Report that the service has no look-up."""
        del receipt
        return await self.find_out(arguments, idempotency_key)


async def _ask(arguments: BookArguments, token: str, key: str) -> Receipt:
    content = json.dumps({"run": arguments.run, "token": token}).encode()
    request = urllib.request.Request(arguments.url, content, {"Idempotency-Key": key})

    def call() -> None:
        with urllib.request.urlopen(request, timeout=9) as answer:
            answer.read()

    try:
        await asyncio.to_thread(call)
    except urllib.error.HTTPError as error:
        raise ToolRefused(f"The service refused it ({error.code}).") from error
    except OSError as error:
        raise EffectUnknown("The service closed the connection.") from error
    return Receipt(summary=f"booked {token}")


BOOK = Book()
