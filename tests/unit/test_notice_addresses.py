"""The recipients of notices: the addresses in the list of people, without secrets."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.errors import FileInvalid
from plangate.domain.escaping import one_line
from plangate.notifications.addresses import addresses_of
from plangate.notifications.secret_urls import MissingVariable, filled_in
from plangate.policy.people_file import people_in, read_people

LIST = """
[[person]]
name = "Dana"
mail = "dana@example.org"
notify = ["slack://${SLACK_DANA}/", "mailto:d@example.org", "slack://${SLACK_DANA}/"]

[[person]]
name = "erik"
mail = "erik@example.org"

[[person]]
name = "fred"

[[person]]
name = "gone"
mail = "gone@example.org"
active = false

[[role]]
name = "finance"
notify = ["json://hooks.example.org/finance"]
"""


@pytest.mark.parametrize(
    ("who", "addresses"),
    [
        ("dana", ("slack://${SLACK_DANA}/", "mailto:d@example.org")),
        ("erik", ("mailto:erik@example.org",)),
        ("fred", ()),
        ("gone", ()),
        ("eve", ()),
        ("role:finance", ("json://hooks.example.org/finance",)),
        ("role:audit", ()),
        ("finance", ()),
    ],
)
def test_a_person_has_addresses_or_an_email_address_and_a_role_has_its_own(who, addresses):
    assert addresses_of(people_in(LIST), who) == addresses
    assert addresses_of(None, who) == ()


def fault_of(tmp_path: Path, address: str, table: str = "person") -> str:
    path = tmp_path / "people.toml"
    listed = address.replace("\\", "\\\\").replace('"', '\\"')
    path.write_text(f'[[person]]\nname = "dana"\n[[{table}]]\nname = "x"\nnotify = ["{listed}"]\n')
    try:
        read_people(path)
    except FileInvalid as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "address",
    [
        "mailto:dana@example.org", "MAILTO:dana+gate@example.org", "slack://${A}/b", "slack://${A}/${B}",
        "ntfy://ntfy.example.org/dana", "ntfys://${TOKEN}@ntfy.example.org/dana", "json://hooks.example.org/x?-a=1,2",
        "jsons://gate:${A_1}@hooks.example.org:8443/x", "workflow://x.logic.azure.com:443/${TEAMS}",
        "https://hooks.slack.com/services/${SLACK}",
    ],
)  # fmt: skip
def test_an_address_may_be_mail_or_a_url_with_secrets_in_variables(tmp_path, address):
    assert fault_of(tmp_path, address) == ""
    assert fault_of(tmp_path, address, "role") == ""


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mailto:a@example.org,b@example.org", "is not one plain address"),
        ("mailto:a@example.org?cc=b@example.org", "is not one plain address"),
        ("mailto:Dana <a@example.org>", "is not one plain address"),
        ("mailto:", "is not one plain address"),
        ("mailto://user:pass@mail.example.org", "uses another mail server"),
        ("dana@example.org", "is not an address"),
        ("slack://xoxb-1234", "contains a secret"),
        ("ntfy://dana:pass@ntfy.example.org/x", "contains a user or a token"),
        ("slack://${A}/#one,#two", "has several recipients"),
        ("slack://${A}/#one/#two", "has several recipients"),
        ("slack://${a}/", "refers to the variable 'a'"),
        ("slack://${}/", "refers to the variable ''"),
        ("slack://${A/", "has '${' without"),
        ("json://eve.example/${PLANGATE_DATABASE_URL}", "a secret that must not be used in addresses"),
        ("json://eve.example/${OPENAI_API_KEY}", "a secret that must not be used in addresses"),
        ("json://eve.example/${AWS_SECRET_ACCESS_KEY}", "a secret that must not be used in addresses"),
        ("json://eve.example/${STRIPE_API_KEY}", "a secret that must not be used in addresses"),
        ("json://eve.example/${GITHUB_TOKEN}", "a secret that must not be used in addresses"),
        ("json://eve.example/${JIRA_API_TOKEN}", "a secret that must not be used in addresses"),
        ("json://169.254.169.254/latest", "is a link-local address"),
        ("jsons://169.254.43518:80/x", "is a link-local address"),
        ("json://0xa9fea9fe/", "is a link-local address"),
        ("json://[fe80::1]:80/", "is a link-local address"),
        ("json://[::ffff:169.254.169.254]/", "is a link-local address"),
        ("slack://${A} x", "is not an address"),
        ("slack://${A}\\u202e", "is not an address"),
        ("x" * 1001, "is longer than"),
        ("", "is not an address"),
    ],
)
def test_an_invalid_address_is_an_error_in_the_file_with_its_location(tmp_path, address, says):
    address = address.encode().decode("unicode_escape") if "\\u" in address else address
    for table in ("person", "role"):
        (fault,) = re.findall(
            rf"{table} 'x' \(line 3\)\.notify\[0\]: (.*)", fault_of(tmp_path, address, table)
        )
        assert says in fault


def test_a_role_is_defined_once_without_unknown_fields(tmp_path):
    path = tmp_path / "people.toml"
    path.write_text(
        '[[person]]\nname = "x"\n' + '[[role]]\nname = "a"\n' * 2 + '[[role]]\nname = "b"\nx = 1\n'
    )
    with pytest.raises(FileInvalid) as caught:
        read_people(path)
    assert "role 'a' (line 5).name: is described twice" in str(caught.value)
    assert "role 'b' (line 7).x: unknown field" in str(caught.value)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_an_error(tmp_path_factory, text):
    text = "".join(char for char in text if char.isprintable())
    fault_of(tmp_path_factory.getbasetemp(), text)


def test_variables_are_filled_in_and_a_missing_variable_is_reported(monkeypatch):
    monkeypatch.setenv("NOTICE_A", " one\n")
    monkeypatch.setenv("NOTICE_B", "tw\no")
    monkeypatch.delenv("NOTICE_C", raising=False)
    assert filled_in("slack://${NOTICE_A}/${NOTICE_A}") == "slack://one/one"
    assert filled_in("json://h/$NOTICE_A") == "json://h/$NOTICE_A"
    with pytest.raises(MissingVariable, match="NOTICE_B, which has a control character"):
        filled_in("slack://${NOTICE_B}")
    with pytest.raises(MissingVariable, match="NOTICE_C, which is not set"):
        filled_in("slack://${NOTICE_C}")


@given(
    where=st.sampled_from(["mail", "notify"]),
    more=st.text(st.characters(exclude_categories=["Cs"]), max_size=3) | st.sampled_from(["\0", "x" * 2_000]),
)
def test_an_address_in_the_list_is_storable_and_visible_or_an_error(where: str, more: str) -> None:
    escaped = "".join(f"\\U{ord(one):08x}" for one in more)
    value = f'"dana{escaped}@ex{escaped}.org"' if where == "mail" else f'["mailto:dana@ex{escaped}.org"]'
    try:
        people = people_in(f'[[person]]\nname = "dana"\n{where} = {value}\n')
    except FileInvalid:
        return
    for address in addresses_of(people, "dana"):
        assert one_line(address) == address
        assert len(address) < 2_000
