"""A worker dies right after its claim, and the step is no longer allowed to begin at the next attempt."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from activities.claims import Claim
from activities.heartbeat import ServerClock
from plangate.domain.people.people import People, Person
from plangate.domain.runs.audit import Claimed
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.tool import EffectStatus, Repeatable
from tests.support.gate import Gate
from tests.support.holds import approved as booked
from tests.support.holds import booking_gate, refused
from tests.support.policies import wants
from tests.support.transactions import hook_transactions
from tests.workflow.test_start_times import broken, daily, kinds

HOUR = timedelta(hours=1)


@dataclass
class Killed:
    """Kills the first attempt after its claim; three hours later, dana may have left."""

    leaves: bool = False
    ahead: timedelta = field(default_factory=timedelta)

    def people(self) -> People:
        gone = self.leaves and bool(self.ahead)
        return People(
            persons=tuple(Person(name=name) for name in ("rita", "erik", *(() if gone else ("dana",))))
        )

    def patch(self, patch: pytest.MonkeyPatch) -> None:
        real = ServerClock.now
        patch.setattr(ServerClock, "now", lambda clock: real(clock) + self.ahead)
        hook_transactions(patch, "execute_step", after=self._die)

    async def _die(self, result: object, is_receipt: bool) -> None:
        del is_receipt
        if isinstance(result, Claim) and not self.ahead:
            self.ahead = 3 * HOUR
            raise RuntimeError("killed after the claim")


async def repeatable(*_: object) -> EffectStatus:
    return Repeatable()


def until_now(gate: Gate, **more: int) -> None:
    """Allow steps to begin in one hour of every day, which started half an hour ago."""
    gate.policy = wants(("anyone", 1), windows=(daily(now() - HOUR / 2, 1),), **more)


async def approved(gate: Gate) -> Status:
    status = await gate.in_review("one")
    assert (await gate.decide(status)).accepted
    return status


async def test_it_waits_for_the_next_window_if_nothing_had_happened(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, killed = idle_gate, Killed()
    until_now(gate)
    gate.notebook.remembers = True
    killed.patch(monkeypatch)
    async with gate.worker():
        status = await approved(gate)
        waiting = await gate.until(
            "executing", status.workflow_id, lambda one: "no step to begin before" in one.steps[0].last_error
        )
        assert "Its rules allow no step to begin before" in waiting.steps[0].last_error
        assert gate.notebook.texts() == []
        await gate.api.withdraw(status.workflow_id, "by rita")
        await gate.result(status.workflow_id)
    assert kinds(gate, status)[3:6] == ["claimed", "claimed", "released"]
    assert not broken(gate, status)


async def test_it_is_in_doubt_if_it_could_only_be_repeated(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, killed = idle_gate, Killed()
    until_now(gate)
    monkeypatch.setattr(gate.notebook, "find_out", repeatable)
    killed.patch(monkeypatch)
    async with gate.worker():
        status = await approved(gate)
        held = await gate.held(status.workflow_id)
        assert held.held is not None
        assert "must not be repeated now. Its rules allow no step to begin before" in held.held.why
        assert gate.notebook.texts() == []
        await gate.api.withdraw(status.workflow_id, "by rita")
        await gate.result(status.workflow_id)
    claims = [one.event for one in gate.api.trail(status.workflow_id) if isinstance(one.event, Claimed)]
    assert [one.asks_only for one in claims] == [False, True]
    assert not broken(gate, status)


async def test_it_is_repeated_while_steps_may_begin(idle_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, killed = idle_gate, Killed()
    gate.directory = killed
    monkeypatch.setattr(gate.notebook, "find_out", repeatable)
    killed.patch(monkeypatch)
    async with gate.worker():
        status = await approved(gate)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert gate.notebook.texts() == ["one"]
    claims = [one.event for one in gate.api.trail(status.workflow_id) if isinstance(one.event, Claimed)]
    assert [one.asks_only for one in claims] == [False, False]
    assert not broken(gate, status)


async def test_an_effect_that_had_happened_is_done(idle_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool may look up its effect at any time; this worker dies after the call."""
    gate, killed = idle_gate, Killed()
    until_now(gate)
    gate.notebook.remembers = True
    act = gate.notebook.act

    async def die(*arguments: object) -> object:
        await act(*arguments)  # type: ignore[arg-type]
        killed.ahead = 3 * HOUR
        raise asyncio.CancelledError

    monkeypatch.setattr(ServerClock, "now", lambda clock, real=ServerClock.now: real(clock) + killed.ahead)
    monkeypatch.setattr(gate.notebook, "act", die)
    async with gate.worker():
        status = await approved(gate)
        assert (await gate.result(status.workflow_id)).outcome == "executed"
        assert gate.notebook.texts() == ["one"]
    assert not broken(gate, status)


@pytest.mark.parametrize("leaves", [True, False])
@pytest.mark.parametrize("may_repeat", [True, False])
async def test_a_lost_approval_is_requested_again(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch, leaves: bool, may_repeat: bool
) -> None:
    gate, killed = idle_gate, Killed(leaves=leaves)
    gate.directory = killed
    gate.policy = wants(("anyone", 1), approval_valid_for=None if leaves else 2 * 3600)
    gate.notebook.remembers = True
    if may_repeat:
        monkeypatch.setattr(gate.notebook, "find_out", repeatable)
    killed.patch(monkeypatch)
    why = "dana is not in the list of people" if leaves else "dana's approval is too old"
    async with gate.worker():
        status = await approved(gate)
        if may_repeat:
            held = await gate.held(status.workflow_id)
            assert held.held is not None
            assert f"must not be repeated now. {why}" in held.held.why
        else:
            again = await gate.until("in_review", status.workflow_id, lambda one: bool(one.lost))
            assert [one.reason for one in again.lost] == [why]
        assert gate.notebook.texts() == []
        await gate.api.withdraw(status.workflow_id, "by rita")
        await gate.result(status.workflow_id)
    assert not broken(gate, status)


@pytest.mark.parametrize("resolution", ["retry", "undo"])
async def test_nothing_is_repeated_on_the_statement_of_a_person_who_left(
    idle_gate: Gate, monkeypatch: pytest.MonkeyPatch, resolution: str
) -> None:
    """Erik resolves the held run, the worker dies after the claim, and erik leaves."""
    gate, account = idle_gate, booking_gate(idle_gate)
    names, died = {"rita", "erik", "dana"}, []

    class Listed:
        def people(self) -> People:
            return People(persons=tuple(Person(name=name) for name in sorted(names)))

    async def die(result: object, is_receipt: bool) -> None:
        del is_receipt
        if isinstance(result, Claim) and "resolved" in died and "erik" in names:
            names.discard("erik")
            raise RuntimeError("killed after the claim")

    gate.directory = Listed()
    account.fails_at = {"2": refused()}
    monkeypatch.setattr(account, "find_out", repeatable)
    monkeypatch.setattr(account, "find_out_undo", repeatable)
    hook_transactions(monkeypatch, "execute_step", after=die)
    async with gate.worker():
        run = (await booked(gate, "1", "2")).workflow_id
        await gate.held(run)
        died.append("resolved")
        assert (await gate.resolve(run, resolution, by="erik")).accepted
        said = f"with '{resolution}', and now erik is not in the list of people"
        held = await gate.until("held", run, lambda one: one.held is not None and said in one.held.why)
        assert held.held is not None
        assert "must not be repeated now. erik resolved step 2" in held.held.why
        assert account.texts() == ["booked 1"]
