"""The audit finds forged stops with valid hashes: claims that should have waited, and invented requests."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import Connection, text

from plangate.audit.inspection import inspect_all
from plangate.audit.trust_anchors import Trust
from plangate.domain.runs.audit import STOPS_TRAIL
from plangate.policy.people_file import PeopleFile
from tests.support.audit_edits import disable_guards, rewrite_trail, trail_of
from tests.support.gate import Gate
from tests.support.orders import go, order, stop

Edit = Callable[[dict[str, Any]], None]
LIST = "".join(f'[[person]]\nname = "{name}"\n' for name in ("rita", "dana", "erik"))


@pytest_asyncio.fixture(loop_scope="session")
async def run(idle_gate: Gate, tmp_path: Path) -> str:
    """Return a run that was executed after a stop and its release by two people."""
    (tmp_path / "people.toml").write_text(LIST)
    idle_gate.directory = PeopleFile(tmp_path / "people.toml")
    async with idle_gate.worker():
        number = await stop(idle_gate)
        assert not (await order(idle_gate, action="go", by="mallory", stop=number)).accepted
        await go(idle_gate, number, "dana", "erik")
        status = await idle_gate.in_review("one")
        assert (await idle_gate.decide(status)).accepted
        assert (await idle_gate.result(status.workflow_id)).outcome == "executed"
    assert found(idle_gate) == ""
    return status.workflow_id


def found(gate: Gate) -> str:
    with gate.database.read() as connection:
        return "\n".join(map(str, inspect_all(connection, Trust(), lambda *_: None).findings))


def edited(connection: Connection, run: str, kind: str, edit: Edit) -> None:
    """Change the first event of this kind that the edit affects, and recompute the links."""
    rows = trail_of(connection, run)
    for row in rows:
        event = json.loads(row["event"])
        edit(event)
        if row["kind"] == kind and event != json.loads(row["event"]):
            row["event"] = json.dumps(event, separators=(",", ":"))
            break
    else:
        raise AssertionError("nothing to edit")
    rewrite_trail(connection, run, rows)


def put(**changes: object) -> Edit:
    return lambda event: event.update(changes)


def accepted_for_mallory(event: dict[str, Any]) -> None:
    if event["arrival"]["order"]["by"] == "mallory":
        event["verdict"] = {"accepted": True, "reason": "released"}
        event["approver"] = {"name": "mallory", "standings": [{"person": "mallory", "roles": ["anyone"]}]}


def in_another_role(event: dict[str, Any]) -> None:
    event["approver"]["standings"][0]["roles"] = ["ops", "anyone"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (put(stops=1), "a step began although it was stopped: dana stopped every step"),
        (put(stops=2), "which stopped and released nothing"),
        (put(stops=9), "which stopped and released nothing"),
    ],
)
async def test_a_claim_that_did_not_wait_is_detected(
    idle_gate: Gate, run: str, edit: Edit, said: str
) -> None:
    with idle_gate.database.write() as connection:
        disable_guards(connection)
        edited(connection, run, "claimed", edit)
    assert said in found(idle_gate)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (accepted_for_mallory, "is not supported by the list from that time: mallory is not in the list"),
        (in_another_role, "is not supported by the list from that time: dana had other roles"),
        (put(people=""), "refers to no list of people, though"),
        (
            put(release={"needs": [{"role": "anyone", "count": 1}], "assurance": "typed"}),
            "requires different releases than its rules and its list of people",
        ),
        (put(rules={"roles": ["anyone", "ops"]}), "refers to no policy, but has the rules of a policy"),
        (put(judged_at="2020-01-01T00:00:00Z"), "has a different time than the result of its request"),
    ],
)
async def test_a_forged_request_is_detected(idle_gate: Gate, run: str, edit: Edit, said: str) -> None:
    del run
    with idle_gate.database.write() as connection:
        disable_guards(connection)
        edited(connection, STOPS_TRAIL, "stop_decided", edit)
    assert found(idle_gate) != ""
    if "though" not in said:
        assert said in found(idle_gate)


async def test_a_removed_release_is_detected(idle_gate: Gate, run: str) -> None:
    del run
    with idle_gate.database.write() as connection:
        disable_guards(connection)
        rewrite_trail(connection, STOPS_TRAIL, trail_of(connection, STOPS_TRAIL)[:-1])
    said = found(idle_gate)
    assert "which stopped and released nothing" in said
    assert "does not end with the entry in the table `stops`" in said


async def test_a_table_of_stops_that_was_reset_is_detected(idle_gate: Gate, run: str) -> None:
    del run
    with idle_gate.database.write() as connection:
        connection.execute(text("UPDATE stops SET number = 0, hash = :first"), {"first": "0" * 64})
    assert "does not end with the entry in the table `stops`" in found(idle_gate)
