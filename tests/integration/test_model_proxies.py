"""A model is reached through the proxies in the environment, which are set for all programs."""

import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from activities.planner import Brief
from activities.planners.autogen.model_client import model_client_factory
from activities.planners.autogen.model_transport import proxy_for
from activities.planners.autogen.planner import AutoGenPlanner
from activities.planners.limits import Limits
from plangate.domain.errors import ModelRefused, SettingsInvalid
from plangate.settings import Settings
from tests.support.openai_server import Calls, OpenAIServer, Says, call, completion
from tests.support.stand_in_tools import MAIL, TOOLS

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
SOCKS = "socks5://127.0.0.1:9"
WITHOUT_SOCKS = pytest.mark.skipif(
    importlib.util.find_spec("socksio") is not None, reason="the package socksio is installed"
)


def answer(request: dict[str, Any]) -> Calls | Says:
    """Return the answer of a model that proposes one mail."""
    return Says("Tell Kim.") if request["messages"][-1]["role"] == "tool" else call("send_email", MAIL)


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def proxy() -> Iterator["Proxy"]:
    one = Proxy()
    yield one
    one.end()


class Proxy:
    """An HTTP proxy that answers requests itself, and records their addresses."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append(self.path)
                payload = json.dumps(completion(answer(request), request["model"])).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — the base class's name for it
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def planner_for(**settings: Any) -> AutoGenPlanner:
    return AutoGenPlanner(model_client_factory(Settings(openai_api_key="k", **settings)), TOOLS, Limits(5, 5))


async def steps_of(planner: AutoGenPlanner) -> int:
    return len((await planner.draft(Brief(request="Tell Kim."))).plan.steps)


def component(folder: Path, **config: Any) -> Path:
    path = folder / "model.json"
    config = {"model": "gpt-4o", "api_key": "k", **config}
    path.write_text(json.dumps({"provider": "OpenAIChatCompletionClient", "config": config}))
    return path


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_a_model_on_this_machine_is_called_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: Proxy, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    with OpenAIServer(answer) as server:
        assert await steps_of(planner_for(openai_base_url=server.base_url)) == 1
        assert (
            await steps_of(planner_for(openai_base_url=server.base_url.replace("127.0.0.1", "localhost")))
            == 1
        )
    assert proxy.asked == []


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_remote_model_is_called_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, proxy: Proxy, tmp_path: Path, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    url = "http://models.example/v1"
    assert await steps_of(planner_for(openai_base_url=url)) == 1
    assert await steps_of(planner_for(model_config_file=component(tmp_path, base_url=url))) == 1
    assert set(proxy.asked) == {"http://models.example/v1/chat/completions"}


@pytest.mark.parametrize(
    ("url", "no_proxy", "expected"),
    [
        ("http://localhost:11434/v1", "", None),
        ("http://ollama.localhost/v1", "", None),
        ("http://127.0.0.53/v1", "", None),
        ("http://[::1]:8000/v1", "", None),
        ("http://0.0.0.0:11434/v1", "", None),
        ("http://models.example/v1", "", "http://plain:1"),
        ("https://models.example/v1", "", "http://any:2"),
        ("http://models.example/v1", "models.example", None),
        ("http://gpu.models.example:8000/v1", ".models.example", None),
        ("http://gpu.models.example:8000/v1", "other.example,gpu.models.example:8000", None),
        ("http://models.example/v1", "*", None),
        ("http://localhost.example/v1", "", "http://plain:1"),
    ],
)
def test_the_precedence_of_proxy_settings(
    monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, expected: str | None
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "plain:1")
    monkeypatch.setenv("ALL_PROXY", "http://any:2")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(httpx2.URL(url)) == expected


@WITHOUT_SOCKS
async def test_a_missing_socks_package_is_reported_and_does_not_stop_the_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ALL_PROXY", SOCKS)
    with OpenAIServer(answer) as server:  # on this machine: no proxy is needed
        assert await steps_of(planner_for(openai_base_url=server.base_url)) == 1
        assert (
            await steps_of(planner_for(model_config_file=component(tmp_path, base_url=server.base_url))) == 1
        )
    planner = planner_for()
    with capture_logs() as logs:
        await planner.try_model()
    (warning,) = [entry for entry in logs if entry["action"] == "model_unreachable"]
    with pytest.raises(ModelRefused) as caught:
        await steps_of(planner)
    assert str(caught.value) == warning["event"]
    for word in ("ALL_PROXY", "socksio", "HTTPS_PROXY", "api.openai.com in NO_PROXY"):
        assert word in str(caught.value)
    assert "OPENAI_" not in str(caught.value)


@WITHOUT_SOCKS
async def test_a_socks_proxy_is_also_reported_for_a_component_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", SOCKS)
    planner = planner_for(model_config_file=component(tmp_path))
    await planner.try_model()
    with pytest.raises(ModelRefused, match="through HTTPS_PROXY, which is a SOCKS proxy"):
        await steps_of(planner)


@pytest.mark.parametrize("address", ["http://[::", "ftp://proxy", "http://proxy:x", "http://"])
async def test_an_invalid_proxy_is_reported(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", address)
    planner = planner_for()
    await planner.try_model()
    with pytest.raises(ModelRefused, match="through HTTPS_PROXY, which is not the address of a proxy"):
        await steps_of(planner)


async def test_other_invalid_settings_still_stop_the_worker(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"model\.json"):
        await planner_for(model_config_file=component(tmp_path, max_retries="many")).try_model()
