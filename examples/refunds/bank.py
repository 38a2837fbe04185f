"""A bank with a refund API for testing a tool: `python bank.py [PORT]`. It keeps its data in memory only.

    GET  /payments/P-1                   {"number": "P-1", "status": "captured", "refundable": "100.00"}
    POST /refunds  payment, amount       {"number": "R-1", "payment": "P-1", "amount": "42.50"}, or 422
    POST /refunds/R-1/cancel             {"number": "R-1", "status": "canceled"}, or 422
    POST /refunds/R-1/return             the same with the status "returned": the customer's bank sent it back
    GET  /refunds, /refunds/R-1          all refunds; one of them
    GET  /answer                         the response to the POST with this ``Idempotency-Key``, or null

A POST with the ``Idempotency-Key`` of an earlier POST gets the earlier response, and does nothing.
"""

import json
import sys
from decimal import Decimal
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs

Answer = tuple[int, Any]


class Bank:
    """Ten captured payments of 100.00 EUR each, and their refunds."""

    def __init__(self) -> None:
        self.refundable = {f"P-{number}": Decimal("100.00") for number in range(1, 11)}
        self.refunds: dict[str, dict[str, str]] = {}
        self.answers: dict[str, Answer] = {}
        self.lock = Lock()

    def get(self, path: list[str], key: str) -> Answer:
        """Respond to a GET request."""
        match path:
            case ["answer"]:
                status, body = self.answers.get(key, (HTTPStatus.OK, None))
                return 200, body if status == HTTPStatus.OK else None
            case ["payments", number] if number in self.refundable:
                left = str(self.refundable[number])
                return 200, {"number": number, "status": "captured", "refundable": left}
            case ["refunds"]:
                return 200, list(self.refunds.values())
            case ["refunds", number] if number in self.refunds:
                return 200, self.refunds[number]
        return 404, {"error": "Not found."}

    def post(self, path: list[str], form: dict[str, str], key: str) -> Answer:
        """Respond to a POST request, once for each key."""
        with self.lock:
            if key and key in self.answers:
                return self.answers[key]
            answer = self._post(path, form)
            if key:
                self.answers[key] = answer
            return answer

    def _post(self, path: list[str], form: dict[str, str]) -> Answer:
        match path:
            case ["refunds"]:
                payment, amount = form["payment"], Decimal(form["amount"])
                if self.refundable.get(payment, Decimal(0)) < amount:
                    return 422, {"error": f"{payment} has less than {amount} EUR left."}
                self.refundable[payment] -= amount
                number = f"R-{len(self.refunds) + 1}"
                self.refunds[number] = {"number": number, "payment": payment, "amount": str(amount)}
                return 200, self.refunds[number]
            case ["refunds", number, "cancel" | "return" as what] if self._is_open(number):
                refund = self.refunds[number]
                self.refundable[refund["payment"]] += Decimal(refund["amount"])
                refund["status"] = "canceled" if what == "cancel" else "returned"
                return 200, refund
        return 422, {"error": "That cannot be done."}

    def _is_open(self, number: str) -> bool:
        return number in self.refunds and "status" not in self.refunds[number]


class Handler(BaseHTTPRequestHandler):
    """The bank over HTTP."""

    bank = Bank()

    def do_GET(self) -> None:
        """Respond to a GET request."""
        path = self.path.strip("/").split("/")
        self._answer(*self.bank.get(path, self.headers.get("Idempotency-Key", "")))

    def do_POST(self) -> None:
        """Respond to a POST request."""
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        path = self.path.strip("/").split("/")
        self._answer(*self.bank.post(path, form, self.headers.get("Idempotency-Key", "")))

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if sys.argv[1:] else 8077), Handler)
    print(f"The bank's server is running at http://127.0.0.1:{server.server_port}")
    server.serve_forever()
