"""A fault in a plan, a file or a message, with its path."""

from typing import NamedTuple, TypeAlias

FaultPath: TypeAlias = tuple[str | int, ...]
"""Field names and list indexes, outermost first; empty for the whole value."""


class Fault(NamedTuple):
    """A fault in one part of a value.

    Attributes:
        path: the location of the part.
        message: the rest of a sentence that begins with the part, such as ``must be text``.
    """

    path: FaultPath
    message: str

    def __str__(self) -> str:
        """Return the fault in human-readable form: ``step 1, to: must be a list``."""
        return f"{path_words(self.path)}: {self.message}" if self.path else f"it {self.message}"

    def as_json(self) -> dict[str, str]:
        """Return the fault as JSON, with the path as text."""
        return {"path": path_text(self.path), "message": self.message}


def path_words(path: FaultPath) -> str:
    """Return a path in human-readable form, with steps counted from 1: ``step 1, to``."""
    match path:
        case ("steps", int(index), "arguments", *rest) if rest:
            return f"step {index + 1}, {path_text(tuple(rest))}"
        case ("steps", int(index), *rest):
            return f"step {index + 1}" + (f", {path_text(tuple(rest))}" if rest else "")
        case _:
            return path_text(path)


def path_text(path: FaultPath) -> str:
    """Return a path in machine-readable form: ``steps[0].arguments.to``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
