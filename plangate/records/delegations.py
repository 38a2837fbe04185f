"""Record an accepted or refused request on the delegation trail."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from plangate.domain.decisions.delegations import DelegationArrival, DelegationDecided
from plangate.domain.people.people import Identified
from plangate.domain.runs.audit import DELEGATIONS_TRAIL
from plangate.records.delegation_trail import decisions_in
from plangate.records.rule_texts import times_before
from plangate.records.tables import NOW
from plangate.records.trail import Note, open_own_trail
from plangate.records.used_signatures import use_token

Judge = Callable[[Sequence[DelegationDecided], Identified], DelegationDecided]


def record_delegation(
    connection: Connection, arrival: DelegationArrival, sender: Identified, judge: Judge
) -> DelegationDecided:
    """Record a request with the result of ``judge``, unless it is already recorded; return it.

    Raises:
        TrailDamaged: the delegation trail was changed.
    """
    actor = arrival.actor(sender.approver)
    now = connection.execute(NOW).scalar_one()
    trail = open_own_trail(connection, DELEGATIONS_TRAIL, actor, now)
    trail.check()
    known = trail.find([arrival.key]).get(arrival.key)
    if known is not None and isinstance(known.event, DelegationDecided):
        return known.event
    event = judge(decisions_in(trail.entries()), use_token(trail, arrival.key, sender))
    at = max([now, *times_before(connection, trail)])
    trail.append(Note(key=arrival.key, at=at, actor=actor, event=event))
    return event
