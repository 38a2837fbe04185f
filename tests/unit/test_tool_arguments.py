"""The accepted values of the tools' arguments, and the registry of the tools."""

import json
import subprocess
import sys
from email import policy
from email.parser import BytesParser
from typing import ClassVar, Self
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from activities.tools.email.message import SendEmailArguments, compose
from activities.tools.email.tool import SendEmail
from activities.tools.http.hosts import HostList, server_of
from activities.tools.http.tool import HttpRequest, HttpRequestArguments, header_key
from activities.tools.http.url import normalized_url, read_url
from activities.tools.registry import TOOLS, build_tools, declarations
from plangate.domain.errors import OperatorError, PlanInvalid, SettingsInvalid
from plangate.domain.plans.drafting import check_plan
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.settings import Settings
from plangate.tool import EffectStatus, Repeatable

ANY_CHARACTER = st.characters(exclude_categories=["Cs"])
BREAKS = st.sampled_from(
    ["\r", "\n", "\r\n", "\0", "\x0b", "\x85", "\u2028", "\u2029", "\r\nBcc: eve@evil.example"]
)
ANY_TEXT = st.lists(st.one_of(st.text(ANY_CHARACTER, max_size=40), BREAKS), max_size=5).map("".join)
SUBJECT = (
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=200
    )
    .filter(lambda text: text == text.strip())
    .filter(lambda text: "=?" not in text)
)
ATOM = st.text("abcXYZ019_+=&'~#$*/-", min_size=1, max_size=12)
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z])?", fullmatch=True)
ADDRESS = st.builds(
    lambda atoms, labels: f"{'.'.join(atoms)}@{'.'.join(labels)}.org",
    st.lists(ATOM, min_size=1, max_size=4),
    st.lists(LABEL, min_size=1, max_size=4),
)
HEADERS = sorted(
    "From To Cc Subject Date Message-ID MIME-Version Content-Type Content-Transfer-Encoding".split()  # noqa: SIM905
)


def mail(**changes: object) -> SendEmailArguments:
    arguments = {"to": ["dana@example.org"], "subject": "Report", "body": "Hello", **changes}
    return SendEmailArguments.model_validate_json(json.dumps(arguments))


def call(**changes: object) -> HttpRequestArguments:
    arguments = {"method": "POST", "url": "https://api.example.org/v1/things", **changes}
    return HttpRequestArguments.model_validate_json(json.dumps(arguments))


def faults(tool: str, arguments: dict[str, object]) -> tuple[str, ...]:
    plan = {"summary": "Test", "steps": [{"tool": tool, "arguments": arguments}]}
    with pytest.raises(PlanInvalid) as caught:
        check_plan(plan, declarations(), max_steps=5)
    return tuple(map(str, caught.value.faults))


@pytest.mark.parametrize(
    "address",
    [
        "dana@example.org",
        "first.last+tag@mail.example.co.uk",
        "o'brien@example.org",
        "bounce=dana=example.org@lists.example.net",
        "root@localhost",
        "dana@xn--bcher-kva.example",
    ],
)
def test_a_plain_address_is_accepted(address):
    assert mail(to=[address]).to == (address,)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "dana",
        "@example.org",
        "dana@",
        "Dana <dana@example.org>",
        "<dana@example.org>",
        "dana@example.org, eve@evil.example",
        "dana@example.org\nBcc: eve@evil.example",
        "dana@example.org\r\n",
        " dana@example.org",
        "dana @example.org",
        '"dana smith"@example.org',
        "dana@example.org (a comment)",
        "eve%evil.example@example.org",
        "evil.example!eve@example.org",
        "dana..smith@example.org",
        ".dana@example.org",
        "dana@example..org",
        "dana@-example.org",
        "dana@[127.0.0.1]",
        "dana@127.0.0.1",
        "=?utf-8?q?eve?=@example.org",
        "a" * 65 + "@example.org",
        "dana@" + "a" * 64 + ".org",
        "dana@" + "a." * 130 + "org",
    ],
)
def test_anything_but_a_plain_address_is_refused(address):
    with pytest.raises(ValidationError):
        mail(to=[address])


def test_a_lookalike_letter_is_refused_or_makes_a_visibly_different_host():
    (fault,) = faults("send_email", {"to": ["d\u0430na@example.org"], "subject": "Hi", "body": ""})

    assert fault.startswith("step 1, to[0]: contains U+0430, which is not ASCII")
    assert mail(to=["dana@ex\u0430mple.org"]).to == ("dana@xn--exmple-4nf.org",)


def test_a_recipient_listed_twice_gets_the_mail_once_regardless_of_case_and_field():
    arguments = mail(
        to=["dana@example.org", "DANA@example.org"],
        cc=["Dana@Example.org", "erin@b\u00fccher.example", "erin@XN--BCHER-KVA.example"],
    )

    assert arguments.to == ("dana@example.org",)
    assert arguments.cc == ("erin@xn--bcher-kva.example",)


def test_a_mail_needs_at_least_one_recipient_and_not_too_many():
    with pytest.raises(ValidationError):
        mail(to=[])
    with pytest.raises(ValidationError):
        mail(to=[f"p{number}@example.org" for number in range(51)])


@pytest.mark.parametrize(
    "subject", ["", " ", "a\nb", "a\rb", "a\x1b[31mb", "a\u2028b", "=?utf-8?q?b?=", " a", "a "]
)
def test_a_subject_is_one_visible_line(subject):
    with pytest.raises(ValidationError):
        mail(subject=subject)


@pytest.mark.parametrize("body", ["a\r\nb", "a\rb", "a\x00b", "a\x1b[2Jb", "a\x85b"])
def test_a_body_has_no_control_characters_except_line_breaks_and_tabs(body):
    with pytest.raises(ValidationError):
        mail(body=body)


def test_arguments_are_not_coerced():
    for changes in (
        {"to": "dana@example.org"},
        {"subject": 7},
        {"body": None},
        {"bcc": ["eve@evil.example"]},
    ):
        with pytest.raises(ValidationError):
            mail(**changes)


def assert_sent_as_approved(arguments: SendEmailArguments) -> None:
    content = compose(arguments, "gate@example.org", "key").content
    read = BytesParser(policy=policy.default).parsebytes(content)

    assert sorted(read.keys()) == HEADERS
    assert [address.addr_spec for address in read["To"].addresses] == [*arguments.to]
    assert [address.addr_spec for address in read["Cc"].addresses] == [*arguments.cc]
    assert read["Subject"] == arguments.subject
    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998


@given(subject=SUBJECT)
@example("a" * 200)
@example("ü" * 200)
@example("Zeile: 1,  zwei   Blanks, ü, =?x?=, " + "w" * 100 + " é")
@example("⚠️ ❤️ 👩‍👩‍👧")
def test_every_accepted_subject_is_sent_as_approved(subject):
    assert_sent_as_approved(mail(subject=subject, cc=["carol@example.org"]))


@given(to=st.lists(ADDRESS, min_size=1, max_size=8, unique_by=str.lower))
@example(["a" * 64 + "@" + "b" * 60 + "." + "c" * 60 + ".org"])
def test_every_accepted_address_is_sent_as_approved(to):
    assert_sent_as_approved(mail(to=to, cc=["carol.copy@example.org"]))


@given(to=st.one_of(ANY_TEXT, st.just("dana@example.org")), subject=st.one_of(ANY_TEXT, SUBJECT))
def test_no_header_can_be_injected_into_a_mail(to, subject):
    try:
        arguments = mail(to=[to, "eve@example.org"], cc=["carol@example.org"], subject=subject)
    except ValidationError:
        return
    assert_sent_as_approved(arguments)


@given(
    body=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\n\t."),
        max_size=3000,
    )
)
@example(body="")
@example(body=".\n..\nFrom me\n" + "long " * 400)
def test_the_body_is_sent_as_approved(body):
    arguments = mail(body=body)
    content = compose(arguments, "gate@example.org", "key").content
    read = BytesParser(policy=policy.default).parsebytes(content)

    assert content.isascii()
    assert max(map(len, content.split(b"\r\n"))) <= 998
    received = read.get_content().replace("\r\n", "\n")
    assert received == arguments.body + ("" if body.endswith("\n") else "\n")


def test_each_key_gives_its_mail_a_unique_message_id():
    one, again, other = (
        compose(mail(), "gate@example.org", key).email for key in ("wf:abc:1", "wf:abc:1", "wf:abc:2")
    )

    assert one.message_id == again.message_id != other.message_id
    assert one.message_id.endswith("@example.org>")


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://api.example.org", "api.example.org"),
        ("https://API.example.org:443/v1?x=1&y=%C3%BC", "api.example.org"),
        ("http://api.example.org:8080/", "api.example.org:8080"),
        ("http://127.0.0.1/", "127.0.0.1"),
        ("http://[::1]:8080/", "[::1]:8080"),
        ("http://[0:0:0:0:0:0:0:1]/", "[::1]"),
        ("http://my_service:80/a.b/..c/", "my_service"),
        ("http://my_service/?a=%CC%81", "my_service"),
    ],
)
def test_a_url_must_be_unambiguous_and_complete(url, place):
    assert str(server_of(call(url=url).url)) == place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.org/v1",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https:/example.org/",
        "https:///v1",
        "https://user:secret@example.org/",
        "https://example.org@evil.example/",
        "https://example.org\\@evil.example/",
        "https://example.org#@evil.example/",
        "https://example.org/#part",
        "https://example.org/a b",
        "https://example.org/a\r\nHost: evil.example",
        "https://example.org/a\tb",
        "https://example.org/%zz",
        'https://example.org/"a"',
        "https://example.org/public/../admin",
        "https://example.org/./a",
        "https://example.org/public/%2e%2e/admin",
        "https://example.org/public/.%2E/admin",
        "https://example.org/public%2f..%2fadmin",
        "https://example.org/public/..;/admin",
        "https://example.org/public/..;x=1/admin",
        "https://example.org/public/%252e%252e/admin",
        "https://example.org/public/%c0%ae%c0%ae/admin",
        "https://example.org/public/%ef%bc%8e%ef%bc%8e/admin",
        "https://example.org/public/..%5cadmin",
        "https://example.org/public/..%00/admin",
        "https://example.org/public/..%20/admin",
        "https://example.org/public/.../admin",
        "https://example.org//admin",
        "https://example.org/admin%2F",
        "https://example.org/admin;x=1",
        "https://example.org/admin%3Bx=1",
        "https://example.org/a+b",
        "https://example.org/?q=a+b",
        "https://example.org/?a=1;b=2",
        "https://example.org/?a=%00",
        "https://example.org/?a=%ff",
        "https://example.org/e%CC%81",
        "https://%65xample.org/",
        "https://example.org:000443/",
        "https://xn--a.example/",
        "https://[::ffff:127.0.0.1]/",
        "https://example.org./",
        "https://.example.org/",
        "https://-example.org/",
        "https://" + "a" * 64 + ".org/",
        "https://example.org:0/",
        "https://example.org:65536/",
        "https://example.org:/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://127.1/",
        "http://0177.0.0.1/",
        "http://[::1/",
        "http://[::zz]/",
        "http://[fe80::1%25eth0]/",
    ],
)
def test_a_url_that_two_parsers_could_read_differently_is_refused(url):
    with pytest.raises(ValidationError):
        call(url=url)


@given(st.from_regex(r"(?i:https?)://[a-zA-Z0-9.:\[\]@\\_-]{1,20}([/?#][!-~]{0,30})?", fullmatch=True))
@example("http://a/[b]?c=[d]'e")
@example("http://a?b/../c")
@example("http://a:0080/b,c=d,e!$&'()*:@~%3a%7E?&&x=%2f=%26")
def test_other_parsers_read_every_url_as_plangate_does(url):
    try:
        read = read_url(url)
    except ValueError:
        return
    spelled = str(read)
    client, standard = httpx.URL(spelled), urlsplit(spelled)

    assert normalized_url(spelled) == spelled
    assert client.host == standard.hostname == read.host
    assert (client.port or {"http": 80, "https": 443}[client.scheme]) == read.port
    assert not client.userinfo
    assert client.raw_path.decode() == read.target
    assert urlunsplit(("", "", standard.path, standard.query, "")) == read.target


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"content-length": "3"},
        {"Transfer-Encoding": "chunked"},
        {"connection": "close"},
        {"IDEMPOTENCY-KEY": "1"},
        {"Proxy-Authorization": "x"},
        {"Upgrade": "websocket"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-A": "b\r\nHost: evil.example"},
        {"X-A\r\nHost": "evil.example"},
        {"X-A": "b\0"},
        {"X-A": " b"},
        {"X-A": "ü"},
        {"X A": "b"},
        {"": "b"},
        {"X-A": "b", "x-a": "c"},
        {"X-A": 7},
    ],
)
def test_headers_that_a_plan_may_not_set_are_refused(headers):
    with pytest.raises(ValidationError):
        call(headers=headers)


@given(name=st.one_of(ANY_TEXT, st.just("X-A")), value=st.one_of(ANY_TEXT, st.just("b")))
def test_no_header_can_be_injected_into_a_call(name, value):
    try:
        headers = call(headers={name: value}).call("key").headers
    except ValidationError:
        return
    request = httpx.Request("POST", "https://example.org", headers=dict(headers))

    for raw in (part for header in request.headers.raw for part in header):
        assert all(0x20 <= byte < 0x7F for byte in raw)


def test_a_call_has_at_most_one_body_and_a_get_has_none():
    with pytest.raises(ValidationError):
        call(json_body={"a": 1}, body="a")
    with pytest.raises(ValidationError):
        call(method="GET", body="a")
    with pytest.raises(ValidationError):
        call(method="TRACE")


def test_the_type_of_a_body_is_set_unless_a_header_sets_it():
    assert call(json_body={"ü": 1}).call("k").content == '{"ü":1}'.encode()
    assert call(json_body=[1]).call("k").headers["content-type"] == "application/json"
    assert call(body="a").call("k").headers["content-type"] == "text/plain; charset=utf-8"
    typed = call(json_body=[1], headers={"content-type": "application/vnd.api+json"}).call("k")
    assert [value for name, value in typed.headers.items() if name.lower() == "content-type"] == [
        "application/vnd.api+json"
    ]


@given(st.text())
def test_any_workflow_id_results_in_a_key_that_fits_into_a_header(workflow_id):
    assert len(header_key(f"{workflow_id}:abc:1".encode("utf-8", "replace").decode())) == 64


def test_an_entry_without_a_port_has_the_default_port_of_the_scheme():
    hosts = HostList("PLANGATE_HTTP_ALLOWED_HOSTS", ("api.example.org", "localhost:8080", "[::1]:8080"))

    for url in (
        "https://api.example.org/",
        "http://api.example.org/",
        "http://localhost:8080/",
        "http://[0::1]:8080/",
    ):
        assert server_of(url) in hosts
    for url in (
        "https://api.example.org:8443/",
        "http://localhost/",
        "https://example.org/",
        "https://a.api.example.org",
    ):
        assert server_of(url) not in hosts


@pytest.mark.parametrize(
    "entry", ["https://example.org", "*.example.org", "example.org/", "example.org:x", "a b"]
)
def test_an_entry_that_is_not_a_host_is_refused_with_the_name_of_its_setting(entry):
    with pytest.raises(SettingsInvalid, match="PLANGATE_HTTP_PRIVATE_HOSTS"):
        HttpRequest.from_settings(Settings(http_private_hosts=(entry,)))


def test_a_sender_that_is_not_an_address_is_refused_with_the_name_of_its_setting():
    with pytest.raises(SettingsInvalid, match="PLANGATE_MAIL_FROM"):
        SendEmail.from_settings(Settings(mail_from="Gate <gate@example.org>"))


def test_the_registry_declares_every_tool_and_builds_the_same_tools(tmp_path):
    built = build_tools(Settings(var_dir=tmp_path))

    own = [
        "send_email",
        "http_request",
        "create_ticket",
        "comment_ticket",
        "refund_payment",
        "create_payment",
    ]
    assert list(declarations()) == list(built) == own
    assert all(tool.declaration is declarations()[name] for name, tool in built.items())


def test_reading_the_declarations_imports_no_vendor_library():
    code = (
        "import sys; from activities.tools.registry import declarations; "
        "[d.schema() for d in declarations().values()]; "
        "print({'httpcore', 'httpx', 'aiosmtplib', 'stripe'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "set()"


class Nothing(ToolArguments):
    pass


class Reasoned(ToolArguments):
    why: str


class Idle:
    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        "idle", "Does nothing.", Nothing, RetrySafety.LOOK_UP
    )

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:  # noqa: ARG003
        return cls()

    def objection(self, arguments: Nothing) -> str | None:  # noqa: ARG002
        return None

    async def act(self, arguments: Nothing, idempotency_key: str) -> Receipt:  # noqa: ARG002
        return Receipt(summary="nothing")

    async def find_out(self, arguments: Nothing, idempotency_key: str) -> EffectStatus:  # noqa: ARG002
        return Repeatable()


class Reasoning(Idle):
    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        "reasoning", "Why?", Reasoned, RetrySafety.LOOK_UP
    )


class InvalidName(Idle):
    declaration: ClassVar[ToolDeclaration] = ToolDeclaration("Send Mail", "No.", Nothing, RetrySafety.LOOK_UP)


def test_a_tool_is_added_by_its_class_alone():
    assert "idle" in declarations((*TOOLS, Idle))


@pytest.mark.parametrize(
    ("tools", "said"),
    [((Idle, Idle), "Two tools are called idle"), ((Reasoning,), "'why'"), ((InvalidName,), "Send Mail")],
)
def test_an_invalid_tool_is_refused_at_registration(tools, said):
    with pytest.raises(OperatorError, match=said):
        declarations(tools)
