"""A plan's requirement is derived again from the stored policy text, without the tools that existed then."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import ANYONE
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.policies.requirement_comparison import missing_demand
from plangate.policy.policy_file import FilePolicy, policy_in, read_policy
from plangate.settings import PROJECT
from tests.support.stand_in_tools import REFUND_AND_NOTE as TOOLS

CONDITIONS = (
    "totals.refund.amount > 500.0",
    "totals . refund . amount == 0",
    "totals['refund'].amount > 10.0 && counts.note > 1",
    'totals["refund"]["fee"] >= 2',
    "has(totals.refund.fee) && totals.refund.fee == 0",
    "counts['refund'] == 0",
    "counts.refund + counts.note > 2",
    "step.tool == 'refund' && step.arguments.fee > 1",
    "plan.steps.exists(one, one.tool == 'note' && one.arguments.text == 'x')",
    "step.arguments.text.startsWith('totals.note.text')",
)
STEPS = st.one_of(
    st.builds(
        lambda amount, fee: Step(tool="refund", arguments={"amount": amount, "fee": fee, "to": []}),
        st.sampled_from([0.0, 1.5, 400, 501.0]),
        st.sampled_from([None, 0, 3]),
    ),
    st.builds(lambda text: Step(tool="note", arguments={"text": text}), st.sampled_from(["x", "y"])),
)


def written(*conditions: str, exempting: int = 0) -> str:
    return "".join(
        f"[[rule]]\nname = 'rule {number}'\nwhen = '''{when}'''\n"
        f"needs = {'[]' if number < exempting else f'[{{ role = {chr(34)}role{number}{chr(34)} }}]'}\n"
        for number, when in enumerate(conditions)
    )


def read(folder: Path, text: str) -> FilePolicy:
    path = folder / "policy.toml"
    path.write_text(text)
    return read_policy(path, TOOLS, {f"role{number}" for number in range(len(CONDITIONS))})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("policies")


@given(
    conditions=st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=4, unique=True),
    exempting=st.integers(0, 2),
    steps=st.lists(STEPS, min_size=1, max_size=4),
)
def test_a_stored_policy_yields_the_same_requirement_as_on_the_worker(
    folder: Path, conditions: list[str], exempting: int, steps: list[Step]
) -> None:
    made = read(folder, written(*conditions, exempting=exempting))
    plan = Plan(summary="s", steps=tuple(steps))
    again = policy_in(made.text).requirement_for(plan, request="r", requester="rita")
    assert again == made.requirement_for(plan, request="r", requester="rita")


@pytest.mark.parametrize("path", sorted((PROJECT / "examples").rglob("policy*.toml")), ids=str)
def test_the_example_policies_can_be_read_from_their_stored_form(path: Path) -> None:
    assert policy_in(path.read_text()).rules


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("totals.refund.all(name, totals.refund[name] < 5.0)", "uses totals without a name"),
        ("size(counts) > 1", "uses counts without a name"),
        ("totals['refund'][step.tool] > 1.0", "uses totals without a name"),
        ("counts[step.tool] > 1", "uses counts without a name"),
        ("totals['refund']['to'] > 1.0", "refund has no numeric argument to"),
        ("counts['mail'] > 1", "there is no tool called mail"),
    ],
)
def test_sums_and_counts_are_looked_up_by_name(folder: Path, when: str, said: str) -> None:
    with pytest.raises(Exception, match=said):
        read(folder, written(when))


def one(*needs: tuple[str, int], **more: Any) -> Requirement:
    return Requirement(needs=tuple(Need(role=role, count=count) for role, count in needs), **more)


@pytest.mark.parametrize(
    ("asked", "required", "missing"),
    [
        (one(("finance", 2)), one(("finance", 1)), None),
        (one(("finance", 1)), one((ANYONE, 1)), None),
        (one(("finance", 1), ("ops", 1)), one(("finance", 1), (ANYONE, 1)), None),
        (one((ANYONE, 3)), one(("finance", 1)), "1 approval by finance"),
        (one(("finance", 1)), one(("finance", 1), (ANYONE, 1)), "2 approvals in all"),
        (one(), one((ANYONE, 1)), "1 approval in all"),
        (one(), one(), None),
        (one(("a", 1)), one(("a", 1), assurance=Assurance.SIGNED), 'the assurance "signed"'),
        (one(("a", 1), assurance=Assurance.SIGNED), one(("a", 1)), None),
        (one(approval_valid_for=9), one(approval_valid_for=8), "approvals that are no older than 8 seconds"),
        (one(approval_valid_for=8), one(approval_valid_for=8), None),
        (one(timeout_seconds=None), one(timeout_seconds=8), "a review of at most 8 seconds"),
        (one(timeout_seconds=7), one(timeout_seconds=None), None),
    ],
)
def test_a_requirement_is_weaker_if_any_part_of_it_is_weaker(
    asked: Requirement, required: Requirement, missing: str | None
) -> None:
    assert missing_demand(asked, required) == missing
