"""The evidence for a period contains all its runs, and omissions and changes are detected."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plangate.audit.period import AnyLine, Counting, OwnTrailLine, RunLine, TextLine, Totals
from plangate.records.database import Database
from tests.support.build import NOON, chained, requested
from tests.support.fresh_records import fresh_records
from tests.support.period_forgeries import FORGERIES, ForgerFiles, forged
from tests.support.periods import SINCE, UNTIL, examined, exported, some_hours
from tests.support.times import times


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("period")
    opened = fresh_records(folder / "records.db")
    some_hours(opened)
    yield opened
    opened.close()


def runs_of(lines: list[bytes]) -> list[str]:
    read = [AnyLine.model_validate_json(line).root for line in lines]
    return [line.workflow_id for line in read if isinstance(line, RunLine)]


def test_every_run_between_the_enclosing_checkpoints_is_in_the_file(database: Database) -> None:
    lines = exported(database)
    check, findings = examined(lines)
    assert findings == []
    assert runs_of(lines) == ["late", "one", "slow", "three", "two", "waiting"]
    assert check.checkpoints is not None
    assert check.checkpoints.is_closed
    assert check.opening is not None
    assert (check.opening.before, check.checkpoints.last and check.checkpoints.last.number) == (1, 4)
    assert check.totals == Totals(
        runs=5,
        others=1,
        opened=4,
        accepted=4,
        refused=0,
        outcomes={"executed": 4},
        tools={"note": 4},
        still_open=1,
    )


@pytest.mark.parametrize(
    ("since", "until", "runs", "others"),
    [
        (-30, -6, 0, 2),  # the day before the first run: only the checkpoint that closes it has runs
        (0.25, 0.3, 0, 2),  # nothing was recorded in the period before its checkpoint
        (1.4, 1.5, 0, 2),
        (-30, 0.25, 1, 1),
        (2.5, 2.6, 2, 0),
    ],
)
def test_a_run_is_included_if_anything_was_recorded_in_the_period(
    database: Database, since: float, until: float, runs: int, others: int
) -> None:
    lines = exported(database, NOON + timedelta(hours=since), NOON + timedelta(hours=until))
    check, findings = examined(lines)
    assert findings == []
    assert (check.totals.runs, check.totals.others) == (runs, others)
    assert check.totals.still_open <= runs


@settings(max_examples=times(60))
@given(
    st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=3), max_size=6),
    st.integers(0, 40),
    st.integers(1, 20),
)
def test_exactly_the_runs_with_an_entry_in_the_period_are_included(
    runs: list[list[int]], since: int, hours: int
) -> None:
    counting = Counting(NOON + timedelta(hours=since), NOON + timedelta(hours=since + hours))
    for number, moments in enumerate(runs):
        entries = [
            entry
            for at in sorted(moments)
            for entry in chained([requested()], run=f"run-{number}", at=NOON + timedelta(hours=at))
        ]
        counting.add(f"run-{number}", entries)
    period = range(since, since + hours)
    counted = [moments for moments in runs if any(at in period for at in moments)]
    totals = counting.totals()
    assert (totals.runs, totals.others) == (len(counted), len(runs) - len(counted))
    assert totals.still_open == len(counted)
    assert totals.opened == sum(at in period for moments in runs for at in moments)


def test_a_run_is_exported_as_of_the_closing_checkpoint(database: Database) -> None:
    read = [AnyLine.model_validate_json(line).root for line in exported(database)]
    (waiting,) = [line for line in read if isinstance(line, RunLine) and line.workflow_id == "waiting"]
    assert (len(waiting.entries), waiting.story["state"]) == (2, "in_review")


def test_each_text_is_included_once_before_the_first_run_that_refers_to_it(database: Database) -> None:
    read = [AnyLine.model_validate_json(line).root for line in exported(database)]
    assert [type(line) for line in read].count(TextLine) == 1
    (rules,) = [line for line in read if isinstance(line, OwnTrailLine)]
    assert [entry.key for entry in rules.entries] == ["people:1", "people:2"]


@pytest.mark.parametrize(
    ("since", "until", "runs"),
    [
        (-1, 0.25, ["before", "slow"]),  # begins before the first checkpoint
        (0.6, 1.1, ["one", "slow", "two"]),
        (1.4, 1.5, ["three", "waiting"]),  # nothing happened in the period, as the checkpoint shows
    ],
)
def test_consecutive_periods_share_a_checkpoint(
    database: Database, since: float, until: float, runs: list[str]
) -> None:
    lines = exported(database, NOON + timedelta(hours=since), NOON + timedelta(hours=until))
    assert runs_of(lines) == runs
    assert examined(lines)[1] == []


def test_a_period_without_a_closing_checkpoint_is_reported(database: Database) -> None:
    lines = exported(database, SINCE, UNTIL + timedelta(hours=4))
    assert "after" in runs_of(lines)
    (finding,) = examined(lines)[1]
    assert finding.is_unsealed
    assert "not sealed at its end" in finding.what


def test_unsealed_entries_are_included_and_reported(tmp_path: Path) -> None:
    database = fresh_records(tmp_path / "records.db")
    some_hours(database).complete("new", NOON + timedelta(hours=5))
    lines = exported(database, SINCE, NOON + timedelta(hours=6))
    findings = examined(lines)[1]
    database.close()
    assert "new" in runs_of(lines)
    assert all(one.is_unsealed for one in findings)
    assert {one.workflow_id for one in findings} == {"", "new"}


def test_every_kind_of_forged_file_is_detected_and_reported(tmp_path: Path) -> None:
    """This is a seeded sample, one of each kind; `python -m chaos periods` checks a thousand."""
    files = ForgerFiles(tmp_path)
    missed = [forged(files, seed).missed() for seed in range(times(len(FORGERIES)))]
    assert [one for one in missed if one] == []
