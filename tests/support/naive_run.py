"""A simple model of a run: the results of steps, effects and decisions, derived only from the requirements.

It uses plain lists and strings, has no events, and shares only the names of decisions with the code.
`CallResults` determines the result of each call of a tool, for both the model and the real tool.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

HOLD = timedelta(hours=72)
REVIEW = timedelta(hours=10)
REQUESTER = "rita"
PEOPLE = ("rita", "dana", "erik", "gina")

CALL_RESULTS = (
    "done", "done", "done", "done", "refused", "refused", "lost, done", "lost, not done", "away",
    "killed before", "killed after", "killed when stored", "refused, killed when stored",
    "lost, done, killed when stored", "lost, not done, killed when stored",
)  # fmt: skip
"""The possible results of one call of a tool."""


class CallResults:
    """The result of the n-th call for a line: random, but reproducible."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, line: str, call: int) -> str:
        if call > 4:
            return "done"
        return random.Random(f"{self._seed} {line} {call}").choice(CALL_RESULTS)


@dataclass
class NaiveStep:
    """One step: its state, and the number in its effect's idempotency key."""

    text: str
    state: str = "pending"
    number: int = 0
    has_receipt: bool = False
    undo: str = "pending"
    undo_number: int = 0


@dataclass
class NaiveRun:
    """One run, simulated step by step without Plangate's code.

    Attributes:
        texts: the lines of its first plan.
        now: the current time.
        call_results: the results of the tool's calls.
        needed: how many people have to approve.
        remembers: whether the tool can look up whether an effect happened.
        undoable: whether it can undo.
        watches: whether it has a precondition, on ``version``.
        valid: how long approvals are valid.
        strike_keeps_approver: whether a person who only removed steps may approve.
    """

    texts: list[str]
    now: datetime
    call_results: CallResults
    needed: int
    remembers: bool
    undoable: bool
    watches: bool
    valid: timedelta | None
    strike_keeps_approver: bool
    version: int = 1
    phase: str = "review"
    revision: int = 1
    approvals: dict[str, datetime] = field(default_factory=dict)
    authors: set[str] = field(default_factory=set)
    resolved: int = 0
    held: tuple[int, bool] = (0, False)
    world: list[tuple[str, str]] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._plan(self.texts)

    def _plan(self, texts: list[str]) -> None:
        self.texts, self.seen = texts, self.version
        self.steps = [NaiveStep(text) for text in texts]
        self.approvals, self.phase = {}, "review"
        self.deadline = self.now + REVIEW

    # ---- events -------------------------------------------------------------------------------------

    def wait(self, time: timedelta) -> None:
        """Advance the time without a message, which never leads to an effect."""
        self.now += time
        if self.phase == "review" and self.now >= self.deadline:
            self.phase = "expired"
        if self.phase == "held" and self.now >= self.deadline:
            self.phase = "failed"

    def withdraw(self) -> None:
        if self.phase in ("review", "held"):
            self.phase = "withdrawn"

    def decide(self, choice: str, by: str, plan: str, said: dict[str, object]) -> bool:
        """Return whether the decision is accepted, once all its consequences have happened."""
        is_newest = plan == "newest" or (plan == "first" and self.revision == 1)
        if not is_newest or self.phase not in ("review", "held"):
            return False
        if self.phase == "held":
            return choice == "resolve" and self._resolve(by, said)
        if choice == "approve":
            if by == REQUESTER or by in self.authors or by in self.approvals:
                return False
            self.approvals[by] = self.now
            if len(self.approvals) >= self.needed:
                self._continue()
            return True
        if choice == "withdraw_approval":
            return self.approvals.pop(by, None) is not None
        if choice == "reject":
            self.phase = "rejected"
            return True
        if choice == "edit" and not any(
            step.state in ("done", "skipped", "ruled out") for step in self.steps
        ):
            return self._edit(by, said["texts"])  # type: ignore[arg-type]
        return False

    def _edit(self, by: str, texts: list[str]) -> bool:
        if not texts or texts == self.texts:
            return False
        rest = iter(self.texts)
        only_strikes = all(text in rest for text in texts)  # in order
        if not (only_strikes and self.strike_keeps_approver):
            self.authors.add(by)
        self.revision += 1
        self._plan(texts)
        return True

    def _resolve(self, by: str, said: dict[str, object]) -> bool:
        number, undoing = self.held
        step = self.steps[number - 1]
        stopped = step.undo if undoing else step.state
        chosen = said["resolution"]
        if by == REQUESTER or by in self.authors or said["step"] != number:
            return False
        if said["hold"] != self.resolved + 1 and (said["hold"] is not None or self.resolved):
            return False
        if chosen == "mark_done" and stopped != "in_doubt":
            return False
        if chosen == "undo" and (undoing or self._to_undo() is None):
            return False
        self.resolved += 1
        again = "ruled out" if stopped == "in_doubt" else "pending"
        after = {"retry": again, "skip": "skipped", "mark_done": "done"}
        self.phase = "undoing" if undoing else "running"
        if chosen == "abort":
            self.phase = "failed"
        elif chosen == "undo":
            self.phase = "undoing"
        elif undoing:
            if chosen == "retry" and step.undo == "failed":
                step.undo_number = self.resolved
            step.undo = after[str(chosen)]
            if chosen == "mark_done":
                step.state = "undone"
        else:
            if chosen == "retry" and step.state == "failed":
                step.number = self.resolved
            step.state = after[str(chosen)]
        self._continue()
        return True

    # ---- consequences -------------------------------------------------------------------------------

    def _continue(self) -> None:
        if self.phase == "review":
            self.phase = "running"
        while self.phase == "running":
            open_steps = [n for n, s in enumerate(self.steps, 1) if s.state not in ("done", "skipped")]
            if not open_steps:
                self.phase = "executed"
                return
            self._do(open_steps[0])
        while self.phase == "undoing":
            number = self._to_undo()
            if number is None:
                self.phase = "failed"
                return
            self._undo(number)

    def _to_undo(self) -> int | None:
        able = [n for n, step in enumerate(self.steps, 1) if step.state == "done" and step.has_receipt]
        still = [n for n in able if self.steps[n - 1].undo in ("pending", "ruled out")]
        return max(still, default=None) if self.undoable else None

    def _do(self, number: int) -> None:
        step = self.steps[number - 1]
        key = f"{self.revision}/{number}" + (f":r{step.number}" if step.number else "")
        end = self._effect(key, f"booked {step.text}", step.state == "ruled out", is_undo=False)
        if end == "stale":
            self.deadline, self.phase = self.now + REVIEW, "review"
            return
        step.state, step.has_receipt = end, end == "done"
        self._hold_unless(end == "done", number, undoing=False)

    def _undo(self, number: int) -> None:
        step = self.steps[number - 1]
        key = f"{self.revision}/{number}:undo" + (f":r{step.undo_number}" if step.undo_number else "")
        step.undo = self._effect(key, f"cancelled {step.text}", step.undo == "ruled out", is_undo=True)
        if step.undo == "done":
            step.state = "undone"
        self._hold_unless(step.undo == "done", number, undoing=True)

    def _hold_unless(self, is_done: bool, number: int, *, undoing: bool) -> None:
        if not is_done:
            self.phase, self.held = "held", (number, undoing)
            self.deadline = self.now + HOLD

    def _effect(  # noqa: PLR0912  one branch for each possible result of a call
        self, key: str, line: str, ruled_out: bool, *, is_undo: bool
    ) -> str:
        """Return done, failed, in_doubt or stale."""
        begun, watches = False, self.watches and not is_undo
        while True:
            holds = not watches or self.version == self.seen
            if not begun and not is_undo and self._stale():
                return "stale"
            if not begun and not holds and not ruled_out:
                return "failed"
            if begun or ruled_out:
                happened = (key, line) in self.world
                if self.remembers and happened:
                    return "done"
                if not begun and not holds:
                    return "failed" if self.remembers else "in_doubt"
                if not self.remembers and begun:
                    return "in_doubt"
                if begun:  # the attempt did nothing, and the step begins again
                    begun = ruled_out = False
                    continue
            ruled_out = False
            match self._call(key, line):
                case "done" | "killed when stored":
                    return "done"
                case "refused":
                    return "failed"
                case "killed before" | "killed after":
                    begun = True
                case "away":
                    begun = False
                case _ if not self.remembers:
                    return "in_doubt"
                case _ if (key, line) in self.world:
                    return "done"
                case _:
                    begun = False

    def _call(self, key: str, line: str) -> str:
        self.calls[line] = self.calls.get(line, 0) + 1
        result = self.call_results.of(line, self.calls[line])
        result = result.removesuffix(", killed when stored")
        if result in ("done", "lost, done", "killed after", "killed when stored"):
            self.world.append((key, line))
        return result

    def _stale(self) -> bool:
        old = [by for by, at in self.approvals.items() if self.valid and self.now - at > self.valid]
        for by in old:
            del self.approvals[by]
        return bool(old)

    def shown(self) -> tuple[object, ...]:
        """Return the comparable state: phase, steps, undos."""
        phase = {"running": "executing", "review": "in_review"}.get(self.phase, self.phase)
        words = {"ruled out": "pending"}
        return (
            phase,
            [words.get(step.state, step.state) for step in self.steps],
            [words.get(step.undo, step.undo) for step in self.steps],
        )


def some_decision(rng: random.Random, run: NaiveRun) -> tuple[str, str, str, dict[str, object]]:
    """Return a decision that is likely to be accepted: its kind, person, plan, and other parts."""
    by = rng.choice(PEOPLE[1:] * 3 + PEOPLE[:1])
    plan = rng.choice(["newest"] * 12 + ["first", "unknown"])
    usual = ["resolve"] * 5 if run.phase == "held" else ["approve"] * 3 + ["edit", "withdraw_approval"]
    choice = rng.choice(usual * 4 + ["approve", "reject", "edit", "withdraw_approval", "resolve"])
    said: dict[str, object] = {}
    if choice == "resolve":
        said["resolution"] = rng.choice(["retry"] * 5 + ["skip", "mark_done", "undo", "undo", "abort"])
        said["step"] = run.held[0] if run.held[0] and rng.random() < 0.9 else rng.randint(1, 3)
        said["hold"] = rng.choice([run.resolved + 1] * 8 + [None, max(run.resolved, 1)])
    if choice == "edit":
        texts = list(run.texts)
        match rng.choice(["strike", "strike", "change", "add", "same", "swap"]):
            case "strike":
                texts.pop(rng.randrange(len(texts)))
            case "change":
                texts[rng.randrange(len(texts))] = f"changed {run.revision}"
            case "add":
                texts.append(f"added {run.revision}")
            case "swap":
                texts.reverse()
        said["texts"] = texts[:4]
    return choice, by, plan, said
