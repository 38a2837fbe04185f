"""Pages use a separate verb for each kind of reversal: a delegation is ended, an approval is withdrawn."""

import pytest

from plangate.web.language import languages

LENDING = ("end", "end_all", "ends_automatically", "no_script_to_end", "lost", "unsigned")


@pytest.mark.parametrize(
    ("code", "ends", "reverts"), [("en", "end", ("take", "taking")), ("de", "beende", ("zurück",))]
)
@pytest.mark.parametrize("name", LENDING)
def test_a_delegation_is_ended_and_not_withdrawn(
    code: str, ends: str, reverts: tuple[str, ...], name: str
) -> None:
    said = languages()[code](f"lend.{name}", name="kim").lower()
    assert ends in said
    assert not any(word in said for word in reverts)
