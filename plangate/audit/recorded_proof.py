"""Verify a recorded token again, and compare it with the record of its sender."""

from datetime import datetime

from plangate.domain.people.people import Approver
from plangate.domain.people.trusted_web import TrustedWeb
from plangate.domain.runs.review import CLOCK_LEEWAY
from plangate.signing.logins import is_expired
from plangate.signing.public_keys import thumbprint_of
from plangate.signing.tokens import Kind, Signed, Statement, verified


class UsedTokens:
    """The tokens used so far: for each, the key's thumbprint and the id that the signer chose."""

    def __init__(self) -> None:
        self._used: set[tuple[str | None, str | None]] = set()

    def use(self, approver: Approver) -> str | None:
        """Add the sender's token; return an error if it was used before."""
        token = (approver.key_id, approver.token_id)
        if token in self._used:
            return "its signature was used before"
        self._used.add(token)
        return None


def recorded_claims(
    token: str | None,
    approver: Approver,
    received_at: datetime,
    statement: Statement[Signed],
    web: TrustedWeb,
) -> Signed:
    """Return the claims of a token if it proves that the recorded sender sent it.

    Args:
        token: as recorded.
        approver: the sender as recorded.
        received_at: when it was received, as recorded.
        statement: the kind of statement that the token must contain.
        web: the trusted web servers.

    Raises:
        ValueError: the token does not prove who sent it; the message explains why.
    """
    if token is None or approver.public_key is None:
        raise ValueError("has no signature")
    if thumbprint_of(approver.public_key) != approver.key_id:
        raise ValueError("was recorded with a key other than the one it was checked with")
    proof = verified(token, approver.public_key, statement, web)
    if proof.kind.assurance is not approver.assurance:
        raise ValueError(f"its proof has only the assurance {proof.kind.assurance}")
    if (proof.claims.jti, proof.claims.signed_at) != (approver.token_id, approver.signed_at):
        raise ValueError("was recorded with a time or id other than the signed one")
    if proof.origin != approver.origin:
        raise ValueError("was recorded with a different site than the one where its passkey was used")
    if proof.batch != approver.batch:
        raise ValueError("was recorded with the wrong number of approvals that were signed together")
    if proof.claims.signed_at > received_at + CLOCK_LEEWAY:
        raise ValueError("its signature is dated in the future")
    if proof.kind is Kind.LOGIN and is_expired(proof.claims.signed_at, received_at):
        raise ValueError("its login was attested too long before it arrived")
    return proof.claims
