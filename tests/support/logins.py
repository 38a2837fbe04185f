"""Two login providers for the inbox, each a real process, and a browser that uses them."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import httpx

from plangate.policy.effective_people import people_in_effect, trusted_web
from plangate.policy.people_file import PeopleFile
from plangate.records.rule_texts import record_rules
from plangate.settings import PROJECT
from plangate.web.web_key import public_line, web_key
from tests.support.gate import Gate
from tests.support.inbox import NO_TLS
from tests.support.oidc_provider import CLIENT_ID
from tests.support.wait_limit import WAIT_LIMIT

PEOPLE = """
[[person]]
name = "rita"
mail = "rita@example.org"

[[person]]
name = "dana"
mail = "dana@example.org"
roles = ["ops"]

[[person]]
name = "fred"
mail = "fred@example.org"
active = false

[[person]]
name = "anna"
mail = "both@example.org"

[[person]]
name = "anne"
mail = "Both@Example.org"
"""
SETTINGS: dict[str, Any] = {"oidc_client_id": CLIENT_ID}


@contextmanager
def strict_provider() -> Iterator[str]:
    """Run the provider that checks PKCE and can return false responses; yield its address."""
    command = [sys.executable, str(PROJECT / "tests" / "support" / "oidc_provider.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.kill()


@contextmanager
def mock_provider() -> Iterator[str]:
    """Run oidc-provider-mock, a third-party provider; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as process:
        address, ends = f"http://127.0.0.1:{port}", monotonic() + WAIT_LIMIT
        while monotonic() < ends:
            try:
                httpx.get(f"{address}/.well-known/openid-configuration", verify=NO_TLS)
                break
            except httpx.HTTPError:
                sleep(0.1)
        yield address
        process.kill()


def list_people(gate: Gate, text: str = PEOPLE, *, trusts_web: bool = True) -> None:
    """Make the workers use this list and trust the inbox of this test instance."""
    path = Path(gate.settings.var_dir) / "people.toml"
    path.write_text(text)
    keys = (public_line(web_key(gate.settings.web_key)),) if trusts_web else ()
    gate.settings = gate.settings.model_copy(update={"web_keys": keys})
    gate.directory = PeopleFile(path)
    listed = gate.directory.people()
    assert listed is not None
    known = people_in_effect(listed, trusted_web(gate.settings), ())
    record_rules(gate.database, "people", known.text, known.hash, "worker@here")


def answer_next(provider: str, fault: str = "", **claims: Any) -> None:
    """Set the strict provider's response to the next login."""
    httpx.put(f"{provider}/next", json={"fault": fault, "claims": claims}, verify=NO_TLS).raise_for_status()


async def begin_login(visitor: httpx.AsyncClient, next_page: str = "/done") -> str:
    """Press the button; return the address that the browser is redirected to."""
    page = await visitor.post("/sign-in/login", data={"next": next_page})
    assert page.status_code == httpx.codes.OK, page.text
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.text)
    assert found is not None, page.text
    return unescape(found[1])


async def log_in(visitor: httpx.AsyncClient, next_page: str = "/done") -> httpx.Response:
    """Log in at the strict provider, and return the final page."""
    return await visitor.get(await begin_login(visitor, next_page))
