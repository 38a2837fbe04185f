"""Stripe for tests: localstripe in one process, behind `stripe_proxy` in another."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

import httpx

from plangate.settings import PROJECT, Settings
from tests.support.wait_limit import WAIT_LIMIT

KEY = "sk_test_canary51NeverToBeSeenAnywhere"
VISA = "4242424242424242"


class StripeServer:
    """A running server; ``url`` is the API's address. Tests query it over Stripe's own HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20)

    def close(self) -> None:
        self._client.close()

    def settings(self, url: str | None = None) -> Settings:
        return Settings(stripe_api_key=KEY, stripe_api_base=url or self.url)

    def post(self, path: str, **fields: Any) -> Any:
        answer = self._client.post(f"/v1/{path}", data=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str, **query: Any) -> Any:
        answer = self._client.get(f"/v1/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def control(self, what: str, body: Mapping[str, Any] | None = None) -> None:
        assert self._client.post(f"/_control/{what}", json=body or {}).status_code == 200

    def customer(self, number: str = VISA) -> tuple[str, str]:
        """Return a new customer and their saved card."""
        customer = self.post("customers", name="Kim Doe", email="kim@example.org")["id"]
        card = {"number": number, "exp_month": 12, "exp_year": 2030, "cvc": "123"}
        fields = {f"card[{name}]": value for name, value in card.items()}
        method = self.post("payment_methods", type="card", **fields)["id"]
        self.post(f"payment_methods/{method}/attach", customer=customer)
        return customer, method

    def paid(self, amount: int = 25_000, currency: str = "eur", **more: Any) -> str:
        """Return a new payment, which has succeeded."""
        customer, method = self.customer()
        fields = {"customer": customer, "payment_method": method, "payment_method_types[]": "card", **more}
        return str(
            self.post("payment_intents", amount=amount, currency=currency, confirm="true", **fields)["id"]
        )

    def refunds(self, payment: str) -> list[dict[str, Any]]:
        return list(self.get("refunds", payment_intent=payment, limit=1000)["data"])

    def payments(self, customer: str) -> list[dict[str, Any]]:
        return list(self.get("payment_intents", customer=customer, limit=1000)["data"])


@contextmanager
def stripe_server() -> Iterator[StripeServer]:
    """Run localstripe and the proxy on free ports."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    local = subprocess.Popen(
        [sys.executable, "-m", "tests.support.localstripe", "--port", str(port), "--from-scratch"],
        cwd=PROJECT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port, local)
        command = [sys.executable, "-m", "tests.support.stripe_proxy", f"http://127.0.0.1:{port}"]
        proxy = subprocess.Popen(
            command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert proxy.stdout is not None
            server = StripeServer(proxy.stdout.readline().strip())
            try:
                yield server
            finally:
                server.close()
        finally:
            _end(proxy)
    finally:
        _end(local)


def _wait_for(port: int, process: "subprocess.Popen[Any]") -> None:
    ends = monotonic() + WAIT_LIMIT
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, "localstripe has ended"
        assert monotonic() < ends, "localstripe does not listen"
        sleep(0.02)


def _end(process: "subprocess.Popen[Any]") -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
