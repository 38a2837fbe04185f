"""Record an accepted or refused request about a key on the rules trail."""

from collections.abc import Callable

from sqlalchemy import Connection

from plangate.domain.decisions.key_requests import KeyDecided, KeyRequestArrival
from plangate.domain.people.people import Identified
from plangate.domain.runs.audit import RULES_TRAIL
from plangate.records.key_statements import statements_on
from plangate.records.rule_texts import times_before
from plangate.records.tables import NOW
from plangate.records.trail import Note, open_own_trail
from plangate.records.used_signatures import use_token
from plangate.signing.enrolment import KeyStatement


def record_key_request(
    connection: Connection,
    arrival: KeyRequestArrival,
    sender: Identified,
    known: tuple[KeyStatement, ...],
    judge: Callable[[Identified], KeyDecided],
) -> KeyDecided | None:
    """Record a request about a key with the result of ``judge``, unless it is already recorded; return it.

    Return None, and write nothing, if the recorded changes differ from the ``known`` ones that were used to
    identify the sender.

    Raises:
        TrailDamaged: the rules trail was changed.
    """
    actor = arrival.actor(sender.approver)
    now = connection.execute(NOW).scalar_one()
    trail = open_own_trail(connection, RULES_TRAIL, actor, now)
    trail.check()
    recorded = trail.find([arrival.key]).get(arrival.key)
    if recorded is not None and isinstance(recorded.event, KeyDecided):
        return recorded.event
    if statements_on(trail.entries()) != known:
        return None
    event = judge(use_token(trail, arrival.key, sender))
    at = max([now, *times_before(connection, trail)])
    trail.append(Note(key=arrival.key, at=at, actor=actor, event=event))
    return event
