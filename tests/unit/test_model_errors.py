"""The table of model errors is complete, and its messages reveal no secrets."""

import json
from typing import Any

import httpx
import httpx2
import openai
import pytest
from openai import _exceptions as openai_exceptions
from openai.types.chat import ChatCompletion

from activities.planners.autogen.model_errors import _BY_NAME, planner_error
from plangate.domain.errors import ModelRefused, ModelUnavailable, NoModel

REQUEST = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
SECRET = "sk-live-0123456789"
BODY = {
    "message": f"Incorrect API key provided: {SECRET}; you said: pay everybody",
    "code": "invalid_api_key",
}

COMPLETION = ChatCompletion(id="1", choices=[], created=1, model="m", object="chat.completion")

REFUSED = {400, 401, 402, 403, 404, 405, 413, 422, 301, 307}
UNAVAILABLE = {408, 409, 425, 429, 500, 502, 503, 504, 529}


def exported() -> list[type[BaseException]]:
    found: dict[str, type[BaseException]] = {}
    for module in (openai, openai_exceptions):
        for value in [value for name, value in vars(module).items() if name[0] != "_"]:
            if _is_error(value):
                found[value.__name__] = value
    return [found[name] for name in sorted(found)]


def _is_error(value: Any) -> bool:
    # isinstance would import modules that the package imports only when they are used.
    return issubclass(type(value), type) and issubclass(value, BaseException)


def instance_of(kind: type[BaseException]) -> BaseException:
    own_arguments: dict[type[BaseException], dict[str, Any]] = {
        openai.OAuthError: {"response": httpx2.Response(400, request=REQUEST), "body": BODY},
        openai.APIResponseValidationError: {"response": httpx2.Response(200, request=REQUEST), "body": BODY},
        openai.APIError: {"message": SECRET, "request": REQUEST, "body": BODY},
        openai.APIConnectionError: {"request": REQUEST},
        openai.APITimeoutError: {"request": REQUEST},
        openai.LengthFinishReasonError: {"completion": COMPLETION},
        openai.ContentFilterFinishReasonError: {},
        openai.WebSocketConnectionClosedError: {"message": SECRET, "unsent_messages": []},
    }
    if kind in own_arguments:
        return kind(**own_arguments[kind])
    if issubclass(kind, openai.APIStatusError):
        response = httpx2.Response(getattr(kind, "status_code", 503), request=REQUEST)
        return kind("m", response=response, body=BODY)
    return kind(SECRET)


def test_the_openai_packages_lazy_imports_are_not_errors():
    """The import takes half a second, which should not slow down the collection of tests."""
    known = exported()
    for value in [getattr(openai, name) for name in dir(openai) if name[0] != "_"]:
        assert not _is_error(value) or value in known


@pytest.mark.parametrize("kind", exported(), ids=lambda kind: kind.__name__)
def test_every_error_that_the_openai_package_exports_is_known(kind):
    error = instance_of(kind)
    assert isinstance(error, Exception)
    meaning = planner_error(error)
    assert isinstance(meaning, ModelRefused | ModelUnavailable)
    assert SECRET not in str(meaning)
    if kind is openai.InvalidWebhookSignatureError:
        return  # no client raises it
    assert "cannot be read" not in str(meaning)


@pytest.mark.parametrize("status", sorted(REFUSED | UNAVAILABLE))
def test_a_status_determines_whether_to_retry(status):
    error = openai.APIStatusError("m", response=httpx2.Response(status, request=REQUEST), body=BODY)
    meaning = planner_error(error)
    assert isinstance(meaning, ModelRefused if status in REFUSED else ModelUnavailable)
    assert str(status) in str(meaning)
    assert "pay everybody" not in str(meaning)


@pytest.mark.parametrize(
    ("status", "hint"),
    [(401, "OPENAI_API_KEY"), (403, "check the key's permissions"), (404, "PLANGATE_MODEL"), (429, "quota")],
)
def test_the_sentence_explains_what_to_check(status, hint):
    error = openai.APIStatusError("m", response=httpx2.Response(status, request=REQUEST), body=None)
    assert hint in str(planner_error(error))


def test_the_vendors_error_code_is_shown_and_a_key_in_its_place_is_not():
    def message_for(code: str) -> str:
        response = httpx2.Response(429, request=REQUEST)
        return str(planner_error(openai.RateLimitError("m", response=response, body={"code": code})))

    assert "(429, insufficient_quota)" in message_for("insufficient_quota")
    assert "(429)" in message_for(SECRET)
    assert "(429)" in message_for("you said: pay everybody")


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("x"),
        httpx.ReadTimeout("x"),
        httpx.RemoteProtocolError("x"),
        httpx2.ConnectError("x"),
        httpx2.PoolTimeout("x"),
        httpx2.ReadError("x"),
        TimeoutError(),
        ConnectionResetError(),
        OSError("no route"),
    ],
    ids=lambda error: f"{type(error).__module__}.{type(error).__name__}",
)
def test_network_failures_are_transient(error):
    assert isinstance(planner_error(error), ModelUnavailable)


def test_another_vendors_error_is_recognized_by_its_status():
    class VendorError(Exception):
        status_code = 403

    assert isinstance(planner_error(VendorError()), ModelRefused)
    answer = httpx.Response(503, request=httpx.Request("POST", "http://127.0.0.1"))
    assert isinstance(
        planner_error(httpx.HTTPStatusError("m", request=answer.request, response=answer)), ModelUnavailable
    )


def test_a_known_cause_is_reported_if_the_error_itself_is_unknown():
    outer = RuntimeError("it failed")
    outer.__cause__ = httpx.ReadTimeout("x")
    assert "in time" in str(planner_error(outer))
    outer = RuntimeError("it failed")
    outer.__context__ = ConnectionResetError()
    assert "cannot be reached" in str(planner_error(outer))


def test_an_unexpected_error_is_reported_only_by_kind_and_place():
    try:
        json.loads("{}")[SECRET]
    except KeyError as error:
        meaning = planner_error(error)
    assert isinstance(meaning, ModelUnavailable)
    assert "KeyError at test_model_errors.py:" in str(meaning)
    assert SECRET not in str(meaning)


def test_the_search_through_circular_causes_ends():
    first, second = RuntimeError(), RuntimeError()
    first.__cause__, second.__cause__ = second, first
    assert isinstance(planner_error(first), ModelUnavailable)


def test_a_domain_error_stays_unchanged():
    error = NoModel("nothing is set")
    assert planner_error(error) is error


def test_every_entry_of_the_table_is_one_sentence():
    for kind, sentence in _BY_NAME.values():
        assert issubclass(kind, ModelRefused | ModelUnavailable)
        assert not sentence.endswith(".")
