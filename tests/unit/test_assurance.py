"""The levels of assurance are ordered, and a rule may require any of them."""

import pytest

from plangate.domain.people.assurance import Assurance, read_assurance


def test_typed_names_logins_and_signatures_are_ordered_by_strength() -> None:
    assert sorted(Assurance, reverse=True) == ["signed", "login", "typed"]
    assert max(Assurance) is Assurance.SIGNED
    for weaker, stronger in (("typed", "login"), ("login", "signed")):
        assert Assurance(weaker) < Assurance(stronger)
        assert Assurance(stronger) >= Assurance(weaker)
        assert not Assurance(stronger) <= Assurance(weaker)
        assert not Assurance(weaker) > Assurance(stronger)


@pytest.mark.parametrize("text", ["Signed", True, ["signed"], "", "passkey"])
def test_a_rule_accepts_only_the_three_kinds_of_assurance(text: object) -> None:
    with pytest.raises(ValueError, match=r'^must be "typed", "login" or "signed"$'):
        read_assurance(text)
    assert [read_assurance(level.value) for level in Assurance] == list(Assurance)
