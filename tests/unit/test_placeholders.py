"""A decision copied with its placeholders is refused: it has no name, or no reason."""

# ruff: noqa: RUF001  these dashes are intended

import pytest

from plangate.cli.decisions import made_decision
from plangate.cli.exits import WrongUsage
from plangate.domain.decisions.decision import PLACEHOLDER, Choice, Resolution, is_placeholder, needed_comment
from plangate.domain.runs.run import Phase
from tests.support.build import arrival, decide, drafted, state_after
from tests.support.held_runs import held


@pytest.mark.parametrize(
    "placeholder",
    [
        PLACEHOLDER, "YOUR‐NAME", "YOUR‑NAME", "YOUR–NAME", "YOUR—NAME", "YOUR−NAME", "ＹＯＵＲ－ＮＡＭＥ",
        "your_name", "Your Name", "YOURNAME", "<your name>", "<YOUR-NAME>", "[your name]", "{name}", "$NAME",
        "“your name”", "NAME", "name", "…", "...", "<>", "<…>", "---", "?", "your name here",
    ],
)  # fmt: skip
def test_a_placeholder_is_not_a_name(placeholder: str) -> None:
    assert is_placeholder(placeholder)


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
def test_a_real_name_is_not_a_placeholder(name: str) -> None:
    assert not is_placeholder(name)


PLACEHOLDERS = [
    "YOUR-EVIDENCE",
    "YOUR-REASON",
    "<your evidence>",
    "your_reason",
    "“YOUR–REASON”",
    "…",
    "...",
    "why",
    "?",
]
WORDS = ["It is in her inbox", "R-38", "reasons of law", "она получила", "👍", "ok"]


@pytest.mark.parametrize("resolution", ["skip", "mark_done"])
@pytest.mark.parametrize(
    ("comment", "counts"),
    [*((placeholder, False) for placeholder in PLACEHOLDERS), *((one, True) for one in WORDS)],
)
def test_a_resolution_whose_reason_is_a_placeholder_is_refused(
    resolution: str, comment: str, *, counts: bool
) -> None:
    state = held()
    sent = arrival(
        "resolve", by="erik", plan=state.fingerprint, step=3, resolution=resolution, comment=comment
    )
    after = decide(state, sent)
    verdict = after.decisions[-1].verdict
    assert verdict.accepted is counts, verdict
    assert (after.phase is Phase.HELD) is not counts
    if not counts:
        assert verdict.reason.startswith(f'"comment" is only a placeholder, {comment}; write '), verdict


def test_an_empty_request_for_changes_is_refused() -> None:
    plan = drafted()
    after = decide(state_after(plan), arrival("request_changes", plan=plan.fingerprint, comment="…"))
    assert after.decisions[-1].verdict.reason == '"comment" is only a placeholder, …; write what to change'


def test_a_placeholder_is_accepted_as_an_optional_comment() -> None:
    state = held()
    sent = arrival("resolve", by="erik", plan=state.fingerprint, step=3, resolution="retry", comment="…")
    assert decide(state, sent).phase is Phase.EXECUTING


@pytest.mark.parametrize("resolution", list(Resolution))
def test_the_command_line_refuses_the_same_placeholders(resolution: Resolution) -> None:
    def typed() -> None:
        made_decision(
            Choice.RESOLVE, by="dana", plan=None, comment="YOUR-EVIDENCE", step=2, resolution=resolution
        )

    if not resolution.needs_comment:
        typed()
        return
    with pytest.raises(WrongUsage, match="only a placeholder, YOUR-EVIDENCE; write "):
        typed()


def test_a_required_comment_states_its_purpose() -> None:
    for resolution in Resolution:
        made = made_decision(Choice.RESOLVE, by="dana", plan=None, comment="", step=2, resolution=resolution)
        assert bool(needed_comment(made)) is resolution.needs_comment
