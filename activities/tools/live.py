"""A mapping that may change while the worker runs, such as the tools of an MCP server."""

from collections.abc import Callable, ItemsView, Iterator, Mapping
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Live(Mapping[str, Value], Generic[Value]):
    """A view of a mapping: each access calls ``now`` to get the mapping."""

    def __init__(self, now: Callable[[], Mapping[str, Value]]) -> None:
        self._now = now

    def __getitem__(self, name: str) -> Value:
        return self._now()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._now())

    def __len__(self) -> int:
        return len(self._now())

    def items(self) -> ItemsView[str, Value]:
        """Return the current names and values."""
        return self._now().items()
