"""Plans with the same meaning are normalized to one spelling, so that rules treat them alike, or refused.

This tests a sample of the generated spellings; to test all of them, run
``PLANGATE_TEST_TIMES=20 make test ARGS=tests/unit/test_one_spelling.py``.
"""

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from activities.tools.http.tool import HttpRequest, HttpRequestArguments
from activities.tools.http.url import normalized_url
from activities.tools.registry import declarations
from plangate.domain.errors import PlanInvalid, SettingsInvalid
from plangate.domain.people.people import People, Person, name_for_rules
from plangate.domain.plans.drafting import check_plan, complete
from plangate.domain.plans.plan import Plan
from plangate.policy.policy_file import FilePolicy, read_policy
from plangate.settings import Settings
from tests.support.times import times

pytestmark = pytest.mark.timeout(900)  # enough for all cases; the sample takes seconds
CASES = times(500)
CALLS = "step.tool == 'http_request' && step.arguments"
MAILS = "step.tool == 'send_email' && step.arguments"
REQUIRING = {
    "refunds": f"{CALLS}.url.startsWith('https://pay.example/refunds')",
    "deletes": f"{CALLS}.method == 'DELETE'",
    "large": f"{CALLS}.json_body != null && step.arguments.json_body.amount + 1 > 500",
    "books": f"{CALLS}.url.startsWith('https://xn--bcher-kva.example/')",
    "feeds": f"{CALLS}.headers == {{'content-type': 'application/atom+xml; charset=utf-8'}}",
    "payments": f"{MAILS}.cc.exists(one, one.endsWith('@payments.example'))",
    "the boss": f"{MAILS}.to == ['boss@xn--bcher-kva.example'] && step.arguments.cc == []",
    "words": f"{MAILS}.subject.contains('Überfällig')",
    "rita": "request.requester == 'Rita Müller'",
}
EXEMPTING = {
    "public": f"{CALLS}.method == 'GET' && step.arguments.url.startsWith('https://pay.example/public/')",
    "inside": f"{MAILS}.to.all(one, one.endsWith('@example.org'))",
}
WIDE = str.maketrans({chr(code): chr(code + 0xFEE0) for code in range(0x21, 0x7F)})
PEOPLE = People(persons=(Person(name="Rita Müller"), Person(name="dana")))
STEP = dict[str, Any]


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> FilePolicy:
    path: Path = tmp_path_factory.mktemp("rules") / "policy.toml"
    rules = [(*rule, '[{ role = "anyone" }]') for rule in REQUIRING.items()]
    rules += [(*rule, "[]") for rule in EXEMPTING.items()]
    shape = '[[rule]]\nname = "{}"\nwhen = "{}"\nneeds = {}\n'
    path.write_text("".join(shape.format(*rule) for rule in rules))
    return read_policy(path, declarations(), None)


def plan_of(step: STEP) -> Plan | None:
    """Return the checked plan with one step, or None if it is refused."""
    try:
        return check_plan({"summary": "x", "steps": [step]}, declarations(), max_steps=1)
    except PlanInvalid:
        return None


def rules_of(policy: FilePolicy, plan: Plan | None, requester: str = "dana") -> frozenset[str]:
    """Return the rules that match a plan with one step."""
    if plan is None:
        return frozenset()
    name = name_for_rules(PEOPLE, requester)
    return frozenset(policy.explain(plan, request="", requester=name).steps[0].rules)


def get(url: str, method: str = "GET", **more: Any) -> STEP:
    return {"tool": "http_request", "arguments": {"method": method, "url": url, **more}}


def mail(to: list[str], subject: str = "Hello", cc: list[str] | None = None) -> STEP:
    return {"tool": "send_email", "arguments": {"to": to, "cc": cc or [], "subject": subject, "body": ""}}


# Spellings


def cased(rng: random.Random, text: str) -> str:
    return "".join(rng.choice((char.upper(), char.lower())) for char in text)


def encoded(rng: random.Random, text: str, share: float = 0.3) -> str:
    """Percent-encode some characters, which a server decodes again; existing escapes are kept."""

    def spell(found: re.Match[str]) -> str:
        char = found[0]
        if len(char) > 1 or rng.random() >= share:
            return char
        return "".join(rng.choice(("%{:02x}", "%{:02X}")).format(octet) for octet in char.encode())

    return re.sub(r"%[0-9A-Fa-f]{2}|.", spell, text)


def spelled_host(rng: random.Random, host: str) -> str:
    ways: tuple[Callable[[str], str], ...] = (
        lambda text: text,
        lambda text: cased(rng, text),
        lambda text: text.translate(WIDE),
        lambda text: text.replace(".", rng.choice("\u3002\uff0e\uff61")),
        lambda text: text + ".",
        lambda text: encoded(rng, text),
        lambda text: text.replace("e", "e\u00ad", 1),
        lambda text: text.replace(
            "xn--bcher-kva", rng.choice(("bücher", "BÜCHER", "bu\u0308cher", "XN--BCHER-KVA"))
        ),
    )
    return rng.choice(ways)(rng.choice(ways)(host))


def spelled_path(rng: random.Random, path: str) -> str:
    """Return a path that some servers treat as ``path``."""
    ways: tuple[Callable[[str], str], ...] = (
        lambda text: encoded(rng, text[1:]).join(("/", "")),
        lambda text: encoded(rng, encoded(rng, text[1:])).join(("/", "")),
        lambda text: text.replace(
            "/", rng.choice(("//", "/./", "/%2e/", "/%2E/", "/;/", "/.;a=b/", "/x/../")), 1
        ),
        lambda text: text.replace(
            "/", rng.choice(("/x/%2e%2e/", "/x/.%2e/", "/x/%252e%252e/", "/x/..;/")), 1
        ),
        lambda text: text.replace(
            "/", rng.choice(("/public/..%2f", "/public%2f..%2f", "\\", "/%5c", "/x\\..\\")), 1
        ),
        lambda text: text.replace(
            "/", rng.choice(("/x/%c0%ae%c0%ae/", "/x/%ef%bc%8e%ef%bc%8e/", "/%e2%88%95")), 1
        ),
        lambda text: re.sub("([a-z])/", rng.choice((r"\1;a=1/", r"\1;/", r"\1%3b/", r"\1%00/")), text + "/")[
            :-1
        ],
        lambda text: text.replace("refunds", "refunds" + rng.choice((";", ";x=1", "%3Bx", "%00", "%09")), 1),
    )
    return rng.choice(ways)(path if rng.random() < 0.7 else rng.choice(ways)(path))


def spelled_url(rng: random.Random, host: str, path: str, query: str = "") -> str:
    scheme, port = (
        rng.choice(("https", "HTTPS", "hTtPs")),
        rng.choice(("", "", ":443", ":0443", ":00443", ":")),
    )
    user = rng.choice(("", "", "", "", "a@", "pay.example@"))
    asked = encoded(rng, query, 0.2).replace("%3D", "=").replace("%3d", "=").replace("%26", "&")
    asked = (
        rng.choice(("", "?"))
        if not asked
        else f"?{rng.choice(('', '&'))}{asked}{rng.choice(('', '&', '&&'))}"
    )
    return f"{scheme}://{user}{spelled_host(rng, host)}{port}{spelled_path(rng, path)}{asked}"


def spelled_address(rng: random.Random, address: str) -> str:
    name, _, host = address.rpartition("@")
    return f"{rng.choice((name, cased(rng, name)))}@{spelled_host(rng, host)}"


def spelled_media(rng: random.Random) -> str:
    blanks = rng.choice(("", " ", "  "))
    charset = rng.choice(("utf-8", "UTF-8", "Utf-8"))
    return f"{cased(rng, 'application/atom+xml')}{blanks};{blanks}{cased(rng, 'charset')}={charset}"


def spelled_amount(rng: random.Random) -> Any:
    return json.loads(rng.choice(("600", "600.0", "6e2", "6.0E+2", "60000e-2")))


def spelled_step(rng: random.Random) -> tuple[str, STEP]:
    """Return a rule that requires approval, and a step to which the rule applies."""
    match rng.randrange(7):
        case 0 | 1:
            return "refunds", get(
                spelled_url(rng, "pay.example", "/refunds/4711", rng.choice(("", "a=1&b=/x")))
            )
        case 2:
            return "books", get(spelled_url(rng, "xn--bcher-kva.example", "/a"))
        case 3:
            body = {"amount": spelled_amount(rng)}
            return "large", get("https://api.example/a", "POST", json_body=body)
        case 4:
            typed = {cased(rng, "content-type"): spelled_media(rng)}
            return "feeds", get("https://api.example/a", "POST", body="<feed/>", headers=typed)
        case 5:
            to = [spelled_address(rng, "boss@xn--bcher-kva.example") for _ in range(rng.randint(1, 3))]
            return "the boss", mail(to, cc=[spelled_address(rng, "boss@xn--bcher-kva.example")])
        case _:
            copies = [spelled_address(rng, "refunds@payments.example")]
            subject = rng.choice(("Überfällig: 12 €", "U\u0308berfa\u0308llig: 12 €"))
            return rng.choice(("payments", "words")), mail(["dana@example.org"], subject, copies)


@dataclass(frozen=True)
class Tried:
    """A spelling, its result, and the rule for its meaning."""

    rule: str
    step: STEP
    plan: Plan | None
    matched: frozenset[str]


@pytest.fixture(scope="module")
def tried(policy: FilePolicy) -> list[Tried]:
    rng, found = random.Random(13), []
    for _ in range(CASES):
        rule, step = spelled_step(rng)
        plan = plan_of(step)
        found.append(Tried(rule, step, plan, rules_of(policy, plan)))
    return found


def test_no_spelling_evades_a_rule_that_requires_approval(tried):
    assert [one for one in tried if one.plan and one.rule not in one.matched] == []


def test_only_ambiguous_spellings_are_refused(tried):
    counts = Counter(one.rule if one.plan else "refused" for one in tried)

    assert set(counts) == {"refunds", "books", "large", "feeds", "the boss", "payments", "words", "refused"}
    assert counts["refused"] < len(tried) * 0.7


def test_all_spellings_of_one_meaning_make_one_plan(tried):
    plans: dict[str, set[Plan | str]] = {}
    for one in tried:
        if one.plan and one.rule in ("books", "large", "feeds", "the boss"):
            plans.setdefault(one.rule, set()).add(one.plan.model_dump_json())

    assert {rule: len(texts) for rule, texts in plans.items()} == {
        "books": 1,
        "large": 1,
        "feeds": 1,
        "the boss": 1,
    }


def test_a_normalized_plan_is_unchanged(tried):
    for plan in {one.plan.model_dump_json(): one.plan for one in tried if one.plan}.values():
        (step,) = plan.steps
        model = declarations()[step.tool].arguments
        assert complete(model.model_validate_json(json.dumps(step.arguments))) == step.arguments
        assert check_plan(plan.model_dump(mode="json"), declarations(), max_steps=1) == plan


UPWARDS = (
    "..", "%2e%2e", ".%2E", "..;", "..;a=b", "%252e%252e", "%ef%bc%8e.", "..%2f", "..%5c", "..\\", "..%00",
    "..%20", ".%e2%80%8b.",
)  # fmt: skip
OUTSIDE = (
    "dana@example.org.evil.example", "dana@evil.example,dana@example.org", "dana@\u0435xample.org",
    "dana@evil.example\u2028@example.org", "dana@evil.example;@example.org", "dana%evil.example@example.org",
    "evil.example!dana@example.org", '"dana@evil.example"@example.org',
)  # fmt: skip


def test_no_other_meaning_matches_an_exempting_rule(policy):
    rng, asked = random.Random(15), 0
    for _ in range(CASES):
        if rng.random() < 0.7:
            there = rng.choice(("/public/", "/public/a/", "/%70ublic/"))
            back = "/".join([rng.choice(UPWARDS)] * (there.count("/") - 1))
            step = get(f"https://pay.example{there}{back}/{rng.choice(('refunds', 'x'))}")
        else:
            step = mail([rng.choice(OUTSIDE)])
        plan = plan_of(step)
        assert not rules_of(policy, plan) & set(EXEMPTING), step
        asked += plan is not None

    assert asked
    assert rules_of(policy, plan_of(get("HTTPS://PAY.example:443/%70ublic/a"))) == {"public"}
    assert rules_of(policy, plan_of(mail(["Dana@EXAMPLE.org"]))) == {"inside"}


@pytest.mark.parametrize(
    "name",
    [
        "Rita Müller",
        "RITA MÜLLER",
        "rita müller",
        " Rita  Mu\u0308ller ",
        "Rita\u00a0Müller",
        "Rita Müller".translate(WIDE),
    ],
)
def test_a_rule_about_a_requester_matches_any_spelling_of_the_name(policy, name):
    plan = plan_of(get("https://pay.example/public/a"))

    assert "rita" in rules_of(policy, plan, requester=name)


def test_without_a_list_of_people_rules_see_names_in_lower_case():
    assert name_for_rules(None, "  RITA  Müller") == "rita müller"


# Headers

METHODS = ["x-http-method-override", "x-http-method", "x-method-override", "x-original-method"]
PLACES = "x-original-url x-rewrite-url x-forwarded-host x-forwarded-for x-host forwarded host".split()  # noqa: SIM905
OWN = ["idempotency-key", "content-length", "transfer-encoding", "content-encoding", "proxy-authorization"]


def spelled_name(rng: random.Random, name: str) -> str:
    text = "".join(rng.choice("-_") if char == "-" else char for char in cased(rng, name))
    return rng.choice(
        (text, text, f" {text}", f"{text} ", f"{text}\t", f"{text}:", text.translate(WIDE), f"{text}\0")
    )


def test_no_spelling_of_a_header_changes_the_meaning_of_a_call():
    rng = random.Random(16)
    tool = HttpRequest.from_settings(Settings(http_allowed_hosts=("pay.example",)))
    for _ in range(CASES):
        name = spelled_name(rng, rng.choice((*METHODS, *PLACES, *OWN)))
        assert plan_of(get("https://pay.example/public/a", headers={name: "DELETE"})) is None, name

    allowed = HttpRequestArguments(method="GET", url="https://pay.example/", headers={"Accept": "Text/HTML"})
    unusual = HttpRequestArguments(method="GET", url="https://pay.example/", headers={"X-Anything": "DELETE"})
    assert tool.objection(allowed) is None
    assert "PLANGATE_HTTP_HEADERS" in (tool.objection(unusual) or "")


@pytest.mark.parametrize("name", [*METHODS, *PLACES, *OWN, "X_A", "X A", ""])
def test_an_operator_cannot_allow_headers_that_change_the_meaning_of_a_call(name):
    with pytest.raises(SettingsInvalid, match="PLANGATE_HTTP_HEADERS"):
        HttpRequest.from_settings(Settings(http_headers=(name,)))


def test_an_operator_can_allow_another_header():
    tool = HttpRequest.from_settings(
        Settings(http_allowed_hosts=("pay.example",), http_headers=("X-Shop-Token",))
    )
    arguments = HttpRequestArguments(method="GET", url="https://pay.example/", headers={"x-SHOP-token": "t"})

    assert tool.objection(arguments) is None
    assert arguments.headers == {"x-shop-token": "t"}


@pytest.mark.parametrize(
    ("given", "spelled"),
    [
        (
            {"Content-Type": "Application/JSON;Charset=UTF-8"},
            {"content-type": "application/json; charset=utf-8"},
        ),
        ({"ACCEPT": "Text/HTML;Q=0.5 , */*"}, {"accept": "text/html; q=0.5, */*"}),
        ({"Content-Type": "text/plain; charset=utf-7"}, None),
        ({"Content-Type": "text/plain; charset=latin-1"}, None),
        ({"Content-Type": "text/plain; charset=utf-8; charset=utf-7"}, None),
        ({"Content-Type": "text"}, None),
        ({"Content-Type": "text/plain, text/html"}, None),
        ({"Accept": "a/b", "accept": "c/d"}, None),
    ],
)
def test_media_types_have_one_spelling(given, spelled):
    step = get("https://pay.example/", "POST", headers=given, body="x")
    plan = plan_of(step)

    assert (plan.steps[0].arguments["headers"] if plan else None) == spelled


def test_a_json_body_is_not_sent_as_something_else():
    step = get("https://pay.example/", "POST", headers={"content-type": "text/html"}, json_body={"a": 1})
    with pytest.raises(PlanInvalid, match="json_body"):
        check_plan({"summary": "x", "steps": [step]}, declarations(), max_steps=1)


@pytest.mark.parametrize(
    ("given", "spelled"), [("?force=", "?force"), ("?a=&b=1&&c=", "?a&b=1&c"), ("?a=b=", "?a=b%3D")]
)
def test_a_parameter_without_a_value_has_one_spelling(given, spelled):
    assert normalized_url(f"https://api.example/x{given}") == f"https://api.example/x{spelled}"
