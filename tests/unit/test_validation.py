"""pydantic's errors become plain English, with the path of each error."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import pytest
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from plangate.domain.faults import Fault, path_text
from plangate.domain.validation import faults_in


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


def _even(number: int) -> int:
    if number % 2:
        raise ValueError("must be even")
    return number


class Everything(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, StringConstraints(min_length=1, max_length=3, pattern="^a*$")] = "a"
    number: Annotated[int, Field(ge=1, le=9)] = 1
    fraction: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    even: Annotated[int, AfterValidator(_even)] = 2
    flag: bool = True
    items: Annotated[tuple[str, ...], Field(min_length=2, max_length=3)] = ("a", "b")
    some: list[int] = []
    names: dict[str, str] = {}
    inner: "Inner | None" = None
    when: AwareDatetime | None = None
    colour: Colour = Colour.RED
    word: Literal["yes", "no", "later"] = "yes"
    nothing: None = None


class Inner(BaseModel):
    must: str


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({"text": 1}, "text: must be text"),
        ({"text": ""}, "text: must not be empty"),
        ({"text": "aaaa"}, "text: must have at most 3 characters"),
        ({"text": "b"}, "text: must match the pattern ^a*$"),
        ({"number": "7"}, "number: must be a whole number"),
        ({"number": 1.5}, "number: must be a whole number"),
        ({"number": 0}, "number: must be at least 1"),
        ({"number": 10}, "number: must be at most 9"),
        ({"fraction": "x"}, "fraction: must be a number"),
        ({"fraction": 0.0}, "fraction: must be greater than 0.0"),
        ({"fraction": 1.0}, "fraction: must be less than 1.0"),
        ({"fraction": float("inf")}, "fraction: must be a number that JSON can represent"),
        ({"even": 3}, "even: must be even"),
        ({"flag": "yes"}, "flag: must be true or false"),
        ({"items": "ab"}, "items: must be a list"),
        ({"items": ("a",)}, "items: must have at least 2 items"),
        ({"items": ("a",) * 4}, "items: must have at most 3 items"),
        ({"items": ("a", 1)}, "items[1]: must be text"),
        ({"some": 1}, "some: must be a list"),
        ({"names": []}, "names: must be an object, with a value for each name"),
        ({"names": {"a": 1}}, "names.a: must be text"),
        ({"inner": []}, "inner: must be an object, with a value for each name"),
        ({"inner": {}}, "inner.must: is missing"),
        ({"when": "soon"}, "when: must be a time such as 2026-05-03T09:00:00Z"),
        ({"when": datetime(2026, 1, 1)}, "when: must be a time with its zone, such as 2026-05-03T09:00:00Z"),  # noqa: DTZ001
        ({"word": "maybe"}, "word: must be 'yes', 'no' or 'later'"),
        ({"nothing": 1}, "nothing: must be null"),
        ({"more": 1}, "more: unknown field; remove it"),
        ([], "it must be an object, with a value for each name"),
    ],
)
def test_every_kind_of_error_has_a_plain_message(value: Any, fault: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Everything.model_validate(value)
    assert [str(one) for one in faults_in(raised.value)] == [fault]


def test_text_that_is_not_json_is_reported_as_a_sentence() -> None:
    with pytest.raises(ValidationError) as raised:
        Everything.model_validate_json("{")
    (fault,) = faults_in(raised.value)
    assert str(fault) == "it is not JSON: EOF while parsing an object at line 1 column 1"


def test_an_error_of_an_unknown_type_does_not_use_the_message_of_the_library() -> None:
    with pytest.raises(ValidationError) as raised:
        Everything.model_validate({"colour": "green"})
    (fault,) = faults_in(raised.value, ("steps", 0))
    assert fault.path == ("steps", 0, "colour")
    assert "Input" not in fault.message
    assert fault.message.startswith("must be")


def test_a_path_is_readable() -> None:
    assert path_text(("steps", 2, "arguments", "to", 0)) == "steps[2].arguments.to[0]"
    assert path_text(()) == ""
    for path, said in (
        (("steps", 0, "arguments", "payment"), "step 1, payment"),
        (("steps", 2, "arguments", "to", 0), "step 3, to[0]"),
        (("steps", 1, "arguments"), "step 2, arguments"),
        (("steps", 1, "tool"), "step 2, tool"),
        (("steps", 1), "step 2"),
        (("steps",), "steps"),
        (("summary",), "summary"),
    ):
        fault = Fault(path, "is missing")
        assert str(fault) == f"{said}: is missing"
        assert fault.as_json()["path"] == path_text(path)
    assert Fault((), "is empty").as_json() == {"path": "", "message": "is empty"}
