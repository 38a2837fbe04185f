"""Signed decisions that were used: each counts for the arrival that brought it first, and no other."""

from typing import Final

from sqlalchemy import bindparam, insert, select

from plangate.domain.assurance import Assurance
from plangate.domain.decision import Arrival
from plangate.domain.people import Approver, Identified
from plangate.records.prepared import Prepared
from plangate.records.tables import tokens
from plangate.records.trail import OpenTrail

_USED_BEFORE: Final = "this signed decision was used before; sign a new one"
_NO_PROOF: Final = {
    "assurance": Assurance.TYPED,
    "key_id": None,
    "public_key": None,
    "signed_at": None,
    "token_id": None,
}
_FIND: Final = Prepared(select(tokens).where(tokens.c.token_id == bindparam("token")))
_USE: Final = Prepared(insert(tokens))


def use_token(trail: OpenTrail, arrival: Arrival, sender: Identified) -> Identified:
    """Return ``sender``, or the objection that what she signed was brought by another arrival before.

    The id is the signer's own choice, hence it is hers alone: nobody can use up what somebody else signs.
    """
    approver = sender.approver
    token = name_of_token(approver) if approver else None
    if approver is None or token is None:
        return sender
    found = _FIND(trail.connection, {"token": token}).one_or_none()
    if found is None:
        _USE(
            trail.connection,
            {"token_id": token, "workflow_id": trail.workflow_id, "arrival_key": arrival.key},
        )
        return sender
    if (found.workflow_id, found.arrival_key) == (trail.workflow_id, arrival.key):
        return sender
    unproven = approver.model_copy(update=_NO_PROOF)  # whoever sends it again need not be who signed it
    return Identified(approver=unproven, objection=_USED_BEFORE)


def name_of_token(approver: Approver) -> str | None:
    """Return what a signed decision is known by, or None if nothing was signed."""
    if approver.token_id is None or approver.key_id is None:
        return None
    return f"{approver.key_id}:{approver.token_id}"
