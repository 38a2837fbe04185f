"""Requests that do not belong to a run, as the Temporal server received them.

Requests to stop, about keys and to delegate have different contents, but they are received, parsed and
recorded in the same way. `Received` is one such message, whether or not it can be parsed. Its content is
defined in `plangate.domain.runs.stops`, `plangate.domain.decisions.key_requests` and
`plangate.domain.decisions.delegations`.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, Self, TypeVar

from pydantic import ValidationError

from plangate.domain.base import AwareDatetime, Frozen, Typed
from plangate.domain.decisions.decision import PersonName, excerpt_of, first_faults
from plangate.domain.people.people import Approver

MAX_REASON: Final = 1_000
"""The maximum length of a request's reason in characters."""


class SentRequest(Typed):
    """The content of a request: every kind states its sender's name, ``by``."""

    by: PersonName


Content = TypeVar("Content", bound=SentRequest)


class Received(Frozen, Generic[Content]):
    """A message that was sent as a request.

    Attributes:
        key: identifies this message.
        received_at: when the Temporal server received it.
        order: its content; None if it cannot be parsed.
        fault: why it cannot be parsed as a request; empty if it can be.
        excerpt: the beginning of a message that cannot be parsed, with hidden characters made visible.
    """

    key: str
    received_at: AwareDatetime
    order: Content | None = None
    fault: str = ""
    excerpt: str = ""

    @classmethod
    def read(
        cls,
        parse: Callable[[Sequence[object]], Content],
        *,
        key: str,
        inputs: Sequence[object],
        received_at: AwareDatetime,
    ) -> Self:
        """Return the message with the content that ``parse`` returns, or with the fault that it raises.

        Args:
            parse: parses the inputs; raises ValueError if they are not a valid request.
            key: identifies this message.
            inputs: the inputs, as sent.
            received_at: when the Temporal server received it.
        """
        try:
            return cls(key=key, received_at=received_at, order=parse(inputs))
        except ValueError as error:
            return cls(key=key, received_at=received_at, fault=str(error), excerpt=excerpt_of(inputs))

    def actor(self, sender: Approver | None) -> str:
        """Return the name that the trail records: that of the identified sender, or else the stated name."""
        if sender is not None:
            return sender.name
        return self.order.by if self.order is not None else "unknown"


def only_object(content: type[Content], inputs: Sequence[object], how: str) -> Content:
    """Return the only input, parsed as ``content``.

    Args:
        content: the type of the request.
        inputs: the inputs, as sent.
        how: what to send instead, for the error message.

    Raises:
        ValueError: there is not exactly one input, it is not a JSON object, or it has invalid fields.
    """
    if len(inputs) != 1:
        found = "no input" if not inputs else f"{len(inputs)} inputs"
        raise ValueError(f"it has {found}; {how}")
    if not isinstance(inputs[0], dict):
        raise ValueError(f"it is not a JSON object; {how}")  # noqa: TRY004  one kind of error
    try:
        return content.model_validate(inputs[0])
    except ValidationError as error:
        raise ValueError(first_faults(error)) from None
