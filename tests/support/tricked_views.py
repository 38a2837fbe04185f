"""Show a run with one hostile text in all its parts, in every view."""

import json
import re
from io import StringIO

from markdown_it import MarkdownIt

from plangate.domain.escaping import many_lines, one_line
from plangate.domain.plans.plan import Plan, Step
from plangate.domain.runs.run import RunState
from plangate.domain.runs.status import Status, status_of
from plangate.presentation.console import Console
from plangate.presentation.markdown import details_page
from plangate.presentation.run_page import run_page
from tests.support.build import NOON, drafted, state_after
from tests.support.drawn_pages import read_html, render_run
from tests.support.screen import Screen

HIDDEN = re.compile(
    "[\u0000-\u0009\u000b-\u001f\u007f-\u00a0\u00ad\u061c\u200b\u200d-\u200f\u2028-\u202f\u2060-\u206f\ufeff]"
)
MADE_BY_PLANGATE = {
    "a", "body", "br", "button", "code", "dd", "details", "dialog", "div", "dl", "dt", "footer", "form", "h1",
    "h2", "h3", "head", "header", "html", "iframe", "input", "kbd", "label", "li", "link", "main", "meta",
    "nav", "ol", "p", "pre", "script", "section", "span", "strong", "summary", "textarea", "time", "title",
    "ul", "wbr",
}  # fmt: skip


def state_with(text: str) -> RunState:
    """Return a run in review that has this text in all its parts."""
    name = text[:60] or "empty"
    step = Step(
        tool="note",
        arguments={"text": text, "list": [text, "b"], name: 1},
        preview=text[:2_000],
        reason=text[:2_000],
        observation={"seen": text},
    )
    plan = Plan(summary=text[:2_000] or "empty", steps=(step,))
    return state_after(drafted(plan))


def status_with(text: str) -> Status:
    return status_of(state_with(text), source="records")


def check_shown(text: str) -> None:
    """Raise an AssertionError if a view shows this text misleadingly."""
    check_page(text)
    check_terminal(text)
    check_markdown(text)


def check_page(text: str) -> None:
    """Raise an AssertionError if the page of the inbox shows the text misleadingly."""
    html = render_run(status_with(text))
    page = read_html(html)
    assert {one.tag for one in page.all()} <= MADE_BY_PLANGATE
    assert len(page.all("script")) == 4
    step = page.one("section", class_="step")
    values = {one.one("dt").text: one.one("dd") for one in step.one("dl").all("div") if one.all("dt")}
    shown = values["text"].all(class_="text") + values["text"].all("pre") + values["text"].all("code")
    exact, notation = many_lines(text), one_line(json.dumps(text, ensure_ascii=False))
    assert shown[0].text in (exact, notation)
    if shown[0].tag != "code":
        assert shown[0].text == exact
        assert "\n" in text or text.strip() not in ("", "true", "false", "null")
    assert one_line(text[:2_000]) in (
        step.one(class_="preview").text,
        page.one(class_="what").one("span").text,
        "",
    )
    assert not HIDDEN.search(page.text)


def check_terminal(text: str) -> None:
    """Raise an AssertionError if the page in a narrow or wide terminal shows the text misleadingly."""
    for width in (80, 20_000):
        out = StringIO()
        Console(out, width=width).print(run_page(status_with(text), NOON))
        screen = Screen(width).feed(out.getvalue().replace("\n", "\r\n")).text
        assert not HIDDEN.search(screen)
        exact = many_lines(text) if "\n" in text else one_line(json.dumps(text, ensure_ascii=False))
        drawn, wanted = (re.sub(r"[\s│┊]", "", one) for one in (screen, exact))
        assert wanted in drawn


def check_markdown(text: str) -> None:
    """Raise an AssertionError if the page of Temporal's Web UI shows the text misleadingly."""
    page = details_page(state_with(text))
    tokens = [one for block in MarkdownIt("commonmark").parse(page) for one in block.children or ()]
    spans = "\n".join(one.content for one in tokens if one.type == "code_inline").replace("\u00a0", " ")
    kinds = {one.type for one in tokens}
    assert kinds <= {"text", "code_inline", "softbreak", "em_open", "em_close", "strong_open", "strong_close"}
    assert not HIDDEN.search(spans.replace("\n", ""))
    is_whole = "Not all of plan" not in page
    lines = [one_line(line) for line in text.split("\n")]
    wanted = [line.replace("\u00a0", " ") for line in lines if line]
    if is_whole and text.strip() and len(text) < 900:
        assert all(line in spans for line in wanted), spans
