"""An invalid setting is reported in one plain sentence with the variable and the valid values."""

import re
from typing import Any

import pytest

from plangate.domain.errors import SettingsInvalid
from plangate.settings import Settings, load_settings, unknown_variables, variable_of

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
        ("TASK_QUEUE", "q" * 201, "write it like plangate"),
        ("TASK_QUEUE", "/_sys/plangate/1", "write it like plangate"),
        ("WEB_PROXIES", "::1,proxy.example.org", "write the IP address of each proxy, such as 10.0.0.7"),
        ("WEB_PROXIES", "10.0.0.0/8", "write the IP address of each proxy, such as 10.0.0.7"),
        ("PUBLIC_TEMPORAL_UI", "here", "write it like https://temporal.example.org"),
    ],
)
def test_an_invalid_value_is_reported_with_what_to_write(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, advice: str
) -> None:
    monkeypatch.setenv(f"PLANGATE_{variable}", value)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert str(caught.value) == f"The setting PLANGATE_{variable} cannot be used: {advice}."


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("POLCY", "PLANGATE_POLICY"),
        ("POLICY_FILE", "PLANGATE_POLICY"),
        ("PEOPLES", "PLANGATE_PEOPLE"),
        ("SEALER", "PLANGATE_SEALERS"),
        ("HTTP_ALLOWED_HOST", "PLANGATE_HTTP_ALLOWED_HOSTS"),
        ("DATABASE", "PLANGATE_DATABASE_URL"),
        ("DATABASE_USER", "PLANGATE_DATABASE_URL"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY"),
    ],
)
def test_a_misspelled_name_is_refused(monkeypatch: pytest.MonkeyPatch, typed: str, meant: str) -> None:
    monkeypatch.setenv(f"PLANGATE_{typed}", "/etc/plangate/some-file")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings()
    assert str(caught.value) == (
        f"There is no setting PLANGATE_{typed}: write {meant} if you mean that one, "
        "otherwise remove the variable, or give it a name that does not begin with PLANGATE_."
    )


def test_names_that_other_programs_use_are_listed_but_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["PLANGATE_DB_PASSWORD", "PLANGATE_WEB_DB_PASSWORD", "PLANGATE_WEB_PORT"]
    for name in names:
        monkeypatch.setenv(name, "secret")
    load_settings()
    assert unknown_variables() == names


@pytest.mark.parametrize("service", ["", *(variable_of(name) for name in Settings.model_fields), "DATABASE"])
def test_the_variables_of_a_kubernetes_service_are_accepted(
    monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    """Kubernetes sets them in each container, for every service in its namespace, such as plangate-policy."""
    name = f"PLANGATE_{service.removeprefix('PLANGATE_')}".rstrip("_")
    ports = ("PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR", "PORT_80_TCP_PORT", "PORT_80_TCP_PROTO")
    for part in ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", *ports):
        monkeypatch.setenv(f"{name}_{part}", "tcp://10.0.0.11:80")
    load_settings()
    assert unknown_variables() == []


@pytest.mark.parametrize("name", list(Settings.model_fields))
def test_a_setting_is_read_from_its_own_variable_only(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    if name.upper() != variable_of(name):
        monkeypatch.setenv(name.upper(), "another program's")
    assert name not in load_settings().model_fields_set


@pytest.mark.parametrize("variable", [variable_of(name) for name in Settings.model_fields])
def test_no_invalid_value_is_reported_with_the_message_of_a_library(
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


@pytest.mark.parametrize(
    ("typed", "origin"),
    [
        ("https://plangate.example.org", "https://plangate.example.org"),
        ("https://Plangate.Example.org:443/", "https://plangate.example.org"),
        ("https://plangate.example.org:8443", "https://plangate.example.org:8443"),
        ("http://localhost:8088/", "http://localhost:8088"),
        ("http://127.0.0.1:8088", "http://127.0.0.1:8088"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_the_address_of_the_inbox_is_normalized_like_an_origin(
    monkeypatch: pytest.MonkeyPatch, typed: str, origin: str
) -> None:
    monkeypatch.setenv("PLANGATE_WEB_URL", typed)
    assert load_settings().web_url == origin


@pytest.mark.parametrize(
    "host", ["plangate.example.org", "10.0.0.1", "localhost.example.org", "[2001:db8::1]"]
)
def test_a_public_inbox_requires_https(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("PLANGATE_WEB_URL", f"http://{host}:8088")
    with pytest.raises(SettingsInvalid, match=r"PLANGATE_WEB_URL cannot be used: use https for "):
        load_settings()


def test_the_recommended_value_of_a_setting_is_valid() -> None:
    shapes: dict[str, dict[str, Any]] = Settings.model_json_schema()["properties"]
    for name, shape in shapes.items():
        limits = [shape[limit] for limit in ("minimum", "maximum") if limit in shape]
        for value in (*shape.get("enum", ()), *shape.get("examples", ()), *limits):
            assert str(getattr(Settings(**{name: value}), name)) == str(value)
