"""Held runs of a test instance that books lines: how they are caused, resolved and audited."""

from collections.abc import Callable
from itertools import count
from typing import Any

from plangate.audit.evidence import bundle_findings, bundle_of
from plangate.audit.inspection import inspect_all
from plangate.audit.rule_references import referenced_rules
from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.domain.errors import EffectUnknown, ToolError, ToolRefused
from plangate.domain.runs.audit import Claimed, Decided
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.records.rule_texts import texts_of
from plangate.signing.decisions import Claims, hash_of_new_plan, sign
from tests.support.account_tool import Account, bookings
from tests.support.gate import Gate
from tests.support.sealed_records import KEYS, people, sealing, trust

Failure = Callable[[], ToolError]


def refused() -> ToolError:
    return ToolRefused("The account is closed.")


def lost() -> ToolError:
    return EffectUnknown("The connection was lost.")


_numbers = count(1)


def booking_gate(gate: Gate) -> Account:
    """Add the account as a tool to a test instance whose worker does not run yet."""
    account = Account(gate.settings.var_dir / "account.tsv")
    gate.tools["book"] = account
    return account


def account(gate: Gate) -> Account:
    """Return the account that `booking_gate` added to the test instance."""
    tool = gate.tools["book"]
    assert isinstance(tool, Account)
    return tool


async def approved(gate: Gate, *texts: str, by: str = "dana", **more: Any) -> Status:
    """Start a run that books these lines, and approve it; return the status that was approved."""
    status = await in_review(gate, *texts, **more)
    answer = await gate.decide(status, by=by)
    assert answer.accepted, answer.reason
    return status


async def in_review(gate: Gate, *texts: str, **more: Any) -> Status:
    return await gate.until("in_review", await gate.submit(plan=bookings(*texts, **more)))


def signed(status: Status, by: str, choice: str, **more: Any) -> str:
    """Return the token of a decision on this plan."""
    new_plan = more.pop("new_plan", None)
    claims = Claims(
        aud=f"{status.installation}/{status.namespace}",
        workflow_id=status.workflow_id,
        fingerprint=status.fingerprint or "",
        decision=Choice(choice),
        comment=more.pop("comment", ""),
        by=by,
        iat=int(now().timestamp()),
        jti=f"token-{next(_numbers):08}",
        new_plan_sha256=hash_of_new_plan(new_plan),
        **more,
    )
    return sign(claims, KEYS[by])


def resolution(
    status: Status, chosen: str, by: str, *, sign_it: bool = False, comment: str = ""
) -> dict[str, Any]:
    """Return the message that resolves a held run."""
    assert status.held is not None
    said = {
        "step": status.held.step,
        "hold": status.held.number,
        "resolution": chosen,
        "comment": comment or f"{chosen} it",
    }
    token = {"signature": signed(status, by, "resolve", **said)} if sign_it else {}
    return {"by": by, "plan": status.fingerprint, **said, **token}


async def resolve(
    gate: Gate, workflow_id: str, chosen: str, by: str = "dana", *, via: str = "update", **more: Any
) -> None:
    """Resolve the run when it is held, and check that the resolution is accepted."""
    status = await gate.held(workflow_id)
    message = resolution(status, chosen, by, **more)
    if via == "signal":
        await gate.handle(workflow_id).signal("resolve", message)
        return
    message["resolution"] = Resolution(chosen)
    decision = Decision(decision=Choice.RESOLVE, **message)
    answer = await gate.api.decide(workflow_id, decision)
    assert answer is not None
    assert answer.accepted, answer.reason


def keys(gate: Gate, workflow_id: str) -> list[str]:
    """Return the idempotency keys of the claims in order, without run and plan."""
    claims = [entry.event for entry in gate.api.trail(workflow_id) if isinstance(entry.event, Claimed)]
    return [claim.idempotency_key.removeprefix(f"{workflow_id}:{claim.fingerprint}:") for claim in claims]


def kinds(gate: Gate, workflow_id: str) -> list[str]:
    return [entry.event.kind for entry in gate.api.trail(workflow_id)]


def verdicts(gate: Gate, workflow_id: str) -> list[tuple[bool, str]]:
    events = [entry.event for entry in gate.api.trail(workflow_id)]
    return [(one.verdict.accepted, one.verdict.reason) for one in events if isinstance(one, Decided)]


def found(gate: Gate, workflow_id: str) -> list[str]:
    """Seal the records; return what the auditor finds in all of them, and in the run's bundle alone."""
    sealing(gate).seal()
    entries = gate.api.trail(workflow_id)
    with gate.database.read() as connection:
        inspection = inspect_all(connection, trust(), lambda *_: None)
        bundle = bundle_of(workflow_id, entries, (), texts_of(connection, referenced_rules(entries)))
    alone = bundle_findings(bundle, trusted=frozenset(), people=people())
    return [*map(str, inspection.findings), *(one.what for one in alone if not one.is_unsealed)]
