"""Convert payloads to and from JSON with pydantic; a payload that cannot be decoded also becomes a value.

Any client of the server can send any payload under a decision's name. By default the SDK drops a signal that
it cannot decode, and the sender gets no error; logging a thousand of them takes longer than the time limit of
a workflow task. If it cannot decode the input of a new workflow, it fails the workflow task. With this
converter, such a payload becomes an `Undecodable` wherever no type is expected. It is then processed,
recorded and refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from temporalio.api.common.v1 import Payload
from temporalio.contrib.pydantic import PydanticPayloadConverter
from temporalio.converter import CompositePayloadConverter, DataConverter, SerializationContext

_CONVERTERS: Final = tuple(PydanticPayloadConverter().converters.values())


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A payload in an unknown or broken encoding."""

    encoding: str

    def __repr__(self) -> str:
        return f"(cannot be decoded: {self.encoding})"


class TolerantPayloadConverter(CompositePayloadConverter):
    """Return `Undecodable` instead of raising, unless a type is expected.

    The SDK creates two new converters for every workflow activation. They share the pydantic adapters,
    because these take longer to build than to use.
    """

    def __init__(self) -> None:
        super().__init__(*_CONVERTERS)

    def with_context(self, context: SerializationContext) -> Self:
        """Return self: the conversion does not depend on the context."""
        del context
        return self

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Return the values; without type hints, `Undecodable` for those that cannot be decoded."""
        if type_hints is not None:
            return super().from_payloads(payloads, type_hints)
        return [self._value(payload) for payload in payloads]

    def _value(self, payload: Payload) -> Any:
        try:
            return super().from_payloads([payload])[0]
        except Exception:  # noqa: BLE001  a converter may raise anything
            return Undecodable(payload.metadata.get("encoding", b"no encoding").decode(errors="replace"))


@dataclass(frozen=True)
class InlineDataConverter(DataConverter):
    """Read every payload directly, never as a reference to external storage.

    Plangate stores nothing externally. If the SDK has no store for a reference, it raises before any
    converter is called, so one such signal would block a run forever. There is no public way to prevent this
    (docs/decisions/0040).
    """

    async def _decode_reference_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def _external_retrieve_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)
