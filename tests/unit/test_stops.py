"""Requests to stop and release, checked and applied, compared with a simple model."""

from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from plangate.domain.errors import FileInvalid
from plangate.domain.people.people import Identified, identify
from plangate.domain.runs.stops import (
    ActiveStops,
    Release,
    StopContext,
    StopRequestArrival,
    StopRules,
    apply,
    judge,
    read_stop_request,
    shown,
)
from plangate.policy.people_file import people_in
from plangate.policy.policy_file import policy_in
from tests.support.build import NOON

NAMES = ("ann", "ben", "cid", "eve")  # Eve is not on the list
TOOLS = ("mail", "pay")
PEOPLE = people_in("".join(f'[[person]]\nname = "{name}"\n' for name in NAMES[:3]))
RULES = StopRules()


class NaiveStops:
    """A simple model of the stops: for each tool, the stop's number and the people who have released it."""

    def __init__(self) -> None:
        self.numbers = 0
        self.stops: dict[str | None, tuple[int, str, list[str]]] = {}

    def accepts(self, action: str, by: str, tool: str | None, number: int | None) -> bool:
        if by == "eve" or (action == "stop" and tool == "fly"):
            return False
        stop = self.stops.get(tool)
        if action == "stop":
            if stop and stop[1] == by and not stop[2]:
                return False
            self.numbers += 1
            self.stops[tool] = (self.numbers, by, [])
            return True
        if stop is None or stop[0] != number or by in stop[2]:
            return False
        stop[2].append(by)
        if len(stop[2]) == 2:
            del self.stops[tool]
        return True

    def is_stopped(self, tool: str) -> bool:
        return None in self.stops or tool in self.stops


def judging(release: Release | None = None) -> StopContext:
    return StopContext(
        rules=RULES, release=release or RULES.release(PEOPLE), tools=TOOLS, at=NOON, people=PEOPLE.hash
    )


def arrived(number: int, **message: object) -> StopRequestArrival:
    return read_stop_request(key=f"k{number}", inputs=[message], received_at=NOON + timedelta(seconds=number))


def sender(arrival: StopRequestArrival) -> Identified:
    return identify(PEOPLE, arrival.order.by, NOON) if arrival.order else Identified()


@pytest.mark.parametrize("seed", range(40))
def test_random_requests_have_the_results_and_effects_of_the_simple_model(seed: int) -> None:
    rng, naive, stops = Random(seed), NaiveStops(), ActiveStops()
    for index in range(60):
        action, by = rng.choice(("stop", "go", "go")), rng.choice(NAMES)
        tool = rng.choice((None, *TOOLS, "fly"))
        active = stops.on(tool)
        guess = rng.randint(1, naive.numbers + 1)
        number = (active.number if active and rng.random() < 0.8 else guess) if action == "go" else None
        message = {"action": action, "by": by, "reason": "r", "tool": tool, "stop": number}
        arrival = arrived(index, **{name: value for name, value in message.items() if value is not None})
        decided = judge(stops, arrival, sender(arrival), judging())
        stops = apply(stops, decided)
        assert decided.verdict.accepted == naive.accepts(action, by, tool, number), (seed, index, decided)
        assert {name: stops.of(name) is not None for name in TOOLS} == {
            name: naive.is_stopped(name) for name in TOOLS
        }
        assert {one.tool: one.number for one in stops.active} == {
            scope: stop[0] for scope, stop in naive.stops.items()
        }


def test_one_person_who_acts_for_two_counts_once_for_a_release() -> None:
    people = people_in(
        '[[person]]\nname = "ann"\nroles = ["ops"]\n'
        'delegates = [{ to = "ben", roles = ["ops"] }]\n[[person]]\nname = "ben"\nroles = ["ops"]\n'
    )
    release = policy_in('[go]\nneeds = [{ role = "ops", count = 2 }]\n').stop_rules.release(people)
    (ann, ben) = (identify(people, name, NOON).approver for name in ("ann", "ben"))
    assert ann
    assert ben
    assert not release.is_met_by([ben])
    assert release.is_met_by([ann, ben])


def test_a_release_by_a_person_with_two_roles_leaves_a_choice() -> None:
    people = people_in(
        "".join(
            f'[[person]]\nname = "{name}"\nroles = {roles}\n'
            for name, roles in (("ann", '["ops", "security"]'), ("ben", '["ops"]'))
        )
    )
    needs = '[{ role = "ops" }, { role = "security" }]'
    by = replace(
        judging(policy_in(f"[go]\nneeds = {needs}\n").stop_rules.release(people)), people=people.hash
    )
    stops = ActiveStops()
    told = []
    requests = (
        arrived(1, action="stop", by="ann", reason="r"),
        arrived(2, action="go", by="ann", stop=1),
    )
    for arrival in requests:
        decided = judge(stops, arrival, identify(people, "ann", NOON), by)
        stops = apply(stops, decided)
        told.append(decided.verdict.reason)
    assert (
        told[1]
        == "ann's release is recorded; 1 more person with the role ops or security must release it too"
    )
    assert [one.still_needed for one in shown(stops)] == ["1 more person with the role ops or security"]


def test_the_default_never_requires_more_people_than_are_active() -> None:
    left = people_in('[[person]]\nname = "ann"\n[[person]]\nname = "ben"\nactive = false\n')
    assert [RULES.release(people).needs[0].count for people in (PEOPLE, left, None)] == [2, 1, 1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[stop]\nroles = []\n", "[stop]: roles"),
        ("[go]\nneeds = []\n", "[go]: needs"),
        ('[go]\nneeds = [{ role = "ops", count = 0 }]\n', "[go]: needs"),
        ('[stop]\nby = "ann"\n', "[stop]: by: unknown field"),
        ('[go]\nneeds = [{ role = "ops" }]\nassurance = "sworn"\n', "[go]: assurance"),
    ],
)
def test_an_invalid_rule_is_an_error_with_its_location(text: str, said: str) -> None:
    with pytest.raises(FileInvalid) as caught:
        policy_in(text)
    assert said.rsplit(": ", maxsplit=1)[-1] in str(caught.value)


def test_a_release_needs_at_least_the_default_assurance_of_the_policy() -> None:
    signed = '[default]\nneeds = [{ role = "anyone" }]\nassurance = "signed"\n'
    assert policy_in(signed).stop_rules.release(PEOPLE).assurance.value == "signed"
    typed = policy_in(signed + '[go]\nneeds = [{ role = "anyone" }]\nassurance = "typed"\n')
    assert typed.stop_rules.release(PEOPLE).assurance.value == "typed"
