"""How the workflow is run: in Temporal's sandbox, entered for what the sandbox is there for and nothing else.

The library asks each run, for every payload and several times, in which context it is to be converted, and
goes into the sandbox for the answer. No converter of ours asks for a context, hence the answer is always the
same, and is given outside. Measured: a quarter of the worker's CPU. A codec that needs a context (one that
binds what it encrypts to the workflow id) has to ask `SandboxedWorkflowRunner` again.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import WorkflowInstance, WorkflowInstanceDetails
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

_NO_STORE: Final = StorageDriverStoreContext(target=None)


class _WithoutContext(WorkflowInstance):
    """One run in its sandbox."""

    def __init__(self, sandboxed: WorkflowInstance) -> None:
        self._sandboxed = sandboxed

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        """Let the run go on, in its sandbox."""
        return self._sandboxed.activate(act)

    def get_serialization_context(self, command_info: object) -> None:
        """Payloads are converted alike, whatever they belong to."""

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        """No payload is stored elsewhere."""
        del command_info
        return _NO_STORE

    def get_info(self) -> Info:
        """Return what Temporal says of the run."""
        return self._sandboxed.get_info()

    def get_thread_id(self) -> int | None:
        """Return the thread in which the run goes on just now."""
        return self._sandboxed.get_thread_id()


@dataclass(frozen=True)
class LeanSandbox(SandboxedWorkflowRunner):
    """Temporal's sandbox, entered for the run alone."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        """Return a new run."""
        return _WithoutContext(super().create_instance(det))


# Else the sandbox loads the workflow's module anew for every run, and compiles it where no bytecode is kept.
# Measured: a sixth of the worker's CPU, and half the memory of a run that waits. The replay tests run the
# workflow in the whole sandbox.
RUNNER: Final = LeanSandbox(restrictions=SandboxRestrictions.default.with_passthrough_modules("workflows"))


class InTheLoop(ThreadPoolExecutor):
    """Lets runs go on in the worker's event loop instead of in threads.

    The library has threads for it only to notice a run that never comes back; such a run would hold the
    interpreter all the same. A run's turn takes a millisecond, and to hand it to a thread and back a third of
    that.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``fn`` at the event loop's next turn."""
        future: Future[Any] = Future()
        asyncio.get_running_loop().call_soon(_go_on, future, fn, args, kwargs)
        return future


def _go_on(future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
    if not future.set_running_or_notify_cancel():
        return
    loop = asyncio.get_running_loop()
    try:
        future.set_result(fn(*args, **kwargs))
    except BaseException as error:  # noqa: BLE001  it belongs to whoever waits for the future
        future.set_exception(error)
    finally:
        asyncio._set_running_loop(loop)  # noqa: SLF001  a run has a loop of its own, and leaves none behind
