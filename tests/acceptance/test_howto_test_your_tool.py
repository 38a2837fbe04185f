"""An app developer can test a tool in their own project by following the page literally."""

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from plangate.settings import PROJECT
from tests.support.installed import Environment, install
from tests.support.program import Ended
from tests.support.server import TEMPORAL
from tests.support.wait_limit import WAIT_LIMIT

PAGE = (PROJECT / "docs" / "howto-test-your-tool.md").read_text()
PAGE_BEFORE = (PROJECT / "docs" / "howto-add-a-tool.md").read_text()
MORE_TESTS = """
import pytest
from refunds import refund
from plangate.domain.errors import FileInvalid, OperatorError
from plangate.testing import approves, requests_changes, step, strikes

REFUND = step("refund", payment="P-1", amount=1)


def test_a_failed_assertion_shows_the_outcome_of_the_run(plangate):
    run = plangate(refund).run(REFUND, approves("rita"), approves("dana"))
    with pytest.raises(AssertionError) as caught:
        run.assert_not_called("refund")
    first, *more = str(caught.value).splitlines()
    assert first == f"refund should not have been called: {run.id} is executed"
    assert more[0] == "  its trail: requested, drafted, decided, decided, claimed, done, closed"
    assert more[1] == "  called: act of refund"
    assert more[2].startswith("  refused: ")


def test_struck_steps_are_not_called_and_changes_cause_a_new_draft(plangate):
    gate = plangate(refund, planner=[[REFUND, REFUND], [REFUND] * 3])
    run = gate.run("Refund it.", requests_changes("dana", "once more"), strikes("dana", 1), approves("erin"))
    run.assert_called("refund", times=2)


def test_unusable_arguments_are_reported_immediately(plangate):
    with pytest.raises(OperatorError, match="This is not a tool"):
        plangate(object())
    with pytest.raises(FileInvalid, match="rule 'x'"):
        plangate(refund, policy='[[rule]]\\nname = "x"\\nwhen = "("\\nneeds = []\\n')
    run = plangate(refund).run("words without a planner")
    run.assert_failed()
    assert "This test has no planner" in run.reason
"""


@dataclass(frozen=True)
class Shop:
    """A separate project and its developer's environment."""

    folder: Path
    environment: Environment

    def types(self, command: str, **settings: str | None) -> Ended:
        program, *words = shlex.split(command)
        program, words = ("python", ["-m", "pytest", *words]) if program == "pytest" else (program, words)
        done = subprocess.run(
            self.environment.command(program, *words),
            cwd=self.folder,
            env=self.environment.variables(settings),
            capture_output=True,
            timeout=WAIT_LIMIT,
            check=False,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())


def blocks(language: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def tool() -> str:
    """The finished tool from the previous page."""
    _, whole, look_up, count, _ = blocks("python", PAGE_BEFORE)
    return f"{whole}\n\n{look_up}\n\n{count}"


@pytest.fixture(scope="module")
def shop(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A project with the files and packages from the page, next to a checkout."""
    folder = tmp_path_factory.mktemp("developer")
    (folder / "plangate").symlink_to(PROJECT)
    environment = install(wheel, folder / "environment", "testing")
    (environment.folder / "bin" / "temporal").symlink_to(TEMPORAL)
    project = folder / "shop"
    project.mkdir()
    bank, *tests = blocks("python")
    (setting,) = blocks("toml")
    (project / "pyproject.toml").write_text(setting)
    (project / "refunds.py").write_text(tool())
    (project / "conftest.py").write_text(bank)
    (project / "test_refunds.py").write_text("\n\n".join(tests))
    (project / "test_more.py").write_text(MORE_TESTS)
    return Shop(project, environment)


def test_the_tests_of_the_howto_pass_in_a_separate_project(shop: Shop) -> None:
    ended = shop.types(blocks("sh")[1])
    assert (ended.code, ended.err) == (0, ""), ended.out
    assert f"{PAGE.count('def test_') + MORE_TESTS.count('def test_')} passed" in ended.out
    assert "warning" not in ended.out


def test_the_example_test_of_a_rejection_has_ten_lines() -> None:
    first = blocks("python")[1].strip().splitlines()
    assert len([line for line in first if line]) <= 10


def test_the_tool_of_the_howto_passes_its_checks(shop: Shop) -> None:
    export, command = blocks("sh")[2].splitlines()
    assert export.startswith("export BANK_URL=")
    bank = [sys.executable, "-u", str(PROJECT / "examples" / "refunds" / "bank.py"), "0"]
    with subprocess.Popen(bank, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ended = shop.types(command, BANK_URL=process.stdout.readline().split()[-1])
        process.kill()
    assert (ended.code, ended.err) == (0, ""), ended.out
    assert "refund passed" in ended.out


def test_a_project_without_a_setting_is_told_how_to_find_the_worker(shop: Shop) -> None:
    ended = shop.types("pytest -q -o plangate_application=. -k rejected_refund")
    assert ended.code == 1
    assert "plangate_application = ../plangate" in ended.out
    assert "Traceback" not in ended.out
