"""The decision inbox of a run: an ordered queue of messages that have not been processed yet.

A handler only stores its input. Signals that waited while no worker was running are all delivered in one
workflow task, which has to end within seconds. They are parsed later, one batch at a time
(`PlanApproval._process_inbox`). Parsing never raises, for any input.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

with workflow.unsafe.imports_passed_through():
    from plangate.domain.decisions.decision import (
        Arrival,
        Choice,
        Verdict,
        Via,
        read_arrival,
        signal_key,
        unknown_name,
        update_key,
    )
    from plangate.domain.runs.audit import Decided


class _Item:
    """One message, parsed on first use; ``update`` is the key of the update that waits for its result."""

    def __init__(self, read: Callable[[], Arrival], update: str | None = None) -> None:
        self._read = read
        self._arrival: Arrival | None = None
        self.update = update

    @property
    def arrival(self) -> Arrival:
        if self._arrival is None:
            self._arrival = self._read()
        return self._arrival

    @property
    def size(self) -> int:
        return len(self.arrival.model_dump_json().encode())


class DecisionInbox:
    """The messages that have not been processed yet, and the results that updates wait for."""

    def __init__(self) -> None:
        self._items: list[_Item] = []
        self._verdicts: dict[str, Verdict] = {}
        self._signals_seen = 0

    def __len__(self) -> int:
        """Count the unprocessed messages, including those that are being processed."""
        return len(self._items)

    def add_signal(self, choice: Choice, inputs: Sequence[Any]) -> None:
        """Add a signal that is named after a decision."""
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

    def add_unknown(self, name: str, inputs: Sequence[RawValue]) -> None:
        """Add a signal with an unknown name."""
        self._put(
            partial(
                _read_unknown,
                key=self._next_signal_key(),
                name=name,
                inputs=inputs,
                received_at=workflow.now(),
            )
        )

    async def submit_update(self, inputs: Sequence[Any], should_stop: Callable[[], bool]) -> Verdict | None:
        """Add an update, and wait for its result; return None if ``should_stop`` becomes true first.

        The message then stays in the inbox.
        """
        update = workflow.current_update_info()
        assert update is not None
        key = update_key(workflow.info().run_id, update.id)
        item = self._put(
            partial(
                read_arrival,
                key=key,
                via=Via.UPDATE,
                name="decide",
                choice=None,
                inputs=inputs,
                received_at=workflow.now(),
            ),
            update=key,
        )
        await workflow.wait_condition(lambda: key in self._verdicts or should_stop())
        if key not in self._verdicts:
            item.update = None
            return None
        return self._verdicts.pop(key)

    def restore(self, arrivals: Sequence[Arrival]) -> None:
        """Add the messages that the previous run passed on through continue-as-new."""
        for arrival in arrivals:
            self._items.append(_Item(partial(_same, arrival)))

    def first(self, count: int, size: int) -> tuple[Arrival, ...]:
        """Return the oldest messages: one, or up to ``count`` if together they fit into ``size`` bytes.

        They stay in the inbox until `resolve` removes them.
        """
        if len(self._items) == 1:  # the first one regardless of its size, because measuring it would be slow
            return (self._items[0].arrival,)
        batch: list[Arrival] = []
        for item in self._items[:count]:
            size -= item.size
            if batch and size < 0:
                break
            batch.append(item.arrival)
        return tuple(batch)

    def fits(self, size: int) -> bool:
        """Whether all messages together take up at most ``size`` bytes."""
        for item in self._items:
            size -= item.size
            if size < 0:
                return False
        return True

    def everything(self) -> tuple[Arrival, ...]:
        """Return all unprocessed messages, in order."""
        return tuple(item.arrival for item in self._items)

    def resolve(self, decided: Sequence[Decided]) -> None:
        """Remove the oldest messages, which now have these results, and complete the updates among them."""
        # By position, not by key: after a reset, the recorded keys contain the previous run's id.
        for item, event in zip(self._items, decided, strict=False):
            if item.update is not None:
                self._verdicts[item.update] = event.verdict
        del self._items[: len(decided)]

    def _put(self, read: Callable[[], Arrival], update: str | None = None) -> _Item:
        item = _Item(read, update)
        self._items.append(item)
        return item

    def _next_signal_key(self) -> str:
        self._signals_seen += 1
        return signal_key(workflow.info().run_id, self._signals_seen)


def _same(arrival: Arrival) -> Arrival:
    return arrival


def _read_unknown(*, inputs: Sequence[RawValue], **arrived: Any) -> Arrival:
    return unknown_name(inputs=[_readable(raw) for raw in inputs[:2]], **arrived)


def _readable(raw: RawValue) -> object:
    return workflow.payload_converter().from_payloads([raw.payload])[0]
