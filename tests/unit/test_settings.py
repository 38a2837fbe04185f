"""A setting with a value that cannot be used is one plain sentence: which variable, and what to write."""

import re
from typing import Any

import pytest

from plangate.domain.errors import SettingsInvalid
from plangate.settings import Settings, load_settings
from tests.unit.test_documents import variable_of

JUNK = ("junk", "-1", "1.5", "9" * 30, "9" * 5_000, "http://", "ftp://host", "a b:7233", "\udcff")


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("LOG_LEVEL", "loud", "use debug, info, warning or error"),
        ("LOG_FORMAT", "JSON", "use auto, console or json"),
        ("MAX_STEPS", "many", "use a whole number from 1 to 200"),
        ("MAX_STEPS", "201", "use a whole number from 1 to 200"),
        ("DRAFT_SECONDS", "0", "use a whole number from 1 to 3500"),
        ("DRAFT_SECONDS", "1.5", "use a whole number from 1 to 3500"),
        ("MODEL_OUTAGE_SECONDS", "9" * 20, "use a whole number from 0 to 31536000"),
        ("SEAL_SECONDS", "9" * 5_000, "use a whole number from 1 to 86400"),
        ("PUBLIC_TEMPORAL_ADDRESS", "http://here:7233", "write it like temporal.example.org:7233"),
        ("PUBLIC_TEMPORAL_UI", "here", "write it like https://temporal.example.org"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(f"PLANGATE_{variable}", value)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert str(caught.value) == f"The setting PLANGATE_{variable} cannot be used: {advice}."


@pytest.mark.parametrize("variable", [variable_of(name) for name in Settings.model_fields])
def test_no_value_of_any_setting_is_answered_in_the_words_of_a_library(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    said = []
    for value in JUNK:
        monkeypatch.setenv(variable, value)
        try:
            load_settings()
        except SettingsInvalid as error:
            said.append(str(error))
    plain = re.compile(rf"The setting {variable} cannot be used: (use|write) [^^\\]+\.")
    assert [one for one in said if not plain.fullmatch(one)] == []


def test_what_is_told_to_be_written_can_be_used() -> None:
    shapes: dict[str, dict[str, Any]] = Settings.model_json_schema()["properties"]
    for name, shape in shapes.items():
        limits = [shape[limit] for limit in ("minimum", "maximum") if limit in shape]
        for value in (*shape.get("enum", ()), *shape.get("examples", ()), *limits):
            assert str(getattr(Settings(**{name: value}), name)) == str(value)
