"""The names, schemas and secrets of MCP servers: accepted, or refused with an explanation."""

import base64
import json
import re
import sys
import tempfile
from pathlib import Path
from time import process_time
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from activities.planners.limits import Limits
from activities.planners.proposals import Proposals
from activities.tools.mcp.arguments import arguments_of
from activities.tools.mcp.config import read_config
from activities.tools.mcp.names import legal_name
from activities.tools.mcp.schema import MAX_SCHEMA, SchemaRefused, plain_schema
from activities.tools.mcp.secrets import Secrets
from activities.tools.mcp.servers import McpServer, McpServers
from activities.tools.mcp.session import Offered
from activities.tools.mcp.tool import tool_of
from activities.tools.mcp.turns import Turns
from plangate.domain.errors import FileInvalid, PlanInvalid
from plangate.domain.plans.drafting import check_arguments, check_plan, complete
from plangate.domain.plans.tool import ToolArguments, ToolDeclaration
from plangate.domain.validation import faults_in
from plangate.logs.redaction import REDACTED
from plangate.policy.policy_file import checked_policy
from plangate.policy.policy_input import numeric_arguments
from plangate.presentation.lists import tool_as_json, tools_page
from plangate.settings import Settings
from plangate.tool.listing import ListedTool
from tests.support.mcp_servers import written

pytestmark = pytest.mark.quick
LEGAL = re.compile(r"[a-z][a-z0-9_]{0,63}")
TEXT = st.text(max_size=20)
JSON_TYPES = st.sampled_from(("string", "integer", "number", "boolean", "array", "object", "null", "odd"))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | TEXT | JSON_TYPES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
REFERENCES = st.sampled_from(
    (
        "#",
        "#/$defs/a",
        "#/properties/a",
        "#/nowhere",
        "http://127.0.0.1:9/x.json",
        "file:///etc/passwd",
        "a.json",
    )
)


def part(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Valid and invalid schemas: each keyword has a permitted value or some other value."""
    named = st.dictionaries(
        st.sampled_from(("a", "b", "discriminator", "$ref", "why", "é", "_x")), inner, max_size=3
    )
    many = st.lists(inner, min_size=1, max_size=2)
    keywords = {
        "type": JSON_TYPES | st.lists(JSON_TYPES, max_size=2) | ANYTHING,
        "properties": named | ANYTHING,
        "$defs": named,
        "required": st.lists(st.sampled_from("ab"), max_size=2) | ANYTHING,
        "items": inner | many,
        "prefixItems": many,
        "anyOf": many,
        "oneOf": many | ANYTHING,
        "allOf": many,
        "not": inner,
        "if": inner,
        "additionalProperties": inner | st.booleans(),
        "patternProperties": named,
        "enum": st.lists(ANYTHING, max_size=2) | ANYTHING,
        "const": ANYTHING,
        "default": ANYTHING,
        "pattern": st.sampled_from(("^(a+)+$", "(?=a)", "[", "a{1000}{1000}")) | ANYTHING,
        "minimum": st.integers(-3, 3) | ANYTHING,
        "multipleOf": st.sampled_from((0, 1, 0.1, 1e-300)) | ANYTHING,
        "maxLength": st.integers(-3, 3) | ANYTHING,
        "description": TEXT | ANYTHING,
        "$ref": REFERENCES | ANYTHING,
        "$dynamicRef": st.just("#x"),
        "$id": st.just("http://127.0.0.1:9/"),
    }
    some = st.lists(st.sampled_from(sorted(keywords)), max_size=4, unique=True)
    return (
        some.flatmap(lambda chosen: st.fixed_dictionaries({one: keywords[one] for one in chosen}))
        | st.booleans()
    )


SCHEMAS = st.recursive(
    st.booleans() | st.just({}) | st.fixed_dictionaries({"$ref": REFERENCES}), part, max_leaves=8
)


def declared(schema: dict[str, Any], name: str = "pay", description: str = "Pay.") -> ToolDeclaration:
    config = read_config_of({"bank": {"command": "bank"}})[0]
    return tool_of(config, Offered(name, description, schema), Turns("bank")).declaration


def read_config_of(servers: dict[str, Any], folder: Path | None = None) -> Any:
    with tempfile.TemporaryDirectory() as made:
        return read_config(written((folder or Path(made)) / "mcp.json", servers))


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=200))
def test_every_name_becomes_a_valid_one_deterministically(server: str, tool: str) -> None:
    name = legal_name(server, tool)
    assert LEGAL.fullmatch(name)
    assert legal_name(server, tool) == name


@given(st.lists(st.text(alphabet="aA-_.é1", min_size=1, max_size=6), min_size=2, max_size=8, unique=True))
def test_names_that_lose_characters_stay_distinct(tools: list[str]) -> None:
    plain = [one for one in tools if re.fullmatch(r"[a-z0-9_-]+", one)]
    names = [legal_name("files", one) for one in tools if one not in plain]
    assert len(set(names)) == len(names)


def test_ordinary_names_are_unchanged() -> None:
    assert legal_name("files", "write_file") == "files_write_file"
    assert legal_name("everything", "get-env") == "everything_get_env"
    assert re.fullmatch(r"my_crm_contacts_add_[0-9a-f]{8}", legal_name("My.CRM", "contacts.add"))
    assert re.fullmatch(r"files_x{49}_[0-9a-f]{8}", legal_name("files", "x" * 200))
    assert legal_name("1", "2").startswith("mcp_1_2_")


def test_two_tools_with_the_same_name_are_both_refused(tmp_path: Path) -> None:
    schema = {"type": "object"}
    configs = read_config_of({"a": {"command": "x"}, "a_b": {"command": "x"}, "send": {"command": "x"}})
    servers = [McpServer(one, tmp_path) for one in configs]
    for server, tools in zip(servers, (("b_c", "get-it", "get_it"), ("c", "d"), ("email",)), strict=True):
        server.use([Offered(one, "", schema) for one in tools])
    assert list(McpServers(servers, None, {"send_email"}).tools()) == ["a_b_d"]
    servers[1].use([Offered("d", "", schema), Offered("d", "other", schema), Offered("e", "", schema)])
    assert list(McpServers(servers[1:2], None, ()).tools()) == ["a_b_e"]


async def test_without_the_library_the_worker_starts_and_reports_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("tool", "session", "process"):
        monkeypatch.setitem(sys.modules, f"activities.tools.mcp.{name}", None)
    monkeypatch.setattr("activities.tools.mcp.servers.find_spec", lambda _: None)
    path = written(tmp_path / "mcp.json", {"bank": {"command": "bank"}})
    servers = McpServers.from_settings(Settings(mcp_config_file=path, var_dir=tmp_path / "var"), ())
    await servers.list_all()
    (listed,) = servers.listed()
    assert (listed.declaration.name, dict(servers.tools())) == ("bank_tools", {})
    assert listed.lacks.endswith("install it with: pip install 'plangate[mcp]', or `make tools`")


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, st.dictionaries(st.sampled_from("ab"), ANYTHING, max_size=2))
def test_any_schema_is_accepted_or_refused_with_a_sentence(schema: Any, values: dict[str, Any]) -> None:
    if not isinstance(schema, dict):
        schema = {"type": "object", "properties": {"a": schema}}
    declaration = declared_or_refused(schema)
    if declaration is None:
        return
    tools = {declaration.name: declaration}
    # All code that uses a declaration can handle it.
    assert declaration.definition() == declared(schema).definition()
    assert "$ref" not in json.dumps(declaration.schema())
    numeric_arguments(declaration.arguments)
    Proposals(tools, Limits(10, 5))
    listed = ListedTool(declaration, "here")
    tools_page([listed])
    tool_as_json(listed)
    checked_policy('[[rule]]\nname = "x"\nwhen = "step.tool == \'bank_pay\'"\nneeds = []\n', tools, None)
    try:
        arguments = check_arguments(declaration.name, values, tools)
    except PlanInvalid as error:
        faults = [str(fault) for fault in error.faults]
    else:
        faults = []
        assert_read_back(arguments)
    assert [fault for fault in faults if "must fix it" in fault] == []


def declared_or_refused(schema: dict[str, Any]) -> ToolDeclaration | None:
    """Return the tool; if it is refused, check the sentence that gives the reason and return None."""
    said = ""
    try:
        return declared(schema)
    except SchemaRefused as error:
        said = str(error)
    assert 0 < len(said) < 400
    assert "\n" not in said
    return None


def assert_read_back(arguments: ToolArguments) -> None:
    whole = complete(arguments)
    assert complete(type(arguments).model_validate_json(json.dumps(whole))) == whole


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "string"}, "does not describe an object"),
        ({"properties": []}, "properties without names"),
        ({"type": "object", "required": "a"}, "not a JSON Schema"),
        ({"properties": {"a": {"$ref": "https://example.org/x.json"}}}, "only references within it"),
        ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "which it does not have"),
        ({"properties": {"a": {"description": "x" * MAX_SCHEMA}}}, "more than the limit of 65,536"),
        ({"properties": {"why": {}}}, "reserved for the reason"),
        ({"properties": {"$ref": {"type": "string"}}}, "cannot use"),
        ({"properties": {"a": 5}}, "not a schema"),
        ({"properties": {"a": {"type": "text"}}}, "not a JSON Schema"),
    ],
)
def test_an_unusable_schema_is_refused_with_the_reason(schema: dict[str, Any], why: str) -> None:
    with pytest.raises(SchemaRefused, match=why):
        plain_schema(schema)


def test_expanding_schemas_are_refused_and_recursive_ones_are_truncated() -> None:
    laughs: dict[str, Any] = {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 9} for n in range(8)}
    with pytest.raises(SchemaRefused, match="more than 4,000 parts"):
        plain_schema({"type": "object", "$defs": {**laughs, "a8": {}}, "$ref": "#/$defs/a0"})
    deep: dict[str, Any] = {}
    for _ in range(500):
        deep = {"properties": {"a": deep}}
    with pytest.raises(SchemaRefused, match="deep"):
        plain_schema(deep)
    node = {"type": "object", "properties": {"name": {"type": "string"}, "child": {"$ref": "#/$defs/node"}}}
    tree = declared(
        {"type": "object", "properties": {"tree": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}}
    )
    child: dict[str, Any] = {"name": "leaf"}
    for _ in range(20):
        child = {"name": "x", "child": child}
    checked = check_arguments("bank_pay", {"tree": child}, {"bank_pay": tree})
    assert complete(checked) == {"tree": child}
    with pytest.raises(PlanInvalid, match=r"tree\.name: must be text"):
        check_arguments("bank_pay", {"tree": {"name": 5}}, {"bank_pay": tree})


def test_arguments_are_checked_with_plain_messages_and_completed() -> None:
    model = arguments_of(
        plain_schema(
            {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "maxLength": 5},
                    "size": {"type": "integer", "default": 10},
                    "mode": {"enum": ["r", "w"]},
                    "tags": {"type": ["array", "null"], "items": {"type": "string"}},
                    "wrong": {"type": "string", "default": 5},
                },
                "required": ["path", "mode"],
            }
        )
    )
    assert complete(model.model_validate_json('{"path": "a", "mode": "r", "size": 3.0}')) == {
        "path": "a",
        "mode": "r",
        "size": 3,
    }
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json('{"path": "abcdef", "size": "x", "other": 1}')
    assert {str(fault) for fault in faults_in(caught.value)} == {
        "other: unknown field; remove it",
        "path: 'abcdef' is too long",
        "size: must be a whole number",
        "mode: is missing",
    }


def test_a_pattern_that_never_finishes_matching_is_harmless() -> None:
    model = arguments_of(plain_schema({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}}))
    began = process_time()
    with pytest.raises(ValidationError):
        model.model_validate_json(json.dumps({"a": "a" * 50_000 + "b"}))
    assert process_time() - began < 60


def test_a_tool_with_a_secret_in_its_name_is_not_offered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every plan, page and trail shows a tool's name."""
    monkeypatch.setenv("BANK_TOKEN", "canary-7f3b9d")
    config = read_config_of({"bank": {"command": "bank", "env": {"TOKEN": "${BANK_TOKEN}"}}})[0]
    server = McpServer(config, tmp_path)
    server.use([Offered(one, "", {"type": "object"}) for one in ("pay", "pay_canary-7f3b9d")])
    assert [one.declaration.name for one in server.tools] == ["bank_pay"]


@pytest.mark.parametrize(
    ("items", "value"),
    [
        ({"allOf": [{"minimum": -n} for n in range(300)]}, [1] * 100_000),
        ({"anyOf": [{"const": str(n)} for n in range(300)]}, [1] * 100_000),
        ({"enum": [str(n) for n in range(5_000)]}, [1] * 100_000),
        ({"anyOf": [{"maxItems": n} for n in range(300)]}, [[1] * 100_000]),
        ({"allOf": [{"pattern": f"(a|aa)+{n}$"} for n in range(300)]}, ["a" * 500_000]),
    ],
)
def test_no_schema_blocks_the_worker(items: dict[str, Any], value: list[Any]) -> None:
    """This once took hours, during which a worker that checked a response could do nothing else."""
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": items}}}
    config = read_config_of({"bank": {"command": "bank"}})[0]
    tool = tool_of(config, Offered("pay", "Pay.", schema, schema), Turns("bank"))
    began = process_time()
    with pytest.raises(PlanInvalid):
        check_arguments("bank_pay", {"a": value}, {"bank_pay": tool.declaration})
    note = tool._note({"a": value})  # noqa: SLF001  an answer of this size takes the test a second to send
    assert note.startswith("done, but the answer ")
    assert process_time() - began < 60


def test_a_server_with_many_large_schemas_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This once took half an hour: each schema is small until its references are resolved."""
    monkeypatch.setattr("activities.tools.mcp.schema.MAX_PARTS_LISTED", 350)
    shared = {"type": "object", "properties": {f"x{n}": {"type": "string"} for n in range(9)}}
    large = {"$defs": {"a": shared}, "properties": {f"p{n}": {"$ref": "#/$defs/a"} for n in range(9)}}
    server = McpServer(read_config_of({"bank": {"command": "bank"}})[0], tmp_path)
    listed = [Offered(name, "", large) for name in ("pay", "book", "send", "close")]
    for _ in range(2):
        server.use(listed)
        assert [one.declaration.name for one in server.tools] == ["bank_pay", "bank_book", "bank_send"]
    server.use([*listed[:3], Offered("close", "", {"type": "object"})])
    assert len(server.tools) == 4


def test_an_ordinary_response_is_checked_completely() -> None:
    entry = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
    schema = {"type": "object", "properties": {"a": {"type": "array", "items": entry}}}
    config = read_config_of({"bank": {"command": "bank"}})[0]
    tool = tool_of(config, Offered("pay", "Pay.", schema, schema), Turns("bank"))
    entries: list[JsonValue] = [{"id": n} for n in range(1_000)]
    assert tool._note({"a": entries}) == ""  # noqa: SLF001  as above
    assert "form" in tool._note({"a": [*entries, {}]})  # noqa: SLF001  as above


def test_the_definition_changes_with_every_part_of_the_servers_description() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    one = declared(schema).definition()
    others = [
        declared({**schema, "x-unknown": 1}),
        declared({**schema, "$defs": {"unused": {}}}),
        declared(schema, description="Pay!"),
        declared(schema, description="Pay." + "x" * 5_000),
        declared(schema, description="Pay." + "x" * 5_000 + "y"),
        declared(schema, name="Pay"),
    ]
    assert len({one, *(other.definition() for other in others)}) == 7
    assert all(len(other.description) < 2_300 for other in others)


def test_hidden_characters_in_a_description_are_shown() -> None:
    said = declared({"type": "object"}, description="Pay\u202e.\n\x1b[31m").description
    assert said == "pay of the MCP server bank, which says: Pay⟨U+202E⟩.⏎⟨U+001B⟩[31m"


@given(st.text(min_size=4, max_size=40).filter(lambda text: len(text.strip()) >= 4), TEXT, TEXT)
def test_secrets_are_redacted_in_any_encoding(secret: str, before: str, after: str) -> None:
    secrets = Secrets([secret])
    if secret in before or secret in after or secret in REDACTED:
        return
    raw = secret.encode(errors="surrogatepass") if _has_surrogates(secret) else secret.encode()
    spellings = [secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], raw.hex()]
    quoted = quote(secret, safe="")
    spellings += [quoted, re.sub("%..", lambda found: found[0].lower(), quoted)]
    spellings += [json.dumps(secret)[1:-1].replace("/", r"\/")]
    for spelled in spellings:
        assert spelled not in secrets.hide(f"{before} {spelled} {after}").replace(REDACTED, "")
    for text in (f"user:{secret}", f"{secret}", f"ab{secret}z"):
        hidden = secrets.hide(base64.b64encode(text.encode()).decode())
        if len(secret) >= 8:
            assert REDACTED in hidden


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


def test_an_invalid_file_is_refused_with_all_errors() -> None:
    servers = {
        "both": {"command": "x", "url": "http://x/"},
        "none": {},
        "old": {"type": "sse", "url": "http://x/sse"},
        "user": {"url": "https://user:secret@example.org/mcp"},
        "shown": {"command": "x", "args": ["--token=${TOKEN}"]},
        "misspelled": {"command": "x", "plangate": {"tools": ["a"], "reads": ["b"]}},
    }
    with pytest.raises(FileInvalid) as caught:
        read_config_of(servers)
    assert [str(fault) for fault in caught.value.faults] == [
        "mcpServers.both: needs either a command or a url",
        "mcpServers.none: needs either a command or a url",
        "mcpServers.old.type: is the old SSE transport; use the server's streamable HTTP address",
        "mcpServers.user.url: has a user or password; use headers, which are kept secret",
        (
            "mcpServers.shown.args: contains a variable; only env and headers may contain variables, "
            "because other people see this value"
        ),
        "mcpServers.misspelled.plangate.reads: contains b, which is not in its list of tools",
    ]
    for text in ("", "[]", '{"mcpServers": {"a": {"command": "x", "plangate": {"read": []}}}}', "\xff"):
        with pytest.raises(FileInvalid):
            _read_text(text)


def _read_text(text: str) -> Any:
    with tempfile.TemporaryDirectory() as made:
        path = Path(made) / "mcp.json"
        path.write_text(text)
        return read_config(path)


def test_variables_come_from_the_environment_and_are_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", "canary-1")
    (config,) = read_config_of(
        {
            "a": {
                "url": "https://example.org/mcp",
                "headers": {
                    "Authorization": "Bearer ${MY_TOKEN}",
                    "X-Mode": "${MY_MODE:-plain}",
                    "X-Api-Key": "written-here",
                    "X-Gone": "${MY_GONE}",
                },
            }
        }
    )
    assert config.variables["Authorization"] == "Bearer canary-1"
    assert config.variables["X-Mode"] == "plain"
    assert config.missing == ("MY_GONE",)
    assert config.secrets.hide("canary-1 written-here plain") == f"{REDACTED} {REDACTED} plain"
    assert "canary" not in f"{config!r}{config.shared}"


async def test_a_missing_variable_is_reported_and_nothing_is_started(tmp_path: Path) -> None:
    (config,) = read_config_of({"a": {"command": "no-such-program", "env": {"TOKEN": "${NO_SUCH_VARIABLE}"}}})
    server = McpServer(config, tmp_path)
    assert await server.refresh(save=True) == []
    assert (
        server.unavailable_because
        == "set NO_SUCH_VARIABLE, which PLANGATE_MCP_CONFIG uses for the MCP server a"
    )


def test_a_plan_of_such_a_tool_passes_the_checks_of_all_plans() -> None:
    tools = {"bank_pay": declared({"type": "object", "properties": {"amount": {"type": "integer"}}})}
    steps = [{"tool": "bank_pay", "arguments": {"amount": 5}, "reason": "so"}]
    plan = check_plan({"summary": "x", "steps": steps}, tools, 3)
    assert plan.steps[0].arguments == {"amount": 5}
    text = '[[rule]]\nname = "x"\nwhen = "totals.bank_pay.amount > 3"\nneeds = [{role = "anyone"}]\n'
    policy = checked_policy(text, tools, None)
    assert policy.explain(plan, request="", requester="rita").steps[0].rules == ("x",)
