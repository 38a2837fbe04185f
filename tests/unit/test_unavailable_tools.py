"""A worker logs one line that lists the tools not offered and explains how to see the reason."""

import pytest

from plangate.tool.listing import unavailable_tools_warning


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (
            ["refund", "create_ticket"],
            "2 tools are not offered, because each lacks a setting or a library: create_ticket, refund.",
        ),
        (
            ["pay"],
            "1 tool is not offered, because it lacks a setting or a library: pay.",
        ),
    ],
)
def test_all_tools_with_missing_settings_are_listed_in_one_line(names: list[str], said: str) -> None:
    assert unavailable_tools_warning(names) == f"{said} See what is missing with: starter.py tools"
    assert unavailable_tools_warning([]) == ""
