"""Submit forged proofs to a worker's admission, and audit a real database that contains them."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from random import Random
from types import SimpleNamespace
from typing import cast

from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.decisions import Decisions
from activities.plan_check import PlanCheck
from activities.signal_times import SignalTimes
from activities.tasks import AdmitTask
from plangate.audit.inspection import inspect_all, inspect_run
from plangate.audit.trust_anchors import Trust
from plangate.domain.decisions.decision import Choice, Verdict, Via, read_arrival
from plangate.domain.decisions.key_requests import KeyDecided, KeyRequest, KeyRequestArrival
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, People
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.audit import RULES_TRAIL, Decided, RunRef
from plangate.domain.runs.run import RunState
from plangate.policy.people_file import people_in
from plangate.records.database import Database
from plangate.records.records import Records
from plangate.records.rule_texts import RecordedPeople, record_rules_in
from plangate.records.tables import NOW
from plangate.records.trail import Note, open_own_trail, open_trail
from plangate.signing.enrolment import KeyStatement
from plangate.signing.jws import public_of
from tests.support.forged_proofs import (
    EVERY,
    LISTED,
    OF_BOTH,
    OF_KEYS,
    OF_LISTS,
    OF_LOGINS,
    OF_RESOLUTIONS,
    OF_ROLES,
    PEOPLE,
    Attack,
    Case,
    Forgery,
    key_of_another_person,
    replay,
)
from tests.support.proof_runs import ARRIVED, NOTEBOOK, ProofRun, proof_run
from tests.support.proofs import CAROL_KEY, WEB, WEB_KEY

_OF_RUN = 40
"""The number of forgeries sent to one run."""


@dataclass
class Found:
    """The result of a trial: the number of forgeries of each kind, and the errors."""

    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return sum(self.kinds.values())


class ListedPeople:
    """A directory that returns a fixed list of people."""

    def people(self) -> People:
        return LISTED


def attacks(rng: Random, count: int) -> Iterator[tuple[Attack, Choice, Assurance]]:
    """Yield this many attacks, one kind after another, with the forged decision and proof."""
    for number in range(count):
        attack = EVERY[number % len(EVERY)]
        choice = Choice.RESOLVE if attack in OF_RESOLUTIONS else rng.choice(list(Choice))
        if attack in (*OF_ROLES, *OF_LISTS):
            choice = Choice.APPROVE
        is_either = attack in (*OF_BOTH, *OF_RESOLUTIONS)
        is_login = attack in OF_LOGINS or (is_either and rng.random() < 0.3)
        yield attack, choice, Assurance.LOGIN if is_login else Assurance.SIGNED


class Admission:
    """Sends forgeries to the admission of a worker, with real records."""

    def __init__(self, database: Database, rng: Random) -> None:
        self._database, self._chance = database, rng
        self._records = Records(database)
        self._client = cast("Client", SimpleNamespace(identity="worker@here"))
        plans = PlanCheck({"note": NOTEBOOK}, 5)
        self.people = RecordedPeople(ListedPeople(), self._records, "worker@here", web=WEB)
        self._decisions = Decisions(
            self._records, SignalTimes(self._client), self.people, plans, can_draft=True
        )
        self._audience = Audience(installation=database.installation, namespace="default")
        self._runs: dict[tuple[Choice, Assurance, bool], tuple[ProofRun, int]] = {}
        self._sent = 0

    async def judge(self, count: int) -> Found:
        """Send this many forgeries; a worker refuses each, with the reason."""
        found = Found()
        await self.people.people()
        for attack, choice, least in attacks(self._chance, count):
            if attack is replay:
                await self._judge_replay(self.new_run(choice, least), found)
                continue
            run = self._run(choice, least, batch=attack in OF_LISTS)
            case = Case(self._chance, run)
            forgery = attack(case)
            if forgery.statements:
                self._add(forgery.statements)
            decided = await self.admit(run, forgery)
            found.kinds[attack.__name__] += 1
            if decided.verdict.accepted or not any(one in decided.verdict.reason for one in forgery.said):
                found.faults.append(f"{attack.__name__} of {run.id}: {decided.verdict}")
        return found

    async def accept_all(self) -> list[str]:
        """Send Dana's genuine decision to each attacked run; return the refusals."""
        refused = []
        for run, _ in self._runs.values():
            case = Case(self._chance, run)
            decided = await self.admit(run, Forgery("", case.decision(case.token(case.claims())), (), ""))
            if not decided.verdict.accepted:
                refused.append(f"{run.id}: {decided.verdict.reason}")
        return refused

    async def _judge_replay(self, run: ProofRun, found: Found) -> None:
        """An accepted decision arrives again; it may be refused as used or as too late."""
        case = Case(self._chance, run)
        forgery = Forgery("", case.decision(case.token(case.claims())), (), "")
        first, second = await self.admit(run, forgery), await self.admit(run, forgery)
        found.kinds["replay"] += 1
        if not first.verdict.accepted or second.verdict.accepted:
            found.faults.append(f"replay of {run.id}: {first.verdict}, then {second.verdict}")

    def _run(self, choice: Choice, least: Assurance, *, batch: bool) -> ProofRun:
        run, used = self._runs.get((choice, least, batch), (None, _OF_RUN))
        if run is None or used >= _OF_RUN:
            run, used = self.new_run(choice, least, batch=batch), 0
        self._runs[choice, least, batch] = run, used + 1
        return run

    def new_run(self, choice: Choice, least: Assurance, *, batch: bool = False) -> ProofRun:
        self._sent += 1
        run = proof_run(self._sent, choice, self._audience, PEOPLE, least, batch=batch)
        with self._database.write() as connection:
            run.begin(connection)
        return run

    async def admit(
        self, run: ProofRun, forgery: Forgery, *, at: datetime = ARRIVED, behind: RunState | None = None
    ) -> Decided:
        """Send a decision that arrives at this time, to a run that may be behind its record."""
        self._sent += 1
        message = {**forgery.decision.model_dump(mode="json", exclude_none=True), **forgery.raw}
        arrival = read_arrival(
            key=f"run:update:{self._sent:032x}", via=Via.UPDATE, name="decide", choice=None,
            inputs=[message], received_at=at,
        )  # fmt: skip
        state = behind or self.state(run)
        ref = RunRef(workflow_id=run.id, chain_id="run", audience=run.audience)
        environment = ActivityEnvironment(self._client)
        environment.info = replace(
            environment.info, is_local=True, workflow_id=run.id, workflow_run_id="run",
            workflow_type="PlanApproval", started_time=ARRIVED,
        )  # fmt: skip
        task = AdmitTask(run=ref, state=state, arrivals=(arrival,))
        while True:
            try:
                (decided,) = await environment.run(self._decisions.admit_decisions, task)
            except ApplicationError as error:
                if error.type != "RecordsUnavailable":  # it waited too long on a busy machine
                    raise
            else:
                return decided

    def state(self, run: ProofRun) -> RunState:
        """Return the state of the run according to its trail."""
        with self._database.write() as connection:
            return open_trail(connection, run.ref).state()

    def _add(self, statements: tuple[KeyStatement, ...]) -> None:
        """Record changes of keys as accepted, as an attacker with access to the database does."""
        for statement in statements:
            add_key_request(self._database, statement)


def add_key_request(database: Database, statement: KeyStatement, approver: Approver | None = None) -> int:
    """Record a request about a key as accepted, by Carol or by this approver; return its number."""
    with database.write() as connection:
        now = connection.execute(NOW).scalar_one()
        trail = open_own_trail(connection, RULES_TRAIL, "carol", now)
        order = KeyRequest.model_validate(
            {"action": "confirm_key", "person": "gina", "key": statement.public or "x", "by": "carol",
             "signature": statement.token}
        )  # fmt: skip
        arrival = KeyRequestArrival(key=f"forged-{len(trail.entries())}", received_at=now, order=order)
        event = KeyDecided(
            arrival=arrival, verdict=Verdict(accepted=True, reason="valid"), judged_at=now,
            approver=approver or PEOPLE.identify("carol", now).approver, people=PEOPLE.hash,
        )  # fmt: skip
        actor = event.approver.name if event.approver else "carol"
        (entry,) = trail.append(Note(key=arrival.key, at=now, actor=actor, event=event))
        return entry.number


def unreported_key_requests(database: Database, rng: Random, count: int) -> list[str]:
    """Add forged keys, as an attacker with database access does; return those the auditor does not report."""
    _put_in_force(database, PEOPLE)
    audience = Audience(installation=database.installation, namespace="default")
    added: dict[int, str] = {}
    for number in range(count):
        attack = OF_KEYS[number % len(OF_KEYS)]
        run = proof_run(number, Choice.APPROVE, audience, PEOPLE, Assurance.SIGNED)
        forgery = attack(Case(rng, run))
        (statement,) = forgery.statements
        if attack is key_of_another_person:
            continue  # Carol's genuine signature, but for Mallory
        decision = forgery.decision.model_copy(update={"signature": statement.token})
        as_signed = replace(forgery, by="carol", public=public_of(CAROL_KEY), decision=decision).approver()
        added[add_key_request(database, statement, rng.choice([None, as_signed]))] = attack.__name__
    with database.read() as connection:
        report = inspect_run(connection, RULES_TRAIL, Trust(people=LISTED, web=WEB))
    reported = {one.entry for one in report.findings}
    return [f"{kind}, entry {entry}" for entry, kind in added.items() if entry not in reported]


def examine(database: Database, rng: Random, count: int) -> Found:
    """Record this many forgeries as accepted, each on a separate run, and verify the database.

    They include one valid run of each kind, which must have no finding.
    """
    audience = Audience(installation=database.installation, namespace="default")
    expected: dict[str, tuple[str, Forgery | None]] = {}
    _put_in_force(database, PEOPLE)
    for number, (attack, choice, least) in enumerate(attacks(rng, count), start=1):
        run = proof_run(number, choice, audience, PEOPLE, least, batch=attack in OF_LISTS)
        forgery = attack(Case(rng, run))
        if forgery.statements:
            people = people_in(_with_statements(forgery.statements))
            _put_in_force(database, people)
            run = replace(run, people=people)
        _write(database, run, forgery)
        expected[run.id] = attack.__name__, forgery
    for number, (choice, least) in enumerate((c, a) for c in Choice for a in Assurance):
        if least is Assurance.TYPED:
            continue
        run = proof_run(10**6 + number, choice, audience, PEOPLE, least)
        case = Case(rng, run)
        genuine = Forgery("", case.decision(case.token(case.claims())), (), case.dana.public)
        if case.is_login:
            genuine = replace(genuine, public=public_of(WEB_KEY), assurance=Assurance.LOGIN)
        _write(database, run, genuine)
        expected[run.id] = "genuine", None
    with database.read() as connection:
        report = inspect_all(connection, Trust(people=LISTED, web=WEB), lambda *_: None)
    said: dict[str, list[str]] = {}
    for one in report.findings:
        said.setdefault(one.workflow_id, []).append(str(one))
    found = Found()
    for run_id, (kind, written) in expected.items():
        words = " ".join(said.get(run_id, ()))
        if written is None:
            found.faults += [f"{kind} {run_id}: {words}"] if words else []
            continue
        found.kinds[kind] += 1
        if not any(one in words for one in written.said):
            found.faults.append(f"{kind} of {run_id} is not reported: {words or 'no finding'}")
    stray = {one for one in said if one not in expected and one != RULES_TRAIL}
    found.faults += [f"{one}: {said[one]}" for one in stray]
    return found


def _with_statements(statements: tuple[KeyStatement, ...]) -> str:
    """Return the text of a list to which changes of keys are added, as an attacker writes it."""
    lines = [LISTED.text, "[web]", f"origins = {json.dumps(sorted(WEB.origins or ()))}"]
    lines += [f'keys = ["ed25519:{public_of(WEB_KEY)}"]']
    for one in statements:
        lines += ["[[enrolment]]", f"token = {json.dumps(one.token)}", f"public = {json.dumps(one.public)}"]
    return "\n".join(lines) + "\n"


def _put_in_force(database: Database, people: People) -> None:
    with database.write() as connection:
        record_rules_in(connection, "people", people.text, people.hash, "worker")


def _write(database: Database, run: ProofRun, forgery: Forgery) -> None:
    with database.write() as connection:
        run.begin(connection)
        trail = open_trail(connection, run.ref)
        approver = forgery.approver()
        run.decide(trail, run.arrival(forgery.decision), approver, ARRIVED)
        if forgery.is_replay:
            again = run.arrival(forgery.decision, "run:signal:10")
            run.decide(trail, again, approver, ARRIVED)
        run.follow(trail)
