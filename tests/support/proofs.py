"""People with passkeys, an enroller, and a web server that attests logins, with their signatures."""

import secrets
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.decisions.key_requests import KeyAction, KeyRequest
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.domain.plans.plan import Audience
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.signing.decisions import Subject, claims_for, sign
from plangate.signing.enrolment import enrolment_claims, signed_key_request
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from plangate.signing.logins import login_token
from plangate.signing.public_keys import thumbprint_of
from tests.support.authenticator import ORIGIN, Passkey, passkey

WEB_KEY, OTHER_WEB_KEY, CAROL_KEY, DANA_KEY, MALLORY_KEY = (
    Ed25519PrivateKey.from_private_bytes(name.ljust(32))
    for name in (b"web", b"other web", b"carol", b"dana", b"mallory")
)
WEB = TrustedWeb(origins=frozenset({ORIGIN}), keys=frozenset({public_of(WEB_KEY)}))
WEB_SETTINGS = {"web_url": ORIGIN, "web_keys": (PUBLIC_PREFIX + public_of(WEB_KEY),)}
DANA, ERIK, GINA, MALLORY = (passkey(name) for name in ("dana", "erik", "gina", "mallory"))


def line_of(key: Ed25519PrivateKey | Passkey, more: str = "") -> str:
    public = key.public if isinstance(key, Passkey) else PUBLIC_PREFIX + public_of(key)
    return f'{{ public = "{public}"{more} }}'


def people_text(*, dana_keys: str = "") -> str:
    """Return a list: Dana and Erik have passkeys, Carol is an enroller, Gina has no key, Mallory no role."""
    dana_keys = dana_keys or f"{line_of(DANA)}, {line_of(DANA_KEY)}"
    return f"""
[[person]]
name = "rita"
[[person]]
name = "dana"
roles = ["finance"]
keys = [{dana_keys}]
delegates = [{{ to = "erik", roles = ["finance"], until = 2099-01-01 }}]
[[person]]
name = "erik"
roles = ["ops"]
keys = [{line_of(ERIK)}]
[[person]]
name = "gina"
roles = ["finance"]
[[person]]
name = "carol"
enroller = true
keys = [{line_of(CAROL_KEY)}]
[[person]]
name = "mallory"
keys = [{line_of(MALLORY_KEY)}, {line_of(MALLORY)}]
"""


def subject_of(status: Status) -> Subject:
    audience = Audience(installation=status.installation or "", namespace=status.namespace or "")
    return Subject(workflow_id=status.workflow_id, fingerprint=status.fingerprint or "", audience=audience)


def proven(
    decision: Decision,
    subject: Subject,
    by: Passkey | Ed25519PrivateKey,
    how: Assurance = Assurance.SIGNED,
    *,
    at: datetime | None = None,
    token_id: str = "",
    **ceremony: Any,
) -> Decision:
    """Return a decision on exactly the plan in ``subject``, with the token of a key, passkey or login."""
    exact = decision.model_copy(update={"plan": subject.fingerprint})
    claims = claims_for(exact, subject, at=at or now(), token_id=token_id or secrets.token_urlsafe(16))
    if isinstance(by, Passkey):
        token = by.token(claims, **ceremony)
    else:
        token = login_token(claims, by) if how is Assurance.LOGIN else sign(claims, by)
    return exact.model_copy(update={"signature": token})


def approval(
    status: Status,
    by: str,
    key: Passkey | Ed25519PrivateKey,
    how: Assurance = Assurance.SIGNED,
    **more: Any,
) -> Decision:
    said = Decision(decision=Choice.APPROVE, by=by, plan=status.fingerprint or "")
    return proven(said, subject_of(status), key, how, **more)


def key_request(
    action: str,
    person: str,
    key: str,
    audience: Audience,
    *,
    by: str = "carol",
    signer: Ed25519PrivateKey | Passkey = CAROL_KEY,
    at: datetime | None = None,
) -> KeyRequest:
    """Return a request about a key, signed with a command-line key or with a passkey."""
    named = thumbprint_of(key) if action == KeyAction.REVOKE else key
    claims = enrolment_claims(
        KeyAction(action),
        person,
        named,
        by=by,
        audience=audience,
        at=at or now(),
        token_id=secrets.token_urlsafe(16),
    )
    if isinstance(signer, Passkey):
        return KeyRequest(
            action=claims.action, person=person, key=named, by=by, signature=signer.token(claims)
        )
    return signed_key_request(claims, named, signer)
