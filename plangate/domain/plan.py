"""Plans and their fingerprints."""

import hashlib
import json
import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

import rfc8785
from pydantic import BeforeValidator, Field, JsonValue

from plangate.domain.base import AwareDatetime, Frozen, Typed
from plangate.domain.escaping import cut
from plangate.domain.faults import Fault, FaultPath
from plangate.domain.reads import Read

MIN_PREFIX: Final = 8
SHORT_LENGTH: Final = 12
FINGERPRINT_LENGTH: Final = 64
MAX_PLAN_BYTES: Final = 256 * 1024
# More than any plan that passes the checks needs, and well below the server's limit for an activity (2 MB).
MAX_RAW_PLAN_BYTES: Final = 2 * MAX_PLAN_BYTES
# The limit with previews and observations. A status has the newest plan twice, the previous plan and
# receipts, and must fit into one response (2 MB).
MAX_DRAFTED_BYTES: Final = 384 * 1024
MAX_TOOL_NAME: Final = 64
MAX_SUMMARY: Final = 2_000
MAX_REASON: Final = 2_000  # characters of one step
MAX_PREVIEW: Final = 2_000
_MAX_SAFE_INTEGER: Final = 2**53 - 1
_MAX_DEPTH: Final = 32
_MAX_NAMES: Final = 1_000  # characters in the path to a value, which is shown with it
_SHOWN_OF_NAME: Final = 60
_REFERENCE: Final = frozenset({"from_step", "field"})  # the field names of a `plangate.domain.tool.Reference`
_RENEWED: Final = re.compile(r":r[0-9]+\Z")  # a retry after a definite failure adds this to a key
_PLAIN: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _is_empty(text: str) -> bool:
    return not text


def _moment(value: object) -> object:
    """Parse a time as people type it, and convert it to UTC."""
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        at = None
    if at is None and value is None:
        return None
    if not isinstance(at, datetime) or at.tzinfo is None:
        raise ValueError("must be a time with its zone, such as 2026-11-30T09:00:00+01:00")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise ValueError("is out of range; use another time") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
"""A time that people type; all its spellings are equal."""


class ProposedStep(Typed):
    """A tool with its arguments and the reason for the call, as proposed by a planner or a person."""

    tool: str = Field(min_length=1, max_length=MAX_TOOL_NAME)
    arguments: dict[str, JsonValue]
    reason: str = Field(default="", max_length=MAX_REASON)


class Step(ProposedStep):
    """A proposed step, with the parts that its tool added when the plan was drafted.

    If the tool did not add a part, the part is missing from the plan's JSON and fingerprint.

    Attributes:
        preview: the effect of the step, in one sentence made by the tool's code.
        observation: the tool's observation; the precondition is compared with it just before the step.
        definition: SHA-256 of the tool's name, description and argument schema (64 hex digits).
        undoable: whether the tool can undo the effect.
    """

    preview: str = Field(default="", max_length=MAX_PREVIEW, exclude_if=_is_empty)
    observation: JsonValue = Field(default=None, exclude_if=lambda value: value is None)
    definition: str = Field(default="", max_length=FINGERPRINT_LENGTH, exclude_if=_is_empty)
    undoable: bool = Field(default=False, exclude_if=lambda value: value is False)

    def proposed(self) -> ProposedStep:
        """Return the step without the additions of its tool."""
        return ProposedStep(tool=self.tool, arguments=self.arguments, reason=self.reason)


class ProposedPlan(Typed):
    """A summary and ordered steps, as proposed by a planner or a person: the content of a plan file.

    ``not_before`` is the earliest time at which the first step may begin.
    """

    summary: str = Field(min_length=1, max_length=MAX_SUMMARY)
    not_before: Moment | None = Field(default=None, exclude_if=lambda value: value is None)
    steps: tuple[ProposedStep, ...] = Field(min_length=1)


class Plan(Typed):
    """A summary and ordered steps. Two plans are the same if their fingerprints are equal.

    ``reads`` contains the reads that the planner made during the draft. ``not_before`` is the earliest time
    at which the first step may begin. Each is left out of the plan's JSON if it is empty.
    """

    summary: str = Field(min_length=1, max_length=MAX_SUMMARY)
    not_before: Moment | None = Field(default=None, exclude_if=lambda value: value is None)
    steps: tuple[Step, ...] = Field(min_length=1)
    reads: tuple[Read, ...] = Field(default=(), exclude_if=lambda value: not value)

    def proposed(self) -> ProposedPlan:
        """Return the plan without its reads, and without the additions of its tools."""
        return ProposedPlan(
            summary=self.summary,
            not_before=self.not_before,
            steps=tuple(step.proposed() for step in self.steps),
        )


class Audience(Frozen):
    """The scope of a plan and of signatures on it: one installation, in one Temporal namespace.

    Attributes:
        installation: the id of the records, 32 hex digits, created with them.
        namespace: the Temporal namespace of the run.
    """

    installation: str
    namespace: str

    def __str__(self) -> str:
        """Return the audience as one string, the ``aud`` claim of a token."""
        return f"{self.installation}/{self.namespace}"


def canonical_json(value: JsonValue) -> bytes:
    """Return the canonical form (RFC 8785) of ``value``, UTF-8 encoded.

    Raises:
        ValueError: ``value`` contains a value that JSON cannot represent unchanged (see `uncanonical`).
    """
    return _PLAIN.encode(value).encode() if _is_plain(value) else rfc8785.dumps(value)


def _is_plain(value: JsonValue) -> bool:
    """Return whether sorted JSON is the RFC 8785 form: no fractions, large numbers or non-ASCII names."""
    if value is None or isinstance(value, str):
        return True
    if isinstance(value, dict):
        are_named = all(isinstance(name, str) and name.isascii() for name in value)
        return are_named and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return isinstance(value, int) and abs(value) <= _MAX_SAFE_INTEGER


def fingerprint_of(plan: Plan, revision: int, workflow_id: str, audience: Audience) -> str:
    """Return the SHA-256 (64 hex digits) of exactly this plan, revision, run and audience.

    Raises:
        ValueError: the plan contains a value that JSON cannot represent unchanged (see `uncanonical`).
    """
    document: JsonValue = {
        "installation": audience.installation,
        "namespace": audience.namespace,
        "plan": plan.model_dump(mode="json"),
        "revision": revision,
        "workflow_id": workflow_id,
    }
    return hashlib.sha256(canonical_json(document)).hexdigest()


def idempotency_key(
    workflow_id: str, fingerprint: str, step: int, *, undo: bool = False, resolution: int = 0
) -> str:
    """Return the idempotency key of one effect; it never depends on the attempt.

    Args:
        workflow_id: the run.
        fingerprint: the fingerprint of its plan.
        step: the number of the step, from 1.
        undo: whether the effect undoes the step.
        resolution: the number of the resolution that retries after a definite failure; 0 for the first try. A
            vendor may respond to a used key with the stored failure, so the retry needs a new key.
    """
    key = f"{workflow_id}:{fingerprint}:{step}"
    return key + (":undo" if undo else "") + (f":r{resolution}" if resolution else "")


def key_of_first_try(key: str) -> str:
    """Return the idempotency key that the effect had before any retry after a definite failure."""
    return _RENEWED.sub("", key)


def struck_steps(before: Plan, after: ProposedPlan) -> tuple[int, ...] | None:
    """Return the numbers of the steps of ``before`` that ``after`` removes, if it changes nothing else.

    References must use the new step numbers. None if anything else changes (the summary, the earliest
    start, a step, or the order), or if a step refers to a removed one.
    """
    if after.summary != before.summary or after.not_before != before.not_before:
        return None
    numbers: dict[int, int] = {}  # numbers of the kept steps, before and after
    for number, step in enumerate(before.steps, start=1):
        kept, same = len(numbers), _renumbered(step.proposed(), numbers)
        if same is not None and kept < len(after.steps) and is_same_proposal(after.steps[kept], same):
            numbers[number] = kept + 1
    if len(numbers) != len(after.steps) or len(numbers) == len(before.steps):
        return None
    return tuple(number for number in range(1, len(before.steps) + 1) if number not in numbers)


def without_steps(plan: ProposedPlan, struck: Collection[int]) -> ProposedPlan:
    """Return ``plan`` without the steps with these numbers, with references to the new step numbers.

    Raises:
        ValueError: there is no such step, none is left, or a remaining step needs the result of a removed
            one; the message is a clause.
    """
    for number in struck:
        if not 1 <= number <= len(plan.steps):
            raise ValueError(f"there is no step {number}")
    numbers: dict[int, int] = {}  # numbers of the kept steps, before and after
    kept: list[ProposedStep] = []
    for number, step in enumerate(plan.steps, start=1):
        if number in struck:
            continue
        same = _renumbered(step, numbers)
        if same is None:
            raise ValueError(f"step {number} needs the result of a struck step; strike it, too")
        kept.append(same)
        numbers[number] = len(kept)
    if not kept:
        raise ValueError("a plan has at least one step; reject it instead")
    return plan.model_copy(update={"steps": tuple(kept)})


def is_same_proposal(one: ProposedPlan | ProposedStep, other: ProposedPlan | ProposedStep) -> bool:
    """Return whether two values are equal as JSON, as in a fingerprint: true is not 1."""
    return canonical_json(one.model_dump(mode="json")) == canonical_json(other.model_dump(mode="json"))


def _renumbered(step: ProposedStep, numbers: Mapping[int, int]) -> ProposedStep | None:
    """Return a step with the new step numbers in its references; None if one of these steps is removed."""
    arguments = dict(step.arguments)
    for name, value in step.arguments.items():
        if isinstance(value, dict) and value.keys() == _REFERENCE:
            source = value["from_step"]
            if not isinstance(source, int) or source not in numbers:
                return None
            arguments[name] = {**value, "from_step": numbers[source]}
    return step.model_copy(update={"arguments": arguments})


def short(fingerprint: str) -> str:
    """Return the first 12 digits, as shown to people."""
    return fingerprint[:SHORT_LENGTH]


def uncanonical(  # noqa: PLR0912  one branch for each kind of JSON value
    value: object, path: FaultPath = (), depth: int = 0
) -> Iterator[Fault]:
    """Yield an error for every value that not all JSON parsers read in the same way.

    Args:
        value: the part at ``path``.
        path: the path of that part.
        depth: how deeply it is nested in the outermost value.
    """
    match value:
        case None | bool():
            return
        case int() if abs(value) > _MAX_SAFE_INTEGER:  # an int may be larger than any float
            yield Fault(path, "the whole number is too large to be exact in JSON; write it as text")
        case float() if abs(value) > _MAX_SAFE_INTEGER and math.isfinite(value):
            yield Fault(path, f"{value} is too large to be exact in JSON; write it as text")
        case float() if not math.isfinite(value):
            yield Fault(path, f"{value} is not a JSON number")
        case int() | float():
            return
        case str():
            if _has_half_a_pair(value):
                yield Fault(path, "the text contains half of a surrogate pair, which is not a character")
        case _ if depth >= _MAX_DEPTH:
            yield Fault(path, f"nested deeper than {_MAX_DEPTH} levels")
        case Mapping():
            room = _MAX_NAMES - sum(len(part) for part in path if isinstance(part, str))
            for key, item in value.items():
                if not isinstance(key, str):
                    yield Fault(path, f"the name {key!r} is not text")
                elif len(key) > room:
                    yield Fault(
                        path,
                        f"the path of names to a value has over {_MAX_NAMES} characters here; "
                        f"shorten {cut(key, _SHOWN_OF_NAME)!r}",
                    )
                else:
                    if _has_half_a_pair(key):
                        yield Fault(
                            path,
                            f"the name {key!r} contains half of a surrogate pair, which is not a character",
                        )
                    yield from uncanonical(item, (*path, key), depth + 1)
        case list() | tuple():
            for index, item in enumerate(value):
                yield from uncanonical(item, (*path, index), depth + 1)
        case _:
            yield Fault(path, f"{type(value).__name__} is not a JSON value")


def _has_half_a_pair(text: str) -> bool:
    return any(unicodedata.category(char) == "Cs" for char in text)
