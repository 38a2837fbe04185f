"""The defaults of an MCP server are filled in before the review; decimal multiples are exact (P1)."""

import json
from decimal import Decimal
from time import process_time
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError

from activities.tools.mcp.arguments import TOO_EXPENSIVE, arguments_of
from activities.tools.mcp.config import ServerConfig
from activities.tools.mcp.schema import SchemaRefused, plain_schema
from activities.tools.mcp.session import Offered
from activities.tools.mcp.tool import McpTool, tool_of
from activities.tools.mcp.turns import Turns
from plangate.domain.plans.drafting import check_plan, complete
from plangate.domain.plans.plan import Audience, fingerprint_of
from plangate.domain.validation import faults_in
from plangate.policy.policy_file import checked_policy
from plangate.tool import arguments_for

pytestmark = pytest.mark.quick
SHORT = st.text(alphabet="abc", max_size=3)
NUMBERS = st.integers(-9, 9)
MONEY_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"amount": {"type": "number", "default": 1_000_000}, "to": {"type": "string"}},
}


class Money(BaseModel):
    amount: int = 1_000_000
    currency: str = "EUR"


class Line(BaseModel):
    text: str
    money: Money = Money(amount=5)


class Cash(BaseModel):
    kind: Literal["cash"]
    tip: int = 5


class Card(BaseModel):
    kind: Literal["card"]
    fees: list[Money] = [Money()]


class Node(BaseModel):
    name: str = "x"
    weight: float | None = None
    money: Money | None = None
    children: list["Node"] = []


class Order(BaseModel):
    """The arguments of a tool as pydantic describes them and a Python server completes them."""

    pay: Annotated[Cash | Card, Field(discriminator="kind")]
    pair: tuple[Money, int]
    lines: list[Line] = []
    by_name: dict[str, Money] = {}
    tree: Node | None = None
    either: Line | list[Line] | int = 7


def objects(needed: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(needed, optional=optional)


MONEY = objects({}, {"amount": NUMBERS, "currency": SHORT})
LINES = objects({"text": SHORT}, {"money": MONEY})
NODES: st.SearchStrategy[Any] = st.deferred(
    lambda: objects(
        {},
        {
            "name": SHORT,
            "weight": st.none() | NUMBERS,
            "money": st.none() | MONEY,
            "children": st.lists(NODES, max_size=2),
        },
    )
)
ORDERS = objects(
    {
        "pay": objects({"kind": st.just("cash")}, {"tip": NUMBERS})
        | objects({"kind": st.just("card")}, {"fees": st.lists(MONEY, max_size=2)}),
        "pair": st.tuples(MONEY, NUMBERS).map(list),
    },
    {
        "lines": st.lists(LINES, max_size=2),
        "by_name": st.dictionaries(SHORT, MONEY, max_size=2),
        "tree": st.none() | NODES,
        "either": LINES | st.lists(LINES, max_size=2) | NUMBERS,
    },
)
ORDER_MODEL = arguments_of(plain_schema(Order.model_json_schema()))


def tool(schema: dict[str, Any], output: dict[str, Any] | None = None) -> McpTool:
    return tool_of(
        ServerConfig("bank", command=("x",)), Offered("pay", "Pay.", schema, output), Turns("bank")
    )


def filled(schema: dict[str, Any], value: Any) -> Any:
    return complete(arguments_of(plain_schema(schema)).model_validate_json(json.dumps(value)))


@settings(max_examples=100, deadline=None)
@given(ORDERS)
def test_a_server_has_no_defaults_left_to_fill_in(value: Any) -> None:
    whole = complete(ORDER_MODEL.model_validate_json(json.dumps(value)))
    at_the_server = Order.model_validate(whole)
    assert at_the_server.model_dump(mode="json") == whole
    assert at_the_server.model_dump(mode="json", exclude_unset=True) == whole
    assert complete(ORDER_MODEL.model_validate_json(json.dumps(whole))) == whole


@pytest.mark.parametrize(
    ("part", "given_value", "whole"),
    [
        (MONEY_SCHEMA, {}, {"amount": 1_000_000}),
        (
            {"type": "array", "items": MONEY_SCHEMA},
            [{}, {"amount": 1}],
            [{"amount": 1_000_000}, {"amount": 1}],
        ),
        ({"prefixItems": [{}, MONEY_SCHEMA]}, [1, {}], [1, {"amount": 1_000_000}]),
        ({"additionalProperties": MONEY_SCHEMA}, {"x": {}}, {"x": {"amount": 1_000_000}}),
        ({"allOf": [MONEY_SCHEMA]}, {}, {"amount": 1_000_000}),
        ({"anyOf": [{"type": "null"}, MONEY_SCHEMA]}, {}, {"amount": 1_000_000}),
        ({"if": {"required": ["to"]}, "then": MONEY_SCHEMA}, {"to": "a"}, {"to": "a", "amount": 1_000_000}),
        ({"if": {"required": ["to"]}, "else": MONEY_SCHEMA}, {}, {"amount": 1_000_000}),
        ({"dependentSchemas": {"to": MONEY_SCHEMA}}, {"to": "a"}, {"to": "a", "amount": 1_000_000}),
        ({**MONEY_SCHEMA, "default": {"to": "b"}}, None, {"to": "b", "amount": 1_000_000}),
        ({**MONEY_SCHEMA, "required": ["amount"], "default": {}}, None, {"amount": 1_000_000}),
        ({"items": [MONEY_SCHEMA], "additionalItems": MONEY_SCHEMA}, [{}, {}], [{"amount": 1_000_000}] * 2),
    ],
)
def test_approvers_rules_and_the_server_see_a_default_at_any_level(
    part: dict[str, Any], given_value: Any, whole: Any
) -> None:
    pay = tool({"type": "object", "properties": {"o": part}})
    tools = {"bank_pay": pay.declaration}

    def plan_of(arguments: Any) -> Any:
        step = {"tool": "bank_pay", "arguments": arguments, "reason": "so"}
        return check_plan({"summary": "x", "steps": [step]}, tools, 3)

    plan = plan_of({} if given_value is None else {"o": given_value})
    assert plan.steps[0].arguments == {"o": whole}
    arguments: Any = arguments_for(pay.declaration, plan.steps[0].arguments)
    assert arguments.model_dump(mode="json") == {"o": whole}  # the value that is sent
    assert "1000000" in pay.preview(arguments, None).replace(",", "").replace("\u202f", "")
    assert fingerprint(plan) == fingerprint(plan_of({"o": whole}))
    assert fingerprint(plan) != fingerprint(
        plan_of({"o": json.loads(json.dumps(whole).replace("1000000", "1"))})
    )


def fingerprint(plan: Any) -> str:
    audience = Audience(installation="i" * 32, namespace="default")
    return fingerprint_of(plan, 1, "run", audience)


def test_a_rule_counts_the_default_of_a_nested_object() -> None:
    tools = {"bank_pay": tool({"type": "object", "properties": {"o": MONEY_SCHEMA}}).declaration}
    text = '[[rule]]\nname = "much"\nwhen = "step.arguments.o.amount > 500"\nneeds = [{role = "anyone"}]\n'
    policy = checked_policy(text, tools, None)
    step = {"tool": "bank_pay", "arguments": {"o": {}}, "reason": "so"}
    plan = check_plan({"summary": "x", "steps": [step]}, tools, 3)
    assert policy.explain(plan, request="", requester="rita").steps[0].rules == ("much",)


def test_the_first_of_contradictory_defaults_is_filled_in() -> None:
    properties = {name: {"type": "integer", "default": n} for n, name in enumerate("abc")}
    pair = {"type": "object", "properties": properties, "not": {"required": ["a", "b"]}}
    assert filled(pair, {}) == {"a": 0, "c": 2}
    assert filled(pair, {"b": 9}) == {"b": 9, "c": 2}
    nested = {"type": "object", "properties": {"o": pair, "list": {"items": pair}}}
    assert filled(nested, {"o": {}, "list": [{"b": 1}]}) == {
        "o": {"a": 0, "c": 2},
        "list": [{"b": 1, "c": 2}],
    }


@pytest.mark.parametrize("keyword", ["patternProperties", "dependencies"])
@pytest.mark.parametrize("part", [MONEY_SCHEMA, {"$ref": "#/$defs/money"}, {"$ref": "#"}])
def test_a_default_that_cannot_be_shown_is_refused(keyword: str, part: dict[str, Any]) -> None:
    inner = {"type": "object", keyword: {"^x": part}}
    with pytest.raises(SchemaRefused, match="no approver would see it"):
        plain_schema({**inner, "$defs": {"money": MONEY_SCHEMA}, "type": "object"})
    plain_schema({"type": "object", keyword: {"^x": {"type": "object"}, "^y": {"items": {}}}})
    rest = {"patternProperties": {"^x": {}}, "additionalProperties": MONEY_SCHEMA}
    for other in (rest, {"unevaluatedProperties": MONEY_SCHEMA}, {"unevaluatedItems": MONEY_SCHEMA}):
        with pytest.raises(SchemaRefused, match="no approver would see it"):
            plain_schema({"type": "object", "properties": {"o": other}})


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (  # each level contains another one
            {
                "$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n", "default": {}}}}},
                "$ref": "#/$defs/n",
            },
            {},
        ),
        ({"allOf": [{"$ref": "#"}]}, {}),
        (  # gigabytes
            {"properties": {"a": {"items": {"properties": {"b": {"default": "x" * 60_000}}}}}},
            {"a": [{}] * 50_000},
        ),
        (
            {
                "properties": {
                    "a": {"items": {"anyOf": [{"properties": {"b": {"const": n}}} for n in range(300)]}}
                }
            },
            {"a": [{"b": 400}] * 10_000},
        ),
    ],
)
def test_many_defaults_do_not_block_the_worker(schema: dict[str, Any], value: Any) -> None:
    model = arguments_of(plain_schema(schema))
    began = process_time()
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(json.dumps(value))
    assert [fault.message for fault in faults_in(caught.value)] == [TOO_EXPENSIVE]
    assert process_time() - began < 60


@settings(max_examples=60, deadline=None)
@given(
    st.integers(-(10**12), 10**12),
    st.integers(1, 999),
    st.integers(0, 6),
    st.integers(1, 9),
)
def test_multiples_are_computed_in_decimal(count: int, digits: int, places: int, more: int) -> None:
    factor = Decimal(digits).scaleb(-places)
    right, wrong = factor * count, factor * count + Decimal(more).scaleb(-places - 1)
    number = {"type": "number", "multipleOf": json.loads(str(factor))}
    schema = {"type": "object", "properties": {"amount": number}}
    pay = tool(schema, schema)
    for value, is_one in ((right, True), (wrong, False)):
        text = f"{value:f}"
        if Decimal(repr(float(text))) != value:
            continue  # not a JSON number: it has too many digits
        sent = f'{{"amount": {text}}}'
        assert (pay._note(json.loads(sent)) == "") is is_one  # noqa: SLF001  the receipt's text for an answer
        if is_one:
            pay.declaration.arguments.model_validate_json(sent)
        else:
            with pytest.raises(ValidationError, match="is not a multiple"):
                pay.declaration.arguments.model_validate_json(sent)


def test_each_amount_with_two_places_is_a_multiple_of_a_cent() -> None:
    model = arguments_of(plain_schema({"properties": {"a": {"items": {"multipleOf": 0.01}}}}))
    for cents in range(0, 10_000, 1_000):
        model.model_validate_json(json.dumps({"a": [n / 100 for n in range(cents, cents + 1_000)]}))
