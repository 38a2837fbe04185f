"""Forged proofs of decisions: passkeys, logins, enrolled keys, delegated roles; with the expected messages.

Each attack takes a run that waits for a decision by Dana. The attacker has Mallory's key and passkey, which
are in the list of people, Dana's signatures for other purposes, and write access to the database. They do not
have the keys of Dana, of the web server or of Carol, the enroller.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA384, SHA512

from plangate.domain.decisions.decision import Choice, Decision, Resolution
from plangate.domain.decisions.key_requests import KeyAction
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE, Approver, PersonRoles
from plangate.domain.plans.plan import Audience
from plangate.policy.effective_people import people_in_effect
from plangate.policy.people_file import people_in
from plangate.signing.base64url import decoded, encoded
from plangate.signing.decisions import Claims, claims_for
from plangate.signing.enrolment import TYPE as ENROLMENT_TYPE
from plangate.signing.enrolment import EnrolmentClaims, KeyStatement, enrolment_claims
from plangate.signing.jws import key_id, public_of, write_token
from plangate.signing.logins import TYPE as LOGIN_TYPE
from plangate.signing.logins import login_token
from plangate.signing.passkeys import (
    Assertion,
    challenge_of,
    challenge_of_batch,
    passkey_token,
    read_passkey_token,
)
from plangate.signing.public_keys import is_passkey, thumbprint_of
from tests.support.authenticator import ALGORITHMS, ORIGIN, RP_ID, Passkey, passkey
from tests.support.fakes import notes
from tests.support.proof_runs import ARRIVED, NOON, ProofRun
from tests.support.proofs import (
    CAROL_KEY,
    DANA_KEY,
    ERIK,
    GINA,
    MALLORY,
    MALLORY_KEY,
    OTHER_WEB_KEY,
    WEB,
    WEB_KEY,
    line_of,
    people_text,
)

DANA_OLD, DANA_NEW, CAROL = passkey("dana's old"), passkey("dana's new"), passkey("carol")
OLD_CAROL = Ed25519PrivateKey.from_private_bytes(b"old carol".ljust(32))
STRANGER = Ed25519PrivateKey.from_private_bytes(b"stranger".ljust(32))


def list_text() -> str:
    """Return the list: Dana has a passkey of each algorithm, an expired one, and one not valid yet."""
    keys = [line_of(passkey("dana", algorithm)) for algorithm in ALGORITHMS]
    keys += [
        line_of(DANA_KEY),
        line_of(DANA_OLD, ", until = 2026-10-01"),
        line_of(DANA_NEW, ", from = 2027-01-01"),
    ]
    old = f"{line_of(CAROL_KEY)}, {line_of(CAROL)}, {line_of(OLD_CAROL, ', until = 2026-10-01')}"
    return people_text(dana_keys=", ".join(keys)).replace(line_of(CAROL_KEY), old)


LISTED = people_in(list_text())
PEOPLE = people_in_effect(LISTED, WEB, ())


@dataclass
class Case:
    """One run to attack, and the random choices for it."""

    rng: Random
    run: ProofRun
    dana: Passkey = field(init=False)
    number: int = 0

    def __post_init__(self) -> None:
        self.dana = passkey("dana", self.rng.choice(ALGORITHMS))

    @property
    def is_login(self) -> bool:
        return self.run.requirement.assurance is Assurance.LOGIN

    def claims(self, said: Decision | None = None, *, at: datetime | None = None, **changes: Any) -> Claims:
        self.number += 1
        made = claims_for(
            said or self.run.decision(),
            self.run.subject,
            at=at or ARRIVED - timedelta(seconds=self.rng.randrange(60)),
            token_id=f"{self.run.id}-{self.number:08}-{self.rng.randrange(10**9)}",
        )
        return Claims.model_validate({**made.model_dump(), **changes})

    def token(self, claims: Claims, **ceremony: Any) -> str:
        return login_token(claims, WEB_KEY) if self.is_login else self.dana.token(claims, **ceremony)

    def decision(self, token: str, **changes: Any) -> Decision:
        return self.run.decision().model_copy(update={"signature": token, **changes})


AS_SIGNED = "as signed"


@dataclass(frozen=True)
class Forgery:
    """A forged decision, and how it is recorded as accepted.

    Attributes:
        decision: the decision to send.
        said: expected messages; the refusal and the finding each contain one of them.
        public: the key in the record.
        by: the recorded approver.
        raw: further fields of the message.
        standings: the standings of the recorded approver, if they differ from the list.
        assurance: the recorded assurance.
        statements: the changes of keys that the attacker adds to the list.
        is_replay: whether the decision is recorded twice.
        batch: how many approvals were signed by the same confirmation, according to the record.
    """

    kind: str
    decision: Decision
    said: tuple[str, ...]
    public: str
    by: str = "dana"
    raw: dict[str, Any] = field(default_factory=dict)
    standings: tuple[PersonRoles, ...] = ()
    assurance: Assurance = Assurance.SIGNED
    statements: tuple[KeyStatement, ...] = ()
    is_replay: bool = False
    batch: int | str | None = AS_SIGNED

    def approver(self) -> Approver:
        """Return the approver as an attacker would record it, as consistent with the token as possible."""
        known = PEOPLE.identify(self.by, ARRIVED).approver
        standings = self.standings or (known.standings if known else ())
        claims, origin = _read(self.decision.signature or "")
        batch = _batch_of(self.decision.signature or "") if self.batch == AS_SIGNED else self.batch
        return Approver(
            batch=batch if isinstance(batch, int) and is_passkey(self.public) else None,
            name=self.by,
            standings=standings,
            assurance=self.assurance,
            key_id=thumbprint_of(self.public),
            public_key=self.public,
            signed_at=datetime.fromtimestamp(claims["iat"], NOON.tzinfo),
            token_id=claims["jti"],
            origin=origin if is_passkey(self.public) else None,
        )


Attack = Callable[[Case], Forgery]
_MISMATCHES = (
    "does not match what was signed", "not signed by a passkey of", "does not belong to", "not one of",
    "of different kinds",
)  # fmt: skip
_MALFORMED = (
    "cannot be read", "not that of a decision", "does not match its claims", "to the RP id",
    "no person was present",
    "did not verify", "is not trusted", "not at https", "another kind", "is signed for", "another comment",
    "in the name of", "used for something other", "inside a frame", "attested by a key", "uses the algorithm",
    "in the future", "before this review", "too long before", "new plan", "has no signature", "time or id",
    "with a different site", "its proof has only", "signed at a time", *_MISMATCHES,
)  # fmt: skip


def _read(token: str) -> tuple[dict[str, Any], str | None]:
    """Return the claims and the origin of a token, or invented ones."""
    made_up: dict[str, Any] = {"iat": int(ARRIVED.timestamp()), "jti": "made-up-0001"}
    claims: dict[str, Any]
    try:
        if token.startswith("passkey."):
            read = read_passkey_token(token)
            claims, origin = {**read.claims}, read.origin
        else:
            claims, origin = jwt.decode(token, options={"verify_signature": False}), ORIGIN
    except (ValueError, jwt.PyJWTError):
        return made_up, ORIGIN
    is_whole = isinstance(claims.get("iat"), int) and isinstance(claims.get("jti"), str)
    return (claims if is_whole and 0 <= claims["iat"] < 2**33 else made_up), origin


def _batch_of(token: str) -> int | None:
    try:
        return read_passkey_token(token).batch
    except ValueError:
        return None


def _forged(case: Case, token: str, *said: str, **more: Any) -> Forgery:
    changes = more.pop("changes", {})
    more.setdefault("assurance", Assurance.LOGIN if case.is_login else Assurance.SIGNED)
    more.setdefault("public", public_of(WEB_KEY) if case.is_login else case.dana.public)
    return Forgery(kind="", decision=case.decision(token, **changes), said=said, **more)


# ---- the ceremony of a passkey --------------------------------------------------------------------


def other_challenge(case: Case) -> Forgery:
    claims, other = case.claims(), case.rng.randbytes(32)
    return _forged(case, passkey_token(claims, case.dana.answer(other)), "does not match its claims")


def challenge_of_other_claims(case: Case) -> Forgery:
    """Dana signed in to another page of the same site, or decided something else."""
    other = challenge_of(case.claims(comment="something else"))
    return _forged(case, passkey_token(case.claims(), case.dana.answer(other)), "does not match its claims")


def other_origin(case: Case) -> Forgery:
    origins = [
        "https://evil.example.org", "https://plangate.example.org.evil.test", "http://plangate.example.org",
        "https://plangate.example.org:8443", "https://PLANGATE.example.org", "https://plangate.example.org/",
        "https://sub.plangate.example.org", "http://localhost:8088", "null", "", "android:apk-key-hash:x",
        "https://pl\u0430ngate.example.org", "https://plangate.example.org@evil.test",
    ]  # fmt: skip
    origin = case.rng.choice(origins)
    rp_id = case.rng.choice([RP_ID, "evil.example.org", "localhost"])
    return _forged(case, case.token(case.claims(), origin=origin, rp_id=rp_id), "its passkey was used at")


def other_rp_id(case: Case) -> Forgery:
    rp_id = case.rng.choice(["example.org", "org", "", f"{RP_ID}.", RP_ID.upper(), "evil.test", "localhost"])
    return _forged(case, case.token(case.claims(), rp_id=rp_id), "not belong to the RP id")


def without_user_verification(case: Case) -> Forgery:
    flags = case.rng.randrange(32) & ~0x04 | 0x01
    return _forged(case, case.token(case.claims(), flags=flags), "did not verify the person")


def without_user_presence(case: Case) -> Forgery:
    flags = case.rng.randrange(32) & ~0x01
    return _forged(case, case.token(case.claims(), flags=flags), "no person was present")


def other_ceremony(case: Case) -> Forgery:
    ceremonies: list[tuple[dict[str, Any], str]] = [
        ({"kind": "webauthn.create"}, "used for something other"),
        ({"kind": "payment.get"}, "used for something other"),
        ({"crossOrigin": True}, "inside a frame"),
        ({"crossOrigin": "false"}, "inside a frame"),
        ({"topOrigin": "https://evil.test"}, "inside a frame"),
    ]
    more, said = case.rng.choice(ceremonies)
    return _forged(case, case.token(case.claims(), **more), said)


# ---- the key --------------------------------------------------------------------------------------


def other_passkey(case: Case) -> Forgery:
    """A passkey that is not Dana's signs in Dana's name; the record has this passkey or Dana's."""
    name = case.rng.choice(["mallory", "stranger", "erik"])
    own = passkey(name, "ES256" if name != "stranger" else case.rng.choice(ALGORITHMS))
    public = case.rng.choice([own.public, case.dana.public])
    return _forged(case, own.token(case.claims()), *_MISMATCHES, "another kind", public=public)


def another_persons_decision(case: Case) -> Forgery:
    """Dana's signed decision is sent in the name of another person, or the reverse."""
    if case.rng.random() < 0.5:
        token = case.token(case.claims())
        return _forged(case, token, *_MISMATCHES, "in the name of dana", changes={"by": "erik"}, by="erik")
    return _forged(case, case.token(case.claims(by="erik")), "in the name of erik")


def key_not_valid(case: Case) -> Forgery:
    own = case.rng.choice([DANA_OLD, DANA_NEW])
    said = ("not valid now", "was not valid when dana signed", "is no longer valid")
    return _forged(case, own.token(case.claims()), *said, public=own.public)


def signed_before_the_key_ended(case: Case) -> Forgery:
    """A stolen key that has expired signs with a date on which it was valid."""
    at = datetime(2026, 9, case.rng.randint(1, 28), tzinfo=NOON.tzinfo)
    token = DANA_OLD.token(case.claims(at=at))
    return _forged(case, token, "not valid now", "is no longer valid", public=DANA_OLD.public)


def other_algorithm(case: Case) -> Forgery:
    """The signature is by Dana's key, but with an algorithm that the key does not allow."""
    claims, private = case.claims(), case.dana.private
    good = case.dana.answer(challenge_of(claims))
    data = decoded(good.authenticator_data) + hashlib.sha256(decoded(good.client_data)).digest()
    match private:
        case ec.EllipticCurvePrivateKey():
            signature = private.sign(data, ec.ECDSA(case.rng.choice([SHA384(), SHA512()])))
        case Ed25519PrivateKey():
            signature = private.sign(hashlib.sha512(data).digest())
        case _:
            kinds = [
                (padding.PKCS1v15(), SHA512()),
                (padding.PSS(padding.MGF1(SHA512()), padding.PSS.MAX_LENGTH), SHA512()),
            ]
            signature = private.sign(data, *case.rng.choice(kinds))
    other = good.model_copy(update={"signature": encoded(signature)})
    return _forged(case, passkey_token(claims, other), *_MISMATCHES)


# ---- the signed content ---------------------------------------------------------------------------


def other_run(case: Case) -> Forgery:
    return _forged(case, case.token(case.claims(workflow_id="another-run")), "for the run another-run")


def other_installation(case: Case) -> Forgery:
    other = case.rng.choice([f"{'ab' * 16}/default", f"{case.run.audience.installation}/staging", ""])
    said = ("for another installation", "for the namespace")
    return _forged(case, case.token(case.claims(aud=other)), *said)


def other_plan(case: Case) -> Forgery:
    other = hashlib.sha256(case.rng.randbytes(8)).hexdigest()
    return _forged(case, case.token(case.claims(fingerprint=other)), "signed for plan")


def other_choice(case: Case) -> Forgery:
    other = case.rng.choice([one for one in Choice if one is not case.run.choice])
    said = ("is signed for '", "for another new plan")
    return _forged(case, case.token(case.claims(decision=other)), *said)


def other_comment(case: Case) -> Forgery:
    comment = case.rng.choice(
        ["", "I looked at it.", "I looked at it ", "i looked at it", "\u200bI looked at it"]
    )
    return _forged(case, case.token(case.claims(comment=comment)), "with another comment")


def other_new_plan(case: Case) -> Forgery:
    """An edit has a new plan that Dana did not sign, or another decision has a new plan."""
    other = hashlib.sha256(case.rng.randbytes(8)).hexdigest()
    return _forged(case, case.token(case.claims(new_plan_sha256=other)), "for another new plan")


def swapped_new_plan(case: Case) -> Forgery:
    text = f"pay mallory {case.rng.randrange(10**6)}"
    if case.run.choice is not Choice.EDIT:
        return other_new_plan(case)
    return _forged(case, case.token(case.claims()), "for another new plan", changes={"new_plan": notes(text)})


def other_step(case: Case) -> Forgery:
    said = ("not for this resolution", "only a resolution has")
    return _forged(case, case.token(case.claims(step=case.rng.randint(2, 99))), *said)


def other_resolution(case: Case) -> Forgery:
    other = case.rng.choice([one for one in Resolution if one is not Resolution.RETRY])
    return _forged(case, case.token(case.claims(resolution=other)), "not for this resolution")


def other_hold(case: Case) -> Forgery:
    return _forged(case, case.token(case.claims(hold=case.rng.randint(2, 99))), "is signed for hold")


def from_the_future(case: Case) -> Forgery:
    at = ARRIVED + timedelta(minutes=6 + case.rng.randrange(10**4))
    return _forged(case, case.token(case.claims(at=at)), "in the future", *_NOT_SIGNED_THEN)


def before_the_review(case: Case) -> Forgery:
    at = NOON - timedelta(minutes=6 + case.rng.randrange(10**3))
    said = ("before this review began", "too long before it arrived")
    return _forged(case, case.token(case.claims(at=at)), *said)


_NOT_SIGNED_THEN = ("was not valid when dana signed",)


def another_statement(case: Case) -> Forgery:
    """The key signed, or the server attested, something other than a decision."""
    made = enrolment_claims(
        KeyAction.CONFIRM,
        "dana",
        MALLORY.public,
        by="dana",
        audience=case.run.audience,
        at=ARRIVED,
        token_id=f"enrolment-{case.rng.randrange(10**9)}",
    )
    token = login_token(made, WEB_KEY) if case.is_login else case.dana.token(made)
    return _forged(case, token, "not that of a decision")


def replay(case: Case) -> Forgery:
    return _forged(case, case.token(case.claims()), "used before", is_replay=True)


# ---- several approvals, one confirmation ----------------------------------------------------------


def _others(case: Case, count: int) -> list[Claims]:
    """Return the other approvals with the same confirmation: plans of other runs."""
    plans = [hashlib.sha256(f"{number}".encode()).hexdigest() for number in range(count)]
    return [case.claims(workflow_id=f"other-{plan[:8]}", fingerprint=plan) for plan in plans]


def _listed(case: Case, claims: Claims, digests: Sequence[object]) -> str:
    """Return a token with exactly this list, signed by Dana's passkey."""
    raw = json.dumps(digests, separators=(",", ":")).encode()
    head, body, tail = passkey_token(claims, case.dana.answer(hashlib.sha256(raw).digest())).split(".")
    return f"{head}.{body}.{encoded(raw)}.{tail}"


def _digest(claims: Claims) -> str:
    return challenge_of(claims).hex()


def batch_not_allowed(case: Case) -> Forgery:
    """Dana approves several plans with one confirmation, but this plan must be approved separately."""
    claims = case.claims()
    token = case.dana.batch_tokens([claims, *_others(case, case.rng.randint(1, 9))])[0]
    return _forged(case, token, "may not be approved together", "signed together")


def batch_of_another_length(case: Case) -> Forgery:
    claims = case.claims()
    others = _others(case, case.rng.choice([0, 10, 11, 40]))
    return _forged(case, case.dana.batch_tokens([claims, *others])[0], "to 10 as allowed")


def batch_without_this_one(case: Case) -> Forgery:
    """Dana's signature for other plans is combined with claims for this one."""
    others = sorted(map(_digest, _others(case, case.rng.randint(2, 10))))
    return _forged(case, _listed(case, case.claims(), others), "without this one")


def batch_with_one_twice(case: Case) -> Forgery:
    claims = case.claims()
    digests = sorted([_digest(claims), *map(_digest, _others(case, 3))])
    digests.insert(case.rng.randrange(4), case.rng.choice(digests))
    return _forged(case, _listed(case, claims, digests), "twice or is out of order")


def batch_out_of_order(case: Case) -> Forgery:
    claims = case.claims()
    digests = sorted([_digest(claims), *map(_digest, _others(case, 3))], reverse=True)
    return _forged(case, _listed(case, claims, digests), "twice or is out of order")


def batch_of_junk(case: Case) -> Forgery:
    claims = case.claims()
    own = _digest(claims)
    junk: list[object] = [
        "x", own.upper(), own[:-1], f"{own} ", None, 1, [own], {"digest": own}, "", "\u0430" * 64, "\n" + own,
    ]  # fmt: skip
    return _forged(case, _listed(case, claims, [own, case.rng.choice(junk)]), "cannot be read")


def batch_that_grew(case: Case) -> Forgery:
    """Dana signed some approvals, and the attacker adds this one to the list."""
    claims, others = case.claims(), _others(case, case.rng.randint(2, 9))
    answer = case.dana.answer(challenge_of_batch(others))
    return _forged(case, passkey_token(claims, answer, [claims, *others]), "does not match its claims")


def batch_as_one(case: Case) -> Forgery:
    """The list is removed from the token, or added to that of an approval that was signed alone."""
    claims = case.claims()
    batch = [claims, *_others(case, 2)]
    if case.rng.random() < 0.5:
        return _forged(
            case,
            passkey_token(claims, case.dana.answer(challenge_of_batch(batch))),
            "does not match its claims",
        )
    alone = case.dana.answer(challenge_of(claims))
    return _forged(case, passkey_token(claims, alone, batch), "does not match its claims")


def batch_of_another_person(case: Case) -> Forgery:
    """Mallory signs a list that contains Dana's approval, or Dana signs one that contains Mallory's."""
    if case.rng.random() < 0.5:
        token = MALLORY.batch_tokens([case.claims(), *_others(case, 2)])[0]
        public = case.rng.choice([MALLORY.public, case.dana.public])
        return _forged(case, token, *_MISMATCHES, public=public)
    claims = case.claims(by="mallory")
    token = case.dana.batch_tokens([claims, *_others(case, 2)])[0]
    said = ("not signed by a passkey of", "in the name of mallory", "in the name of dana")
    by = case.rng.choice(["dana", "mallory"])
    return _forged(case, token, *said, "is not one of mallory's", changes={"by": by}, by=by)


def batch_recorded_with_others(case: Case) -> Forgery:
    """Dana approved several plans together; the record has one plan, or a wrong number of plans."""
    claims = case.claims()
    token = case.dana.batch_tokens([claims, *_others(case, 2)])[0]
    said = ("with the wrong number of approvals", "may not be approved together", "signed together")
    return _forged(case, token, *said, batch=case.rng.choice([None, 2, 4]))


# ---- malformed tokens -----------------------------------------------------------------------------

_JUNK = (
    "",
    "x",
    "\x00",
    "\u0430",
    "{}",
    "[]",
    "null",
    "1",
    '"x"',
    "=",
    " ",
    "é",
    "\ud800".encode("utf-8", "replace").decode(),
)


def one_character(case: Case) -> Forgery:
    """One character of the signed content is changed; the credential id is not part of it."""
    token = case.token(case.claims())
    at = case.rng.randrange(len(token))
    other = case.rng.choice([one for one in "ABab01-_.=+/ \u0430" if one != token[at]])
    changed = token[:at] + other + token[at + 1 :]
    if _differs_only_in_credential_id(token, changed):
        changed = token[: at // 2]
    return _forged(case, changed, *_MALFORMED)


def _differs_only_in_credential_id(token: str, changed: str) -> bool:
    """Return whether the tokens differ only in the credential id."""
    try:
        one, other = read_passkey_token(token), read_passkey_token(changed)
    except ValueError:
        return False
    unnamed = {"credential_id": "x"}
    same = one.assertion.model_copy(update=unnamed) == other.assertion.model_copy(update=unnamed)
    return same and one.claims == other.claims


def cut_short(case: Case) -> Forgery:
    token = case.token(case.claims())
    return _forged(case, token[: case.rng.randrange(len(token))], *_MALFORMED)


def other_spelling(case: Case) -> Forgery:
    """The same token in another encoding: padding, whitespace, JSON with whitespace or duplicate names."""
    token = case.token(case.claims())
    head, body, tail = token.split(".")
    said = decoded(body)
    doubled = said.replace(b'"by":"dana"', b'"by":"erik","by":"dana"')
    spaced = json.dumps(json.loads(said)).encode()
    marked, blank = b"\xef\xbb\xbf" + said, said + b" "
    spellings = [
        f"{token}=", f" {token}", f"{token}\n", f"{head}.{body}=.{tail}", f"{head}.{body}..{tail}",
        f"{head}.{encoded(spaced)}.{tail}", f"{head}.{encoded(doubled)}.{tail}", f"{token}.{tail}",
        f"{head}.{encoded(marked)}.{tail}", token.upper(), token.swapcase(),
        f"{head}.{encoded(blank)}.{tail}", f"PASSKEY.{body}.{tail}", f"{body}.{tail}",
    ]  # fmt: skip
    return _forged(case, case.rng.choice(spellings), *_MALFORMED)


def junk_in_a_field(case: Case) -> Forgery:
    """One field of the assertion is invalid, missing, superfluous, or of another type."""
    claims = case.claims()
    good = case.dana.answer(challenge_of(claims)).model_dump()
    name = case.rng.choice([one for one in good if one != "credential_id"])
    junk: list[object] = [
        *_JUNK,
        None,
        1,
        [],
        {},
        good[name] + "=",
        good[name][:-2],
        encoded(case.rng.randbytes(64)),
    ]
    fields: dict[str, Any] = {**good, name: case.rng.choice(junk)}
    chosen = case.rng.randrange(4)
    if chosen == 0:
        del fields[name]
    elif chosen == 1:
        fields["user_handle"] = "x"
    said = json.dumps(fields, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    body = passkey_token(claims, Assertion(**good)).split(".")[1]
    return _forged(case, f"passkey.{body}.{encoded(said)}", *_MALFORMED)


def junk_in_the_claims(case: Case) -> Forgery:
    """The passkey signed claims of other types, or with other names; the challenge is correct."""
    said = case.claims().model_dump(mode="json")
    name = case.rng.choice(list(said))
    changes = case.rng.randrange(3)
    if changes == 0:
        del said[name]
    elif changes == 1:
        said["assurance"] = "signed"
    else:
        said[name] = case.rng.choice([None, [], {}, -1, 1.5, True, "\u200b", 2**40, "x" * 200])
    raw = json.dumps(said, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()
    made = case.dana.answer(hashlib.sha256(raw).digest()).model_dump()
    rest = json.dumps(made, separators=(",", ":"), sort_keys=True).encode()
    return _forged(case, f"passkey.{encoded(raw)}.{encoded(rest)}", *_MALFORMED)


def malformed_authenticator_data(case: Case) -> Forgery:
    """Signed by the passkey, but with data that is too short, or with invalid CBOR."""
    client = json.dumps(
        {
            "type": "webauthn.get",
            "challenge": encoded(challenge_of(claims := case.claims())),
            "origin": ORIGIN,
        }
    ).encode()
    head = hashlib.sha256(RP_ID.encode()).digest()
    data = case.rng.choice(
        [
            b"", head, head + b"\x05", head + b"\x05\x00\x00\x00", head + b"\x85\x00\x00\x00\x00\xff\xff",
            head + b"\x45\x00\x00\x00\x00" + b"\x00" * 18 + b"\xbf", head + b"\x05\x00\x00\x00\x00trailing",
            head + b"\x85\x00\x00\x00\x00" + b"\x9f" * 60, head + b"\x15\x00\x00\x00\x00",
            head + b"\x85\x00\x00\x00\x00" + b"\x81" * 2_900,
        ]
    )  # fmt: skip
    return _forged(case, passkey_token(claims, case.dana.sign_raw(client, data)), *_MALFORMED)


def malformed_client_data(case: Case) -> Forgery:
    challenge = encoded(challenge_of(claims := case.claims()))
    good = f'"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}"'
    said = case.rng.choice(
        [
            "", "{", "[]", "null", f"{{{good}", f'{{{good},"origin":"{ORIGIN}"}}',
            f'{{"challenge":"{challenge}","origin":"{ORIGIN}"}}',
            f'{{"type":"webauthn.get","origin":"{ORIGIN}"}}',
            f'{{"type":"webauthn.get","challenge":"{challenge}"}}', f'{{{good},"challenge":"AAAA"}}',
            f'{{"type":"webauthn.get","challenge":"{challenge}=","origin":"{ORIGIN}"}}',
            f'{{"type":"webauthn.get","challenge":["{challenge}"],"origin":"{ORIGIN}"}}',
            f'{{"type":"webauthn.get","challenge":"{challenge}","origin":["{ORIGIN}"]}}',
        ]
    )  # fmt: skip
    head = hashlib.sha256(RP_ID.encode()).digest() + b"\x05\x00\x00\x00\x00"
    return _forged(case, passkey_token(claims, case.dana.sign_raw(said.encode(), head)), *_MALFORMED)


# ---- logins ---------------------------------------------------------------------------------------


def login_by_another_key(case: Case) -> Forgery:
    own = case.rng.choice([DANA_KEY, MALLORY_KEY, STRANGER, OTHER_WEB_KEY, CAROL_KEY])
    public = public_of(own if case.rng.random() < 0.5 else WEB_KEY)
    return _forged(
        case,
        login_token(case.claims(), own),
        "not one of PLANGATE_WEB_KEYS",
        "does not match what was signed",
        public=public,
    )


def login_with_the_servers_key_id(case: Case) -> Forgery:
    """The header contains the id of the web server's key, but another key signed."""
    headers = {"kid": key_id(public_of(WEB_KEY)), "typ": LOGIN_TYPE}
    token = jwt.encode(case.claims().model_dump(mode="json"), STRANGER, "EdDSA", headers=headers)
    return _forged(case, token, "does not match what was signed")


def login_that_expired(case: Case) -> Forgery:
    at = ARRIVED - timedelta(seconds=601 + case.rng.randrange(10**4))
    return _forged(
        case, case.token(case.claims(at=at)), "too long before it arrived", "before this review began"
    )


def login_of_another_type(case: Case) -> Forgery:
    """The web server's key signs as if it were a person's, or without a login."""
    typ = case.rng.choice(["plangate-decision+jwt", "JWT", "plangate-stop+jwt", f"{LOGIN_TYPE} ", "login"])
    token = write_token(case.claims().model_dump(mode="json"), WEB_KEY, typ)
    return _forged(case, token, *_MISMATCHES, "of another kind", "its proof has only")


def login_by_another_algorithm(case: Case) -> Forgery:
    claims = case.claims().model_dump(mode="json")
    body = encoded(json.dumps(claims, separators=(",", ":")).encode())
    alg = case.rng.choice(["none", "HS256", "ES256", "RS256", "eddsa", ""])
    header = encoded(json.dumps({"alg": alg, "kid": key_id(public_of(WEB_KEY)), "typ": LOGIN_TYPE}).encode())
    secret = decoded(public_of(WEB_KEY))
    digest = hmac.digest(secret, f"{header}.{body}".encode(), "sha512")
    tail = case.rng.choice(["", encoded(digest), encoded(digest[:32])])
    return _forged(case, f"{header}.{body}.{tail}", *_MALFORMED)


def raw_assurance(case: Case) -> Forgery:
    """The message itself claims an assurance."""
    name = case.rng.choice(["assurance", "approver", "key_id", "public_key", "verified", "origin"])
    said = ("unknown field", "at least a login", "has no signature", "takes signed", "not permitted", name)
    one = case.run.decision()
    proof = Assurance.LOGIN if case.is_login else Assurance.SIGNED
    return Forgery(
        kind="", decision=one, said=said, raw={name: proof.value}, assurance=proof,
        public=public_of(WEB_KEY) if case.is_login else case.dana.public,
    )  # fmt: skip


def login_as_signature(case: Case) -> Forgery:
    """A login is recorded as a signature by the web server's key, where a signature is required."""
    token = login_token(case.claims(), WEB_KEY)
    said = ("takes signed decisions only", "takes signed resolutions only", "its proof has only the")
    return _forged(case, token, *said, public=public_of(WEB_KEY), assurance=Assurance.SIGNED)


def signature_as_login(case: Case) -> Forgery:
    """A signature with the attacker's key is recorded as a login."""
    own = case.rng.choice([MALLORY_KEY, STRANGER])
    token = write_token(case.claims().model_dump(mode="json"), own, "plangate-decision+jwt")
    return _forged(case, token, *_MISMATCHES, "its proof has only", public=public_of(own))


# ---- keys that a web server or the database added -------------------------------------------------


def _added(case: Case, statement: KeyStatement, *said: str) -> Forgery:
    """Gina, who has no key, decides with the attacker's passkey, added by a forged change of keys."""
    own = passkey("mallory's for gina")
    claims = case.claims(case.run.decision().model_copy(update={"by": "gina"}))
    return _forged(
        case, own.token(claims), "not signed by a passkey of gina", *said, changes={"by": "gina"}, by="gina",
        public=own.public, statements=(statement,),
    )  # fmt: skip


def _enrolment(case: Case, **changes: Any) -> EnrolmentClaims:
    made = enrolment_claims(
        KeyAction.CONFIRM,
        "gina",
        passkey("mallory's for gina").public,
        by="carol",
        audience=case.run.audience,
        at=ARRIVED - timedelta(minutes=5),
        token_id=f"enrolment-{case.rng.randrange(10**9)}",
    )
    return made.model_copy(update=changes)


def _stated(claims: EnrolmentClaims, key: Ed25519PrivateKey) -> KeyStatement:
    token = write_token(claims.model_dump(mode="json"), key, ENROLMENT_TYPE)
    return KeyStatement(token=token, public=passkey("mallory's for gina").public)


def key_added_by_no_enroller(case: Case) -> Forgery:
    signer, name = case.rng.choice(
        [
            (MALLORY_KEY, "carol"),
            (MALLORY_KEY, "mallory"),
            (WEB_KEY, "carol"),
            (STRANGER, "carol"),
            (DANA_KEY, "dana"),
        ]
    )
    statement = _stated(_enrolment(case, by=name), signer)
    return _added(case, statement, "not signed with a valid key of anyone", "may not enroll others")


def key_added_with_an_ended_key(case: Case) -> Forgery:
    return _added(case, _stated(_enrolment(case), OLD_CAROL), "not signed with a valid key of anyone")


def key_exchanged(case: Case) -> Forgery:
    """Carol confirmed another key; the attacker adds their own key to the token."""
    other = _enrolment(case, key_id=thumbprint_of(GINA.public))
    return _added(case, _stated(other, CAROL_KEY), "is not the one that carol confirmed")


def key_of_another_person(case: Case) -> Forgery:
    """Carol confirmed the key for Mallory, and the attacker decides as Gina."""
    return _added(case, _stated(_enrolment(case, person="mallory"), CAROL_KEY), "is not one of gina's")


def key_of_another_installation(case: Case) -> Forgery:
    claims = _enrolment(case, aud=str(Audience(installation="ab" * 16, namespace="default")))
    return _added(case, _stated(claims, CAROL_KEY), "enrolled for another installation")


def key_by_login(case: Case) -> Forgery:
    token = login_token(_enrolment(case), WEB_KEY)
    statement = KeyStatement(token=token, public=passkey("mallory's for gina").public)
    return _added(case, statement, "not signed with a valid key of anyone")


def key_by_a_passkey_for_something_else(case: Case) -> Forgery:
    """A decision signed with a passkey is used as the confirmation."""
    token = ERIK.token(case.claims(by="erik"))
    statement = KeyStatement(token=token, public=passkey("mallory's for gina").public)
    return _added(case, statement, "not signed with a valid key of anyone")


def key_by_a_misused_passkey(case: Case) -> Forgery:
    """Carol's passkey was used on another site, without Carol or for another key, or is not Carol's."""
    claims = _enrolment(case)
    others = _enrolment(case, key_id=thumbprint_of(GINA.public))
    ceremonies = [
        CAROL.answer(challenge_of(claims), origin="https://evil.example.org"),
        CAROL.answer(challenge_of(claims), rp_id="evil.example.org"),
        CAROL.answer(challenge_of(claims), flags=0x01),
        CAROL.answer(challenge_of(claims), kind="webauthn.create"),
        CAROL.answer(challenge_of(others)),
        CAROL.answer(challenge_of(case.claims(by="carol"))),
        MALLORY.answer(challenge_of(claims)),
    ]
    token = passkey_token(claims, case.rng.choice(ceremonies))
    statement = KeyStatement(token=token, public=passkey("mallory's for gina").public)
    return _added(case, statement, "not signed with a valid key of anyone")


def key_exchanged_behind_a_passkey(case: Case) -> Forgery:
    """Carol confirmed another key on a page; the attacker adds their own key to the token."""
    token = CAROL.token(_enrolment(case, key_id=thumbprint_of(GINA.public)))
    statement = KeyStatement(token=token, public=passkey("mallory's for gina").public)
    return _added(case, statement, "is not the one that carol confirmed")


def key_by_passkey_of_another_installation(case: Case) -> Forgery:
    claims = _enrolment(case, aud=str(Audience(installation="ab" * 16, namespace="default")))
    statement = KeyStatement(token=CAROL.token(claims), public=passkey("mallory's for gina").public)
    return _added(case, statement, "enrolled for another installation")


def revocation_as_confirmation(case: Case) -> Forgery:
    claims = _enrolment(case, action=KeyAction.REVOKE)
    return _added(case, _stated(claims, CAROL_KEY), "is not one of gina's")


def key_by_junk(case: Case) -> Forgery:
    token = _stated(_enrolment(case), CAROL_KEY).token
    junk = [token[:-3], token.swapcase(), "", "a.b.c", f"passkey.{token}", token + "A"]
    statement = KeyStatement(token=case.rng.choice(junk), public=passkey("mallory's for gina").public)
    return _added(case, statement, "not signed with a valid key of anyone")


# ---- roles that were not delegated ----------------------------------------------------------------


def role_not_delegated(case: Case) -> Forgery:
    """Mallory proves their identity, but acts in the name of Dana, who has not delegated any role."""
    claims = case.claims(case.run.decision().model_copy(update={"by": "mallory"}))
    lent = PersonRoles(person="dana", roles=("finance", ANYONE))
    own = PersonRoles(person="mallory", roles=("finance", ANYONE))
    standings = case.rng.choice([(PersonRoles(person="mallory", roles=(ANYONE,)), lent), (own,)])
    said = (
        "has no role that can decide", "may not resolve", "does not have the role",
        "has not authorized mallory", "has no approval of this plan",
    )  # fmt: skip
    return _forged(
        case, MALLORY.token(claims), *said, changes={"by": "mallory"}, by="mallory",
        public=MALLORY.public, standings=standings,
    )  # fmt: skip


OF_PASSKEYS: tuple[Attack, ...] = (
    other_challenge, challenge_of_other_claims, other_origin, other_rp_id, without_user_verification,
    without_user_presence, other_ceremony, other_passkey, key_not_valid, signed_before_the_key_ended,
    other_algorithm, junk_in_a_field, junk_in_the_claims, malformed_authenticator_data, malformed_client_data,
    login_as_signature,
)  # fmt: skip
OF_LOGINS: tuple[Attack, ...] = (
    login_by_another_key, login_with_the_servers_key_id, login_that_expired, login_of_another_type,
    login_by_another_algorithm, signature_as_login,
)  # fmt: skip
OF_BOTH: tuple[Attack, ...] = (
    another_persons_decision, other_run, other_installation, other_plan, other_choice, other_comment,
    other_new_plan, swapped_new_plan, from_the_future, before_the_review, another_statement, one_character,
    cut_short, other_spelling, raw_assurance, replay,
)  # fmt: skip
OF_RESOLUTIONS: tuple[Attack, ...] = (other_step, other_resolution, other_hold)
OF_KEYS: tuple[Attack, ...] = (
    key_added_by_no_enroller, key_added_with_an_ended_key, key_exchanged, key_of_another_person,
    key_of_another_installation, key_by_login, key_by_a_passkey_for_something_else,
    key_by_a_misused_passkey, key_exchanged_behind_a_passkey, key_by_passkey_of_another_installation,
    revocation_as_confirmation, key_by_junk,
)  # fmt: skip
OF_ROLES: tuple[Attack, ...] = (role_not_delegated,)
OF_LISTS: tuple[Attack, ...] = (
    batch_of_another_length, batch_without_this_one, batch_with_one_twice, batch_out_of_order, batch_of_junk,
    batch_that_grew, batch_as_one, batch_of_another_person,
)  # fmt: skip
"""The forgeries of approvals of plans that may be approved together with others."""
OF_BATCHES: tuple[Attack, ...] = (batch_not_allowed, batch_recorded_with_others)
EVERY = (*OF_PASSKEYS, *OF_LISTS, *OF_BATCHES, *OF_LOGINS, *OF_BOTH, *OF_RESOLUTIONS, *OF_KEYS, *OF_ROLES)
