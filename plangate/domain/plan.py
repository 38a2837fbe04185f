"""Plans and their fingerprints: what an approver sees, and what alone may run."""

import hashlib
import json
import math
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Final

import rfc8785
from pydantic import Field, JsonValue

from plangate.domain.base import Frozen, Typed
from plangate.domain.escaping import cut

MIN_PREFIX: Final = 8
SHORT_LENGTH: Final = 12
FINGERPRINT_LENGTH: Final = 64
MAX_PLAN_BYTES: Final = 256 * 1024
_MAX_SAFE_INTEGER: Final = 2**53 - 1
_MAX_DEPTH: Final = 32
_MAX_PLACE: Final = 1_000  # characters of the names that lead to a value, which are shown with it
_SHOWN_OF_NAME: Final = 60
_RECORD: Final = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))


class Step(Typed):
    """One tool with its arguments, and the reason for it."""

    tool: str = Field(min_length=1, max_length=100)
    arguments: dict[str, JsonValue]
    reason: str = Field(default="", max_length=2_000)


class Plan(Typed):
    """A summary and ordered steps. Two plans are the same when their fingerprints are."""

    summary: str = Field(min_length=1, max_length=2_000)
    steps: tuple[Step, ...] = Field(min_length=1)


class Audience(Frozen):
    """Where a plan, and a signature on it, counts: one installation, in one Temporal namespace.

    Attributes:
        installation: the id of the records, 32 hex digits, made once with them.
        namespace: the Temporal namespace of the run.
    """

    installation: str
    namespace: str

    def __str__(self) -> str:
        """Return it as one text, as a token's ``aud`` claim has it."""
        return f"{self.installation}/{self.namespace}"


def canonical_json(value: JsonValue) -> bytes:
    """Return the one RFC 8785 form of ``value``, UTF-8 encoded.

    Raises:
        rfc8785.CanonicalizationError: ``value`` holds what JSON cannot carry unchanged (see `uncanonical`).
    """
    return rfc8785.dumps(value)


def canonical_record(fields: Mapping[str, str | int]) -> bytes:
    """Return the same as `canonical_json`, much faster, for texts and whole numbers under ASCII names.

    RFC 8785 is slow because of fractions and the sorting of other names.

    Raises:
        ValueError: JSON cannot carry a number or a text unchanged.
    """
    if any(isinstance(value, int) and abs(value) > _MAX_SAFE_INTEGER for value in fields.values()):
        raise ValueError("a number is too large to survive JSON exactly")
    return _RECORD.encode(fields).encode()


def fingerprint_of(plan: Plan, revision: int, workflow_id: str, audience: Audience) -> str:
    """Return the SHA-256 (64 hex digits) that stands for exactly this plan, revision, run and audience.

    Raises:
        ValueError: the plan holds what JSON cannot carry unchanged (see `uncanonical`).
    """
    document: JsonValue = {
        "installation": audience.installation,
        "namespace": audience.namespace,
        "plan": plan.model_dump(mode="json"),
        "revision": revision,
        "workflow_id": workflow_id,
    }
    return hashlib.sha256(canonical_json(document)).hexdigest()


def idempotency_key(workflow_id: str, fingerprint: str, step: int) -> str:
    """Return the permanent name of one step's effect; it never depends on the attempt."""
    return f"{workflow_id}:{fingerprint}:{step}"


def short(fingerprint: str) -> str:
    """Return the first 12 digits: what people read and type."""
    return fingerprint[:SHORT_LENGTH]


def uncanonical(  # noqa: PLR0912  one branch for each kind of JSON value
    value: object, place: str, depth: int = 0
) -> Iterator[str]:
    """Yield a sentence for every value below ``place`` that JSON cannot carry from one reader to the next."""
    match value:
        case None | bool():
            return
        case int() | float() if abs(value) > _MAX_SAFE_INTEGER and math.isfinite(value):
            yield f"{place}: {value} is too large to survive JSON exactly; write it as text"
        case float() if not math.isfinite(value):
            yield f"{place}: {value} is not a JSON number"
        case int() | float():
            return
        case str():
            if any(unicodedata.category(char) == "Cs" for char in value):
                yield f"{place}: the text holds half of a surrogate pair, which is not a character"
        case _ if depth >= _MAX_DEPTH:
            yield f"{place}: nested deeper than {_MAX_DEPTH} levels"
        case Mapping():
            for key, item in value.items():
                if not isinstance(key, str):
                    yield f"{place}: the name {key!r} is not text"
                    continue
                if len(place) + len(key) > _MAX_PLACE:
                    yield (
                        f"{place}: the names that lead to a value have over {_MAX_PLACE} characters here; "
                        f"shorten {cut(key, _SHOWN_OF_NAME)!r}"
                    )
                    continue
                yield from uncanonical(key, f"{place} (a name)", depth)
                yield from uncanonical(item, f"{place}.{key}", depth + 1)
        case list() | tuple():
            for index, item in enumerate(value):
                yield from uncanonical(item, f"{place}[{index}]", depth + 1)
        case _:
            yield f"{place}: {type(value).__name__} is not a JSON value"
