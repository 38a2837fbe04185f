"""Numbers followed by a singular or plural noun."""

from plangate.domain.plurals import counted


def test_only_one_is_singular() -> None:
    assert [counted(count, "rule") for count in (0, 1, 1_200)] == ["0 rules", "1 rule", "1,200 rules"]
    assert [counted(count, "person", "people") for count in (1, 2)] == ["1 person", "2 people"]
