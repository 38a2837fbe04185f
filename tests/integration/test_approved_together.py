"""Several approvals signed with one passkey confirmation: each is accepted once, for its own plan."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue

from plangate.audit.evidence import bundle_findings, bundle_of, read_bundle
from plangate.audit.inspection import inspect_all
from plangate.audit.rule_references import referenced_rules
from plangate.audit.trust_anchors import Trust
from plangate.domain.decisions.decision import Choice
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, PersonRoles
from plangate.domain.plans.plan import canonical_json
from plangate.domain.policies.approvers import too_weak
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.findings import Finding
from plangate.records.database import Database
from plangate.records.rule_texts import texts_of
from plangate.records.trail import read_trail
from plangate.signing.batches import FEWEST, MOST, check_batch, digests_in, list_of
from tests.support.authenticator import ORIGIN
from tests.support.forged_proofs import LISTED, Case, Forgery
from tests.support.fresh_records import fresh_records
from tests.support.proof_runs import ARRIVED, ProofRun
from tests.support.proof_trials import Admission
from tests.support.proofs import DANA, WEB

DIGEST = "a" * 64


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return fresh_records(tmp_path / "records.db")


def signed_together(admission: Admission, count: int) -> list[tuple[ProofRun, Forgery]]:
    """Return this many runs in review with an approval for each, all signed with one confirmation."""
    runs = [admission.new_run(Choice.APPROVE, Assurance.SIGNED, batch=True) for _ in range(count)]
    cases = [Case(Random(number), run) for number, run in enumerate(runs)]
    tokens = DANA.batch_tokens([case.claims() for case in cases])
    return [
        (case.run, Forgery("", case.decision(token), (), ""))
        for case, token in zip(cases, tokens, strict=True)
    ]


def found(findings: Iterable[Finding]) -> list[str]:
    """Return the findings, except that no policy allows these runs to be approved together."""
    return [str(one) for one in findings if not one.is_unsealed and "without a policy" not in one.what]


async def sent(admission: Admission, run: ProofRun, one: Forgery, minutes: int = 0) -> Decided:
    return await admission.admit(run, one, at=ARRIVED + timedelta(minutes=minutes))


@pytest.mark.parametrize("count", [FEWEST, MOST])
async def test_each_plan_gets_its_own_decision_that_can_be_verified_separately(
    database: Database, count: int
) -> None:
    admission = Admission(database, Random(1))
    for run, one in signed_together(admission, count):
        decided = await sent(admission, run, one)
        assert decided.verdict.accepted, decided.verdict
        assert decided.approver is not None
        assert (decided.approver.batch, decided.approver.origin) == (count, ORIGIN)
        with database.read() as connection:
            entries = read_trail(connection, run.id)
            made = bundle_of(run.id, entries, (), texts_of(connection, referenced_rules(entries)))
        bundle = read_bundle(made.model_dump_json())
        assert found(bundle_findings(bundle, trusted=frozenset(), people=LISTED, web=WEB)) == []
    with database.read() as connection:
        report = inspect_all(connection, Trust(people=LISTED, web=WEB), lambda *_: None)
    assert found(report.findings) == []


async def test_an_approval_is_not_valid_for_another_plan_with_the_same_signature(database: Database) -> None:
    admission = Admission(database, Random(2))
    (first, of_first), (second, of_second) = signed_together(admission, 2)
    swapped = Forgery("", of_first.decision.model_copy(update={"plan": second.fingerprint}), (), "")
    assert "it is signed for the run" in (await sent(admission, second, swapped)).verdict.reason
    assert (await sent(admission, first, of_first)).verdict.accepted
    assert (await sent(admission, second, of_second)).verdict.accepted


async def test_a_withdrawn_approval_cannot_be_sent_again(database: Database) -> None:
    admission = Admission(database, Random(3))
    (run, one), _ = signed_together(admission, 2)
    assert (await sent(admission, run, one)).verdict.accepted
    assert not (await sent(admission, run, one, minutes=1)).verdict.accepted


@pytest.mark.parametrize("choice", [one for one in Choice if one is not Choice.APPROVE])
async def test_only_approvals_are_signed_together(database: Database, choice: Choice) -> None:
    admission = Admission(database, Random(4))
    run = admission.new_run(choice, Assurance.SIGNED, batch=True)
    case = Case(Random(5), run)
    token = case.dana.batch_tokens([case.claims(), case.claims()])[0]
    decided = await sent(admission, run, Forgery("", case.decision(token), (), ""))
    assert (
        decided.verdict.reason == "only approvals may be signed together; open the run, and sign this alone"
    )


@given(st.lists(st.binary(max_size=20), max_size=12), st.integers(0, 12))
@settings(max_examples=200)
def test_a_list_has_two_to_ten_distinct_approvals_including_this_one(claims: list[bytes], which: int) -> None:
    digests = digests_in(list_of(claims))
    own = digests[which % len(digests)] if digests and which else "0" * 64
    is_right = FEWEST <= len(claims) <= MOST and len({*claims}) == len(claims) and own in digests
    try:
        check_batch(digests, own)
    except ValueError:
        assert not is_right
    else:
        assert is_right


@pytest.mark.parametrize(
    "listed", [{DIGEST: 1}, DIGEST, 1, None, [DIGEST, 1], [DIGEST[1:]], [DIGEST.upper()]]
)
def test_a_list_has_only_digests_and_is_in_canonical_form(listed: JsonValue) -> None:
    for text in (canonical_json(listed), f'["{DIGEST}" ]'.encode()):
        with pytest.raises(ValueError, match=r"it is not a list|it lists something other"):
            digests_in(text)


def test_a_joint_approval_is_lost_once_a_plan_must_be_approved_separately() -> None:
    dana = Approver(name="dana", standings=(PersonRoles(person="dana", roles=("finance",)),), batch=3)
    needs = (Need(role="finance", count=1),)
    assert too_weak(Requirement(needs=needs, batch=True), dana) is None
    assert too_weak(Requirement(needs=needs), dana) == "dana approved it together with other plans"
