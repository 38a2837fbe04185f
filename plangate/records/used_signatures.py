"""Record used decision tokens: each token is valid only for the message that used it first."""

from typing import Final

from sqlalchemy import bindparam, insert, select

from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Approver, Identified
from plangate.records.prepared_statements import Prepared
from plangate.records.tables import tokens
from plangate.records.trail import OpenTrail

_USED_BEFORE: Final = "this signed decision was used before; sign a new one"
_NO_PROOF: Final = {
    "assurance": Assurance.TYPED,
    "key_id": None,
    "public_key": None,
    "signed_at": None,
    "token_id": None,
    "origin": None,
    "batch": None,
}
_FIND: Final = Prepared(select(tokens).where(tokens.c.token_id == bindparam("token")))
_USE: Final = Prepared(insert(tokens))


def use_token(trail: OpenTrail, arrival_key: str, sender: Identified) -> Identified:
    """Return ``sender``, with an objection if another message has used this signed decision.

    Ids are stored per signing key, so one person cannot use up another person's ids.
    """
    approver = sender.approver
    token = name_of_token(approver) if approver else None
    if approver is None or token is None:
        return sender
    found = _FIND(trail.connection, {"token": token}).one_or_none()
    if found is None:
        _USE(
            trail.connection,
            {"token_id": token, "workflow_id": trail.workflow_id, "arrival_key": arrival_key},
        )
        return sender
    if (found.workflow_id, found.arrival_key) == (trail.workflow_id, arrival_key):
        return sender
    unproven = approver.model_copy(update=_NO_PROOF)  # the sender of a copy need not be the signer
    return Identified(approver=unproven, objection=_USED_BEFORE)


def name_of_token(approver: Approver) -> str | None:
    """Return the unique name of a decision's token, or None if its sender is only a typed name."""
    if approver.token_id is None or approver.key_id is None:
        return None
    return f"{approver.key_id}:{approver.token_id}"
