"""All components count the lines of a text in the same way."""

from pathlib import Path

import pytest

from activities.tools.email.message import SendEmailArguments
from activities.tools.email.outbox import Outbox
from activities.tools.email.tool import SendEmail
from plangate.domain.plans.previews import default_preview
from plangate.domain.plurals import line_count
from plangate.presentation.page import Page
from plangate.web.values import values_of
from tests.unit.test_run_page import printed

PAD = "x" * 80  # long enough for a preview to give its size


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (f"{PAD}\n", "1 line"),
        (f"{PAD}\ntwo", "2 lines"),
        (f"{PAD}\ntwo\n", "2 lines"),
        (f"{PAD}\ntwo\n\n", "3 lines"),
    ],
)
def test_previews_terminal_and_pages_count_lines_alike(tmp_path: Path, text: str, lines: str) -> None:
    mail = SendEmailArguments(to=("ana@example.org",), subject="Hi", body=text)
    page = Page()
    page.arguments({"body": text})
    (value,) = values_of("s1-", {"body": text})
    assert SendEmail(Outbox(tmp_path), "support@example.org").preview(mail, None).endswith(f", {lines}")
    assert f"body (text of {lines})" in printed(page)
    assert f"{value.lines} line" in lines
    size = f" in {lines}" if line_count(text) > 1 else ""
    assert default_preview("note", {"body": text}).endswith(f"({len(text)} characters{size})")
