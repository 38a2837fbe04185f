"""Before an edit is sent, its author is warned if no one could approve the new plan."""

from typing import Any

import pytest

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.people.people import People, Person, identify
from plangate.domain.policies.requirement import Need, Requirement
from plangate.domain.runs.satisfiable import Deciders
from plangate.domain.runs.status import Status, status_of
from plangate.presentation.clock import now
from plangate.web.confirmation_page import ConfirmationView
from plangate.web.confirmations import Confirmation
from plangate.web.decision_proof import Way
from plangate.web.edit_view import edit_view
from plangate.web.run_view import view_of
from plangate.web.visitor_actions import Acts
from tests.support.build import NOON, drafted, state_after
from tests.support.drawn_pages import read_html, render
from tests.support.held_runs import edited

TWO = Requirement(needs=(Need(role="finance", count=2),), strike_keeps_approver=True)
NO_ONE = "If the rules require the same as now, no one can approve your version:"


def people(*finance: str) -> People:
    named = (
        Person(name="rita"),
        Person(name="dana"),
        *(Person(name=one, roles=("finance",)) for one in finance),
    )
    return People(persons=named)


def status() -> Status:
    """Return the status of rita's plan, which dana has edited."""
    return status_of(edited(requirement=TWO), source="records")


def confirmation(shown: Status, by: str, listed: People | None, *, is_strike: bool) -> str:
    assert shown.plan is not None
    new = shown.plan.proposed().model_dump(mode="json", exclude_unset=True)
    if is_strike:
        new["steps"] = new["steps"][:-1]
    else:
        new["summary"] = "Something else"
    decision = Decision(decision=Choice.EDIT, by=by, plan=shown.fingerprint or "", new_plan=new)
    parts: Any = {"id": "c", "decision": decision, "made_at": NOON}  # the parts that the page uses
    kept = Confirmation.model_construct(**parts)
    view = edit_view(shown, decision, listed)
    asked = ConfirmationView(
        confirmation=kept, way=Way.NAME, sign="", resolution="", edit=view, is_checked=True
    )
    run = view_of(shown, identify(listed, by, now()))
    return " ".join(read_html(render("confirm.html", run=run, decision=decision, asked=asked)).text.split())


@pytest.mark.parametrize(
    ("others", "is_strike", "is_possible"),
    [
        (("erik",), False, False),
        (("erik", "kim"), False, True),
        (("erik",), True, True),  # a person who only removes steps may still approve
        ((), True, False),
    ],
)
def test_an_edit_that_leaves_too_few_approvers_is_reported(
    others: tuple[str, ...], is_strike: bool, is_possible: bool
) -> None:
    said = confirmation(status(), "gina", people("gina", *others), is_strike=is_strike)
    assert (NO_ONE not in said) is is_possible
    if not is_possible and not is_strike:
        assert "2 approvals by finance: only erik could. gina requested or edited the plan." in said.replace(
            " .", "."
        )


def test_without_a_list_of_people_nothing_is_reported() -> None:
    assert NO_ONE not in confirmation(status(), "gina", None, is_strike=False)


def test_the_page_warns_at_the_button_and_at_the_top_that_one_approval_is_not_enough() -> None:
    state = state_after(drafted(requirement=TWO))
    unmet = Deciders(people("erik"), now()).unmet(state)
    shown = status_of(state, source="records").model_copy(update={"unmet": unmet})
    erik = identify(people("erik"), "erik", now())
    page = render("run.html", run=view_of(shown, erik), acts=Acts())
    assert "So the plan cannot be approved as it is." in page
    assert "Your approval alone is not enough" in page
    possible = view_of(shown.model_copy(update={"unmet": ()}), erik)
    assert "is not enough" not in render("run.html", run=possible, acts=Acts())
