"""Messages with their senders, identified only by typed names."""

from collections.abc import Iterable

from plangate.domain.decisions.decision import Arrival
from plangate.domain.people.people import Identified, People, identify
from plangate.domain.runs.audit import Decided
from plangate.domain.runs.fold import apply
from plangate.domain.runs.review import judge
from plangate.domain.runs.run import RunState

Sent = tuple[Arrival, Identified]


def sent(arrivals: Iterable[Arrival], people: People | None = None) -> list[Sent]:
    return [(arrival, sender_of(arrival, people)) for arrival in arrivals]


def sender_of(arrival: Arrival, people: People | None = None) -> Identified:
    if arrival.decision is None:
        return Identified()
    return identify(people, arrival.decision.by, arrival.received_at)


def judge_all(state: RunState, arrivals: Iterable[Sent]) -> list[Decided]:
    """Return each decision with its result; each is checked after the previous ones are applied."""
    decided: list[Decided] = []
    for arrival, sender in arrivals:
        decided.append(judge(state, arrival, sender))
        state = apply(state, decided[-1])
    return decided
