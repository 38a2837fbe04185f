"""The auditor and the admission agree on the time of a signature, for every kind of statement and proof."""

from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plangate.audit.recorded_proof import recorded_claims
from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.decisions.delegations import DelegationAction, DelegationRequest
from plangate.domain.decisions.key_requests import KeyAction
from plangate.domain.people.people import Identified
from plangate.domain.runs.review import CLOCK_LEEWAY
from plangate.domain.runs.stops import StopAction
from plangate.policy.effective_people import people_in_effect
from plangate.policy.people_file import people_in
from plangate.signing.decisions import DECISION, Subject, claims_for, identified
from plangate.signing.delegations import DELEGATION, delegation_claims
from plangate.signing.enrolment import ENROLMENT, enrolment_claims
from plangate.signing.jws import write_token
from plangate.signing.logins import VALID_FOR, login_token
from plangate.signing.stops import ORDER, StopClaims
from plangate.signing.tokens import Kind, Statement
from tests.support.build import NOON
from tests.support.fakes import AUDIENCE
from tests.support.proofs import DANA, DANA_KEY, GINA, WEB, WEB_KEY, people_text

PEOPLE = people_in_effect(people_in(people_text()), WEB, ())
SUBJECT = Subject(workflow_id="one", fingerprint="a" * 64, audience=AUDIENCE)
SECOND = timedelta(seconds=1)
STAMP: Any = {"at": NOON, "token_id": "token-id-1"}
CLAIMS: dict[Statement[Any], Any] = {
    DECISION: claims_for(Decision(decision=Choice.APPROVE, by="dana", plan="a" * 64), SUBJECT, **STAMP),
    DELEGATION: delegation_claims(
        DelegationRequest(action=DelegationAction.BACK, by="dana"), audience=AUDIENCE, **STAMP
    ),
    ORDER: StopClaims(
        aud=str(AUDIENCE),
        action=StopAction.STOP,
        tool=None,
        stop=None,
        reason="",
        by="dana",
        iat=int(NOON.timestamp()),
        jti=STAMP["token_id"],
    ),
    ENROLMENT: enrolment_claims(
        KeyAction.CONFIRM, "gina", GINA.public, by="dana", audience=AUDIENCE, **STAMP
    ),
}


def token_of(statement: Statement[Any], kind: Kind) -> str:
    claims = CLAIMS[statement]
    match kind:
        case Kind.PASSKEY:
            return DANA.token(claims)
        case Kind.LOGIN:
            return login_token(claims, WEB_KEY)
        case Kind.KEY:
            return write_token(claims.model_dump(mode="json"), DANA_KEY, statement.typ)


def sender(statement: Statement[Any], token: str, received_at: datetime) -> Identified:
    return identified(PEOPLE, "dana", token, received_at, statement=statement, differs=lambda _: None)


CASES = [
    pytest.param(statement, kind, id=f"{statement.what}, {kind}")
    for statement in CLAIMS
    for kind in Kind
    if statement.accepts_logins or kind is not Kind.LOGIN
]


@pytest.mark.parametrize(("statement", "kind"), CASES)
@given(st.integers(-1_000, 1_000).map(lambda seconds: timedelta(seconds=seconds)))
@example(-CLOCK_LEEWAY)
@example(-CLOCK_LEEWAY - SECOND)
@example(VALID_FOR)
@example(VALID_FOR + SECOND)
def test_the_auditor_reports_each_time_that_was_refused(
    statement: Statement[Any], kind: Kind, passed: timedelta
) -> None:
    token = token_of(statement, kind)
    approver = sender(statement, token, NOON).approver
    assert approver is not None
    is_in_time = passed >= -CLOCK_LEEWAY and (kind is not Kind.LOGIN or passed <= VALID_FOR)
    assert (sender(statement, token, NOON + passed).objection == "") is is_in_time
    with nullcontext() if is_in_time else pytest.raises(ValueError, match=r"in the future|too long before"):
        recorded_claims(token, approver, NOON + passed, statement, WEB)
