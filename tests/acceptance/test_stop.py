"""`stop` and `go` with real processes: a stop stays in effect if the worker and the server are killed."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.acceptance.conftest import RECORDED, stop_server
from tests.support.program import Home, Typed, worker
from tests.support.wait_limit import WAIT_LIMIT

PEOPLE = "".join(f'[[person]]\nname = "{name}"\n' for name in ("rita", "dana", "erik"))


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Home]:
    """A separate Plangate instance with a list of people, whose worker and server may be killed."""
    people = tmp_path / "people.toml"
    people.write_text(PEOPLE)
    home = Home(tmp_path / "var", {**RECORDED, "PLANGATE_PEOPLE": str(people)})
    try:
        yield home
    finally:
        stop_server(home)


def status(typed: Typed, condition: Callable[[Any], object]) -> Any:
    ends = monotonic() + WAIT_LIMIT
    while monotonic() < ends:
        ended = typed("status", "run-1", "--json")
        if ended.code == 0 and condition(ended.json):
            return ended.json
        sleep(0.2)
    raise AssertionError(ended)


def test_a_stop_survives_a_killed_worker_and_two_people_release_it(
    own: Home, mail_plan: Path, typing: Callable[[Home], Typed]
) -> None:
    typed = typing(own)
    with worker(own) as process:
        assert typed("stop", "--by", "dana", "--reason", "wrong amounts").code == 0
        assert typed("stop", "--tool", "pay", "--by", "dana", "--reason", "x").code == 3
        assert typed("stop", "--by", "dana").code == 2
        typed("start", "--plan", str(mail_plan), "--id", "run-1", "--requester", "rita")
        plan = status(typed, lambda found: found["state"] == "in_review")["fingerprint"]
        assert "STOPPED everything, since" in " ".join(typed("pending").out.split())
        assert [one["stops"][0]["number"] for one in typed("pending", "--json").json] == [1]
        assert typed("approve", "run-1", "--by", "dana", "--plan", plan).code == 0
        status(typed, lambda found: found["steps"][0]["is_stopped"])
        assert "1 more person" in typed("go", "--by", "dana", "--stop", "1").out
        os.kill(process.pid, signal.SIGKILL)
    stop_server(own)
    offline = typed("status", "run-1", "--json").json
    assert [one["released_by"] for one in offline["stops"]] == [["dana"]]
    assert "dana released it; it needs 1 more person" in typed("pending").out
    with worker(own):
        waiting = status(typed, lambda found: found["steps"][0]["is_stopped"])
        assert waiting["steps"][0]["state"] == "pending"
        (listed,) = typed("stop", "--list", "--json").json
        assert (listed["by"], listed["reason"], listed["released_by"]) == ("dana", "wrong amounts", ["dana"])
        assert typed("go", "--by", "mallory", "--stop", "1").code == 3
        released = typed("go", "--by", "erik", "--stop", "1", "--json")
        assert (released.code, released.json["accepted"], released.json["stops"]) == (0, True, [])
        status(typed, lambda found: found["state"] == "executed")
        assert "Nothing is stopped" in typed("go", "--by", "erik", "--stop", "1").sentence
        verified = typed("audit", "verify", "--json")
        assert verified.json["findings"] == []
        assert "released; every step may begin again" in typed("audit", "show", "plangate:stops").out
