"""A step that waits for the list of people or the records does not use up attempts or add entries."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from activities.claims import Claim
from activities.step_attempt import StepAttempt
from plangate.domain.errors import DirectoryUnavailable, RecordsUnavailable, ToolUnavailable
from plangate.domain.people.people import People, Person
from plangate.domain.plans.plan import Audience, Step
from plangate.tool import EffectStatus, Repeatable
from tests.support.account_tool import Account
from tests.support.gate import Gate
from tests.support.holds import booking_gate, in_review, kinds
from tests.support.transactions import hook_transactions

TRIES = 3
PAUSE = timedelta(milliseconds=50)
NAMES = ("rita", "erik", "dana")


@dataclass
class Outages:
    """A list of people and records that are unavailable for some attempts, in the order of ``failures``.

    Each failure lasts one attempt: the list cannot be read, or the records or the bank are unavailable. Only
    the bank's failures use up attempts. The first failure is in the first attempt; if the step had begun
    (``is_begun``), the first attempt dies after its claim instead, and the failures follow.
    """

    failures: list[str]
    is_begun: bool
    seen: list[str] = field(default_factory=list)
    is_on: bool = False

    @property
    def next(self) -> str:
        return self.failures[0] if self.is_on and self.failures else ""

    def people(self) -> People:
        if self.next == "list":
            self._end()
            raise DirectoryUnavailable("The list of people is broken in line 3.")
        return People(persons=tuple(Person(name=name) for name in NAMES))

    async def before_a_transaction(self) -> None:
        if self.next == "records":
            self._end()
            raise RecordsUnavailable("The records are unavailable.")

    async def die(self, result: object, is_receipt: bool) -> None:
        del is_receipt
        if isinstance(result, Claim) and not self.is_on:
            self.is_on = True
            raise RuntimeError("killed after the claim")

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        check = StepAttempt.check_fingerprint

        def first(attempt: StepAttempt, audience: Audience) -> Step:
            self.is_on = self.is_on or not self.is_begun
            return check(attempt, audience)

        patch.setattr(StepAttempt, "check_fingerprint", first)
        patch.setattr("activities.temporal_failures._outage_delay", lambda _error: PAUSE)
        hook_transactions(patch, "execute_step", before=self.before_a_transaction, after=self.die)

    def bank(self) -> None:
        if self.next == "bank":
            self._end()
            raise ToolUnavailable("The bank answered 503.")

    def _end(self) -> None:
        self.seen.append(self.failures.pop(0))


class UnreliableAccount(Account):
    """An account that is repeatable by its key, and observed at a bank that may be unavailable."""

    outages: Outages

    async def observe(self, arguments: object) -> int:
        del arguments
        self.outages.bank()
        return 1

    async def find_out(self, arguments: object, idempotency_key: str) -> EffectStatus:
        del arguments, idempotency_key
        return Repeatable()


def cases(rng: random.Random, count: int) -> Iterator[tuple[bool, list[str]]]:
    """Yield whether the step had begun, and random failures; two attempts remain after those of the bank."""
    for _ in range(count):
        failures = ["bank"] * (TRIES - 2) + rng.choices(["list", "records"], k=rng.randint(2, 4))
        rng.shuffle(failures)
        yield rng.random() < 0.5, failures


@pytest.mark.parametrize(("is_begun", "failures"), list(cases(random.Random(7), 6)))
async def test_only_real_attempts_are_counted(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch, is_begun: bool, failures: list[str]
) -> None:
    gate, outages = idle_gate, Outages(list(failures), is_begun)
    monkeypatch.setattr("activities.execution.STEP_TRIES", TRIES)
    account = booking_gate(gate)
    account.__class__ = UnreliableAccount
    account.outages = outages  # type: ignore[attr-defined]
    gate.directory = outages
    outages.patch(monkeypatch)
    async with gate.worker():
        status = await in_review(gate, "1")
        assert (await gate.decide(status)).accepted
        assert (await gate.result(status.workflow_id)).outcome == "executed"
    assert outages.seen == failures
    assert account.texts() == ["booked 1"]
    claims = kinds(gate, status.workflow_id).count("claimed")
    assert claims == (2 + failures.count("bank") if is_begun else 1)


@pytest.mark.parametrize("is_begun", [True, False])
async def test_an_invalid_list_makes_steps_wait_and_adds_no_claims(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch, is_begun: bool
) -> None:
    """While the step waits, it is attempted more often than a failing tool would be."""
    gate, outages = idle_gate, Outages(["list"] * 10_000, is_begun)
    monkeypatch.setattr("activities.execution.STEP_TRIES", 2)
    monkeypatch.setattr(gate.notebook, "find_out", UnreliableAccount.find_out.__get__(gate.notebook))
    gate.directory = outages
    claim, tried = StepAttempt.claim, []

    def counted(self: StepAttempt, *arguments: object) -> object:
        tried.append(arguments)
        return claim(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(StepAttempt, "claim", counted)
    outages.patch(monkeypatch)
    async with gate.worker():
        status = await gate.in_review("one")
        assert (await gate.decide(status)).accepted
        run = status.workflow_id
        await gate.until("executing", run, lambda _: len(tried) > 3 + is_begun)
        waiting = await gate.until("executing", run, lambda one: "line 3" in one.steps[0].last_error)
        assert waiting.held is None
        assert kinds(gate, run).count("claimed") == is_begun
        outages.failures.clear()
        assert (await gate.result(run)).outcome == "executed"
    assert gate.notebook.texts() == ["one"]
    assert kinds(gate, run).count("claimed") == 1 + is_begun
