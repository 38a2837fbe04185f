"""Create and use the web server's own key, which attests the decisions of people who are logged in.

It is created at the first start. Workers accept its attestations if PLANGATE_WEB_KEYS contains the public
key. It proves only this server's claims, and cannot forge a person's signature.
"""

import secrets
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.decisions.decision import Decision
from plangate.domain.errors import Refused, SettingsInvalid
from plangate.domain.people.assurance import Assurance
from plangate.domain.runs.status import Status
from plangate.files.private_files import make_private_folder
from plangate.signing.decisions import claims_for, subject_of
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from plangate.signing.key_files import host_key
from plangate.signing.logins import login_token
from plangate.web.sessions import Session

_ID_BYTES = 16


def web_key(path: Path) -> Ed25519PrivateKey:
    """Return the key of this host's web server; create it if it is missing.

    Raises:
        SettingsInvalid: the file cannot be read or created, or is not an Ed25519 key without a passphrase.
    """
    try:
        make_private_folder(path.parent)
        return host_key(path)
    except OSError as error:
        raise SettingsInvalid(
            f"The inbox's key {path} cannot be read or created: {error.strerror}; set PLANGATE_VAR_DIR."
        ) from None
    except (ValueError, TypeError):
        raise SettingsInvalid(
            f"{path} is not an Ed25519 key without a passphrase; move it away, and the inbox creates one."
        ) from None


def public_line(key: Ed25519PrivateKey) -> str:
    """Return the public key, in the format of PLANGATE_WEB_KEYS."""
    return PUBLIC_PREFIX + public_of(key)


def attested(
    decision: Decision, status: Status, session: Session, key: Ed25519PrivateKey, now: datetime
) -> Decision:
    """Return the decision with the proof of this session: a login is attested, a typed name is not.

    A decision that is already signed, for example with a passkey, is returned unchanged.

    Raises:
        Refused: there is no plan yet, the decision does not contain its whole fingerprint, or the new plan of
            an edit cannot be attested.
    """
    if session.assurance is not Assurance.LOGIN or decision.signature is not None:
        return decision
    subject = subject_of(status)
    if subject is None:
        raise Refused("There is no plan to decide on yet; open the run again in a moment.")
    if decision.plan != subject.fingerprint:  # another plan may begin with the same digits
        raise Refused("The decision does not have the whole fingerprint of the plan in review.")
    try:
        claims = claims_for(decision, subject, at=now, token_id=secrets.token_urlsafe(_ID_BYTES))
    except ValueError:
        raise Refused("The new plan cannot be attested: it has no canonical form; edit it again.") from None
    return decision.model_copy(update={"signature": login_token(claims, key)})
