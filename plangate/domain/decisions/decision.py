"""Decisions as received, and the verdicts on them.

A decision comes from outside and is often typed by hand. `read_arrival` turns any input into an `Arrival`,
which contains either a `Decision` or the reason why it cannot be parsed. It never raises an exception.
`plangate.domain.runs.review` accepts or refuses a decision.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, JsonValue, StringConstraints, ValidationError

from plangate.domain.base import AwareDatetime, Frozen, Typed
from plangate.domain.escaping import cut, one_line
from plangate.domain.people.people import identity
from plangate.domain.plans.plan import FINGERPRINT_LENGTH, MAX_PLAN_BYTES, MAX_RAW_PLAN_BYTES, MIN_PREFIX
from plangate.domain.validation import faults_in

MAX_COMMENT: Final = 4_000
MAX_SIGNATURE: Final = 100_000  # a token contains the comment; each character may take 16
PLACEHOLDER: Final = "YOUR-NAME"
"""The placeholder for the approver's name in text that people copy; no person can have this name."""
_PLACEHOLDERS: Final = frozenset(
    {"", "your name", "yourname", "your name here", "name", "my name", "approver name", "placeholder"}
)
_PLACEHOLDERS_OF_COMMENTS: Final = frozenset(
    {
        "",
        "your reason",
        "your evidence",
        "your comment",
        "reason",
        "evidence",
        "comment",
        "placeholder",
        "why",
    }
    | {"what to change"}  # the placeholder in the signal's description
)
_PUNCTUATION: Final = frozenset({"Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "Sm", "Sc", "Sk"})  # Sm: <>; Sc: $
_EXCERPT_LENGTH: Final = 300
_MOST_FAULTS: Final = 5
_LONGEST_FAULT: Final = 120
_WITHDRAWN_BY: Final = "withdrawn by "
_LONGEST_NAME: Final = 100
_HEX: Final = re.compile(r"[0-9a-f]*")
_HOW: Final = 'send one JSON object such as {"by": "dana", "plan": "3f9a12bc4d5e"}'


def _is_none(value: object) -> bool:
    return value is None


def _visible_name(name: str) -> str:
    if one_line(name) != name:
        raise ValueError("contains invisible characters")
    if not name.strip():
        raise ValueError("is blank")
    return name.strip()


def _fingerprint_digits(plan: str) -> str:
    if not _HEX.fullmatch(plan):
        raise ValueError("must consist of the digits 0-9 and a-f of the fingerprint")
    if len(plan) < MIN_PREFIX:
        raise ValueError(f"is too short; give at least {MIN_PREFIX} digits of the fingerprint")
    return plan


PersonName = Annotated[
    str, StringConstraints(min_length=1, max_length=_LONGEST_NAME), AfterValidator(_visible_name)
]
PlanName = Annotated[
    str,
    StringConstraints(max_length=FINGERPRINT_LENGTH, to_lower=True),
    AfterValidator(_fingerprint_digits),
]


class Choice(StrEnum):
    """The kinds of decisions."""

    APPROVE = "approve"
    REJECT = "reject"
    REQUEST_CHANGES = "request_changes"
    WITHDRAW_APPROVAL = "withdraw_approval"
    EDIT = "edit"
    RESOLVE = "resolve"


class Resolution(StrEnum):
    """How a held run continues.

    ``retry`` tries the step again; ``skip`` leaves it out; ``mark_done`` states that an effect in doubt
    happened; ``undo`` undoes the done steps, in reverse order, and ends the run; ``abort`` ends it as it is.
    """

    RETRY = "retry"
    SKIP = "skip"
    MARK_DONE = "mark_done"
    UNDO = "undo"
    ABORT = "abort"

    @property
    def needs_comment(self) -> bool:
        """Whether it needs a reason or evidence."""
        return self in (Resolution.SKIP, Resolution.MARK_DONE)


class Via(StrEnum):
    """How a decision was sent."""

    SIGNAL = "signal"
    UPDATE = "update"


class Decision(Typed):
    """One person's decision on one fingerprint (or a prefix of it).

    An edit has a ``new_plan``, which is checked when the decision is processed. A resolution has the held
    ``step``. Because a step and its undo can be held several times, ``hold`` is the number of the hold.
    """

    decision: Choice
    by: PersonName
    plan: PlanName
    comment: str = Field(default="", max_length=MAX_COMMENT)
    signature: str | None = Field(default=None, max_length=MAX_SIGNATURE)
    new_plan: JsonValue = Field(default=None, exclude_if=_is_none)
    step: int | None = Field(default=None, ge=1, strict=True, exclude_if=_is_none)
    resolution: Resolution | None = Field(default=None, exclude_if=_is_none)
    hold: int | None = Field(default=None, ge=1, strict=True, exclude_if=_is_none)

    def refers_to(self, fingerprint: str | None) -> bool:
        """Return whether this decision is for that fingerprint; fewer than 8 digits never match."""
        return len(self.plan) >= MIN_PREFIX and (fingerprint or "").startswith(self.plan)


class Arrival(Frozen):
    """A message that was sent as a decision, whether or not it can be parsed.

    Attributes:
        key: identifies this message within its run.
        received_at: when the workflow received it, by the server's clock.
        fault: why it cannot be parsed as a decision; empty if it can be.
        excerpt: the beginning of a message that cannot be parsed, with hidden characters made visible.
    """

    key: str
    via: Via
    name: str
    received_at: AwareDatetime
    decision: Decision | None = None
    fault: str = ""
    excerpt: str = ""


class Verdict(Frozen):
    """Whether a decision was accepted, with the reason."""

    accepted: bool
    reason: str


class DecisionAnswer(Frozen):
    """The result of the update ``decide``: whether the decision was accepted, and the run's state after it.

    ``accepted`` is None as long as this is undecided: the decision is kept, and processed as soon as it can
    be recorded. ``reason`` then explains what prevents that.
    """

    accepted: bool | None
    reason: str
    state: str


def read_arrival(
    *,
    key: str,
    via: Via,
    name: str,
    choice: Choice | None,
    inputs: Sequence[object],
    received_at: AwareDatetime,
) -> Arrival:
    """Parse a message sent as ``name``; ``choice`` is the decision that the name implies, if any."""
    decision: Decision | None = None
    fault = ""
    try:
        decision = _read(inputs, choice)
    except ValueError as error:
        fault = str(error)
    return Arrival(
        key=key,
        via=via,
        name=one_line(cut(name, 100)),
        received_at=received_at,
        decision=decision,
        fault=fault,
        excerpt="" if decision else excerpt_of(inputs),
    )


def unknown_name(*, key: str, name: str, inputs: Sequence[object], received_at: AwareDatetime) -> Arrival:
    """Return the `Arrival` for a signal with an unknown name, often a typo; it is always refused."""
    names = ", ".join(Choice)
    shown = one_line(cut(name, 60))
    return Arrival(
        key=key,
        via=Via.SIGNAL,
        name=shown,
        received_at=received_at,
        fault=f"there is no signal called '{shown}'; the decisions are: {names}",
        excerpt=excerpt_of(inputs),
    )


def _read(inputs: Sequence[object], choice: Choice | None) -> Decision:
    if len(inputs) != 1:
        found = "no input" if not inputs else f"{len(inputs)} inputs"
        raise ValueError(f"it has {found}; {_HOW}")
    raw = inputs[0]
    if not isinstance(raw, dict):
        raise ValueError(  # noqa: TRY004  all parse errors have the same type
            f"its input is {_kind(raw)}, not a JSON object; {_HOW}"
        )
    if choice is not None:
        if "decision" in raw:
            raise ValueError(f"the signal's name already gives the decision '{choice}'; remove \"decision\"")
        raw = {**raw, "decision": choice.value}
    if "plan" not in raw:
        raise ValueError(
            f'it does not say which plan; add "plan" with at least {MIN_PREFIX} digits of the fingerprint'
        )
    try:
        decision = Decision.model_validate(raw)
    except ValidationError as error:
        raise ValueError(first_faults(error)) from None
    if is_placeholder(decision.by):
        raise ValueError(f'"by" is only a placeholder, {decision.by}; replace it with your name')
    wrong = wrong_parts(decision)
    if wrong is not None:
        raise ValueError(wrong)
    return decision


def wrong_parts(decision: Decision) -> str | None:
    """Return an error message if a part is missing, or belongs to another kind of decision."""
    is_edit = decision.decision is Choice.EDIT
    is_resolution = decision.decision is Choice.RESOLVE
    has_comment = bool(decision.comment.strip())
    if decision.decision is Choice.REQUEST_CHANGES and not has_comment:
        return 'a request for changes needs a "comment" that says what to change'
    if has_comment and needed_comment(decision) and is_empty_comment(decision.comment):
        return (
            f'"comment" is only a placeholder, {decision.comment.strip()}; write {needed_comment(decision)}'
        )
    if is_edit and len(json.dumps(decision.new_plan)) > MAX_RAW_PLAN_BYTES:
        return f'the "new_plan" is larger than {MAX_PLAN_BYTES:,} bytes; make it smaller'
    if is_edit and decision.new_plan is None:
        return 'an edit needs "new_plan", the whole plan with its changes'
    if not is_edit and decision.new_plan is not None:
        return 'only an edit has a "new_plan"; remove it'
    if is_resolution and (decision.step is None or decision.resolution is None):
        return f'a resolution needs "step" and "resolution", one of: {", ".join(Resolution)}'
    if not is_resolution and (decision.step, decision.resolution, decision.hold) != (None, None, None):
        return 'only a resolution has "step", "resolution" and "hold"; remove them'
    if decision.resolution is not None and decision.resolution.needs_comment and not has_comment:
        what = "the reason" if decision.resolution is Resolution.SKIP else "the evidence that it happened"
        return f'"{decision.resolution}" needs a "comment" with {what}'
    return None


def is_placeholder(name: str) -> bool:
    """Return whether a name is a placeholder that was copied and not replaced.

    Dashes, brackets, dots and similar characters are treated as spaces, so ``<your-name>`` and ``…`` are
    placeholders.
    """
    return _words_of(name) in _PLACEHOLDERS


def is_empty_comment(comment: str) -> bool:
    """Return whether a comment is only a copied placeholder, such as ``YOUR-EVIDENCE`` or ``…``."""
    return _words_of(comment) in _PLACEHOLDERS_OF_COMMENTS


def needed_comment(decision: Decision) -> str:
    """Return what a decision's comment must contain, phrased to follow 'write'; empty if none is needed."""
    if decision.decision is Choice.REQUEST_CHANGES:
        return "what to change"
    if decision.resolution is None or not decision.resolution.needs_comment:
        return ""
    is_skip = decision.resolution is Resolution.SKIP
    return "why the step is left out" if is_skip else "how you know that it happened"


def _words_of(text: str) -> str:
    words = (" " if unicodedata.category(char) in _PUNCTUATION else char for char in identity(text))
    return " ".join("".join(words).split())


def _kind(
    raw: object,
) -> Literal["null", "text", "a number", "a list", "true or false", "bytes", "something else"]:
    match raw:
        case None:
            return "null"
        case bool():
            return "true or false"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case bytes():
            return "bytes"
        case _:
            return "something else"


def first_faults(error: ValidationError) -> str:
    """Return the first errors of a message that cannot be parsed, in one line."""
    faults = faults_in(error)[:_MOST_FAULTS]
    return "; ".join(cut(one_line(str(fault)), _LONGEST_FAULT) for fault in faults)


def excerpt_of(inputs: Sequence[object]) -> str:
    """Return the beginning of a message that cannot be parsed, in one line."""
    try:
        text = ", ".join(json.dumps(raw, ensure_ascii=False, default=repr) for raw in inputs)
    except (ValueError, RecursionError):
        text = "(not printable)"
    return cut(one_line(text[: _EXCERPT_LENGTH * 4]), _EXCERPT_LENGTH)


def withdrawal(who: str, comment: str) -> str:
    """Return the reason given for a cancellation that ``who`` requested."""
    return _WITHDRAWN_BY + one_line(who) + (f": {one_line(comment)}" if comment.strip() else "")


def who_withdrew(reason: str) -> str | None:
    """Return the name in a cancellation's reason, if any. The name proves nothing: any client can set it."""
    if not reason.startswith(_WITHDRAWN_BY):
        return None
    name, _, _ = reason.removeprefix(_WITHDRAWN_BY).partition(": ")
    return cut(name, _LONGEST_NAME) or None


def signal_key(run_id: str, number: int) -> str:
    """Return the key of the n-th signal (counted from 1) of a Temporal run."""
    return f"{run_id}:signal:{number}"


def update_key(run_id: str, update_id: str) -> str:
    """Return the key of an update; its id is chosen by the client, so it is hashed."""
    return f"{run_id}:update:{hashlib.sha256(update_id.encode()).hexdigest()[:32]}"
