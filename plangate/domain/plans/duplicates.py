"""Duplicates: steps whose tool and identifying arguments equal those of a step of another run.

A tool's declaration lists its identifying arguments. A step's match key has a hash of them, so that equal
steps are found without reading any plan. This module does not use a database.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

from pydantic import Field, JsonValue

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.plans.plan import canonical_json

MOST_DUPLICATES: Final = 20
MOST_STEPS: Final = 200
"""The maximum number of steps for which at least one duplicate is listed."""
DUPLICATES_WITHIN: Final = timedelta(days=30)
"""The maximum time between the drafting of the other plan and of this one."""


class Duplicate(Frozen):
    """A step of this plan that equals a step of another run, as of the time when this plan was drafted.

    Attributes:
        step: its number in this plan.
        tool: the tool of both steps.
        same: the identifying arguments, which are equal; empty if all arguments are compared.
        workflow_id: the other run; empty unless everyone in the list of people may see that run.
        its_step: the step's number in the other run.
        state: the state of the other run.
        done: whether the other step was done, or is in doubt.
        at: when the other run ended, or if it had not ended, when its plan was drafted.
    """

    step: int
    tool: str
    same: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)
    workflow_id: str = ""
    its_step: int
    state: str
    done: bool = False
    at: AwareDatetime


def by_step(duplicates: Iterable[Duplicate]) -> tuple[tuple[Duplicate, ...], ...]:
    """Return the duplicates, grouped by the step of this plan."""
    groups: dict[tuple[int, str, tuple[str, ...]], list[Duplicate]] = {}
    for one in duplicates:
        groups.setdefault((one.step, one.tool, one.same), []).append(one)
    return tuple(map(tuple, groups.values()))


class MatchKey(Frozen):
    """The key for finding equal steps: ``digest`` is equal for them; ``same`` is the compared arguments."""

    step: int
    tool: str
    same: tuple[str, ...]
    digest: str


def match_digest(tool: str, arguments: Mapping[str, JsonValue], identifying: Iterable[str]) -> str:
    """Return the hash (64 hex digits) of a tool and its identifying arguments, or all if there are none.

    Strings that look the same are equal: they are compared in Unicode normalization form C.
    """
    names = tuple(identifying)
    compared = {name: arguments.get(name) for name in names} if names else dict(arguments)
    content = canonical_json({"tool": tool, "arguments": compared}).decode()
    return hashlib.sha256(unicodedata.normalize("NFC", content).encode()).hexdigest()
