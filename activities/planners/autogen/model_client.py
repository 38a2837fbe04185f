"""Create the AutoGen model client that the settings specify.

May import the domain, the settings and AutoGen.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from autogen_core._component_config import WELL_KNOWN_PROVIDERS
from autogen_core.models import ChatCompletionClient, ModelFamily, ModelInfo
from pydantic import ValidationError

from activities.planners.without_model import NO_MODEL
from plangate.domain.errors import ModelRefused, NoModel, SettingsInvalid
from plangate.domain.escaping import cut, one_line
from plangate.domain.faults import path_text
from plangate.domain.validation import faults_in
from plangate.settings import Settings

_OPENAI: Final = "https://api.openai.com/v1"
_NO_KEY: Final = "not-needed"
_UNKNOWN_MODEL: Final = ModelInfo(
    vision=False,
    function_calling=True,
    json_output=False,
    family=ModelFamily.UNKNOWN,
    structured_output=False,
    multiple_system_messages=False,
)


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A model client, to be closed after use, and the model's name for the record."""

    name: str
    client: ChatCompletionClient


ModelOpener = Callable[[], OpenModel]


def model_client_factory(settings: Settings) -> ModelOpener:
    """Return a function that opens a new client for each draft.

    Calling the result raises:
        NoModel: no model is configured.
        ModelRefused: the proxy for the model cannot be used.
        SettingsInvalid: a setting cannot be used.
    """
    if settings.model_config_file is not None:
        return partial(_from_file, settings.model_config_file)
    if settings.has_openai:
        return partial(_openai, settings)
    return no_model


def no_model() -> OpenModel:
    """Raise NoModel; this is the opener for a worker without a model."""
    raise NoModel(NO_MODEL)


def _openai(settings: Settings) -> OpenModel:
    # These imports take 0.5 s, and a worker without this client does not need them.
    from activities.planners.autogen.model_transport import check_proxy_for  # noqa: PLC0415
    from activities.planners.autogen.openai_clients import CheckedOpenAI  # noqa: PLC0415

    base_url = settings.openai_base_url or _OPENAI
    if not base_url.startswith(("http://", "https://")):
        raise SettingsInvalid(
            "The setting OPENAI_BASE_URL cannot be used: begin it with http:// or https://."
        )
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else _NO_KEY
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise SettingsInvalid(
            "The setting OPENAI_API_KEY cannot be used: it contains characters that no key has."
        )
    opened = partial(
        CheckedOpenAI,
        model=settings.model,
        api_key=key,
        base_url=base_url,
        timeout=float(settings.draft_seconds),
    )
    try:
        try:
            client = opened()
        except ValueError:  # AutoGen does not recognize the model's name
            client = opened(model_info=_UNKNOWN_MODEL)
    except Exception as error:  # noqa: BLE001 — each httpx version has its own error for a malformed address
        raise SettingsInvalid(
            f"The OpenAI client cannot be opened ({type(error).__name__}); check OPENAI_BASE_URL, "
            "OPENAI_API_KEY and PLANGATE_MODEL."
        ) from None
    check_proxy_for(base_url)
    return OpenModel(name=settings.model, client=client)


def _from_file(path: Path) -> OpenModel:
    component = _read(path)
    try:
        client = ChatCompletionClient.load_component(_checked(component))
    except Exception as error:  # noqa: BLE001 — a component runs its vendor's code, which may raise anything
        if isinstance(error, ImportError) and "socks" in str(error).lower():
            raise ModelRefused(
                "The model's client cannot be opened, because ALL_PROXY or HTTPS_PROXY is a SOCKS proxy: "
                "install the Python package socksio, or set HTTPS_PROXY to an HTTP proxy, and restart the "
                "worker."
            ) from None
        raise _unusable(path, _why_not_loaded(error)) from None
    return OpenModel(name=_name_in(component) or type(client).__name__, client=client)


def _checked(component: Mapping[str, Any]) -> dict[str, Any]:
    """Return the component, with AutoGen's OpenAI clients replaced by the normalizing ones."""
    provider = component["provider"]
    if not (provider in WELL_KNOWN_PROVIDERS or provider.startswith("autogen_ext.models.openai.")):
        return dict(component)
    from activities.planners.autogen.openai_clients import CHECKED  # noqa: PLC0415 — as above

    name = str(WELL_KNOWN_PROVIDERS.get(provider, provider)).rpartition(".")[2]
    return {**component, "provider": CHECKED.get(name, provider)}


def _read(path: Path) -> dict[str, Any]:
    """Return the file's JSON object, the configuration of a component."""
    try:
        component = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise _unusable(path, f"it cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise _unusable(path, "it is not UTF-8 text") from None
    except json.JSONDecodeError as error:
        raise _unusable(path, f"it is not JSON (line {error.lineno}: {error.msg})") from None
    except (ValueError, RecursionError):
        raise _unusable(path, "it is not readable JSON") from None
    if not isinstance(component, dict) or not isinstance(component.get("provider"), str):
        raise _unusable(path, 'it is not one JSON object with a "provider" and its "config"')
    return component


def _name_in(component: Mapping[str, Any]) -> str | None:
    config = component.get("config")
    model = config.get("model") if isinstance(config, dict) else None
    names = (model, component.get("label"))
    return next((name for name in names if isinstance(name, str) and name), None)


def _why_not_loaded(error: Exception) -> str:
    """Return the reason why the component was not loaded; omit values, because its file may contain keys."""
    if isinstance(error, ValidationError):
        paths = ", ".join(path_text(fault.path) for fault in faults_in(error)[:5])
        return f"its config does not fit its provider, at {cut(one_line(paths), 200)}"
    if isinstance(error, ImportError | AttributeError):
        return f"its provider cannot be imported: {cut(one_line(str(error)), 200)}"
    return f"its provider rejects it ({type(error).__name__}: {cut(one_line(str(error)), 200)})"


def _unusable(path: Path, why: str) -> SettingsInvalid:
    shown = one_line(str(path))
    return SettingsInvalid(f"The model component file {shown} (PLANGATE_MODEL_CONFIG) cannot be used: {why}.")
