"""Forged passkey tokens for requests to delegate: each is sent to a worker, and recorded as accepted.

Mallory wants Dana's role finance. Mallory has a passkey, Dana's signatures for other purposes, and write
access to the database. The ceremonies of `tests.support.forged_proofs` are tried with the claims of a
delegation, and with claims that differ from the request.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any, cast

from sqlalchemy import insert
from temporalio.client import Client
from temporalio.testing import ActivityEnvironment

from activities.delegating import Delegating
from activities.tasks import MessageTask
from plangate.audit.dates import CLOCK_DIFFERENCE
from plangate.audit.delegations import lists_that_differ, wrong_delegations
from plangate.audit.inspection import inspect_run
from plangate.audit.trust_anchors import Trust
from plangate.domain.decisions.decision import Choice, Verdict
from plangate.domain.decisions.delegations import (
    DelegationAction,
    DelegationArrival,
    DelegationDecided,
    DelegationRequest,
    active_now,
)
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import People
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.audit import (
    DELEGATIONS_TRAIL,
    FIRST_HASH,
    RULES_TRAIL,
    AuditEntry,
    RulesInEffect,
    RuleText,
    entry_after,
)
from plangate.policy.delegated_roles import delegations_in, with_delegations
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import policy_in
from plangate.records.database import Database
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople
from plangate.records.tables import rule_texts
from plangate.records.trail import Note, open_own_trail, read_trail
from plangate.signing.base64url import decoded
from plangate.signing.delegations import DelegationClaims, delegation_claims
from plangate.signing.jws import write_token
from plangate.signing.logins import login_token
from plangate.signing.passkeys import challenge_of, passkey_token
from plangate.temporal.contract import DELEGATION_TYPE
from tests.support import forged_proofs
from tests.support.authenticator import ALGORITHMS, passkey
from tests.support.build import chained
from tests.support.fakes import AUDIENCE
from tests.support.forged_proofs import LISTED, PEOPLE, Case, Forgery
from tests.support.proof_runs import ARRIVED, NOON, proof_run
from tests.support.proof_trials import ListedPeople
from tests.support.proofs import MALLORY, WEB, WEB_KEY

POLICY = policy_in(
    'delegable = ["finance"]\n[default]\nneeds = [{ role = "finance" }]\nassurance = "signed"\n'
)
POLICY_TEXT = RuleText(hash=POLICY.policy_hash, text=POLICY.text)
UNTIL = ARRIVED + timedelta(days=14)


class DelegationCase(Case):
    """A delegation that Dana could sign: Mallory decides for Dana as finance."""

    def order(self) -> DelegationRequest:
        return DelegationRequest(
            action=DelegationAction.LEND, by="dana", to="mallory", roles=("finance",), until=UNTIL
        )

    def claims(self, said: Any = None, *, at: datetime | None = None, **changes: Any) -> Any:
        del said
        self.number += 1
        at = at or ARRIVED - timedelta(seconds=self.rng.randrange(60))
        token_id = f"delegated-{self.number:08}-{self.rng.randrange(10**9)}"
        made = delegation_claims(self.order(), audience=self.run.audience, at=at, token_id=token_id)
        if "comment" in changes:  # a decision's field for the reason
            changes["reason"] = changes.pop("comment")
        return DelegationClaims.model_validate({**made.model_dump(), **changes})

    def decision_token(self) -> str:
        """Return Dana's signed decision on a plan, by the same passkey, on the same page."""
        return self.dana.token(Case.claims(self))


Attack = Callable[[DelegationCase], Forgery]


def _of(case: DelegationCase, token: str, **more: Any) -> Forgery:
    return Forgery("", case.decision(token), (), more.pop("public", case.dana.public), **more)


def to_another_person(case: DelegationCase) -> Forgery:
    return _of(case, case.token(case.claims(to=case.rng.choice(["erik", "gina", "mallory2"]))))


def of_other_roles(case: DelegationCase) -> Forgery:
    roles = case.rng.choice([("ops",), ("finance", "ops"), (), ("Finance",), ("finance ",)])
    return _of(case, case.token(case.claims(roles=roles)))


def until_another_end(case: DelegationCase) -> Forgery:
    ends = [UNTIL - timedelta(seconds=1), UNTIL - timedelta(days=13), UNTIL + timedelta(days=9), None]
    return _of(case, case.token(case.claims(until=case.rng.choice(ends))))


def with_another_reason(case: DelegationCase) -> Forgery:
    return _of(case, case.token(case.claims(reason=case.rng.choice([" ", "on leave", "\u200b"]))))


def of_another_action(case: DelegationCase) -> Forgery:
    """Dana ended a delegation, or recorded an absence; the request is sent as a delegation."""
    others = [one for one in DelegationAction if one is not DelegationAction.LEND]
    return _of(case, case.token(case.claims(action=case.rng.choice(others))))


def in_anothers_name(case: DelegationCase) -> Forgery:
    """A request that Mallory signed in their own name is sent in Dana's name."""
    return _of(case, MALLORY.token(case.claims(by="mallory")), public=MALLORY.public)


def a_decision(case: DelegationCase) -> Forgery:
    return _of(case, case.decision_token())


def in_a_list(case: DelegationCase) -> Forgery:
    """One confirmation signs several delegations, although a delegation must be signed alone."""
    claims = case.claims()
    others = [case.claims() for _ in range(case.rng.randint(1, 5))]
    return _of(case, case.dana.batch_tokens([claims, *others])[0], batch=len(others) + 1)


def of_another_installation(case: DelegationCase) -> Forgery:
    """Dana signed the delegation for another installation (namespaces share a list of people)."""
    others = [f"{'ab' * 16}/default", "", f"/{case.run.audience}", f"{case.run.audience.installation[:-1]}/x"]
    return _of(case, case.token(case.claims(aud=case.rng.choice(others))))


def signed_long_before(case: DelegationCase) -> Forgery:
    at = ARRIVED - timedelta(minutes=11 + case.rng.randrange(10**4))
    return _of(case, case.token(case.claims(at=at)))


def by_the_web_server(case: DelegationCase) -> Forgery:
    """The inbox attests that Dana is logged in, and claims that this is a signature."""
    return _of(case, login_token(case.claims(), WEB_KEY))


def by_the_web_servers_key(case: DelegationCase) -> Forgery:
    token = write_token(case.claims().model_dump(mode="json"), WEB_KEY, "plangate-delegation+jwt")
    return _of(case, token)


def with_claims_exchanged(case: DelegationCase) -> Forgery:
    """Dana signed a shorter delegation; the attacker combines other claims with Dana's assertion."""
    signed = case.claims(until=ARRIVED + timedelta(days=1))
    wanted = DelegationClaims.model_validate({**signed.model_dump(), "until": UNTIL})
    return _of(case, passkey_token(wanted, case.dana.answer(challenge_of(signed))))


OF_CEREMONIES: tuple[Callable[[Any], Forgery], ...] = (
    *(one for one in forged_proofs.OF_PASSKEYS if one is not forged_proofs.login_as_signature),
    forged_proofs.from_the_future, forged_proofs.another_statement,
    forged_proofs.one_character, forged_proofs.cut_short, forged_proofs.other_spelling,
)  # fmt: skip
OF_CLAIMS: tuple[Attack, ...] = (
    to_another_person, of_other_roles, until_another_end, with_another_reason, of_another_action,
    in_anothers_name, a_decision, in_a_list, of_another_installation, signed_long_before,
    by_the_web_server, by_the_web_servers_key, with_claims_exchanged,
)  # fmt: skip
EVERY: tuple[Callable[[Any], Forgery], ...] = (*OF_CEREMONIES, *OF_CLAIMS)
_DANAS = frozenset(passkey("dana", one).public for one in ALGORITHMS)
_WORDS = (
    "a request to delegate roles", "is signed for", "with another reason", "in the name of",
    "too long before", "alone, not in a list", "assurance signed",
    "cannot be read", "does not match its claims", "not signed by a passkey of",
    "does not match what was signed",
    "does not belong to", "not one of", "is not trusted",
)  # fmt: skip


@dataclass
class Found:
    """The number of forgeries tried of each kind, and the errors."""

    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def _forgeries(
    rng: Random, audience: Audience, count: int
) -> Iterator[tuple[DelegationCase, Callable[[Any], Forgery], Forgery]]:
    run = proof_run(1, Choice.APPROVE, audience, PEOPLE, Assurance.SIGNED)
    for number in range(count):
        case = DelegationCase(rng, run, number=number * 1_000)
        attack = EVERY[number % len(EVERY)]
        yield case, attack, attack(case)


def _sent(case: DelegationCase, token: str | None) -> DelegationRequest:
    return case.order().model_copy(update={"signature": token})


def _audience(database: Database) -> Audience:
    return Audience(installation=database.installation, namespace="default")


class Admission:
    """Sends requests to the activity that checks them, on real records."""

    def __init__(self, database: Database) -> None:
        self._database, self._sent = database, 0
        records = Records(database)
        rules = POLICY.delegation_rules
        people = RecordedPeople(ListedPeople(), records, "worker@here", rules, web=WEB)
        self._judging = Delegating(records, people, rules, POLICY.policy_hash)

    async def admit(self, order: DelegationRequest) -> Verdict:
        """Send a request, received at the fixed time; return the result of checking it."""
        self._sent += 1
        environment = ActivityEnvironment(cast("Client", SimpleNamespace(identity="worker@here")))
        environment.info = replace(
            environment.info, is_local=True, workflow_type=DELEGATION_TYPE, namespace="default"
        )
        task = MessageTask(
            key=f"order-{self._sent}", inputs=(order.model_dump(mode="json", exclude_none=True),),
            received_at=ARRIVED, at=ARRIVED,
        )  # fmt: skip
        answer = await environment.run(self._judging.judge_delegation, task)
        assert answer.accepted is not None
        return Verdict(accepted=answer.accepted, reason=answer.reason)

    async def judge(self, rng: Random, count: int) -> Found:
        """Send forgeries, each of which is refused with a reason, and a valid request, accepted only once."""
        found = Found()
        for case, attack, forgery in _forgeries(rng, _audience(self._database), count):
            found.kinds[attack.__name__] += 1
            verdict = await self.admit(_sent(case, forgery.decision.signature))
            words = (*forgery.said, *_WORDS)
            if verdict.accepted or not any(one in verdict.reason for one in words):
                found.faults.append(f"{attack.__name__}: {verdict}")
        genuine = DelegationCase(
            rng, proof_run(1, Choice.APPROVE, _audience(self._database), PEOPLE, Assurance.SIGNED)
        )
        order = _sent(genuine, genuine.token(genuine.claims()))
        first, again = await self.admit(order), await self.admit(order)
        if not first.accepted or again.accepted or "used before" not in again.reason:
            found.faults.append(f"genuine: {first}, {again}")
        return found


def examine(database: Database, rng: Random, count: int) -> Found:
    """Write this many on the trail as accepted; the auditor reports each, and lists of people ignore it."""
    found, expected = Found(), dict[int, str]()
    _record_rules(database)
    with database.write() as connection:
        trail = open_own_trail(connection, DELEGATIONS_TRAIL, "dana", ARRIVED)
        for number, (case, attack, forgery) in enumerate(_forgeries(rng, _audience(database), count)):
            found.kinds[attack.__name__] += 1
            if number % 50 == 0:
                genuine = _of(case, case.token(case.claims()))
                event = _decided(case, genuine, f"genuine-{number}")
                trail.append(Note(key=event.arrival.key, at=ARRIVED, actor="dana", event=event))
                twice = event.arrival.model_copy(update={"key": f"replay-{number}"})
                (entry,) = trail.append(
                    Note(key=twice.key, at=ARRIVED, actor="dana",
                         event=event.model_copy(update={"arrival": twice}))
                )  # fmt: skip
                expected[entry.number] = "replay"
            event = _decided(case, forgery, f"forged-{number}")
            (entry,) = trail.append(Note(key=event.arrival.key, at=ARRIVED, actor="dana", event=event))
            expected[entry.number] = attack.__name__
            found.faults += _counted(event, attack.__name__, database.installation)
    with database.read() as connection:
        report = inspect_run(connection, DELEGATIONS_TRAIL, Trust(people=LISTED, web=WEB))
        entries = read_trail(connection, DELEGATIONS_TRAIL)
    reported = {one.entry for one in report.findings if one.entry is not None}
    found.faults += [
        f"{kind}, entry {entry} is not reported" for entry, kind in expected.items() if entry not in reported
    ]
    found.faults += [
        str(one) for one in report.findings if one.entry is not None and one.entry not in expected
    ]
    found.faults += [] if len(entries) > len(expected) else ["no genuine delegation was written"]
    return found


def _record_rules(database: Database) -> None:
    """Record the policy and the list of people, like a worker that started before the requests."""
    texts = {"policy": (POLICY.policy_hash, POLICY.text), "people": (PEOPLE.hash, PEOPLE.text)}
    with database.write() as connection:
        trail = open_own_trail(connection, RULES_TRAIL, "worker", NOON)
        for what, (name, text) in texts.items():
            connection.execute(insert(rule_texts).values(hash=name, text=text))
            event = RulesInEffect.model_validate({"what": what, "hash": name})
            trail.append(Note(key=f"{what}:1", at=NOON, actor="worker", event=event))


def _decided(case: DelegationCase, forgery: Forgery, key: str) -> DelegationDecided:
    order = _sent(case, forgery.decision.signature)
    return DelegationDecided(
        arrival=DelegationArrival(key=key, received_at=ARRIVED, order=order),
        verdict=Verdict(accepted=True, reason="accepted"),
        approver=forgery.approver(),
        judged_at=ARRIVED,
        rules=POLICY.delegation_rules,
        policy=POLICY.policy_hash,
        people=PEOPLE.hash,
    )


def counted_again(rng: Random, installation: str) -> list[str]:
    """Return where a delegation that Dana ended is valid again, after the attacker recorded it again."""
    audience = Audience(installation=installation, namespace="default")
    case = DelegationCase(rng, proof_run(1, Choice.APPROVE, audience, PEOPLE, Assurance.SIGNED))
    delegated = _decided(case, _of(case, case.token(case.claims())), "delegated")
    assert delegated.approver is not None
    assert delegated.arrival.order is not None
    over = {"action": DelegationAction.END, "roles": (), "until": None, "signature": None}
    end = delegated.model_copy(
        update={
            "arrival": DelegationArrival(
                key="end", received_at=ARRIVED, order=delegated.arrival.order.model_copy(update=over)
            ),
            "approver": PEOPLE.identify("dana", ARRIVED).approver,
        }
    )
    again = delegated.model_copy(update={"arrival": delegated.arrival.model_copy(update={"key": "again"})})
    assert _counting((delegated,), installation) == ["a worker", "a bundle"]
    return _counting((delegated, end, again), installation)


def lists_without(rng: Random) -> dict[str, list[str]]:
    """Return what the auditor reports on a list of people without Dana's delegation, under two policies."""
    case = DelegationCase(rng, proof_run(1, Choice.APPROVE, AUDIENCE, PEOPLE, Assurance.SIGNED))
    accepted = _trail_of((_decided(case, _of(case, case.token(case.claims())), "delegated"),))
    none = policy_in("[default]\nneeds = []\n")
    texts = {
        one.hash: one
        for one in (POLICY_TEXT, RuleText(hash=none.policy_hash, text=none.text), _text_of(PEOPLE))
    }

    def found(policy: str) -> list[str]:
        policies = (
            RulesInEffect(what="policy", hash=one) for one in dict.fromkeys((POLICY.policy_hash, policy))
        )
        rules = chained(
            (*policies, RulesInEffect(what="people", hash=PEOPLE.hash)),
            run=RULES_TRAIL,
            at=ARRIVED + 2 * CLOCK_DIFFERENCE,
        )
        return [one.what for one in lists_that_differ(rules, accepted, texts)]

    return {
        "a list": found(POLICY.policy_hash),
        "after a policy without delegations": found(none.policy_hash),
    }


def _counted(event: DelegationDecided, kind: str, installation: str) -> list[str]:
    """Return where a forged entry is accepted: in a worker's list of people, or in a bundle's."""
    counts = _counting((event,), installation)
    if counts == ["a bundle"] and _is_for_another_installation(event, installation):
        counts = []  # a list does not contain its installation; the list of a run is compared with the run
    kept = with_delegations(PEOPLE, _trail_of((event,)), ARRIVED)
    reported = [
        str(one) for one in wrong_delegations("run", [_text_of(kept), POLICY_TEXT], {installation}, WEB)
    ]
    in_bundles = not any("is recorded as signed, but" in one for one in reported)
    # These proofs are valid for the key in the record. Only the check of the trail can identify its owner.
    is_anothers_key = event.approver is not None and event.approver.public_key not in _DANAS
    timely = kind not in ("signed_before_the_key_ended", "key_not_valid", "signed_long_before") and not (
        kind == "other_passkey" and is_anothers_key
    )
    return [
        *(f"{kind} counts for {one}" for one in counts),
        *([f"{kind} is not reported in a bundle"] if in_bundles and timely else []),
    ]


def _is_for_another_installation(event: DelegationDecided, installation: str) -> bool:
    """Return whether a forged token names an audience that is not of this installation."""
    order = event.arrival.order
    assert order is not None
    claims = json.loads(decoded((order.signature or "").split(".")[1]))
    audience = claims.get("aud")
    return isinstance(audience, str) and not audience.startswith(f"{installation}/")


def _counting(events: Sequence[DelegationDecided], installation: str) -> list[str]:
    """Return the people for whom Mallory decides as finance after these entries."""
    entries, counts = _trail_of(events), []
    of_worker = with_delegations(PEOPLE, entries, ARRIVED, POLICY.delegation_rules, installation)
    kept = people_in(with_delegations(PEOPLE, entries, ARRIVED).text)  # as an attacker adds them to the text
    for what, people in (("a worker", of_worker), ("a bundle", kept)):
        known = people.identify("mallory", ARRIVED + timedelta(days=1)).approver
        assert known is not None
        if "finance" in known.roles() or active_now(delegations_in(people), ARRIVED + timedelta(days=1)):
            counts.append(what)
    return counts


def _text_of(people: People) -> RuleText:
    return RuleText(hash=people.hash, text=people.text)


def _trail_of(events: Sequence[DelegationDecided]) -> tuple[AuditEntry, ...]:
    entries: list[AuditEntry] = []
    for number, event in enumerate(events, start=1):
        before = entries[-1].hash if entries else FIRST_HASH
        made = entry_after(
            before, workflow_id=DELEGATIONS_TRAIL, number=number, key=event.arrival.key, at=ARRIVED,
            actor="dana", event=event,
        )  # fmt: skip
        entries.append(made)
    return tuple(entries)
