"""Sealed records of various runs, some with signed decisions."""

import asyncio
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.audit.sealing import Sealing
from plangate.audit.trust_anchors import Trust
from plangate.domain.decisions.decision import Choice
from plangate.domain.errors import EffectUnknown
from plangate.domain.people.people import People
from plangate.domain.runs.checkpoint import Checkpoint
from plangate.domain.runs.status import Status
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import FilePolicy, policy_in
from plangate.presentation.clock import now
from plangate.signing.checkpoints import saved_checkpoint
from plangate.signing.decisions import Claims, sign
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from tests.support.gate import Gate

KEYS = {name: Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)) for name in ("dana", "erik")}
SEAL_KEY = Ed25519PrivateKey.from_private_bytes(b"seal".ljust(32))
ROLES = {"dana": "finance", "erik": "ops", "rita": "finance", "fred": "finance"}


def people() -> People:
    """Return Dana and Erik with a key each, and Rita and Fred without keys."""
    lines = []
    for name, role in ROLES.items():
        lines += ["[[person]]", f'name = "{name}"', f'roles = ["{role}"]']
        if name in KEYS:
            lines.append(f'keys = [{{ public = "{PUBLIC_PREFIX}{public_of(KEYS[name])}" }}]')
    return people_in("\n".join(lines) + "\n")


class FixedPeople:
    """The list of these people."""

    def people(self) -> People:
        return people()


BY_FIRST_WORD = """
[[rule]]
name = "free notes"
when = "plan.steps[0].arguments.text.startsWith('free ')"
needs = []

[[rule]]
name = "signed notes"
when = "plan.steps[0].arguments.text.startsWith('signed ')"
needs = [{ role = "finance" }, { role = "ops" }]
assurance = "signed"
"""


class ByFirstWord(FilePolicy):
    """A policy that depends on the first word of a plan's first note."""

    def __init__(self) -> None:
        vars(self).update(vars(policy_in(BY_FIRST_WORD)))


def signature(status: Status, by: str, decision: Choice = Choice.APPROVE, comment: str = "") -> str:
    claims = Claims(
        aud=f"{status.installation}/{status.namespace}",
        workflow_id=status.workflow_id,
        fingerprint=status.fingerprint or "",
        decision=decision,
        comment=comment,
        by=by,
        iat=int(now().timestamp()),
        jti=f"{by}-{status.revision}-0123456789",
    )
    return sign(claims, KEYS[by])


def sealing(gate: Gate, every: float = 0.1) -> Sealing:
    return Sealing(gate.database, SEAL_KEY, kept_file(gate), every)


def kept_file(gate: Gate) -> Path:
    return gate.settings.last_checkpoint


def trust(kept: Checkpoint | None = None) -> Trust:
    return Trust(sealers=frozenset({public_of(SEAL_KEY)}), people=people(), saved=kept)


async def sealed_runs(gate: Gate) -> Trust:
    """Create the runs, seal them three times, and return what an auditor needs to verify them."""
    gate.policy, gate.directory = ByFirstWord(), FixedPeople()
    async with gate.worker():
        await _executed_with_signatures(gate)
        await _seal(gate)
        await _rejected(gate)
        free = await gate.submit("free for all")
        await gate.result(free)
        waiting = await gate.in_review("long to be decided", "and more")
        await gate.decide(waiting, by="rita")
        await gate.signal(waiting, by="nobody")
        await gate.handle(waiting.workflow_id).signal("aprove", "dana")
        await gate.until("in_review", waiting.workflow_id, lambda now: len(now.decisions) == 3)
        await _seal(gate)
        await _revised(gate)
        await _in_doubt(gate)
        await _seal(gate)
    return trust(saved_checkpoint(kept_file(gate)))


async def _seal(gate: Gate) -> None:
    assert await asyncio.to_thread(sealing(gate).seal)


async def _executed_with_signatures(gate: Gate) -> None:
    status = await gate.in_review("signed one", "two")
    assert not (await gate.decide(status)).accepted
    for by in ("dana", "erik"):
        assert (await gate.decide(status, by=by, signature=signature(status, by))).accepted
    assert (await gate.result(status.workflow_id)).outcome == "executed"


async def _rejected(gate: Gate) -> None:
    status = await gate.in_review("never")
    assert (await gate.decide(status, "reject", by="fred", comment="no")).accepted
    await gate.result(status.workflow_id)


async def _revised(gate: Gate) -> None:
    status = await gate.in_review(request="first")
    assert (await gate.decide(status, "request_changes", comment="second, please")).accepted
    second = await gate.until("in_review", status.workflow_id, lambda now: now.revision == 2)
    assert (await gate.decide(second, by="erik", signature=signature(second, "erik"))).accepted
    await gate.result(status.workflow_id)


async def _in_doubt(gate: Gate) -> None:
    status = await gate.in_review("perhaps", "then this")
    gate.notebook.failures = [EffectUnknown("The connection broke.")]
    await gate.decide(status)
    await gate.resolve(status.workflow_id, "abort", by="erik")
    assert (await gate.result(status.workflow_id)).outcome == "failed"
