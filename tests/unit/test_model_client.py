"""Settings result in a model client, or in a sentence that states the missing setting."""

import json
from pathlib import Path
from typing import Any

import pytest
from autogen_ext.models.openai import OpenAIChatCompletionClient
from autogen_ext.models.replay import ReplayChatCompletionClient

from activities.planners.autogen.model_client import OpenModel, model_client_factory
from activities.planners.autogen.model_transport import ModelTransport
from activities.planners.autogen.openai_clients import CHECKED, CheckedAzureOpenAI, CheckedOpenAI
from plangate.domain.errors import NoModel, SettingsInvalid
from plangate.settings import Settings

SECRET = "sk-live-0123456789"


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PLANGATE_MODEL", "PLANGATE_MODEL_CONFIG"):
        monkeypatch.delenv(name, raising=False)


def opened(**settings: Any) -> OpenModel:
    return model_client_factory(Settings(**settings))()


def sdk(client: Any) -> Any:
    """Return the OpenAI SDK's client inside AutoGen's."""
    return client._client  # noqa: SLF001  AutoGen has no public name for it


def transport(client: Any) -> Any:
    """Return the HTTP transport inside the OpenAI SDK's client."""
    return sdk(client)._client._transport  # noqa: SLF001  nor do the SDK and httpx


def component(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(SettingsInvalid) as caught:
        opened(model_config_file=path)
    message = str(caught.value)
    assert str(path) in message
    assert "PLANGATE_MODEL_CONFIG" in message
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_without_settings_the_error_explains_what_to_set_and_what_works_without_a_model():
    open_model = model_client_factory(Settings())
    with pytest.raises(NoModel) as caught:
        open_model()
    for word in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "PLANGATE_MODEL_CONFIG", "supply a plan"):
        assert word in str(caught.value)


async def test_a_key_alone_selects_openai(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "")
    model = opened(openai_api_key=SECRET)
    assert isinstance(model.client, OpenAIChatCompletionClient)
    assert model.name == "gpt-4o-mini"
    assert str(sdk(model.client).base_url) == "https://api.openai.com/v1/"
    assert sdk(model.client).api_key == SECRET
    assert sdk(model.client).max_retries == 0
    await model.client.close()


async def test_a_custom_server_needs_no_key_and_accepts_any_model_name():
    model = opened(openai_base_url="http://127.0.0.1:9/v1", model="qwen-local", draft_seconds=7)
    assert isinstance(model.client, OpenAIChatCompletionClient)
    assert model.name == "qwen-local"
    assert model.client.model_info["function_calling"] is True
    assert model.client.model_info["vision"] is False
    assert sdk(model.client).timeout == 7
    await model.client.close()


async def test_each_call_opens_a_new_client():
    open_model = model_client_factory(Settings(openai_base_url="http://127.0.0.1:9/v1"))
    first, second = open_model(), open_model()
    assert first.client is not second.client
    await first.client.close()
    await second.client.close()


@pytest.mark.parametrize(
    "url", ["localhost:8080/v1", "ftp://127.0.0.1", "http://[::1", "http://127.0.0.1:x/v1"]
)
def test_an_invalid_server_address_is_refused(url):
    with pytest.raises(SettingsInvalid, match="OPENAI_BASE_URL"):
        opened(openai_base_url=url)


@pytest.mark.parametrize("key", [f"{SECRET}\n", f" {SECRET}", "schlüssel", "a b"])
def test_a_key_that_does_not_fit_into_a_header_is_refused_and_not_shown(key):
    with pytest.raises(SettingsInvalid, match="OPENAI_API_KEY") as caught:
        opened(openai_api_key=key)
    assert key.strip() not in str(caught.value)


def test_a_component_file_takes_precedence_over_the_openai_variables(tmp_path):
    path = component(
        tmp_path / "model.json",
        {
            "provider": "autogen_ext.models.replay.ReplayChatCompletionClient",
            "config": {"chat_completions": ["x"]},
        },
    )
    model = opened(model_config_file=path, openai_api_key=SECRET)
    assert isinstance(model.client, ReplayChatCompletionClient)
    assert model.name == "ReplayChatCompletionClient"


async def test_the_model_name_of_a_component_file_is_recorded(tmp_path):
    config = {"model": "gpt-4o", "api_key": SECRET}
    path = component(tmp_path / "model.json", {"provider": "OpenAIChatCompletionClient", "config": config})
    model = opened(model_config_file=path)
    assert model.name == "gpt-4o"
    await model.client.close()


@pytest.mark.parametrize(
    ("provider", "more"),
    [
        ("OpenAIChatCompletionClient", {}),
        ("autogen_ext.models.openai.OpenAIChatCompletionClient", {"include_name_in_message": True}),
        ("openai_chat_completion_client", {"base_url": "http://127.0.0.1:9/v1"}),
    ],
)
async def test_the_openai_client_of_a_component_file_is_wrapped_like_the_default(tmp_path, provider, more):
    config = {"model": "gpt-4o", "api_key": SECRET, **more}
    path = component(tmp_path / "model.json", {"provider": provider, "config": config})
    client = opened(model_config_file=path).client
    assert type(client) is CheckedOpenAI
    assert isinstance(transport(client), ModelTransport)
    assert sdk(client).max_retries == 0
    names_the_speaker = client._include_name_in_message  # noqa: SLF001  AutoGen has no public name for it
    assert names_the_speaker is more.get("include_name_in_message", False)
    await client.close()


async def test_an_azure_client_is_wrapped_too():
    # From a component file, it also needs the package azure-identity, which Plangate does not include.
    client = CheckedAzureOpenAI(
        model="gpt-4o", api_key=SECRET, azure_endpoint="https://a.example", api_version="2024-10-21"
    )
    assert CHECKED["AzureOpenAIChatCompletionClient"].endswith(".CheckedAzureOpenAI")
    assert isinstance(transport(client), ModelTransport)
    await client.close()


def test_a_missing_file_is_reported(tmp_path):
    assert "cannot be read (No such file" in refusal(tmp_path / "none.json")


def test_a_folder_is_refused(tmp_path):
    assert "cannot be read" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "it is not JSON (line 1"),
        ('{"provider": ', "it is not JSON (line 1"),
        ("[" * 100_000, "it is not readable JSON"),
        ("1" * 10_000, "it is not readable JSON"),
        ([], 'not one JSON object with a "provider"'),
        ({"config": {}}, 'not one JSON object with a "provider"'),
        ({"provider": 7, "config": {}}, 'not one JSON object with a "provider"'),
        ({"provider": "X", "config": {}}, "its provider rejects it"),
        ({"provider": "autogen_ext.models.none.Client", "config": {}}, "its provider cannot be imported"),
        ({"provider": "autogen_ext.models.replay.None", "config": {}}, "its provider cannot be imported"),
        ({"provider": "json.JSONDecoder", "config": {}}, "its provider rejects it (TypeError"),
        (
            {"provider": "autogen_ext.models.replay.ReplayChatCompletionClient"},
            "does not fit its provider, at config",
        ),
        (
            {"provider": "OpenAIChatCompletionClient", "config": {"api_key": SECRET, "max_retries": SECRET}},
            "does not fit its provider, at model, max_retries",
        ),
        (
            {"provider": "OpenAIChatCompletionClient", "config": {"model": "gpt-4o"}},
            "its provider rejects it",
        ),
        (
            {"provider": "OpenAIChatCompletionClient", "config": {"model": "own", "api_key": SECRET}},
            "model_info is required",
        ),
        (
            {
                "provider": "autogen_core.model_context.UnboundedChatCompletionContext",
                "config": {},
            },
            "its provider rejects it (TypeError",
        ),
    ],
    ids=range(16),
)
def test_an_unusable_file_is_reported_with_the_reason(tmp_path, content, expected):
    assert expected in refusal(component(tmp_path / "model.json", content))


def test_a_byte_order_mark_is_ignored(tmp_path):
    provider = "autogen_ext.models.replay.ReplayChatCompletionClient"
    content = json.dumps({"provider": provider, "config": {"chat_completions": ["x"]}})
    model = opened(model_config_file=component(tmp_path / "model.json", f"\ufeff{content}"))
    assert isinstance(model.client, ReplayChatCompletionClient)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    path = tmp_path / "model.json"
    path.write_bytes(b"\xff\xfe{}")
    assert "not UTF-8" in refusal(path)
