"""The table of the names of decisions at a prompt."""

from plangate.cli.app import every_command
from plangate.cli.choices import command_of, wording_of
from plangate.domain.decision import Choice


def test_every_decision_is_a_command_and_has_a_letter_and_its_own_word() -> None:
    commands = {name for name, _ in every_command()}
    assert {command_of(choice) for choice in Choice} <= commands
    typed = [word for choice in Choice for word in (wording_of(choice).letter, wording_of(choice).word)]
    assert len({*typed, "l", "later"}) == len(typed) + 2


def test_the_offer_of_a_decision_shows_its_letter() -> None:
    for choice in Choice:
        assert f"[{wording_of(choice).letter}]" in wording_of(choice).offer
