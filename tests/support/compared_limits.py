"""Random cases of concurrent runs under a limit over time, compared with a simple model of the rules.

Plangate's own activities execute the runs on real records, one event at a time and in any order. The naive
model keeps a list of the amounts that steps add, with their times; it compares days by date, not by moments.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import JsonValue
from sqlalchemy import func, select

from plangate.audit.rules import rule_violations
from plangate.domain.plans.tool import ToolArguments
from plangate.domain.policies.policy import Policy
from plangate.domain.policies.rolling_totals import RESERVED_FOR, RecentSum
from plangate.domain.runs.audit import AuditEntry, Claimed, Drafted, Reopened, RuleText
from plangate.domain.runs.fold import fold
from plangate.domain.runs.run import Phase, StepState
from plangate.policy.policy_file import FilePolicy, policy_in
from plangate.policy.requirements import weak_requirements
from plangate.records.database import Database
from plangate.records.reservations import with_others
from plangate.records.tables import reservations
from plangate.records.trail import read_trail
from tests.support.naive_run import CallResults, NaiveRun
from tests.support.simulated_run import ScriptedAccount, SimulatedRun

LIMIT = Decimal(500)
PEOPLE = ("rita", "sam")
WINDOWS: dict[str, timedelta | ZoneInfo] = {
    "90m": timedelta(minutes=90),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "day": ZoneInfo("UTC"),
    "day Europe/Berlin": ZoneInfo("Europe/Berlin"),
    "day America/New_York": ZoneInfo("America/New_York"),
}
# Around midnight, on days when clocks change in Berlin and New York, and on an ordinary day.
BEGINNINGS = (
    datetime(2026, 3, 28, 20, 11, tzinfo=UTC),
    datetime(2026, 10, 24, 21, 13, tzinfo=UTC),
    datetime(2026, 11, 1, 2, 17, tzinfo=UTC),
    datetime(2026, 6, 30, 22, 19, tzinfo=UTC),
)
AMOUNTS = ("0.10", "0.2", "100", "199.99", "249.95", "250", "300.05", "499", "500", "700")
KINDS = ("advance", "start", "wait", "decide", "resolve", "edit", "withdraw", "abandon")
WEIGHTS = (40, 9, 10, 14, 12, 3, 1, 1)


class LimitedArguments(ToolArguments):
    """A line of an account, with an amount."""

    text: str
    amount: Decimal
    currency: str
    recipient: str
    follows: None = None


class LimitedAccount(ScriptedAccount):
    """An account whose lines have amounts."""

    def __init__(self, call_results: CallResults, *, remembers: bool, undoable: bool) -> None:
        super().__init__(call_results, remembers=remembers, undoable=undoable)
        self.declaration = replace(self.declaration, arguments=LimitedArguments)


@dataclass
class Part:
    """The amount that one step of a plan adds, according to the simple model.

    Attributes:
        of: the people whose sums include it: the requester and the plan's editors, or the recipient.
        is_known: whether its plan began while the step waited.
        reserved_at: the last claim of its plan, while the step may still act.
        spent_at: when it was done, or in doubt.
    """

    text: str
    amount: Decimal
    currency: str
    of: frozenset[str]
    state: StepState = StepState.PENDING
    is_known: bool = False
    reserved_at: datetime | None = None
    spent_at: datetime | None = None

    def counts(self, window: timedelta | ZoneInfo, now: datetime) -> bool:
        """Whether it is included now: while it is in progress, and then within the window."""
        if self.reserved_at is not None:
            return now - self.reserved_at < RESERVED_FOR or _within(self.reserved_at, window, now)
        return self.spent_at is not None and _within(self.spent_at, window, now)

    def follow(self, state: StepState, now: datetime) -> None:
        """Follow the state of the step."""
        if state is self.state:
            return
        self.state = state
        match state:
            case StepState.DONE | StepState.IN_DOUBT:
                self.reserved_at, self.spent_at = None, now if self.is_known else None
            case StepState.FAILED | StepState.UNDONE:
                self.reserved_at = self.spent_at = None
            case StepState.PENDING | StepState.SKIPPED:
                pass

    def begin(self, now: datetime) -> None:
        """Reserve the amount: a step of the plan is claimed, and this one waits."""
        self.state, self.is_known, self.reserved_at, self.spent_at = StepState.PENDING, True, now, None

    def release(self) -> None:
        """Release the amount, unless it is spent."""
        self.reserved_at = None


@dataclass
class Effect:
    """An effect, and whether a person had to approve it."""

    at: datetime
    part: Part
    is_free: bool


def _within(at: datetime, window: timedelta | ZoneInfo, now: datetime) -> bool:
    if isinstance(window, timedelta):
        return now - at <= window
    return at.astimezone(window).date() == now.astimezone(window).date()


class LimitedRun(SimulatedRun):
    """A run whose steps begin one at a time, whenever the case chooses."""

    def __init__(
        self, database: Database, workflow_id: str, naive: NaiveRun, rng: Random, case: "LimitCase"
    ) -> None:
        self.case = case
        self.requester = rng.choice(PEOPLE)
        self.parts: dict[str, list[Part]] = {}
        self.entries = 0
        self.is_abandoned = False
        super().__init__(database, workflow_id, naive, rng)

    def make_account(self) -> ScriptedAccount:
        naive = self.naive
        return LimitedAccount(naive.call_results, remembers=naive.remembers, undoable=naive.undoable)

    def make_policy(self) -> Policy:
        return self.case.policy

    def plan_of(self, texts: list[str]) -> JsonValue:
        return {"summary": "Pay", "steps": [self.case.step(text) for text in texts]}

    async def run(self) -> None:
        """Return control to the case, which determines when events happen."""


@dataclass
class LimitCase:
    """Some runs, one limit, and a clock."""

    database: Database
    seed: int
    rng: Random
    now: datetime
    window: str
    by: str
    runs: list[LimitedRun] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    effects: dict[str, Effect] = field(default_factory=dict)

    def __post_init__(self) -> None:
        by = f", '{self.by}'" if self.by else ""
        self.policy: FilePolicy = policy_in(
            "[[rule]]\nname = 'small'\nwhen = \"true\"\nneeds = []\n"
            "[[rule]]\nname = 'much'\nneeds = [{ role = 'anyone' }]\n"
            f"when = \"recent('book', 'amount', '{self.window}'{by}) > {LIMIT}\"\n"
        )

    def step(self, text: str) -> JsonValue:
        """Return a step with an amount."""
        rng = Random(f"{self.seed} {text}")
        return {
            "tool": "book",
            "reason": "asked for",
            "arguments": {
                "text": text,
                "amount": rng.choice(AMOUNTS),
                # A separate currency for each case, because the cases share the records.
                "currency": f"{rng.choice('XXY')}{self.seed}",
                "recipient": rng.choice(["kim", "lee"]),
            },
        }

    # ---- what happens ---------------------------------------------------------------------------

    async def happen(self) -> None:
        """Make one event happen, and compare the result."""
        kind = self.rng.choices(KINDS, WEIGHTS)[0]
        open_runs = [run for run in self.runs if not run.is_abandoned and run.state.closed is None]
        run = self.rng.choice(open_runs) if open_runs else None
        if kind == "wait":
            minutes = self.rng.choice([3, 47, 59, 61, 203, 601, 1_381, 1_447, 4_327, 10_079])
            self.now += timedelta(minutes=minutes, seconds=self.rng.randint(1, 50))
            for one in self.runs:
                one.naive.now = self.now
                if not one.is_abandoned:
                    await one.pass_time()
                    self.look(one)
        elif kind == "start" or run is None:
            if len(self.runs) < 7:
                self.runs.append(self._started())
        else:
            await self._happen_to(kind, run)
            self.look(run)

    async def _happen_to(self, kind: str, run: LimitedRun) -> None:
        phase = run.state.phase
        if kind == "advance":
            await run.advance()
        elif kind == "decide" and phase is Phase.IN_REVIEW:
            await run.decide(
                self.rng.choice(["approve", "approve", "approve", "reject"]), "dana", "newest", {}
            )
        elif kind == "edit" and phase is Phase.IN_REVIEW:
            texts = [f"{run.id} again {self.rng.random()}"]
            await run.decide("edit", "erik", "newest", {"texts": texts})
        elif kind == "resolve" and run.state.held is not None:
            resolution = self.rng.choice(["retry", "retry", "skip", "mark_done", "undo", "abort"])
            said = {"step": run.state.held.step, "resolution": resolution}
            await run.decide("resolve", "gina", "newest", said)
        elif kind == "withdraw":
            await run.withdraw()
        elif kind == "abandon":
            run.is_abandoned = True

    def _started(self) -> LimitedRun:
        number = len(self.runs)
        naive = NaiveRun(
            texts=[f"{number}-{step}" for step in range(self.rng.randint(1, 3))],
            now=self.now,
            call_results=CallResults(self.seed * 100 + number),
            needed=1,
            remembers=self.rng.random() < 0.5,
            undoable=self.rng.random() < 0.8,
            watches=False,
            valid=None,
            strike_keeps_approver=False,
        )
        return LimitedRun(self.database, f"limit-{self.seed}-{number}", naive, self.rng, self)

    # ---- the simple model ------------------------------------------------------------------------

    def look(self, run: LimitedRun) -> None:
        """Process the new entries on the trail of a run, and compare its sums with the simple model's."""
        with self.database.read() as connection:
            trail = tuple(read_trail(connection, run.id))
        for position in range(run.entries, len(trail)):
            self._follow(run, trail, position)
        run.entries = len(trail)
        for key, line in run.account.world:
            if key not in self.effects and line.startswith("booked"):
                self._happened(run, key, line.removeprefix("booked "))

    def _follow(self, run: LimitedRun, trail: tuple[AuditEntry, ...], position: int) -> None:
        event = trail[position].event
        for one in getattr(event, "recent", ()):
            expected = self._others(run, event.fingerprint, one)  # type: ignore[union-attr]
            if one.others is None or Decimal(one.others) != expected:
                self.wrong.append(f"{run.id} {event.kind}: {one} should have {expected} of others")
        state = fold(run.id, (entry.event for entry in trail[: position + 1]))
        if isinstance(event, Drafted):
            for part in (one for parts in run.parts.values() for one in parts):
                part.release()
            run.parts[event.fingerprint] = [
                self._part(run, event, step.arguments) for step in event.plan.steps
            ]
        if state.drafted is None:
            return
        parts = run.parts[state.drafted.fingerprint]
        for part, progress in zip(parts, state.steps, strict=True):
            if isinstance(event, Claimed) and not event.undo and progress.state is StepState.PENDING:
                part.begin(self.now)
            part.follow(progress.state, self.now)
            if isinstance(event, Reopened) or state.closed is not None or state.phase is Phase.UNDOING:
                part.release()

    def _part(self, run: LimitedRun, drafted: Drafted, arguments: Mapping[str, Any]) -> Part:
        people = {run.requester, drafted.author} - {""}
        of = {"": {""}, "requester": people, "recipient": {f'"{arguments["recipient"]}"'}}[self.by]
        amount = Decimal(str(arguments["amount"]))
        return Part(arguments["text"], amount, arguments["currency"], frozenset(of))

    def _others(self, run: LimitedRun, plan: str, one: RecentSum) -> Decimal:
        window = WINDOWS[self.window]
        return sum(
            (
                part.amount
                for other in self.runs
                for fingerprint, parts in other.parts.items()
                if (other.id, fingerprint) != (run.id, plan)
                for part in parts
                if part.currency == one.currency and one.of in part.of and part.counts(window, self.now)
            ),
            Decimal(0),
        )

    def _happened(self, run: LimitedRun, key: str, text: str) -> None:
        """Record an effect; effects without an approval must not exceed the limit."""
        assert run.state.drafted is not None
        part = next(one for one in run.parts[run.state.drafted.fingerprint] if one.text == text)
        self.effects[key] = Effect(self.now, part, is_free=not run.state.drafted.requirement.needs)
        total = sum(
            one.part.amount
            for one in self.effects.values()
            if one.is_free
            and one.part.currency == part.currency
            and one.part.of & part.of
            and one.part.state not in (StepState.FAILED, StepState.UNDONE)
            and _within(one.at, WINDOWS[self.window], self.now)
        )
        if self.effects[key].is_free and total > LIMIT:
            self.wrong.append(f"{run.id} {text}: {total} happened within {self.window} without an approval")

    # ---- at the end -----------------------------------------------------------------------------

    def audit(self) -> Iterator[str]:
        """Yield the auditor's findings, and reservations that never end."""
        texts = [RuleText(hash=self.policy.policy_hash, text=self.policy.text)]
        for run in self.runs:
            with self.database.read() as connection:
                trail = tuple(read_trail(connection, run.id))
            yield from (str(one) for one in rule_violations(run.id, trail))
            yield from (str(one) for one in weak_requirements(run.id, trail, texts))
        later = self.now + timedelta(days=8)
        wanted = {one.model_copy(update={"others": "0"}) for run in self.runs for one in _sums(run)}
        with self.database.read() as connection:
            for one in with_others(connection, wanted, run="no run", plan="", now=later):
                if one.others != "0":
                    yield f"after a week {one.others} of {one} are still counted"
            ended = [run.id for run in self.runs if run.state.closed is not None]
            left = connection.execute(
                select(func.count()).where(
                    reservations.c.workflow_id.in_(ended), reservations.c.state == "reserved"
                )
            ).scalar_one()
        if left:
            yield f"{left} rows of runs that have ended are reserved"


def _sums(run: LimitedRun) -> tuple[RecentSum, ...]:
    return run.state.drafted.recent if run.state.drafted else ()


async def faults(database: Database, seed: int, events: int = 45) -> tuple[list[str], int]:
    """Run the case of one seed; return its errors, and the number of effects."""
    rng = Random(seed)
    case = LimitCase(
        database,
        seed,
        rng,
        now=rng.choice(BEGINNINGS),
        window=rng.choice(list(WINDOWS)),
        by=rng.choice(["", "requester", "recipient"]),
    )
    for _ in range(events):
        await case.happen()
        if case.wrong:
            break
    wrong = [*case.wrong, *([] if case.wrong else case.audit())]
    return [f"case {seed} ({case.window}, {case.by}): {one}" for one in wrong], len(case.effects)
