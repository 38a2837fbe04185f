"""The tray: where decisions lie between their arrival and their admission, in the order in which they came.

What arrives is read here and now, whatever it is, and keeps its place; reading never raises.
"""

from collections.abc import Sequence
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
        self._arrivals: list[Arrival] = []
        self._verdicts: dict[str, Verdict] = {}
        self._signals_seen = 0

    def __len__(self) -> int:
        """Count what waits, including what is being admitted now: the run may not move on before it is."""
        return len(self._arrivals)

    def put_signal(self, choice: Choice, inputs: Sequence[Any]) -> None:
        """Take in what came under a decision's name."""
        self._arrivals.append(
            read_arrival(
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
        self._arrivals.append(
            unknown_name(
                key=self._next_signal_key(),
                name=name,
                inputs=[_readable(raw) for raw in inputs[:2]],
                received_at=workflow.now(),
            )
        )

    async def put_update(self, inputs: Sequence[Any]) -> Verdict:
        """Take in an update, and wait for its verdict."""
        update = workflow.current_update_info()
        assert update is not None
        arrival = read_arrival(
            key=update_key(workflow.info().run_id, update.id),
            via=Via.UPDATE,
            name="decide",
            choice=None,
            inputs=inputs,
            received_at=workflow.now(),
        )
        self._arrivals.append(arrival)
        await workflow.wait_condition(lambda: arrival.key in self._verdicts)
        return self._verdicts.pop(arrival.key)

    def first(self, limit: int) -> tuple[Arrival, ...]:
        """Return the oldest arrivals; they stay in the tray until `settle`."""
        return tuple(self._arrivals[:limit])

    def settle(self, decided: Sequence[Decided]) -> None:
        """Take out the oldest arrivals, which have these verdicts now, and tell whoever waits."""
        for arrival, event in zip(self._arrivals, decided, strict=False):
            if arrival.via is Via.UPDATE:
                self._verdicts[arrival.key] = event.verdict
        del self._arrivals[: len(decided)]

    def _next_signal_key(self) -> str:
        self._signals_seen += 1
        return signal_key(workflow.info().run_id, self._signals_seen)


def _readable(raw: RawValue) -> object:
    try:
        return workflow.payload_converter().from_payloads([raw.payload])[0]
    except Exception:  # noqa: BLE001  whatever a converter raises; a handler must never raise
        return "(cannot be decoded)"
