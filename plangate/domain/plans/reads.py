"""Record what a planner reads while drafting. It is part of the plan, so approvers see it too.

A planner gets only the part of a result that the plan keeps, so approvers can see everything that the planner
got.
"""

import hashlib
import json
from typing import Final

from pydantic import Field, JsonValue

from plangate.domain.base import Typed

MAX_READS: Final = 20  # reads in one draft
MAX_READ_BYTES: Final = 4 * 1024  # bytes of one result that are kept
MAX_READS_BYTES: Final = 16 * 1024  # bytes of all results of a plan that are kept
MAX_READ_ARGUMENTS: Final = 1_000  # bytes of JSON


class Read(Typed):
    """One read: the tool, its arguments, and what it returned.

    Attributes:
        tool: a tool that only reads.
        arguments: the arguments, complete and validated.
        result: the part that the planner got: text, or a value as JSON text, truncated if it was too large.
        sha256: the SHA-256 of the whole result (64 hex digits).
        size: the size of the whole result, in bytes.
    """

    tool: str
    arguments: dict[str, JsonValue]
    result: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0)

    @property
    def kept(self) -> int:
        """How many bytes of the result are kept."""
        return len(self.result.encode())

    @property
    def is_cut(self) -> bool:
        """Whether the result is only the beginning."""
        return self.kept < self.size


def read_of(tool: str, arguments: dict[str, JsonValue], found: object, room: int) -> Read:
    """Return a read that keeps at most ``room`` bytes of the result.

    Raises:
        TypeError, ValueError: the result is not JSON.
    """
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    whole = text.encode("utf-8", "replace")
    kept = whole[: max(0, min(room, MAX_READ_BYTES))].decode("utf-8", "ignore")
    return Read(
        tool=tool,
        arguments=arguments,
        result=kept,
        sha256=hashlib.sha256(whole).hexdigest(),
        size=len(whole),
    )
