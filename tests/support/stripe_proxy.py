"""A proxy that adds missing features to localstripe: ``python -m tests.support.stripe_proxy UPSTREAM``.

It prints its address. It adds Stripe's idempotency (the same key and body: the first response again; another
body: 400; still running: 409), refuses to refund more than was paid, filters payments by customer, lists the
newest first, and can leave refunds pending. A request whose client has disconnected is still executed.

``/_control/forget`` deletes the keys, as Stripe does after a day; ``/_control/pending`` leaves refunds
pending from now on; ``/_control/refunds/ID`` sets the status of one; ``/_control/slow`` sets the seconds that
a request waits before and after it is sent to the upstream.
"""

import asyncio
import hashlib
import json
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import ClientSession, web

Answer = tuple[int, bytes]


def refused(status: int, kind: str, message: str, code: str | None = None) -> Answer:
    error = {"type": kind, "message": message, **({"code": code} if code else {})}
    return status, json.dumps({"error": error}).encode()


@dataclass
class Known:
    """A request with an idempotency key, and its response, if there is one yet."""

    request: str
    answer: Answer | None = None


@dataclass
class Proxy:
    upstream: str
    session: ClientSession
    keys: dict[str, Known] = field(default_factory=dict)
    locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))
    statuses: dict[str, str] = field(default_factory=dict)
    payments: dict[str, str | None] = field(default_factory=dict)
    listing: asyncio.Lock = field(default_factory=asyncio.Lock)
    is_pending: bool = False
    slow: tuple[float, float] = (0.0, 0.0)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.path.startswith("/_control/"):
            return self._control(request.path.removeprefix("/_control/"), json.loads(body or b"{}"))
        # If a client disconnects, a request that has begun must continue.
        status, raw = await asyncio.shield(asyncio.ensure_future(self._once(request, body)))
        return web.Response(status=status, body=raw, content_type="application/json")

    def _control(self, what: str, body: dict[str, Any]) -> web.Response:
        match what.split("/"):
            case ["forget"]:
                self.keys.clear()
            case ["pending"]:
                self.is_pending = bool(body["pending"])
            case ["slow"]:
                self.slow = (body["before"], body["after"])
            case ["refunds", name]:
                self.statuses[name] = body["status"]
        return web.Response()

    async def _once(self, request: web.Request, body: bytes) -> Answer:
        key = request.headers.get("Idempotency-Key")
        if request.method != "POST" or key is None:
            return await self._do(request, body)
        digest = hashlib.sha256(f"{request.path}\n".encode() + body).hexdigest()
        known = self.keys.get(key)
        if known is not None and known.request != digest:
            said = "Keys for idempotent requests can only be used with the same parameters."
            return refused(400, "idempotency_error", said)
        if known is not None and known.answer is None:
            return refused(409, "invalid_request_error", "in use", "idempotency_key_in_use")
        if known is not None and known.answer is not None:
            return known.answer
        self.keys[key] = known = Known(digest)
        known.answer = await self._do(request, body)
        return known.answer

    async def _do(self, request: web.Request, body: bytes) -> Answer:
        before, after = self.slow if request.method == "POST" else (0.0, 0.0)
        await asyncio.sleep(before)
        answer = await self._execute(request, body)
        await asyncio.sleep(after)
        return answer

    async def _execute(self, request: web.Request, body: bytes) -> Answer:
        path = request.path
        if request.method == "POST" and path == "/v1/refunds":
            fields = dict(parse_qsl(body.decode()))
            async with self.locks[fields.get("payment_intent", "")]:
                return await self._refund(request, body, fields)
        if request.method == "GET" and path == "/v1/payment_intents":
            return await self._payments(request)
        status, raw = await self._ask(request, request.method, request.path_qs, body)
        return status, self._with_statuses(raw)

    async def _refund(self, request: web.Request, body: bytes, fields: dict[str, str]) -> Answer:
        """Make a refund, unless it is more than was paid."""
        payment = fields.get("payment_intent", "")
        status, raw = await self._ask(request, "GET", f"/v1/payment_intents/{payment}?expand[]=latest_charge")
        if status != 200:
            return status, raw
        paid = json.loads(raw)
        charge = paid["latest_charge"]
        if paid["status"] != "succeeded" or charge is None:
            return refused(400, "invalid_request_error", "The payment cannot be refunded.", "charge_not_paid")
        left = charge["amount"] - charge["amount_refunded"]
        if int(fields.get("amount", left)) > left or left == 0:
            said = f"Refund amount is greater than unrefunded amount on charge ({left})"
            return refused(400, "invalid_request_error", said, "charge_already_refunded")
        whole = body if "amount" in fields else body + b"&amount=" + str(left).encode()
        status, raw = await self._ask(request, "POST", "/v1/refunds", whole)
        if status == 200 and self.is_pending:
            self.statuses[json.loads(raw)["id"]] = "pending"
        return status, self._with_statuses(raw)

    async def _payments(self, request: web.Request) -> Answer:
        """List the payments of one customer, newest first, each in its current state in localstripe."""
        async with self.listing:
            status, raw = await self._fetch_new_payments(request)
        if status != 200:
            return status, raw
        customer, limit = request.query.get("customer"), int(request.query.get("limit", 10))
        found = [one for one, of in reversed(self.payments.items()) if customer in (None, of)]
        after = request.query.get("starting_after")
        start = found.index(after) + 1 if after in found else 0
        page = []
        for one in found[start : start + limit]:
            status, payment = await self._ask(request, "GET", f"/v1/payment_intents/{one}")
            if status != 200:
                return status, payment
            page.append(json.loads(payment))
        has_more = len(found) > start + limit
        return 200, json.dumps({**json.loads(raw), "data": page, "has_more": has_more}).encode()

    async def _fetch_new_payments(self, request: web.Request) -> Answer:
        """Fetch the payments that are not listed yet.

        localstripe does not filter payments or list the newest first, and it searches all its data for each
        payment that it lists. Each is therefore listed once; otherwise a list would take seconds.
        """
        after = f"&starting_after={next(reversed(self.payments))}" if self.payments else ""
        status, raw = await self._ask(request, "GET", f"/v1/payment_intents?limit=1000000{after}")
        if status == 200:
            self.payments |= {one["id"]: one["customer"] for one in json.loads(raw)["data"]}
        return status, raw

    def _with_statuses(self, raw: bytes) -> bytes:
        if not self.statuses:
            return raw
        answer = json.loads(raw)
        for one in answer.get("data", [answer]):
            if one.get("id") in self.statuses:
                one["status"] = self.statuses[one["id"]]
        return json.dumps(answer).encode()

    async def _ask(self, request: web.Request, method: str, path: str, body: bytes = b"") -> Answer:
        headers = {"Authorization": request.headers.get("Authorization", "")}
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        async with self.session.request(method, self.upstream + path, data=body, headers=headers) as answer:
            return answer.status, await answer.read()


async def main(upstream: str) -> None:
    async with ClientSession() as session:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", Proxy(upstream, session).handle)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print(f"http://127.0.0.1:{runner.addresses[0][1]}", flush=True)  # noqa: T201  read by its parent
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
