"""Call plain functions in separate threads, and track calls that are still running after their time limit.

A thread cannot be stopped. A call that is still running at the limit is in doubt, because it may still take
effect. Each call has its own thread, because hanging calls would fill a pool that other calls need.
"""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Final

# How long to wait for a call over its limit before it is reported as running.
_LAST_SECONDS: Final = 2.0


class ToolCrashed(Exception):
    """A tool raised what is no `Exception`, such as ``SystemExit``; ``str()`` is the name of its type."""


class Calls:
    """The calls of one tool, each under its idempotency key; calls without an effect have no key."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._overdue: dict[str, Future[Any]] = {}

    async def call(self, function: Callable[..., Any], values: dict[str, Any], key: str = "") -> Any:
        """Call the function and return its result; a plain function is called in a thread."""
        if _is_async(function):
            return await _awaited(function(**values))
        outcome = _in_thread(self._name, function, values)
        try:
            result = await asyncio.wrap_future(outcome)
        except asyncio.CancelledError:
            if key and not outcome.done():
                self._overdue[key] = outcome
            raise
        return await _awaited(result) if inspect.isawaitable(result) else result

    def is_running(self, key: str) -> bool:
        """Return whether a call under this key is still running after its limit."""
        return key in self._overdue and not self._overdue[key].done()

    async def overdue(self, key: str) -> Future[Any] | None:
        """Return the call under this key that exceeded its limit, done or still running, or None."""
        found = self._overdue.get(key)
        if found is None:
            return None
        waiting = asyncio.wrap_future(found)
        waiting.add_done_callback(lambda done: done.cancelled() or done.exception())  # or asyncio logs it
        await asyncio.wait([waiting], timeout=_LAST_SECONDS)
        return found


def _is_async(function: Callable[..., Any]) -> bool:
    called = getattr(type(function), "__call__", None)  # noqa: B004  on the class
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(called)


def _in_thread(name: str, function: Callable[..., Any], values: dict[str, Any]) -> Future[Any]:
    outcome: Future[Any] = Future()
    outcome.set_running_or_notify_cancel()  # from here on, nothing can cancel it
    context = contextvars.copy_context()

    def work() -> None:
        try:
            result = context.run(function, **values)
        except BaseException as error:  # noqa: BLE001  it is raised where the call is awaited
            # A StopIteration cannot be raised there.
            is_safe = isinstance(error, Exception) and not isinstance(error, StopIteration)
            outcome.set_exception(error if is_safe else _crashed(error))
        else:
            outcome.set_result(result)

    threading.Thread(target=work, name=f"tool {name}", daemon=True).start()
    return outcome


async def _awaited(result: Awaitable[Any]) -> Any:
    """Await a tool's coroutine; convert what would stop the worker or look like a cancellation."""
    try:
        return await result
    except (Exception, GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        task = asyncio.current_task()
        if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
            raise
        raise _crashed(error) from error


def _crashed(error: BaseException) -> ToolCrashed:
    return ToolCrashed(type(error).__name__)
