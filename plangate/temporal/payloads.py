"""Convert payloads to and from JSON with pydantic; a payload that cannot be decoded also becomes a value.

Any client of the server can send anything under a decision's name. By default the SDK drops a signal that it
cannot decode, and the sender gets no error; logging a thousand of them takes longer than a workflow task may.
If it cannot decode the input of a start, it fails the workflow task. Here such a payload becomes an
`Undecodable` wherever no type is expected: it is then judged, recorded and refused.
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

    The SDK creates two new converters for every workflow activation. They share the pydantic adapters, which
    take longer to build than to use.
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
    """Read every payload as it is, never as a reference to external storage.

    Plangate stores nothing externally. The SDK raises for a reference that it has no store for, before any
    converter is called, so that one such signal would block a run forever. There is no public way to prevent
    this (docs/decisions/0040).
    """

    async def _decode_reference_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def _external_retrieve_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)
