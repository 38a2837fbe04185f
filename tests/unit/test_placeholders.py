"""A decision that was copied without a name put in is nobody's, however the gap is dressed up."""

# ruff: noqa: RUF001  these dashes are meant

import pytest

from plangate.domain.decision import PLACEHOLDER, is_placeholder


@pytest.mark.parametrize(
    "gap",
    [
        PLACEHOLDER, "YOUR‐NAME", "YOUR‑NAME", "YOUR–NAME", "YOUR—NAME", "YOUR−NAME", "ＹＯＵＲ－ＮＡＭＥ",
        "your_name", "Your Name", "YOURNAME", "<your name>", "<YOUR-NAME>", "[your name]", "{name}", "$NAME",
        "“your name”", "NAME", "name", "…", "...", "<>", "<…>", "---", "?", "your name here",
    ],
)  # fmt: skip
def test_what_only_stands_for_a_name_is_none(gap: str) -> None:
    assert is_placeholder(gap)


@pytest.mark.parametrize(
    "name",
    [
        "dana",
        "Dana Name",
        "O'Name",
        "Namir",
        "name@example.org",
        "Ναμε",
        "山田",
        "علی\u200cرضا",
        "4711",
        "👍",
    ],
)
def test_a_name_is_one(name: str) -> None:
    assert not is_placeholder(name)
