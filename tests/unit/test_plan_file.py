"""A plan file is read strictly, and every error is listed with its location."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import Field, JsonValue

from plangate.cli.exits import Exit, WrongUsage, exit_of
from plangate.cli.plan_file import MAX_BYTES, PlanFileFaults, read_plan_file
from plangate.cli.plan_tree import PlacedFault
from plangate.cli.request import show_faults
from plangate.cli.screen import Screen
from plangate.domain.faults import path_text
from plangate.domain.plans.tool import RetrySafety, ToolArguments, ToolDeclaration
from plangate.presentation.console import Console
from tests.support.screen import Screen as Terminal

Read = Callable[..., Any]


class NoteArguments(ToolArguments):
    text: str = "a note"
    count: int = 1
    anything: JsonValue = None
    to: Annotated[tuple[str, ...], Field(max_length=3)] = ()


TOOLS = {"note": ToolDeclaration("note", "Write a note.", NoteArguments, RetrySafety.LOOK_UP)}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def read(content: str | bytes, name: str = "plan.yaml", max_steps: int = 5) -> Any:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_plan_file(path, TOOLS, max_steps)

    return read


def faults(read: Read, content: str | bytes, **more: Any) -> list[str]:
    with pytest.raises(PlanFileFaults) as raised:
        read(content, **more)
    return [
        f"{place.line}:{place.column} {path_text(fault.path)}: {fault.message}"
        for place, fault in raised.value.faults
    ]


def yaml_value(read: Read, text: str) -> Any:
    plan = read(f"summary: s\nsteps:\n  - tool: note\n    arguments:\n      anything: {text}\n")
    return plan["steps"][0]["arguments"]["anything"]


def test_a_yaml_plan_is_read(read: Read) -> None:
    assert read("summary: Say hello\nsteps:\n  - tool: note\n    arguments: {text: hi, count: 2}\n") == {
        "summary": "Say hello",
        "steps": [{"tool": "note", "arguments": {"text": "hi", "count": 2}}],
    }


def test_the_same_plan_in_json_is_equal(read: Read) -> None:
    plan = {"summary": "s", "steps": [{"tool": "note", "arguments": {"text": 'h\u00e9 \U0001f600\t\\"'}}]}
    for text in (json.dumps(plan), json.dumps(plan, ensure_ascii=False, indent="\t")):
        assert read(text, name="plan.json") == plan
        assert read(text, name="plan") == plan


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "on",
        "No",
        "2026-01-01",
        "007",
        "012",
        "1_000",
        "0x1F",
        "0o17",
        "1:30",
        ".inf",
        ".NaN",
        "+1",
        ".5",
        "1.",
        "1e",
        "=",
        "nULL",
        "12:34:56",
        "0b1",
    ],
)
def test_words_that_are_not_json_literals_stay_text(read: Read, text: str) -> None:
    assert yaml_value(read, text) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("~", None),
        ("", None),
        ("true", True),
        ("False", False),
        ("7", 7),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ('"7"', "7"),
        ("'true'", "true"),
        ("[1, '1']", [1, "1"]),
        ("{a: {b: c}}", {"a": {"b": "c"}}),
    ],
)
def test_json_literals_have_their_json_values(read: Read, text: str, value: Any) -> None:
    found = yaml_value(read, text)
    assert (found, type(found)) == (value, type(value))


def test_a_quoted_number_stays_text(read: Read) -> None:
    (fault,) = faults(read, "summary: s\nsteps:\n- tool: note\n  arguments:\n    count: '7'\n")
    assert fault.startswith("5:12 steps[0].arguments.count: ")


def test_every_error_is_listed_with_its_location(read: Read) -> None:
    text = """\
summary: s
hint: x
steps:
  - tool: note
    arguments:
      text: [1]
      to: [a, b, c, d]
      zz: 1
    resaon: y
  - tool: nosuch
    arguments: {}
  - arguments: {}
"""
    assert faults(read, text) == [
        "2:7 hint: unknown field; remove it",
        "6:13 steps[0].arguments.text: must be text",
        "7:11 steps[0].arguments.to: must have at most 3 items",
        "8:11 steps[0].arguments.zz: unknown field; remove it",
        "9:13 steps[0].resaon: unknown field; remove it",
        "10:11 steps[1].tool: there is no tool called 'nosuch'; the tools are: note",
        "12:5 steps[2].tool: is missing",
    ]


def test_locations_in_json_are_found_too(read: Read) -> None:
    text = '{\n\t"summary": "s",\n\t"steps": [{"tool": "note",\n\t"arguments": {"text": 1, "text": "a"}}]\n}'
    assert faults(read, text, name="plan.json") == [
        "4:24 steps[0].arguments.text: must be text",
        "4:27 steps[0].arguments: duplicate name 'text'",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("text: &a hi", "the anchor &a is not supported; remove it"),
        ("text: *a", "the alias *a is not supported; write the value out"),
        ("text: !!str 7", "the tag tag:yaml.org,2002:str is not supported; remove it"),
        ("text: !x y", "the tag !x is not supported; remove it"),
        ("<<: {text: hi}", "merge keys are not supported; write the values out"),
        ("7: hi", 'a name must be text; write "7" in quotes'),
        ("true: hi", 'a name must be text; write "true" in quotes'),
        ("? [a]\n      : hi", "a name must be text, not a mapping or a list"),
        ("? {a: b}\n      : {text: hi}", "a name must be text, not a mapping or a list"),
        ("? *a\n      : hi", "the alias *a is not supported; write the value out"),
    ],
)
def test_syntax_that_hides_content_is_an_error(read: Read, line: str, message: str) -> None:
    (fault,) = faults(read, f"summary: s\nsteps:\n  - tool: note\n    arguments:\n      {line}\n")
    assert fault.endswith(message)
    assert fault.startswith("5:")


@pytest.mark.parametrize(
    ("line", "comment"),
    [
        ("text: Invoice #42 for you", "#42 for you"),
        ("text: Invoice  # 42", "# 42"),
        ("text: #urgent", "#urgent"),
        ("count: 12 #000", "#000"),
        ("anything: {a: no #1\n }", "#1"),
        ("to: [a #1\n ]", "#1"),
        ("text: one\n        two #3", "#3"),
        ("text: x #" + "y" * 500, "#yyy"),
    ],
)
def test_a_comment_that_may_be_meant_as_text_is_an_error(read: Read, line: str, comment: str) -> None:
    found = faults(read, f"summary: s\nsteps:\n  - tool: note\n    arguments:\n      {line}\n")
    message = next(fault for fault in found if f"the value ends before '{comment}" in fault)
    assert message.startswith("5:")
    assert "put the whole value in quotes" in message
    assert len(message) < 300


@pytest.mark.parametrize(
    "text",
    [
        '"Invoice #42" # a remark',
        "'x' #remark",
        "|\n        a #1\n",
        "7 # seven",
        "null # nothing",
        "# nothing",
        "a#b",
        "[a, b] #1",
        "C#",
    ],
)
def test_a_comment_that_truncates_nothing_is_accepted(read: Read, text: str) -> None:
    yaml_value(read, text)


@pytest.mark.parametrize(
    ("content", "name", "start"),
    [
        (b"", "plan.yaml", "1:1 : the file is empty"),
        (b"", "plan.json", "1:1 : this is not JSON"),
        (b"# only a remark\n", "plan.yaml", "1:1 : the file is empty"),
        (b"7", "plan.yaml", "1:1 : must be an object"),
        (b"[]", "plan.json", "1:1 : must be an object"),
        (b"a: b\n---\na: b\n", "plan.yaml", "2:1 : a second document begins"),
        (b"%TAG ! x:\n---\na: b", "plan.yaml", "1:1 : tags are not supported"),
        (b"a: b\nc: 'd\n", "plan.yaml", "3:1 : this is not YAML"),
        (b"a: b\n\tc: d", "plan.yaml", "2:1 : this is not YAML"),
        (b"a: b\nc: \x07", "plan.yaml", "2:4 : the character U+0007 is not allowed here"),
        (b"summary: s\nsteps: caf\xe9", "plan.yaml", "2:11 : the byte 0xE9 is not UTF-8"),
        ("summary".encode("utf-16"), "plan.yaml", "1:1 : the byte 0xFF is not UTF-8"),
        (b'{"a": 1,}', "plan.json", "1:"),
        (b'{"summary": NaN, "steps": []}', "plan.json", "1:13 summary: NaN is not JSON"),
        (b"x" * (MAX_BYTES + 1), "plan.yaml", "1:1 : the file is larger than"),
    ],
)
def test_an_unreadable_file_is_refused_with_location_and_reason(
    read: Read, content: bytes, name: str, start: str
) -> None:
    assert faults(read, content, name=name)[0].startswith(start)


def test_a_byte_order_mark_is_accepted(read: Read) -> None:
    plan = b'\xef\xbb\xbf{"summary": "s", "steps": [{"tool": "note", "arguments": {}}]}'
    assert read(plan, name="plan.json")["summary"] == "s"


@pytest.mark.parametrize(
    ("opening", "name"),
    [
        ("[", "plan.json"),
        ('{"a":', "plan.json"),
        ("[", "plan.yaml"),
        ("{a: ", "plan.yaml"),
        ("- ", "plan.yaml"),
    ],
)
@pytest.mark.parametrize("depth", [150, 20_000])
def test_any_depth_is_read_or_refused(read: Read, opening: str, name: str, depth: int) -> None:
    closing = {"[": "]", "{": "}", "-": ""}[opening[0]]
    found = faults(read, opening * depth + "1" + closing * depth, name=name)
    assert any("nested deeper than 100 levels" in fault for fault in found)


def test_excessive_nesting_is_reported_with_its_location(read: Read) -> None:
    deep = "[" * 60 + "]" * 60
    found = faults(read, f"summary: s\nsteps:\n- tool: note\n  arguments:\n    anything: {deep}\n")
    assert any(fault.startswith("5:") and "nested deeper than 32 levels" in fault for fault in found)


@pytest.mark.parametrize("digits", ["9" * 30, "9" * 5_000, "1e999", "-" + "8" * 401])
@pytest.mark.parametrize("name", ["plan.json", "plan.yaml"])
def test_numbers_that_json_cannot_represent_are_errors(read: Read, digits: str, name: str) -> None:
    text = f'{{"summary": "s", "steps": [{{"tool": "note", "arguments": {{"anything": {digits}}}}}]}}'
    (fault,) = faults(read, text, name=name)
    assert fault.startswith("1:71 steps[0].arguments.anything: ")


def test_too_many_steps_are_an_error(read: Read) -> None:
    text = "summary: s\nsteps:\n" + "  - {tool: note, arguments: {}}\n" * 3
    assert faults(read, text, max_steps=2) == ["3:3 steps: 3 steps are more than the limit of 2"]


def test_a_name_with_dots_and_colons_is_still_found(read: Read) -> None:
    text = 'summary: s\nsteps:\n- tool: note\n  arguments:\n    "a.b: c[0]": 1\n'
    assert faults(read, text) == ["5:18 steps[0].arguments.a.b: c[0]: unknown field; remove it"]


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nosuch.yaml", tmp_path, tmp_path / "nul\0byte"):
        with pytest.raises(WrongUsage, match="cannot be opened") as raised:
            read_plan_file(path, TOOLS, 5)
        assert exit_of(raised.value) is Exit.USAGE


def read_or_faults(path: Path) -> tuple[PlacedFault, ...]:
    try:
        read_plan_file(path, TOOLS, 5)
    except PlanFileFaults as error:
        return error.faults
    return ()


PIECES = st.sampled_from(
    [
        "summary",
        "steps",
        "tool",
        "arguments",
        ": ",
        ":",
        "- ",
        "\n",
        "  ",
        "    ",
        "{",
        "}",
        "[",
        "]",
        ",",
        '"',
        "'",
        "&a ",
        "*a",
        "!!int ",
        "!",
        "|",
        ">",
        "|-\n",
        "#",
        "---",
        "...",
        "<<",
        "? ",
        "note",
        "7",
        "null",
        "\\",
        "\\U",
        "\\x",
        "%YAML 1.2\n",
        "%TAG",
        "\t",
        "\ufeff",
        "\x85",
        "\u2028",
        "\ud7ff",
        "é",
        "😀",
        "@",
        "`",
        "=",
        "~",
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60) | st.binary(max_size=60))
@example('"\\UFFFFFFFF"')
@example('"\\uD800"')
@example("%YAML 99999999999999999999.1\n---\na")
@example("? - a\n  - b\n: c")
@example("- ? [*a]\n  : x")
@example("*a : b")
@example("{? }")
def test_any_file_is_a_plan_or_has_errors(tmp_path: Path, content: str | bytes) -> None:
    raw = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    for name in ("plan.yaml", "plan.json", "plan.txt"):
        (tmp_path / name).write_bytes(raw)
        found = read_or_faults(tmp_path / name)
        assert all(fault.message and place >= (1, 1) for place, fault in found)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-(2.0**53) + 1, 2.0**53 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON)
def test_json_keeps_its_meaning(tmp_path: Path, value: Any) -> None:
    plan = {"summary": "s", "steps": [{"tool": "note", "arguments": {"anything": value}}]}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    assert read_plan_file(tmp_path / "plan.json", TOOLS, 5) == plan


def test_errors_fit_into_the_terminal(read: Read) -> None:
    with pytest.raises(PlanFileFaults) as raised:
        read('{"summary": "s", "steps": [{"tool": "nite", "arguments": {}, "more": 1}, {}]}')
    out = io.StringIO()
    console = Console(out, width=60)
    assert show_faults(Screen(console, console, is_json=False, can_ask=True), raised.value) == Exit.USAGE
    wrapped = Terminal(60).feed(out.getvalue().replace("\n", "\r\n")).wrapped
    assert [line for line in wrapped if " " in line.strip()] == []
