"""Conditions mean what they mean in another implementation of CEL, in Rust: `common-expression-language`.

Generated expressions have the same value in both, or no value in both. The library differs from CEL's
specification in a few points, which the generator avoids; each is a case of `DEVIATIONS`.
"""

import math
from contextlib import suppress
from datetime import timedelta
from typing import Any

import cel
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from plangate.policy.cel.evaluation import evaluate
from plangate.policy.cel.parser import InvalidExpression, parse
from plangate.policy.cel.syntax import Call, Expression, walk
from plangate.policy.cel.values import Duration, EvaluationFailed, Timestamp, Type, Uint, from_json
from tests.support.times import times

NO_VALUE = "no value"
INTEGERS = [0, 1, -1, 2, 7, 2**53 + 1, 2**63 - 1, -(2**63)]
LARGE = [2**63, 2**64 - 1, 2**64, 2**70, -(2**70)]
DOUBLES = [0.0, -0.0, 1.0, 2.0, -1.5, 0.1, 1e308, 2.0**53, 2.0**63, 2.0**64]
STRINGS = [
    "",
    "a",
    "ab",
    "B",
    "é",
    "\u0301",
    "12",
    "-3",
    "+5",
    " 5",
    "0x1",
    "1_0",
    "1.5",
    "1e3",
    "nan",
    "x.y",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from([*INTEGERS, *LARGE, *DOUBLES, *STRINGS]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    ),
    max_leaves=5,
)
VARIABLES = st.fixed_dictionaries(
    {
        "i": st.sampled_from([*INTEGERS, *LARGE]),
        "d": st.sampled_from(DOUBLES),
        "s": st.sampled_from(STRINGS),
        "t": st.booleans(),
        "l": st.lists(st.sampled_from(INTEGERS), max_size=3),
        "w": st.lists(st.sampled_from(STRINGS), max_size=3),
        "m": st.dictionaries(st.sampled_from(["a", "b"]), JSON, max_size=2),
        "x": JSON,
    }
)


def text(value: str) -> str:
    return "'" + value + "'"


def call(*forms: str, **parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """One of the forms, with an expression for each name."""
    return st.builds(lambda form, **found: form.format(**found), st.sampled_from(forms), **parts)


SMALL = st.sampled_from(["0", "1", "2", "-1", "7", "9223372036854775807", "-9223372036854775808", "0x1f"])


def typed(depth: int) -> dict[str, st.SearchStrategy[str]]:
    """Expressions of a known type, up to this depth, which may overflow and use missing keys."""
    number = SMALL | st.sampled_from(["i", "size(l)", "size(m)"])
    double = st.sampled_from(["d", "0.0", "1.5", ".5", "1e3", "-2.0", "1e+308"])
    string = st.sampled_from(["s", *map(text, STRINGS), '"a"', "'''b'''", r"r'\d'", r"'\x41\u00e9\n'"])
    truth = st.sampled_from(["t", "true", "false", "has(m.a)", "'b' in m", "s in w", "1 in l"])
    if depth == 0:
        return {"number": number, "double": double, "string": string, "truth": truth}
    one = typed(depth - 1)
    n, d, s, t = one["number"], one["double"], one["string"], one["truth"]
    both = n | d
    number |= call("({a} + {b})", "({a} - {b})", "({a} * {b})", "({a} / {b})", "({a} % {b})", a=n, b=n)
    number |= call("(-{a})", "[{a}, 2][0]", "int('{a}')", "({c} ? {a} : 3)", a=n, c=t) | call(
        "int({a})", a=both | s
    )
    number |= call("l[{a}]", a=n) | st.sampled_from(["m.a", "m['b']", "x.a", "int(s)"])
    double |= call("({a} + {b})", "({a} - {b})", "({a} * {b})", "({a} / {b})", a=d, b=d)
    double |= call("(-{a})", a=d) | call("double({a})", a=both | s)
    string |= call("({a} + {b})", "string({a})", "({a} + string({c} + 0))", a=s, b=s, c=n)
    truth |= call("({a} {{}} {b})", a=both, b=both).flatmap(_compared) | call(
        "({a} {{}} {b})", a=s, b=s
    ).flatmap(_compared)
    truth |= call("({a} && {b})", "({a} || {b})", "({a} ? {b} : !({a}))", "!({a})", "({a} == {b})", a=t, b=t)
    truth |= call(
        "{a}.contains({b})", "{a}.startsWith({b})", "{a}.endsWith({b})", "({a} in [{b}, s])", a=s, b=s
    )
    truth |= call("l.all(y, y > {a})", "l.exists(y, y == {a})", "l.exists_one(y, y < {a})", a=SMALL)
    truth |= call(
        "l.map(y, y > 0, y).exists(i, i != {a})", "w.filter(y, y == {b}) == [{b}]", a=SMALL, b=string
    )
    return {"number": number, "double": double, "string": string, "truth": truth}


def _compared(form: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["<", "<=", ">", ">=", "==", "!="]).map(form.format)


ATOMS = st.sampled_from(
    [
        *("i", "d", "s", "t", "l", "w", "m", "x", "m.a", "x.a", "null", "true", "1", "2.5", "'a'", "b'ab'"),
        *("[]", "{}", "{'a': 1}", "[1, 1.0, 'a']", "18446744073709551615u", "unknown", "unknown(1)"),
        *("timestamp('2026-11-28T09:00:00.5Z')", "timestamp('2026-11-28')"),
        *("duration('1h30m')", "duration('-1.5s')", "duration('1d')"),
    ]
)
OPERATORS = ["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "&&", "||"]
UNTYPED = st.recursive(
    ATOMS,
    lambda one: (
        st.builds(
            lambda a, operator, b: f"({a} {operator} {b})",
            one,
            st.sampled_from(OPERATORS),
            one,
        )
        | call(
            "!({a})", "{a}.b", "has({a}.b)", "dyn({a})", "type({a}) == type({b})", "[{a}, {b}]", a=one, b=one
        )
        | call(
            "({a} ? {b} : 1)",
            "{{'a': {a}}}",
            "{a} in [{b}]",
            "size([{a}])",
            "{a}['b']",
            "{a}[0]",
            a=one,
            b=one,
        )
        | call("{a}.contains({b})", "{a}.startsWith({b})", "{a}.getHours()", "{a}.getDate()", a=one, b=one)
        | call("{a}.getMonth()", "{a}.getDayOfWeek()", "{a}.getDayOfYear()", "{a}.getMinutes()", a=one)
    ),
    max_leaves=8,
)
FLAT = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "1",
                "2",
                "-3",
                "i",
                "t",
                "!t",
                "true",
                "2.0",
                "d",
                "'a'",
                "s",
                "l[0]",
                "m.a",
                "[1]",
                "- 1",
                "--1",
            ]
        ),
        st.sampled_from([*OPERATORS, "&&", "||", "in"]),
    ),
    min_size=2,
    max_size=8,
).map(lambda parts: " ".join(word for part in parts for word in part).rpartition(" ")[0])
EXPRESSIONS = (
    typed(3)["truth"] | typed(3)["number"] | typed(2)["double"] | typed(2)["string"] | UNTYPED | FLAT
)


def plain(value: Any) -> Any:
    """Return a value of one implementation in a form that can be compared with the other's."""
    value = from_json(value)
    match value:
        case Timestamp():
            return value.utc + timedelta(microseconds=value.nanoseconds % 10**9 // 1000)
        case Duration():
            return timedelta(microseconds=value.nanoseconds // 1000)
        case Type(name):
            return name
        case bool() | None | str() | bytes():
            return type(value), value
        case Uint() | int() | float() if math.isnan(value):
            return "NaN"
        case Uint() | int():
            return "integer", int(value)
        case float():
            return "double", value, math.copysign(1, value)
        case list():
            return list(map(plain, value))
        case dict():
            return {str(key): plain(one) for key, one in value.items()}
    return value


def ours(source: str, variables: dict[str, Any]) -> Any:
    try:
        return plain(evaluate(parse(source), variables))
    except (InvalidExpression, EvaluationFailed):
        return NO_VALUE


def the_librarys(source: str, variables: dict[str, Any]) -> Any:
    try:
        return plain(cel.compile(source).execute(variables))
    except Exception:  # noqa: BLE001  it raises many kinds
        return NO_VALUE


def is_known_to_differ(tree: Expression, variables: dict[str, Any]) -> bool:
    """Return whether it is one of the `DEVIATIONS` that the generator cannot avoid."""

    def value_of(node: Expression) -> Any:
        try:
            return evaluate(node, variables)
        except EvaluationFailed:
            return None

    def differs(function: str, values: list[Any]) -> bool:
        match function, values:
            case ("+", [list(), dict()]) | ("-", [bool()]) | ("[]", [list(), float()]):
                return True
            case "-", [int(number)]:
                return number == -(2**63)
        return False

    calls = [node for node, _ in walk(tree) if isinstance(node, Call) and node.function in {"+", "-", "[]"}]
    return any(differs(node.function, list(map(value_of, node.arguments))) for node in calls)


@settings(max_examples=times(3_000), deadline=None)
@given(EXPRESSIONS, VARIABLES)
def test_an_expression_has_the_same_value_in_both(source: str, variables: dict[str, Any]) -> None:
    with suppress(InvalidExpression):
        assume(not is_known_to_differ(parse(source), variables))
    assert ours(source, variables) == the_librarys(source, variables)


# Expression, value of the library, value here, and what the specification says.
DEVIATIONS: list[tuple[str, Any, Any, str]] = [
    ("size('\u00e9')", 2, 1, "the size of a string is its number of code points"),
    ("[0, 1].exists(n, 1 / n == 1)", NO_VALUE, True, "exists ignores errors if any predicate is true"),
    ("[0, 1].all(n, 1 / n == 2)", NO_VALUE, False, "all ignores errors if any predicate is false"),
    ("!!'a'", "a", NO_VALUE, "! takes a bool"),
    ("-true", False, NO_VALUE, "- takes an int or a double"),
    ("-(0 - 9223372036854775807 - 1)", -(2**63), NO_VALUE, "an overflow is an error"),
    ("[1] + {'a': 2}", [1, "a"], NO_VALUE, "+ takes two lists"),
    ("{'a': 1, 'a': 2}.a", 2, NO_VALUE, "it is an error to have duplicate keys"),
    ("{1: 2}[1u]", NO_VALUE, 2, "keys of numeric types are compared as numbers"),
    ("1.0 in {1: 2}", NO_VALUE, True, "as above"),
    ("1.5 in {1: 2}", NO_VALUE, False, "as above"),
    ("[7][0.0]", NO_VALUE, 7, "as above"),
    (".i", NO_VALUE, 5, "a leading dot names a variable of the root scope"),
    ("matches('ab', 'b')", NO_VALUE, True, "matches is a function and a method"),
    ("'\u00e9'.matches(r'\\w')", True, False, "matches uses RE2, in which \\w and \\d are ASCII"),
    ("'\u0663'.matches(r'\\d')", True, False, "as above"),
    ("bool('true')", NO_VALUE, True, "bool(string) -> bool"),
    ("bool(true)", NO_VALUE, True, "bool(bool) -> bool"),
    ("string(true)", NO_VALUE, "true", "string(bool) -> string"),
    ("string(1e21)", "1" + 21 * "0", "1e+21", "conformance test conversions: string(6.02214e23)"),
    (
        "string(timestamp('2026-11-28T09:00:00Z'))",
        "2026-11-28T09:00:00+00:00",
        "2026-11-28T09:00:00Z",
        "RFC 3339",
    ),
    ("string(duration('1h'))", "1h0m0s", "3600s", "conformance test timestamps: in seconds"),
    ("string(duration('1h') + duration('1ns'))", "1h0m0.000000001s", "3600.000000001s", "as above"),
    ("int(timestamp('1970-01-01T00:01:00Z'))", NO_VALUE, 60, "int(timestamp) -> int"),
    ("timestamp(60) == timestamp('1970-01-01T00:01:00Z')", NO_VALUE, True, "timestamp(int) -> timestamp"),
    ("duration('1.5s').getMilliseconds()", 1500, 500, "the milliseconds portion of the duration"),
    ("timestamp('2026-11-28T09:00:00Z').getHours('Europe/Berlin')", NO_VALUE, 10, "a time zone as argument"),
    ("timestamp('2026-11-28T09:00:00+01:00').getHours()", 9, 8, "in UTC"),
    ("type(duration('1s')) == google.protobuf.Duration", NO_VALUE, True, "types are values"),
    ("{'a-b': 1}.`a-b`", NO_VALUE, 1, "conformance test fields: quoted_map_fields"),
]


@pytest.mark.parametrize(("source", "value", "here", "rule"), DEVIATIONS)
def test_the_library_differs_from_the_specification(source: str, value: Any, here: Any, rule: str) -> None:
    assert (the_librarys(source, {"i": 5}), ours(source, {"i": 5})) == (
        value if value == NO_VALUE else plain(value),
        here if here == NO_VALUE else plain(here),
    ), rule
