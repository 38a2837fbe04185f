"""The audit trail: the events of a run, and how its entries are linked.

Every entry contains one `Event`. Applying the events of a run with `plangate.domain.runs.fold.apply` gives
its state: the trail is the source of truth, not a copy. If you add a kind of `Event`, mypy reports every
match that must handle it. Stored names never change; docs/audit-format.md describes them.
"""

import hashlib
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final, Literal

from pydantic import Field, JsonValue, RootModel, field_serializer

from plangate.domain.base import AwareDatetime, Frozen, OutsideRun
from plangate.domain.decisions.accesses import AccessRecorded
from plangate.domain.decisions.decision import Arrival, Verdict
from plangate.domain.decisions.delegations import DelegationDecided
from plangate.domain.decisions.key_requests import KeyDecided
from plangate.domain.people.people import Approver, InvalidApproval
from plangate.domain.plans.duplicates import Duplicate
from plangate.domain.plans.plan import SHORT_LENGTH, Audience, Plan, canonical_json, fingerprint_of
from plangate.domain.plans.tool import Receipt
from plangate.domain.policies.requirement import Requirement
from plangate.domain.policies.rolling_totals import RecentSum
from plangate.domain.runs.stops import StopDecided
from plangate.domain.times.calendars import CalendarFacts
from plangate.domain.times.start_times import StartTimes
from plangate.domain.times.working_time import end_of

FIRST_HASH: Final = "0" * 64
_CACHED_EVENTS: Final = 256  # recently read events to cache: enough for the runs of a busy worker
_SHORT: Final = 10_000  # characters of an event that may be cached
RULES_TRAIL: Final = "plangate:rules"
"""The rules trail: the policies and lists of people in effect, and changes to keys."""
STOPS_TRAIL: Final = "plangate:stops"
"""The stop trail, with stops and releases; no run can have this id."""
DELEGATIONS_TRAIL: Final = "plangate:delegations"
"""The delegation trail, with delegated roles and absences; no run can have this id."""
ACCESS_TRAIL: Final = "plangate:looks"
"""The access trail, with auditors' accesses to the records; no run can have this id."""
OWN_TRAILS: Final = frozenset({RULES_TRAIL, STOPS_TRAIL, DELEGATIONS_TRAIL, ACCESS_TRAIL})
"""The trails that do not belong to runs."""


class Outcome(StrEnum):
    """How a run ended."""

    EXECUTED = "executed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"


OUTCOMES: Final = frozenset(outcome.value for outcome in Outcome)
"""The states of runs that have ended."""


def _is_unset(value: object) -> bool:
    return not value


class ModelUse(Frozen):
    """The model that drafted a plan, and the tokens and money that it used, as reported by the planner."""

    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: str = Field(default="", exclude_if=_is_unset)


class Requested(Frozen):
    """A request was made. ``chain_id`` is filled in when it is recorded, see `RunRef`."""

    kind: Literal["requested"] = "requested"
    request: str
    requester: str
    timeout_seconds: int
    requested_at: AwareDatetime
    chain_id: str = ""


class RunRef(Frozen):
    """The run whose trail an entry is written to.

    ``chain_id`` is the first run id of the chain of Temporal runs. It distinguishes a continued run
    (continue-as-new, reset) from a second start of the same workflow id. ``requested`` opens the trail; None
    if the trail must already exist. ``audience`` is the installation and namespace of its newest plan.
    """

    workflow_id: str
    chain_id: str
    requested: Requested | None = None
    audience: Audience | None = None


class Drafted(Frozen):
    """A plan was drafted and checked, and its requirement was set; the review is open until the deadline.

    ``requester`` is the requester's name as it appears in the list of people; empty if there is no list.
    ``author`` is the person who edited the plan; empty for a planner's or a supplied plan. ``struck``
    contains the steps of the previous revision that an edit removed, if it changed nothing else. ``state`` is
    the SHA-256 under which the records keep the planner's state; the planner also works without it.
    ``recent`` contains the rolling totals that the policy used. ``duplicates`` contains the steps of other
    runs that were the same at that time. ``facts`` contains the calendar data from which the deadline was
    computed, if a rule counts working time. ``starts`` contains the times at which its steps may begin, if a
    rule has a window or a freeze.
    """

    kind: Literal["drafted"] = "drafted"
    revision: int
    plan: Plan
    fingerprint: str
    audience: Audience
    requirement: Requirement
    drafted_at: AwareDatetime
    deadline: AwareDatetime
    planner: ModelUse | None = None
    requester: str = ""
    author: str = Field(default="", exclude_if=_is_unset)
    struck: tuple[int, ...] = Field(default=(), exclude_if=_is_unset)
    state: str = Field(default="", exclude_if=_is_unset)
    recent: tuple[RecentSum, ...] = Field(default=(), exclude_if=_is_unset)
    duplicates: tuple[Duplicate, ...] = Field(default=(), exclude_if=_is_unset)
    starts: StartTimes | None = Field(default=None, exclude_if=_is_unset)
    facts: tuple[CalendarFacts, ...] = Field(default=(), exclude_if=_is_unset)

    @property
    def review_time(self) -> timedelta:
        """The length of its review, from the draft to the deadline."""
        return self.deadline - self.drafted_at

    def with_stricter_requirement(self, requirement: Requirement, recent: tuple[RecentSum, ...]) -> "Drafted":
        """Return the event with a stricter requirement, which later rolling totals have made necessary."""
        longest = self.review_time
        if requirement.timeout_seconds is not None:
            longest = min(longest, timedelta(seconds=requirement.timeout_seconds))
        ends = [end_of(limit, self.drafted_at, self.facts) for limit in requirement.working]
        return self.model_copy(
            update={
                "requirement": requirement,
                "recent": recent,
                "deadline": min([self.drafted_at + longest, *ends]),
            }
        )

    def fingerprint_matches(self, workflow_id: str) -> bool:
        """Return whether the fingerprint matches this plan in that run."""
        try:
            return self.fingerprint == fingerprint_of(self.plan, self.revision, workflow_id, self.audience)
        except ValueError:
            return False


class Decided(Frozen):
    """A decision was received, and accepted or refused; one that cannot be parsed is recorded too.

    ``approver`` is the identified sender, if any; ``people`` is the SHA-256 of the list of people that was
    used, empty if there is none.
    """

    kind: Literal["decided"] = "decided"
    arrival: Arrival
    verdict: Verdict
    approver: Approver | None = None
    people: str = ""


class Reopened(Frozen):
    """The plan is in review again.

    Either an approval was no longer valid when ``step`` was to start: ``lost`` contains the approvals that
    are no longer valid, with the reasons; steps that are done stay done. ``people`` is the SHA-256 of the
    list of people that was used for the check, empty if there is none. Or an edit could not be drafted:
    ``edit`` contains its author and the reason. Or the rolling totals in ``recent`` require more than the
    plan was approved for: ``requirement`` is the new requirement. The execution continues if the plan's
    approvals meet the new requirement. ``facts`` and ``starts`` are as in `Drafted`.
    """

    kind: Literal["reopened"] = "reopened"
    fingerprint: str
    step: int = 0
    edit: str = Field(default="", exclude_if=_is_unset)
    lost: tuple[InvalidApproval, ...] = ()
    people: str = ""
    reopened_at: AwareDatetime
    deadline: AwareDatetime
    requirement: Requirement | None = Field(default=None, exclude_if=_is_unset)
    recent: tuple[RecentSum, ...] = Field(default=(), exclude_if=_is_unset)
    starts: StartTimes | None = Field(default=None, exclude_if=_is_unset)
    facts: tuple[CalendarFacts, ...] = Field(default=(), exclude_if=_is_unset)


class Claimed(Frozen):
    """A step is about to run. ``people`` is the SHA-256 of the list that was used to check its approvals.

    It is empty if there is no list. It is also empty if the attempt cannot start the step and only asks for
    the result of an earlier attempt (``asks_only``). ``undo``: the step's effect is about to be undone.
    ``resolved`` contains the values of the arguments that are references. ``stops`` is the last entry that
    was read from the stop trail; 0 if nothing was ever stopped. ``recent`` contains the rolling totals, if
    the claim reserved the plan's own amounts in them.
    """

    kind: Literal["claimed"] = "claimed"
    step: int
    idempotency_key: str
    fingerprint: str
    attempt: int
    people: str = ""
    undo: bool = Field(default=False, exclude_if=_is_unset)
    resolved: dict[str, JsonValue] = Field(default_factory=dict, exclude_if=_is_unset)
    stops: int = Field(default=0, exclude_if=_is_unset)
    recent: tuple[RecentSum, ...] = Field(default=(), exclude_if=_is_unset)
    asks_only: bool = Field(default=False, exclude_if=_is_unset)


class StepDone(Frozen):
    """A step was executed, and its tool returned this receipt.

    ``settles_until``: if the receipt is not final, the time until which its settlement is looked up after the
    run; None if there is nothing to look up.
    """

    kind: Literal["done"] = "done"
    step: int
    receipt: Receipt
    settles_until: AwareDatetime | None = Field(default=None, exclude_if=_is_unset)


class Released(Frozen):
    """An attempt of a step had no effect; another attempt may follow."""

    kind: Literal["released"] = "released"
    step: int
    attempt: int
    reason: str
    undo: bool = Field(default=False, exclude_if=_is_unset)


class StepFailed(Frozen):
    """A step, or its undo, had no effect, and will have none unless a person retries it."""

    kind: Literal["step_failed"] = "step_failed"
    step: int
    reason: str
    undo: bool = Field(default=False, exclude_if=_is_unset)


class StepInDoubt(Frozen):
    """A step, or its undo, was started, and its result is unknown."""

    kind: Literal["in_doubt"] = "in_doubt"
    step: int
    reason: str
    undo: bool = Field(default=False, exclude_if=_is_unset)


class StepUndone(Frozen):
    """The effect of a step was undone, and its tool returned this receipt."""

    kind: Literal["undone"] = "undone"
    step: int
    receipt: Receipt


class Held(Frozen):
    """A step, or its undo, cannot continue: the run waits for a resolution by a person until the deadline.

    ``number`` is the number of the hold in its run, from 1; it is 0 for holds recorded by older releases.
    """

    kind: Literal["held"] = "held"
    number: int = Field(default=0, exclude_if=_is_unset)
    step: int
    undo: bool = Field(default=False, exclude_if=_is_unset)
    fingerprint: str
    why: str
    held_at: AwareDatetime
    deadline: AwareDatetime


class Closed(Frozen):
    """The run has ended."""

    kind: Literal["closed"] = "closed"
    outcome: Outcome
    reason: str = ""


class StepSettled(Frozen):
    """The accepted effect of a step has become final; its tool wrote ``summary``."""

    kind: Literal["settled"] = "settled"
    step: int
    summary: str
    found_at: AwareDatetime


class StepReversed(Frozen):
    """The accepted effect of a step failed or the remote system reversed it; its tool wrote ``summary``."""

    kind: Literal["reversed"] = "reversed"
    step: int
    summary: str
    found_at: AwareDatetime


class StepUnsettled(Frozen):
    """The look-up of a step's accepted effect ended without a result: its settlement is unknown."""

    kind: Literal["unsettled"] = "unsettled"
    step: int
    summary: str
    found_at: AwareDatetime


Settlement = StepSettled | StepReversed | StepUnsettled
"""The result of an accepted effect: the only kind of entry about a step that may follow its run's end."""


class RuleText(Frozen):
    """The text of a policy or list of people that was used. ``hash`` is the SHA-256 of ``text``.

    The entries that refer to it show which of the two it is.
    """

    hash: str
    text: str

    def hash_matches(self) -> bool:
        """Return whether the text matches its hash."""
        return hashlib.sha256(self.text.encode()).hexdigest() == self.hash


class RulesInEffect(OutsideRun):
    """A worker started to use this policy or list of people. Recorded only in the rules trail.

    Attributes:
        what: policy or list of people.
        hash: SHA-256 of the text, which is its key in the records; empty if no file is set.
    """

    kind: Literal["rules_in_force"] = "rules_in_force"
    what: Literal["policy", "people"]
    hash: str


Event = Annotated[
    Requested
    | Drafted
    | Decided
    | Reopened
    | Claimed
    | Released
    | StepDone
    | StepFailed
    | StepInDoubt
    | StepUndone
    | Held
    | Closed
    | StepSettled
    | StepReversed
    | StepUnsettled
    | RulesInEffect
    | KeyDecided
    | StopDecided
    | DelegationDecided
    | AccessRecorded,
    Field(discriminator="kind"),
]


class AnyEvent(RootModel[Event]):
    """An event of any kind; ``kind`` identifies it."""


class WrittenEntry(Frozen):
    """One entry of the trail as stored, even if this release cannot read its event.

    Attributes:
        number: the number of the entry in its run, from 1, without gaps.
        key: identifies the event within its run; it is never written twice.
        at: when it was written, by the Temporal server's clock.
        actor: the person for a request or a decision, else the worker's identity.
        written: the event as JSON, exactly as it was stored and hashed.
        previous_hash: the hash of the previous entry; 64 zeros for the first.
        hash: SHA-256 over the canonical JSON (RFC 8785) of all the other fields; ``written`` is hashed
            as text, so a verifier does not need to know the event types.
    """

    workflow_id: str
    number: int
    key: str
    at: AwareDatetime
    actor: str
    written: str
    previous_hash: str
    hash: str = ""

    @field_serializer("at", when_used="json")
    def _as_hashed(self, at: AwareDatetime) -> str:
        return at.isoformat()

    @property
    def is_as_written(self) -> bool:
        """Whether the content still has the entry's hash."""
        try:
            return self.hash == self.expected_hash()
        except ValueError:
            return False

    def expected_hash(self) -> str:
        """Return the hash that belongs to this content.

        Raises:
            ValueError: the content cannot be written as canonical JSON, so Plangate never wrote it.
        """
        content: JsonValue = {
            "workflow_id": self.workflow_id,
            "number": self.number,
            "key": self.key,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "written": self.written,
            "previous_hash": self.previous_hash,
        }
        return hashlib.sha256(canonical_json(content)).hexdigest()


class AuditEntry(WrittenEntry):
    """One entry of the trail with its parsed event."""

    event: Event


def read_event(written: str) -> Event:
    """Return the event of an entry.

    A worker reads the trail of a run several times within a second, so short events are cached.

    Raises:
        ValueError: this release does not recognize the event.
    """
    return _cached_read(written) if len(written) <= _SHORT else _read(written)


def _read(written: str) -> Event:
    return AnyEvent.model_validate_json(written).root


_cached_read = lru_cache(maxsize=_CACHED_EVENTS)(_read)


def step_key(fingerprint: str, step: int, what: str) -> str:
    """Return the entry key for an event of a step."""
    return f"step:{step}:{fingerprint[:SHORT_LENGTH]}:{what}"


def step_result_key(fingerprint: str, step: int, what: str, *, undo: bool, resolutions: int) -> str:
    """Return the entry key for an event of a step or of its undo.

    After a resolution a step may have such an event again, so their number is part of the key.
    """
    suffix = f":r{resolutions}" if resolutions else ""
    return step_key(fingerprint, step, ("undo:" if undo else "") + what + suffix)


def entry_after(
    previous_hash: str,
    *,
    workflow_id: str,
    number: int,
    key: str,
    at: AwareDatetime,
    actor: str,
    event: Event,
) -> AuditEntry:
    """Return the entry that links to the one with ``previous_hash``."""
    entry = AuditEntry(
        workflow_id=workflow_id,
        number=number,
        key=key,
        at=at,
        actor=actor,
        written=event.model_dump_json(),
        event=event,
        previous_hash=previous_hash,
    )
    return entry.model_copy(update={"hash": entry.expected_hash()})
