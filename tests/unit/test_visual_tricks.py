"""No text can make the terminal, Temporal's Web UI or the inbox misrepresent the plan that runs."""

import random

import pytest

from plangate.domain.escaping import one_line
from plangate.web.approving_together import Together, money_of
from plangate.web.run_lists import Found, Line, Search
from tests.support.drawn_pages import read_html, render, render_run
from tests.support.tricked_views import check_shown, status_with
from tests.support.visual_tricks import Trick, tricks

ALL = list(tricks())
SOME = random.Random(17).sample(ALL, 40)  # `python -m chaos tricks` tests all of them


@pytest.mark.parametrize("trick", SOME, ids=lambda one: f"{one.kind} {ALL.index(one)}")
def test_no_deceptive_text_shows_something_other_than_what_runs(trick: Trick) -> None:
    check_shown(trick.text)


def test_no_deceptive_text_shows_something_else_in_a_list() -> None:
    lines = tuple(Line(one.text, one.text, 0, one.text, "in_review", None) for one in ALL)
    html = render(
        "list.html",
        which="open",
        found=Found(lines, False, 0),
        search=Search(text=ALL[0].text),
        states=(),
        together=(),
        run="",
    )
    links = read_html(html).one("ul", class_="runs").all("a")
    for trick, link in zip(ALL, links, strict=True):
        assert [one.text for one in link.all(class_="text")] == [one_line(trick.text)] * 2


@pytest.mark.parametrize("template", ["together_confirm.html", "list.html"])
def test_no_deceptive_text_shows_something_else_in_a_joint_approval(template: str) -> None:
    statuses = tuple(status_with(one.text) for one in SOME)
    together = (Together(("note",), statuses),) if template == "list.html" else ()
    page = read_html(
        render(
            template,
            statuses=statuses,
            texts={one.workflow_id: () for one in statuses},
            together=together,
            total=SOME[0].text,
            money=money_of(statuses),
            confirmations=(),
            delegators=(),
            sign="",
            way="name",
            which="for_me",
            found=Found((), False, 0),
            search=Search(),
            states=(),
            run="",
        )
    )
    shown = {one.text for one in page.all(class_="text")}
    for status in statuses:
        assert {one_line(step.preview) for step in status.steps} <= shown


def test_there_are_many_deceptive_texts_of_every_kind() -> None:
    assert len(ALL) >= 200
    assert len({one.kind for one in ALL}) == 11


@pytest.mark.parametrize("trick", [one for one in ALL if one.kind == "homoglyph"], ids=lambda one: one.text)
def test_a_confusable_word_is_marked_at_the_top(trick: Trick) -> None:
    marks = read_html(render_run(status_with(f"Pay {trick.text} now"))).one("section", class_="marks")
    assert "Letters that look alike" in marks.text
