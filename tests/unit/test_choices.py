"""The table of decision names used at a prompt."""

from plangate.cli.app import every_command
from plangate.cli.choices import command_of, wording_of
from plangate.domain.decisions.decision import Choice


def test_every_decision_has_a_command_a_letter_and_a_label() -> None:
    commands = {name for name, _ in every_command()}
    assert {command_of(choice) for choice in Choice} <= commands
    typed = [word for choice in Choice for word in (wording_of(choice).letter, wording_of(choice).word)]
    assert len({*typed, "l", "later"}) == len(typed) + 2


def test_the_prompt_for_a_decision_shows_its_letter() -> None:
    for choice in Choice:
        assert f"[{wording_of(choice).letter}]" in wording_of(choice).offer
