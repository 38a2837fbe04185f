"""Levels of proof have an order, and one of them is reserved."""

import pytest

from plangate.domain.assurance import Assurance, read_assurance


def test_a_typed_name_proves_less_than_a_login_and_a_login_less_than_a_signature() -> None:
    assert sorted(Assurance, reverse=True) == ["signed", "login", "typed"]
    assert max(Assurance) is Assurance.SIGNED
    for weaker, stronger in (("typed", "login"), ("login", "signed")):
        assert Assurance(weaker) < Assurance(stronger)
        assert Assurance(stronger) >= Assurance(weaker)
        assert not Assurance(stronger) <= Assurance(weaker)
        assert not Assurance(weaker) > Assurance(stronger)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("login", '"login" is reserved for a later release; write "typed" or "signed"'),
        ("Signed", 'must be "typed" or "signed"'),
        (True, 'must be "typed" or "signed"'),
        (["signed"], 'must be "typed" or "signed"'),
    ],
)
def test_a_rule_asks_for_a_typed_name_or_a_signature_and_nothing_else(text: object, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        read_assurance(text)
    assert read_assurance("signed") is Assurance.SIGNED
