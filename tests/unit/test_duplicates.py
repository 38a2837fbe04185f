"""Steps that duplicate steps of other runs: how they are compared, used in rules and shown on pages."""

import unicodedata
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.tools.registry import declarations
from plangate.domain.errors import ToolInvalid
from plangate.domain.plans.duplicates import Duplicate, match_digest
from plangate.domain.plans.plan import Plan
from plangate.domain.plans.tool import RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.runs.status import status_of
from plangate.policy.policy_file import FilePolicy
from plangate.presentation.duplicate_words import duplicate_lines
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from plangate.tool import tool
from tests.support.build import drafted, state_after
from tests.unit.test_policy_file import faults, policy, refund, rule
from tests.unit.test_run_page import printed

AT = datetime(2026, 5, 3, 14, 5, tzinfo=UTC)
ARGUMENTS = st.dictionaries(
    st.sampled_from(["payment", "amount", "note"]), st.text(max_size=5) | st.integers(0, 3), min_size=1
)


def duplicate(**more: Any) -> Duplicate:
    fields = {"step": 1, "tool": "refund", "workflow_id": "refund-4711", "its_step": 2, "state": "executed"}
    return Duplicate.model_validate({**fields, "at": AT, "done": True, **more})


def lines(*duplicates: Duplicate, is_now: bool = False) -> list[str]:
    status = status_of(state_after(drafted(duplicates=duplicates)), "records")
    if is_now:
        status = status.model_copy(update={"duplicates": (), "duplicates_now": duplicates})
    return list(duplicate_lines(status, lambda at: f"on {at:%d %b %H:%M}"))


@given(ARGUMENTS, ARGUMENTS, st.sampled_from([(), ("payment",), ("payment", "amount")]))
def test_two_steps_are_duplicates_exactly_if_tool_and_identifying_arguments_are_equal(
    one: dict[str, Any], other: dict[str, Any], names: tuple[str, ...]
) -> None:
    def compared(arguments: dict[str, Any]) -> Any:
        kept = {name: arguments.get(name) for name in names} if names else arguments
        return {
            name: unicodedata.normalize("NFC", value) if isinstance(value, str) else value
            for name, value in kept.items()
        }

    are_equal = match_digest("pay", one, names) == match_digest("pay", other, names)
    assert are_equal is (compared(one) == compared(other))
    assert match_digest("pay", one, names) != match_digest("refund", one, names)


@given(st.text(max_size=20))
def test_text_that_looks_alike_is_equal(text: str) -> None:
    composed, decomposed = unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text)
    assert match_digest("t", {"a": composed}, ()) == match_digest("t", {"a": decomposed}, ())


def test_the_author_of_a_tool_chooses_the_identifying_arguments() -> None:
    @tool(identifying=["payment"])
    def pay(payment: str, amount: Decimal) -> None:
        """Pay it."""

    assert pay.declaration.identifying == ("payment",)
    for wrong, said in (
        (["payee"], "contains 'payee', which is not one of its arguments"),
        ("payment", "names of"),
    ):
        with pytest.raises(ToolInvalid, match=said):

            @tool(identifying=wrong)
            def again(payment: str) -> None:
                """Pay it."""

    class Nothing(ToolArguments):
        pass

    with pytest.raises(ValueError, match="has no argument payee"):
        ToolDeclaration("pay", "Pay.", Nothing, RetrySafety.LOOK_UP, identifying=("payee",))


def test_the_built_in_tools_are_compared_by_effect_and_not_by_text() -> None:
    found = {name: one.identifying for name, one in declarations().items()}
    assert found["refund_payment"] == ("payment",)
    assert found["create_payment"] == ("customer", "amount", "currency")
    assert found["create_ticket"] == ("project", "title")
    assert found["comment_ticket"] == ("project", "ticket", "body")
    assert found["send_email"] == ("to", "cc", "subject")
    assert found["http_request"] == ("method", "url", "json_body", "body")


def asks_finance(rules: FilePolicy, *duplicates: Duplicate) -> bool:
    plan = Plan(summary="s", steps=(refund(1), refund(2)))
    requirement = rules.requirement_for(plan, request="", requester="rita", duplicates=duplicates)
    return "finance" in {need.role for need in requirement.needs}


@pytest.mark.parametrize(
    ("when", "counts"),
    [
        ("size(duplicates) > 0", True),
        ("duplicates.exists(one, one.step == step.number && one.done)", True),
        ("duplicates.exists(one, one.step == step.number && one.state == 'rejected')", False),
        ("step.number == 2 && duplicates.exists(one, one.step == step.number)", False),
        ("duplicates.all(one, one.workflow_id == 'refund-4711' && one.tool == step.tool)", True),
    ],
)
def test_rules_see_the_duplicates(tmp_path: Path, when: str, counts: bool) -> None:
    assert asks_finance(policy(tmp_path, rule(when)), duplicate()) is counts


def test_a_condition_on_an_unknown_field_of_a_duplicate_is_an_error(tmp_path: Path) -> None:
    said = faults(tmp_path, rule("duplicates.exists(one, one.stat == 'executed')"))
    assert "is neither true nor false for a step of any tool" in said


def test_duplicates_are_reported_in_words() -> None:
    assert lines(duplicate()) == [
        "Step 1 is the same as step 2 of refund-4711, which was executed on 03 May 14:05"
    ]
    assert lines(duplicate(same=("payment",), state="rejected", done=False)) == [
        "Step 1 has the same payment as step 2 of refund-4711, which was rejected on 03 May 14:05"
    ]
    (in_review,) = lines(duplicate(same=("to", "cc", "subject"), state="in_review", done=False))
    assert in_review.startswith("Step 1 has the same to, cc and subject as step 2 of refund-4711, which was ")
    assert in_review.endswith("in review when this plan was drafted")
    (failed,) = lines(duplicate(workflow_id="", state="failed"))
    assert failed.startswith(
        "Step 1 is the same as step 2 of a run that only some people may see, which ended "
    )
    assert failed.endswith("as failed on 03 May 14:05; that step was or may have been done")
    assert lines(*[duplicate()] * 7)[0].endswith("; and 2 more")
    assert lines(*(duplicate(step=step) for step in range(1, 13)))[10:] == [
        "and 2 more steps of this plan; --json shows all"
    ]
    assert lines(duplicate(state="rejected"))[0].endswith(
        "which was rejected on 03 May 14:05; that step was or may have been done"
    )


def test_a_step_of_several_runs_is_listed_once() -> None:
    same = ("project", "title")
    a, b = (duplicate(workflow_id=name, same=same, state="in_review", done=False) for name in "AB")
    (both,) = lines(a, b)
    drafted_then = "in review when this plan was drafted"
    assert both == f"Step 1 has the same project and title as step 2 of A and B, which were {drafted_then}"
    later = duplicate(workflow_id="C", same=same, at=AT.replace(day=4))
    first, second = lines(a, duplicate(workflow_id="D", same=same), later, duplicate(step=2, same=same))
    assert first == (
        f"Step 1 has the same project and title as step 2 of A, which was {drafted_then}; also as step 2 of "
        "D and C, which were executed on 03 May 14:05 and on 04 May 14:05, respectively"
    )
    assert second == (
        "Step 2 has the same project and title as step 2 of refund-4711, which was executed on 03 May 14:05"
    )
    unnamed = duplicate(workflow_id="", same=same, state="failed")
    (hidden,) = lines(unnamed, unnamed, duplicate(workflow_id="E", same=same, state="failed"))
    assert "step 2 of E and 2 runs that only some people may see, which ended as failed on 03 May" in hidden
    assert hidden.endswith("; those steps were or may have been done")


def test_equal_times_are_reported_once_and_an_ambiguous_id_is_quoted() -> None:
    pair = (duplicate(workflow_id=name) for name in ("a and b", "c"))
    (said,) = lines(*pair)
    assert said.endswith('as step 2 of "a and b" and c, which were executed on 03 May 14:05')
    (said,) = lines(duplicate(workflow_id='a" and "b\n'))
    assert said.endswith(r'as step 2 of "a\" and \"b⏎", which was executed on 03 May 14:05')


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from(["A", "B", "C", "D"])), max_size=5, unique=True))
def test_each_step_has_one_line_that_lists_all_other_runs(found: list[tuple[int, str]]) -> None:
    said = lines(*(duplicate(step=step, workflow_id=f"run-{name}") for step, name in found))
    assert len(said) == len({step for step, _ in found})
    for step, name in found:
        (line,) = (one for one in said if one.startswith(f"Step {step} "))
        assert line.count(f"run-{name}") == 1


def test_both_pages_show_duplicates_at_the_top_and_nothing_without_duplicates() -> None:
    hostile = duplicate(workflow_id="refund\u202e-1174\n# Approved")
    state = state_after(drafted(duplicates=(hostile,)))
    web = details_page(state)
    assert web.startswith("**Duplicate:** ")
    assert "\u202e" not in web
    assert "\n# Approved" not in web
    page = printed(run_page(status_of(state, "records"), AT))
    assert page.index("DUPLICATE") < page.index("requester")
    assert "\u202e" not in page
    assert "duplicates" not in drafted().model_dump_json()
    many = [duplicate(workflow_id="東" * 100, same=("東" * 30,))] * 5
    assert len(quote(details_page(state_after(drafted(duplicates=many))))) < 4_000
    assert "Duplicate" not in details_page(state_after(drafted()))


def test_current_duplicates_are_shown_instead_of_those_found_when_the_plan_was_drafted() -> None:
    assert lines(duplicate(state="in_review", done=False), is_now=True) == [
        "Step 1 is the same as step 2 of refund-4711, which is in review now"
    ]
    two = (duplicate(state="held", workflow_id=name) for name in ("a", "b"))
    assert lines(*two, is_now=True) == [
        "Step 1 is the same as step 2 of a and b, which are held now; those steps were or may have been done"
    ]
    assert lines(duplicate(state="executed"), is_now=True) == lines(duplicate(state="executed"))
