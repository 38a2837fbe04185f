"""`pending` and `audit list` print one page, and the command to see the rest."""

import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest

from plangate.cli.commands.audit import list_runs
from plangate.cli.commands.pending import pending as list_pending
from plangate.cli.options import PageOptions, Sorted
from plangate.records.lists import Sort
from tests.support.fresh_records import fresh_records
from tests.support.waiting_runs import put_waiting

Show = Callable[[PageOptions, bool], int]


def show_page(command: click.Command, page: PageOptions, as_json: bool) -> int:
    words = ["--sort", page.sort, "--limit", str(page.limit), "--skip", str(page.skip)]
    return int(command.main([*words, *(["--json"] if as_json else [])], standalone_mode=False))


def pending(page: PageOptions, as_json: bool) -> int:
    return show_page(list_pending, page, as_json)


def audit_list(page: PageOptions, as_json: bool) -> int:
    return show_page(list_runs, page, as_json)


@pytest.fixture
def ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Five waiting runs in this machine's records, without a running Temporal server."""
    monkeypatch.setenv("PLANGATE_VAR_DIR", str(tmp_path))
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    database = fresh_records(tmp_path / "records.db")
    found = put_waiting(database, 5)
    database.close()
    return found


@pytest.mark.parametrize("show", [pending, audit_list])
def test_a_page_says_that_there_are_more_unless_it_is_the_last(
    show: Show, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(PageOptions(Sorted.ID, 3, 0), False) == 0
    first = capsys.readouterr().out
    assert [workflow_id in first for workflow_id in ids] == [True, True, True, False, False]
    assert "There are more; --skip 3 shows the next ones, --limit 0 shows all." in first
    show(PageOptions(Sorted.ID, 3, 3), False)
    last = capsys.readouterr().out
    assert [workflow_id in last for workflow_id in ids] == [False, False, False, True, True]
    assert "There are more" not in last


@pytest.mark.parametrize("show", [pending, audit_list])
def test_json_has_the_same_pages_and_all_runs_with_limit_none(
    show: Show, ids: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for limit, expected in ((2, ids[::-1][:2]), (0, ids[::-1])):
        show(PageOptions(Sorted.NEWEST, limit, 0), True)
        assert [run["workflow_id"] for run in json.loads(capsys.readouterr().out)] == expected


def test_every_order_option_exists_in_the_records() -> None:
    assert [one.value for one in Sorted] == [one.value for one in Sort]
