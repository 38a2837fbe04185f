"""Arrivals with their senders, known by nothing but the names that they typed."""

from collections.abc import Iterable

from plangate.domain.decision import Arrival
from plangate.domain.people import Identified, People, identify

Sent = tuple[Arrival, Identified]


def sent(arrivals: Iterable[Arrival], people: People | None = None) -> list[Sent]:
    return [(arrival, sender_of(arrival, people)) for arrival in arrivals]


def sender_of(arrival: Arrival, people: People | None = None) -> Identified:
    if arrival.decision is None:
        return Identified()
    return identify(people, arrival.decision.by, arrival.received_at)
