"""The tray: where decisions lie between their arrival and their admission, in the order in which they came.

A handler only puts down what came, unread: a flood that lay waiting while no worker ran comes in one go, and
all else in the worker waits until it is taken in, and the server ten seconds. Reading takes its time; the
clerk does it, a batch at a time. It never raises, whatever was sent.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from plangate.domain.audit import Decided
    from plangate.domain.decision import (
        Arrival,
        Choice,
        Verdict,
        Via,
        read_arrival,
        signal_key,
        unknown_name,
        update_key,
    )


class Tray:
    """Holds what has arrived and is not admitted yet, and the verdicts that updates wait for."""

    def __init__(self) -> None:
        self._unread: list[tuple[Callable[[], Arrival], str | None]] = []  # and the update that waits
        self._verdicts: dict[str, Verdict] = {}
        self._signals_seen = 0

    def __len__(self) -> int:
        """Count what waits, including what is being admitted now: the run may not move on before it is."""
        return len(self._unread)

    def put_signal(self, choice: Choice, inputs: Sequence[Any]) -> None:
        """Take in what came under a decision's name."""
        self._put(
            partial(
                read_arrival,
                key=self._next_signal_key(),
                via=Via.SIGNAL,
                name=choice.value,
                choice=choice,
                inputs=inputs,
                received_at=workflow.now(),
            )
        )

    def put_unknown(self, name: str, inputs: Sequence[RawValue]) -> None:
        """Take in what came under a name that nobody knows."""
        self._put(
            partial(
                _read_unknown,
                key=self._next_signal_key(),
                name=name,
                inputs=inputs,
                received_at=workflow.now(),
            )
        )

    async def put_update(self, inputs: Sequence[Any]) -> Verdict:
        """Take in an update, and wait for its verdict."""
        update = workflow.current_update_info()
        assert update is not None
        key = update_key(workflow.info().run_id, update.id)
        self._put(
            partial(
                read_arrival,
                key=key,
                via=Via.UPDATE,
                name="decide",
                choice=None,
                inputs=inputs,
                received_at=workflow.now(),
            ),
            waiting=key,
        )
        await workflow.wait_condition(lambda: key in self._verdicts)
        return self._verdicts.pop(key)

    def first(self, count: int, size: int) -> tuple[Arrival, ...]:
        """Return the oldest arrivals: one, and up to ``count`` as long as they fit into ``size`` bytes.

        They stay in the tray until `settle`.
        """
        batch: list[Arrival] = []
        for read, _ in self._unread[:count]:
            arrival = read()
            size -= len(arrival.model_dump_json())
            if batch and size < 0:
                break
            batch.append(arrival)
        return tuple(batch)

    def settle(self, decided: Sequence[Decided]) -> None:
        """Take out the oldest arrivals, which have these verdicts now, and tell whoever waits."""
        # By their place and not by their key: after a reset the recorded keys name the run before.
        for (_, waiting), event in zip(self._unread, decided, strict=False):
            if waiting is not None:
                self._verdicts[waiting] = event.verdict
        del self._unread[: len(decided)]

    def _put(self, read: Callable[[], Arrival], waiting: str | None = None) -> None:
        self._unread.append((read, waiting))

    def _next_signal_key(self) -> str:
        self._signals_seen += 1
        return signal_key(workflow.info().run_id, self._signals_seen)


def _read_unknown(*, inputs: Sequence[RawValue], **arrived: Any) -> Arrival:
    return unknown_name(inputs=[_readable(raw) for raw in inputs[:2]], **arrived)


def _readable(raw: RawValue) -> object:
    return workflow.payload_converter().from_payloads([raw.payload])[0]
