"""Signed decisions that were used: each counts for the arrival that brought it first, and no other."""

from typing import Final

from sqlalchemy import bindparam, insert, select

from plangate.domain.decision import Arrival
from plangate.domain.people import Identified
from plangate.records.tables import tokens
from plangate.records.trail import OpenTrail

_FIND: Final = select(tokens).where(tokens.c.token_id == bindparam("token"))
_USE: Final = insert(tokens)


def use_token(trail: OpenTrail, arrival: Arrival, sender: Identified) -> Identified:
    """Return ``sender``, or the objection that what she signed was brought by another arrival before.

    The id is the signer's own choice, hence it is hers alone: nobody can use up what somebody else signs.
    """
    approver = sender.approver
    if approver is None or approver.token_id is None or approver.key_id is None:
        return sender
    token = f"{approver.key_id}:{approver.token_id}"
    found = trail.connection.execute(_FIND, {"token": token}).one_or_none()
    if found is None:
        trail.connection.execute(
            _USE, {"token_id": token, "workflow_id": trail.workflow_id, "arrival_key": arrival.key}
        )
        return sender
    if (found.workflow_id, found.arrival_key) == (trail.workflow_id, arrival.key):
        return sender
    return sender.model_copy(update={"objection": "this signed decision was used before; sign a new one"})
