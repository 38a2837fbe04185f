"""An id can be typed wherever a command takes a run, even if it looks like an option."""

import shlex
from datetime import UTC, datetime

import pytest

from plangate.client.starting import checked_id
from plangate.domain.errors import RequestInvalid
from plangate.domain.people.assurance import Assurance
from plangate.domain.policies.requirement import ONE_APPROVAL
from plangate.domain.runs.fold import fold
from plangate.domain.runs.status import Status, status_of
from plangate.presentation.deciding_page import TemporalAccess, deciding_page
from plangate.presentation.program_name import program
from tests.support.build import drafted, requested

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def in_review(workflow_id: str, *, signed: bool) -> Status:
    requirement = ONE_APPROVAL.model_copy(
        update={"assurance": Assurance.SIGNED if signed else Assurance.TYPED}
    )
    plan = drafted(run=workflow_id, requirement=requirement)
    return status_of(fold(workflow_id, [requested(), plan]), source="records")


@pytest.mark.parametrize("workflow_id", ["-x", "--json", "-", " x", "x ", "x\u202ey", "x" * 201])
def test_an_id_that_cannot_be_typed_is_refused_for_a_new_run(workflow_id: str) -> None:
    with pytest.raises(RequestInvalid, match="must not start with -"):
        checked_id(workflow_id)


def test_the_id_of_a_lookup_is_refused_for_a_new_run() -> None:
    with pytest.raises(RequestInvalid, match="reserved"):
        checked_id("plan-1:settlement")


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("workflow_id", ["-x", "--json", "- x", "plan-1", "it's"])
def test_a_command_to_copy_cannot_mistake_the_run_for_an_option(workflow_id: str, signed: bool) -> None:
    page = deciding_page(in_review(workflow_id, signed=signed), TemporalAccess())
    commands = [row.text for row in page.rows if row.text.startswith(program())]
    assert len(commands) == 1 + signed
    for command in commands:
        words = shlex.split(command)[2:]
        follows_dashes = workflow_id.startswith("-")
        assert (words[words.index("--") + 1] if follows_dashes else words[1]) == workflow_id
