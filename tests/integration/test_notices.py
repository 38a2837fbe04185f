"""Each person is told once for each event, whatever process tells them."""

from datetime import timedelta

import pytest

from plangate.domain.audit import Outcome
from plangate.domain.decision import Choice
from plangate.records.database import Database
from plangate.records.notifier_turn import HELD_FOR
from tests.support.notices import PEOPLE, PostOffice, Telling, closed, decided


@pytest.fixture
def post() -> PostOffice:
    return PostOffice()


@pytest.fixture
def telling(database: Database, post: PostOffice) -> Telling:
    return Telling(database, post)


async def test_everyone_who_can_decide_is_told_once(telling: Telling) -> None:
    await telling.told()
    telling.put("one")
    assert await telling.told() == ["dana needed", "kim needed"]
    telling.seal()
    assert await telling.told() == []


async def test_the_other_is_relieved_and_the_requester_hears_the_outcome(telling: Telling) -> None:
    fingerprint = telling.put("one")
    await telling.told()
    telling.happens("one", decided("dana", fingerprint), closed())
    assert await telling.told() == ["kim relieved", "rita outcome"]


async def test_who_decided_before_the_message_went_gets_none(telling: Telling) -> None:
    await telling.told()
    fingerprint = telling.put("one")
    telling.happens("one", decided("dana", fingerprint, Choice.REJECT), closed(Outcome.REJECTED))
    assert await telling.told() == ["rita outcome"]


async def test_runs_that_ended_before_the_first_start_are_not_told(telling: Telling) -> None:
    fingerprint = telling.put("old")
    telling.happens("old", decided("dana", fingerprint), closed())
    telling.seal()
    telling.put("open")
    assert await telling.told() == ["dana needed", "kim needed"]


async def test_a_killed_notifier_is_replaced_and_what_it_sent_is_sent_again_as_a_repeat(
    telling: Telling, post: PostOffice
) -> None:
    await telling.told()
    telling.put("one")
    killed = telling.another()
    telling.now += HELD_FOR
    handed_out = telling.ledger.hand_out([], room=1)  # and it dies
    assert len(handed_out.messages) == 1
    next_one = telling.another()
    assert await telling.told(next_one) == []
    telling.now += HELD_FOR
    handed_out = await next_one.step()
    await next_one.settle()
    assert {(one.person, one.is_repeat) for one in post.sent} == {("dana", True), ("kim", False)}
    post.told()
    assert await telling.told(next_one) == []
    del killed


async def test_a_new_person_of_the_role_is_told_of_what_is_open(telling: Telling) -> None:
    telling.put("one")
    await telling.told()
    erin = '[[person]]\nname = "erin"\nmail = "erin@example.org"\nroles = ["finance"]\n'
    telling.list_people(PEOPLE + erin)
    assert await telling.told() == ["erin needed"]
    telling.now += timedelta(hours=1)
    assert await telling.told() == []
