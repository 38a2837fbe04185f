"""The program of a tool's process: it loads the tool once, and forks for each call.

For a tool, a fork is like a worker: it can be killed, and shares no memory with later forks. Each line of
stdin is a `Command`, and the response is a `LoadResult` or a `CallResult`. The tool's own output goes to
stderr.
"""

import json
import os
import random  # noqa: TID251  makes forks differ as separate processes do
import select
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from types import ModuleType
from typing import Any, Final, assert_never

from pydantic import ValidationError

from plangate.domain.errors import OperatorError, PlangateError
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.drafting import complete
from plangate.domain.plans.plan import uncanonical
from plangate.domain.plans.tool import FIND_OUT_SECONDS, LONGEST_SETTLEMENT, OBSERVE_SECONDS
from plangate.domain.validation import faults_in
from plangate.elapsed import elapsed
from plangate.settings import load_settings
from plangate.testing.promises.calls import Calls
from plangate.testing.promises.messages import (
    CallKind,
    CallResult,
    Command,
    Kill,
    LoadResult,
    Request,
    Setting,
)
from plangate.testing.tools import as_tool
from plangate.tool import Observes, Previews, SeesItsEffect, Settles, Tool, Undoes, arguments_for, json_answer

_GRACE: Final = 5.0  # seconds after a call's own time limit
_LONGEST: Final = 300


def main() -> None:
    """Serve the requests on stdin until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command that started this process stops it
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    calls: Calls | None = None
    for line in sys.stdin:
        asked = Command.model_validate_json(line)
        answer: LoadResult | CallResult
        if asked.load is not None:
            calls, answer = _load(asked.load)
        else:
            assert calls is not None
            assert asked.call is not None
            answer = _in_a_fork(calls, asked.call)
        print(answer.model_dump_json(), file=answers, flush=True)


def _load(setting: Setting) -> tuple[Calls | None, LoadResult]:
    sys.path[:0] = [folder for folder in setting.path if folder not in sys.path]
    try:
        calls = _calls(setting)
        return calls, _loaded(calls, setting)
    except PlangateError as error:
        return None, LoadResult(fault=str(error))
    except Exception as error:  # noqa: BLE001  the tool's module may raise anything
        return None, LoadResult(fault=f"{setting.tool} cannot be loaded: {described(error)}.")


def described(error: BaseException) -> str:
    """Return an error's class and the beginning of its text."""
    text = one_line(cut(str(error), _LONGEST))
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _calls(setting: Setting) -> Calls:
    tool = as_tool(_named(setting.tool), load_settings)
    declaration = tool.declaration
    faults = [str(fault) for fault in uncanonical(setting.arguments)]
    if not faults:
        try:
            arguments = arguments_for(declaration, setting.arguments)
            objection = tool.objection(arguments)
            faults = [objection] if objection else []
        except ValidationError as error:
            faults = [str(fault) for fault in faults_in(error)]
    if faults:
        raise OperatorError(
            f"{declaration.name} cannot be called with these arguments ({'; '.join(faults)}); "
            f"pass others, as --arguments '{_skeleton(declaration.schema())}'."
        )
    count = _named(setting.count) if setting.count else None
    module = sys.modules[setting.tool.partition(":")[0]]
    _import_for_calls(module)
    return Calls(tool, arguments, count, module)


def _import_for_calls(module: ModuleType) -> None:
    """Import the modules of `json_answer` now, because importing them in each fork would take 0.2 s."""
    if any(one is json_answer for one in vars(module).values()):
        for name in ("httpx2", "httpcore2"):
            import_module(name)


def _skeleton(schema: dict[str, Any]) -> str:
    names = schema.get("properties", {})
    return json.dumps(dict.fromkeys(names, "…"), ensure_ascii=False)


def _named(where: str) -> Any:
    module, _, name = where.partition(":")
    if not (module and name):
        raise OperatorError(f"{where!r} is not the name of a tool; write MODULE:NAME, as in refunds:refund.")
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module and not module.startswith(f"{error.name}."):
            raise OperatorError(f"{module} needs {error.name}, which is not installed.") from error
        raise OperatorError(
            f"There is no module {module} here; run this in the folder that contains it, or install it."
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise OperatorError(f"The module {module} has no {name}.")
        found = getattr(found, part)
    return found


def _unfit_time(tool: Tool) -> str:
    """Return the error in a tool's settles_within; empty if there is none."""
    try:
        within = tool.settles_within if isinstance(tool, Settles) else LONGEST_SETTLEMENT
    except Exception as error:  # noqa: BLE001  the author's code failed
        return f"settles_within failed: {type(error).__name__}: {error}"
    if not isinstance(within, timedelta) or not timedelta() < within <= LONGEST_SETTLEMENT:
        return f"settles_within must be a timedelta of at most {LONGEST_SETTLEMENT.days} days, not {within!r}"
    return ""


def _loaded(calls: Calls, setting: Setting) -> LoadResult:
    tool, declaration = calls.tool, calls.tool.declaration
    arguments = complete(arguments_for(declaration, setting.arguments))
    try:
        again = complete(arguments_for(declaration, arguments))
    except ValidationError:
        again = {}
    return LoadResult(
        name=declaration.name,
        retry_safety=declaration.retry_safety,
        seconds=declaration.seconds,
        undoable=declaration.undoable,
        previews=isinstance(tool, Previews),
        observes=isinstance(tool, Observes),
        sees=isinstance(tool, SeesItsEffect),
        undoes=isinstance(tool, Undoes),
        settles=hasattr(tool, "find_settlement"),
        settles_within=_unfit_time(tool),
        arguments=arguments,
        again=again,
    )


# ---- one call, in a fork ----------------------------------------------------------------------------


def _in_a_fork(calls: Calls, request: Request) -> CallResult:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        random.seed()
        _call_and_exit(calls, request, writer)
    os.close(writer)
    try:
        return _how_it_ended(child, reader, request, _limit(calls, request))
    finally:
        os.close(reader)


def _call_and_exit(calls: Calls, request: Request, writer: int) -> None:
    def say(ended: CallResult) -> None:
        os.write(writer, (ended.model_dump_json() + "\n").encode())

    try:
        say(calls.call(request, lambda place, ended: _die(say, place, ended)))
    except BaseException as error:  # noqa: BLE001  the process must exit here in any case
        say(CallResult(how="raised", error=described(error)))
    finally:
        os._exit(0)  # exit without the tool's exit handlers and threads


def _die(say: Callable[[CallResult], None], place: str, ended: CallResult | None) -> None:
    """Kill this process with SIGKILL, so that no handler and no ``finally`` of the tool runs."""
    say((ended or CallResult(how="killed")).model_copy(update={"how": "killed", "place": place}))
    os.kill(os.getpid(), signal.SIGKILL)


def _limit(calls: Calls, request: Request) -> float:
    match request.do:
        case CallKind.ACT | CallKind.UNDO:
            return calls.tool.declaration.seconds + _GRACE
        case CallKind.FIND_OUT | CallKind.FIND_OUT_UNDO | CallKind.FIND_SETTLEMENT | CallKind.COUNT:
            return FIND_OUT_SECONDS + _GRACE
        case CallKind.PREVIEW | CallKind.OBSERVE | CallKind.HOLDS:
            return OBSERVE_SECONDS + _GRACE
        case _:
            assert_never(request.do)


def _how_it_ended(child: int, reader: int, request: Request, limit: float) -> CallResult:
    """Read the fork's output until the fork exits, and kill the fork at its time limit."""
    by_clock = request.kill if request.kill and request.kill.when == "clock" else None
    begun = elapsed()
    ends, said = begun + _time_limit(by_clock, limit), b""
    while True:
        readable, _, _ = select.select([reader], [], [], max(0.0, ends - elapsed()))
        if not readable:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            after = f"after {elapsed() - begun:.2f} s"
            return CallResult(how="killed" if by_clock else "overdue", place=after, seconds=limit)
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            os.waitpid(child, 0)
            lines = said.decode().splitlines()
            return (
                CallResult.model_validate_json(lines[-1])
                if lines
                else CallResult(how="killed", place="an unknown place")
            )
        said += chunk


def _time_limit(by_clock: Kill | None, limit: float) -> float:
    return by_clock.seconds if by_clock else limit


if __name__ == "__main__":
    main()
