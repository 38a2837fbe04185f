"""How payloads are read: as JSON, by pydantic; and what cannot be read is a value too.

Whoever reaches the server may send anything under a decision's name. What the library cannot decode it drops
(a signal: nobody learns of it, and a thousand of them take longer to log than a workflow task may last), or
it fails the workflow task (what a run is started with). Here it is handed over as `Undecodable` wherever no
type is expected, which is just where anything may come: there it is judged, recorded and refused.
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
    """Stands for what came in an encoding that is not known here, or broken."""

    encoding: str

    def __repr__(self) -> str:
        return f"(cannot be decoded: {self.encoding})"


class TolerantPayloadConverter(CompositePayloadConverter):
    """Raises only where a type was expected.

    The library makes a new converter twice for every activation of a run: they all share what pydantic has
    worked out about our types, which takes longer than to convert by it.
    """

    def __init__(self) -> None:
        super().__init__(*_CONVERTERS)

    def with_context(self, context: SerializationContext) -> Self:
        """Return the same: a payload is converted alike, whatever it belongs to."""
        del context
        return self

    def from_payloads(self, payloads: Sequence[Payload], type_hints: list[type] | None = None) -> list[Any]:
        """Return the values; `Undecodable` for what is none, if no types are given."""
        if type_hints is not None:
            return super().from_payloads(payloads, type_hints)
        return [self._value(payload) for payload in payloads]

    def _value(self, payload: Payload) -> Any:
        try:
            return super().from_payloads([payload])[0]
        except Exception:  # noqa: BLE001  whatever a converter raises
            return Undecodable(payload.metadata.get("encoding", b"no encoding").decode(errors="replace"))


@dataclass(frozen=True)
class InlineDataConverter(DataConverter):
    """Takes every payload for what it is, and none for a reference to one that lies elsewhere.

    Plangate stores none elsewhere. The library raises at a reference that it has no store for, before any
    converter is asked, and a single signal so marked would block its run for ever.
    """

    async def _decode_reference_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)

    async def _external_retrieve_payload_sequence(self, payloads: Sequence[Payload]) -> list[Payload]:
        return list(payloads)
