"""CEL as in its specification (cel-spec, langdef.md) and in the conformance tests of its standard part."""

import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest

from activities.tools.registry import declarations
from plangate.domain.plans.tool import ToolDeclaration
from plangate.policy.cel.evaluation import evaluate
from plangate.policy.cel.parser import MAX_DEPTH, InvalidExpression, parse
from plangate.policy.cel.syntax import paths
from plangate.policy.cel.values import EvaluationFailed, Uint, kind
from plangate.policy.conditions import Condition, Unclear
from plangate.settings import PROJECT
from tests.support.hostile import growth

VARIABLES = {
    "n": 5,
    "text": "abc",
    "map": {"a": None},
    "list": [1, 2.0, "x"],
    "large": 2**64,
    "unsigned": 2**63,
}


def value(source: str) -> Any:
    return evaluate(parse(source), VARIABLES)


@pytest.mark.parametrize(
    "source",
    [
        "1 + 2 * 3 - 4 / 2 % 3 == 5",
        "2 - 3 - 4 == -5",
        "1 < 2 == true && !false || 1 / 0 == 1",
        "(false ? 1 : true ? 2 : 3) == 2",
        "-7 / 2 == -3 && -7 % 2 == -1",
        "-9223372036854775808 < 0 && 0xFF == 255 && 0xffu == 255u && .5 + 1e3 == 1000.5",
        r"""'\x41\u00e9\101\t' == "Aé" + 'A	' && r'\d' == '\\d' && '''a'"b''' == 'a\'"b'""",
        r"b'\xff\303\277ÿ' == b'\377ÿÿ' && size(b'ÿ') == 2",
        "[1, 2,][1] == 2 && {'a': 1, true: 2, 3: 4,}[true] == 2",
        "list[0] == 1 && 'a' in map && !('b' in map) && 2 in list && has(map.a) && !has(map.b)",
        "// a comment\ntrue // and another",
        "[1, 2, 3].map(x, x > 1, x * 2) == [4, 6] && [1, 2].map(x, [x]).filter(x, x[0] > 1) == [[2]]",
        "{'a': 1} != {'a': 1, 'b': 2} && {'a': 1, 'b': 2} != {'a': 1} && !({'a': 1} == {'a': 1, 'b': 2})",
        "{'a': 1}.all(key, key == 'a') && [1, 1].exists_one(x, x == 1) == false",
        "[5].exists(n, n == 5 && .n == 5) && [6].exists(n, n == 6 && .n == 5)",
        "type(1) == int && type(1u) != int && type(int) == type && type(null) == null_type",
        "google.protobuf.Timestamp == type(timestamp('2009-02-13T23:31:30Z'))",
        "timestamp('2026-11-28T23:30:00Z').getDate('Europe/Berlin') == 29 && duration('90m').getHours() == 1",
        "timestamp('2026-11-28T09:00:00.25+01:00') + duration('1.75s') == timestamp('2026-11-28T08:00:02Z')",
        "timestamp('1969-12-31T23:59:59.25Z').getMilliseconds() == 250",
        "int(timestamp('1969-12-31T23:59:59.25Z')) == -1",
        "duration('-1.25s').getMilliseconds() == -250 && string(duration('-1.5s')) == '-1.5s'",
        "string(1e21) == '1e+21' && string(1e20) == '100000000000000000000' && string(-0.5) == '-0.5'",
        "{'a-b': 1}.`a-b` == 1 && {'for': 1}.for == 1",
        "text.matches('^a.c$') && matches(text, 'b') && size('é') == 1 && text.size() == 3",
    ],
)
def test_an_expression_is_true(source: str) -> None:
    assert value(source) is True


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("9223372036854775807 + 1", "integer overflow: the result is not an int of 64 bits"),
        ("0u - 1u", "integer overflow: the result is not a uint of 64 bits"),
        ("-9223372036854775808 / -1", "integer overflow"),
        ("1 % 0", "division by zero"),
        ("1 + 1.0", "+ cannot be used with int and double"),
        ("1 < '1'", "< cannot be used with int and string"),
        ("-true", "- cannot be used with bool"),
        ("[1] + map", "+ cannot be used with list and map"),
        ("text.size(1)", "size cannot be used with string and int"),
        ("map.b", "there is no b"),
        ("nobody", "there is no nobody"),
        ("n.a", "int has no field a"),
        ("list[3]", "there is no item 3: the list has 3"),
        ("{'a': 1, 'a': 2}", "a map has the same key twice"),
        ("{1.0: 1}", "double cannot be the key of a map"),
        ("0.0 < 0.0 / 0.0", "NaN has no order"),
        ("n ? 1 : 2", "int is neither true nor false"),
        ("n.map(x, x)", "int is neither a list nor a map"),
        ("text.matches('(')", "the regular expression is not valid"),
        (f"text.matches('{'a?' * 5_001}')", "the regular expression has more than 10,000 characters"),
        ("int('1_0')", "the text is not an integer"),
        ("double(' 1')", "the text is not a number"),
        ("double('\u0131nf')", "the text is not a number"),
        ("double('\u0130nf')", "the text is not a number"),
        ("duration('--1h')", "the text is not a duration"),
        ("duration('1d')", "the text is not a duration"),
        (f"duration('{'1h' * 101}')", "the text is not a duration"),
        ("timestamp('2026-02-30T00:00:00Z')", "the text is not a timestamp"),
        ("timestamp('2026-02-28T00:00:00+00:99')", "the text is not a timestamp"),
        (
            "timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z')",
            "the duration is out of range",
        ),
        ("timestamp('2026-11-28T00:00:00Z').getHours('../etc')", "there is no such time zone"),
        ("int(-9223372036854775808.0)", "integer overflow: the double is out of range"),
        ("int(0.0 / 0.0)", "integer overflow: the double is out of range"),
    ],
)
def test_an_expression_without_a_value_says_why(source: str, reason: str) -> None:
    with pytest.raises(EvaluationFailed, match=r".") as raised:
        value(source)
    assert str(raised.value).startswith(reason)


@pytest.mark.parametrize("failing", ["1 / 0 == 1", "n", "nobody", "text.matches('(')"])
def test_and_and_or_ignore_a_failure_if_the_other_side_decides(failing: str) -> None:
    assert value(f"{failing} || true") is value(f"true || {failing}") is True
    assert value(f"{failing} && false") is value(f"false && {failing}") is False
    assert value(f"[1, 2].exists(x, x == 1 ? {failing} : true)") is True
    assert value(f"[1, 2].all(x, x == 1 ? {failing} : false)") is False
    for source in (f"{failing} || false", f"true && {failing}", f"[1].all(x, {failing})", f"!({failing})"):
        with pytest.raises(EvaluationFailed):
            value(source)


def test_numbers_of_different_types_are_on_one_number_line_and_booleans_are_not() -> None:
    assert value("1 == 1.0 && 1u == 1 && 1 < 1.5 && [1] == [1.0] && {1: 2}[1u] == 2 && 1.0 in {1: 2}")
    assert value("1 != true && !(1 in [true]) && !(true in {1: 2}) && {true: 1} != {1: 1} && null != false")
    assert value("0.0 / 0.0 != 0.0 / 0.0 && !(3.1 in {1: 1, 2: 2})")
    assert value(
        "!(9223372036854775807 < 9223372036854775808.0) && 9223372036854775808.0 <= 9223372036854775807"
    )


def test_an_integer_of_json_that_is_too_large_for_an_int_is_a_uint_or_a_double() -> None:
    assert value(
        "large > 1 && type(large) == double && type(unsigned) == uint && unsigned == 9223372036854775808u"
    )
    assert evaluate(parse("[x] == [18446744073709551616.0] && [x].all(y, y == x)"), {"x": 2**64})
    assert type(value("unsigned + 1u")) is Uint


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        (
            "step.tool ==",
            "1:13: Syntax error: it ends here, but a value is expected\n| step.tool ==\n| ............^",
        ),
        ("true &&\n  (1 = 2)", "2:6: Syntax error: '=' has no meaning here; write ==\n|   (1 = 2)\n| .....^"),
        ("a and b", "1:3: Syntax error: this is 'and', but an operator or the end is expected"),
        ("x == 'ab", "1:6: Syntax error: this text has no closing quote"),
        (r"x == 'a\d'", "1:8: Syntax error: this is not an escape sequence; write \\\\ for a backslash"),
        (r"'\ud800'", "1:2: Syntax error: this is not an escape sequence"),
        (r"b'\u00e9'", "1:3: Syntax error: this is not an escape sequence"),
        ("9223372036854775808", "1:1: Syntax error: the number is not an int of 64 bits"),
        ("9" * 5_000 + "u", "1:1: Syntax error: the number is not a uint of 64 bits"),
        ("1e400", "1:1: Syntax error: the number is too large for a double"),
        ("size(1", "1:7: Syntax error: it ends here, but ',' or ')' is expected"),
        ("f(1,)", "1:5: Syntax error: this is ')', but a value is expected"),
        ("{'a' 1}", "1:6: Syntax error: this is '1', but ':' is expected"),
        ("x.all(1, true)", "1:7: Syntax error: the first argument of all must be a name"),
        ("has(x)", "1:1: Syntax error: the argument of has must be a field"),
        ("if == 1", "1:1: Syntax error: 'if' is a reserved word"),
        ("x.in", "1:3: Syntax error: this is 'in', but a name is expected"),
        ("Message{a: 1}", "1:8: Syntax error: this is '{', but an operator or the end is expected"),
        ("true ? false ? 1 : 2 : 3", "1:14: Syntax error: this is '?', but ':' is expected"),
        ("!-n", "1:2: Syntax error: this is '-', but a value is expected"),
        ("ä == 1", "1:1: Syntax error: 'ä' has no meaning here"),
    ],
)
def test_a_syntax_error_has_its_line_its_column_and_plain_words(source: str, fault: str) -> None:
    with pytest.raises(InvalidExpression) as raised:
        parse(source)
    assert str(raised.value).startswith(fault)


NESTED = {
    "parentheses": lambda size: "(" * size + "true" + ")" * size,
    "lists": lambda size: "[" * size + "]" * size,
    "negations": lambda size: "!" * size + "true",
    "indexes": lambda size: "x" + "[0]" * size,
    "fields": lambda size: "x" + ".a" * size,
    "methods": lambda size: "x" + ".size()" * size,
    "sums": lambda size: "1" + " + 1" * size,
    "conditionals": lambda size: "true ? 1 : " * size + "2",
    "macros": lambda size: "[1].all(x, " * size + "true" + ")" * size,
}


@pytest.mark.parametrize("form", NESTED)
@pytest.mark.parametrize("size", [MAX_DEPTH + 1, 10_000])
def test_an_expression_may_not_be_nested_too_deeply(form: str, size: int) -> None:
    parse(NESTED[form](32))  # as the specification demands
    with pytest.raises(InvalidExpression, match=f"nested more than {MAX_DEPTH} levels deep"):
        parse(NESTED[form](size))


def test_a_deep_value_is_no_crash() -> None:
    deep: Any = []
    for _ in range(5_000):
        deep = [deep]
    with pytest.raises(Unclear, match="nested too deeply"):
        Condition("step == plan").holds({"step": deep, "plan": [deep]})


# Without a limit, these take up to minutes, or gigabytes, for the values of a plan with 256 KiB.
@pytest.mark.parametrize(
    ("source", "item"),
    [
        ("step.all(x, x != 2)", 1),
        ("step.map(x, [x, 1]).size() > 1", 1),
        ("step.all(x, x in step)", 1),
        ("2 in step || 3 in step", 1),
        ("[step, step] == [step, step]", 1),
        ("step.exists(x, step[0] == x + 'b')", "a"),
        ("step.all(x, step.exists_one(y, y == x))", "a"),
        ("{'a': step} == {'a': step} && {'a': step} == {'a': step}", "a"),
        ("step.exists(x, request.contains(x))", "a"),
        ("step.map(x, x + request) == []", "a"),
        ("step.map(x, step + [x]) == []", "a"),
        ("step.exists(x, request.matches('(.*c.*d.*){9}' + x))", "b"),
        ("request.matches('(.*c.*d.*){100}b')", ""),
    ],
)
def test_an_evaluation_takes_a_limited_number_of_operations(source: str, item: object) -> None:
    condition = Condition(source)
    large = {"step": [item] * 60_000, "request": "cd" * 120_000}
    with suppress(Unclear):
        condition.holds({"step": [item] * 50, "request": "cd" * 50})
    for one in (condition, Condition(f"({source}) || true"), Condition(f"({source}) && false")):
        with pytest.raises(Unclear, match="it takes more than 100,000 operations"):
            one.holds(large)


@pytest.mark.parametrize("pattern", ["a{}", "(a?b?c?){{1000}}{}", r"(\p{{L}}?){{1000}}{}"])
def test_an_evaluation_compiles_a_limited_number_of_regular_expressions(pattern: str) -> None:
    patterns = [pattern.format(n) for n in range(1_000)]
    condition = Condition("step.exists(one, request.matches(one))")
    with pytest.raises(Unclear, match="it takes more than 100,000 operations"):
        condition.holds({"step": patterns, "request": "x"})
    assert not Condition("step.exists(one, request.matches('^a.b$'))").holds(
        {"step": patterns, "request": "x"}
    )


def test_a_plan_with_many_steps_takes_few_enough_operations() -> None:
    steps = [
        {"tool": f"tool{n % 7}", "number": n, "arguments": {"to": [f"{n}@a.b"] * 20}} for n in range(200)
    ]
    for source in (
        "plan.steps.filter(s, s.tool == step.tool && s.arguments.to == step.arguments.to).size() == 1",
        "plan.steps.all(s, s.arguments.to.all(to, to.endsWith('@a.b') && !to.contains('c')))",
        "plan.steps.all(s, s.number < 100 || plan.steps.exists(o, o.number == s.number - 100))",
    ):
        assert Condition(source).holds({"plan": {"steps": steps}, "step": steps[9]})


@pytest.mark.parametrize(
    "term",
    [
        "x == 'a' || ",
        "x && ",
        "1 < 2 || ",
        "// c\n",
        "'' in '' && ",
        "[1, 2, {}] == [] || ",
        "x ",
        "'\\x41' != ",
    ],
)
def test_reading_takes_linear_time_and_long_chains_are_not_deep(term: str) -> None:
    def read(source: str) -> None:
        with suppress(InvalidExpression, EvaluationFailed):
            evaluate(parse(source + "true"), {"x": True})

    assert growth(read, lambda size: term * (size // len(term))) < 3.0
    if "||" in term or "&&" in term:
        parse(term * 10_000 + "true")


def test_the_uses_of_variables_are_exact() -> None:
    source = (
        "step.arguments['a'].b == 'plan.x' && [plan.steps[0].no].exists(step, step.no == .request.text) "
        "|| has(totals.a) // duplicates.no"
    )
    assert list(paths(parse(source))) == [
        ("step", ("arguments", "a", "b")),
        ("plan", ("steps",)),
        ("request", ("text",)),
        ("totals", ("a",)),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "plan.steps.exists(step, step.no == 1)",  # a variable of the macro
        "[{'no': 1}][0].no == step.number",  # a field of another value
        "'step.no' == request['text']",
        "step.arguments.all(key, key != 'no' && type(key) == string)",
        "step.reason.matches(r'totals\\[')",
    ],
)
def test_only_unknown_fields_of_variables_are_reported(source: str) -> None:
    tools: dict[str, ToolDeclaration] = {}
    assert list(Condition(source).unknown_words(tools)) == []
    assert list(Condition(f"{source} || step.no == 1").unknown_words(tools)) == [
        "step has no field no; it has: arguments, number, reason, tool"
    ]


@pytest.mark.parametrize(
    "use",
    [
        "step.arguments.headers['{}'] == 'x'",
        "step.arguments['headers']['{}'] == 'x'",
        "step.arguments.headers.`{}` == 'x'",
        "has(step.arguments.headers.`{}`)",
        "'{}' in step.arguments.headers",
    ],
)
def test_a_header_that_plans_write_in_another_way_is_reported(use: str) -> None:
    tools = declarations()
    source = f"step.tool == 'http_request' && {use}"
    assert list(Condition(source.format("x-api-key")).unknown_words(tools)) == []
    for name in ("X-Api-Key", "x_api_key"):
        (message,) = Condition(source.format(name)).unknown_words(tools)
        assert message.startswith(f"the header '{name}' never matches")


def test_a_message_is_given_once() -> None:
    assert len(list(Condition("nobody || nobody || lower('a') || lower('b')").unknown_words({}))) == 2


def test_a_value_of_another_type_is_no_value_of_an_expression() -> None:
    with pytest.raises(EvaluationFailed, match="set is not a value of CEL"):
        kind({1})
    for source in ("step", "step == 1", "[step].exists(one, one == 1)", "step.a"):
        with pytest.raises(Unclear, match="set"):
            Condition(source).holds({"step": {1}})


def test_the_library_for_regular_expressions_is_loaded_when_it_is_used() -> None:
    code = (
        "import sys; from plangate.policy.conditions import Condition; one = Condition('a.matches(a)');"
        "assert 're2' not in sys.modules; assert one.holds({'a': 'a'}); assert 're2' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)
