"""The tool `http_request`: one call to one URL, on hosts that an operator has allowed.

`observation` reads the state that a call relies on, and checks whether it is still valid. `url` and `headers`
normalize the values of a plan; `hosts` and `addresses` decide where a call may go; `exchange` sends it with
the vendor's library; `wire` compares its bytes with the approved call; `call` classifies the response.

A call with an unknown result is repeated if that is safe and the state of its URL is still as approved: GET
and HEAD change nothing, PUT and DELETE are defined as idempotent in HTTP, and hosts in
PLANGATE_HTTP_IDEMPOTENT_HOSTS remember the ``Idempotency-Key`` of every call for a day. If the URL shows the
call's result, the call was made. Otherwise a person decides.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import cached_property
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from activities.tools.http.addresses import is_public
from activities.tools.http.call import IDEMPOTENT, SAFE, Answered, failure_of, receipt_of
from activities.tools.http.headers import ALLOWED, KEY_HEADER, HeaderList, is_json, normalized_headers
from activities.tools.http.hosts import HostList, HttpServer, resolve, server_of
from activities.tools.http.observation import (
    MAX_OBSERVED,
    OBSERVED_BY_DEFAULT,
    in_words,
    is_readable,
    reading_of,
    receipt_without_response,
    shows_result_of,
    state_holds,
    state_of,
)
from activities.tools.http.url import MAX_URL, normalized_url
from activities.tools.http.wire import Call
from activities.tools.whole_numbers import with_whole_numbers
from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut
from plangate.domain.plans.plan import canonical_json
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolArguments, ToolDeclaration
from plangate.domain.plurals import counted
from plangate.settings import Settings
from plangate.tool import DidNotHappen, EffectStatus, Repeatable, Unknown

if TYPE_CHECKING:
    from activities.tools.http.exchange import Exchange

# Longer than connecting can take, so a call that timed out may have been sent.
CALL_SECONDS: Final = 120
KEY_LIFE: Final = timedelta(hours=23)  # an hour less than most services keep a key
OBSERVE_SECONDS: Final = 20  # below the limit for all observations
_MAX_SHOWN_URL: Final = 600  # characters in a preview

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


HeaderValue = Annotated[str, Field(max_length=4_000)]


class HttpRequestArguments(ToolArguments):
    """One HTTP call, as the approver sees it and as it is sent."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
    url: Annotated[str, AfterValidator(normalized_url)] = Field(
        max_length=MAX_URL,
        description="http:// or https://, percent-encoded, no user, no #fragment; %20 for a space, not +",
    )
    headers: Annotated[dict[str, HeaderValue], AfterValidator(normalized_headers)] = Field(
        default={}, max_length=30, description=f"of {', '.join(sorted(ALLOWED))}, and what an operator allows"
    )
    json_body: Annotated[JsonValue, AfterValidator(with_whole_numbers)] = Field(
        default=None, description="sent as JSON; null for no body"
    )
    body: str | None = Field(default=None, max_length=200_000, description="sent as it is; or use json_body")
    # Omitted from the plan if unset, so that plans from before this field existed stay valid.
    observe: Annotated[str, AfterValidator(normalized_url)] | None = Field(
        default=None,
        max_length=MAX_URL,
        exclude_if=lambda value: value is None,
        description="a URL that must not change before the call, read by GET; "
        "a PUT, PATCH or DELETE observes its own URL unless this names another",
    )

    @model_validator(mode="after")
    def _check_single_body(self) -> Self:
        if self.json_body is not None and self.body is not None:
            raise ValueError("has both json_body and body; remove one")
        if self.method in SAFE and (self.json_body is not None or self.body is not None):
            raise ValueError(f"a {self.method} has no body; put the values in the URL or use another method")
        return self

    @model_validator(mode="after")
    def _check_content_type(self) -> Self:
        media_type = self.headers.get("content-type")
        if media_type and self.json_body is not None and not is_json(media_type):
            raise ValueError(f"has a json_body with the content-type {media_type}; use body, or remove it")
        return self

    @cached_property
    def server(self) -> HttpServer:
        """The server that the URL leads to."""
        return server_of(self.url)

    @property
    def observed_url(self) -> str | None:
        """The URL whose state the call relies on."""
        return self.observe or (self.url if self.method in OBSERVED_BY_DEFAULT else None)

    def call(self, idempotency_key: str) -> Call:
        """Return the call to send."""
        headers = {KEY_HEADER: header_key(idempotency_key), **self.headers}
        content: bytes | None = None
        if self.json_body is not None:
            content = canonical_json(self.json_body)
            headers.setdefault("content-type", "application/json")
        elif self.body is not None:
            content = self.body.encode()
            headers.setdefault("content-type", "text/plain; charset=utf-8")
        return Call(self.method, self.url, headers, content, self.json_body)


def header_key(idempotency_key: str) -> str:
    """Return the key for the header, hashed because it contains a workflow id, which may be any text."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()


def _body_in_words(arguments: HttpRequestArguments) -> str:
    content = arguments.call("").content
    if content is None:
        return ""
    kind = "a JSON body" if arguments.json_body is not None else "a body"
    return f" with {kind} of {counted(len(content), 'byte')}"


class HttpRequest:
    """Calls one URL; after a crash, determines whether the call may be repeated."""

    declaration: ClassVar[ToolDeclaration] = ToolDeclaration(
        name="http_request",
        description="Call one URL over HTTP and record the answer. Only allowed hosts can be reached.",
        arguments=HttpRequestArguments,
        identifying=("method", "url", "json_body", "body"),
        retry_safety=RetrySafety.BY_CALL,
        seconds=CALL_SECONDS + 20,  # includes the DNS lookup, so its error mentions the host
        receipt=Answered,
    )

    def __init__(
        self,
        exchange: "Exchange",
        *,
        allowed: HostList,
        private: HostList,
        idempotent: HostList,
        key_life: timedelta = KEY_LIFE,
        headers: HeaderList = HeaderList(()),  # noqa: B008  immutable
        resolve: Resolve = resolve,
    ) -> None:
        self._headers = headers
        self._exchange = exchange
        self._allowed = allowed
        self._private = private
        self._idempotent = idempotent
        self._key_life = key_life
        self._resolve = resolve

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Build the tool with the hosts and headers of the settings.

        Raises:
            SettingsInvalid: an entry is not a host, or not a header that can be allowed.
        """
        # The command line reads declarations without loading the vendor's library.
        from activities.tools.http.exchange import Exchange  # noqa: PLC0415

        return cls(
            Exchange(),
            allowed=HostList("PLANGATE_HTTP_ALLOWED_HOSTS", settings.http_allowed_hosts),
            private=HostList("PLANGATE_HTTP_PRIVATE_HOSTS", settings.http_private_hosts),
            idempotent=HostList("PLANGATE_HTTP_IDEMPOTENT_HOSTS", settings.http_idempotent_hosts),
            key_life=timedelta(seconds=settings.http_key_seconds),
            headers=HeaderList(settings.http_headers),
        )

    def objection(self, arguments: HttpRequestArguments) -> str | None:
        """Return the reason why the settings forbid the call: headers, host, or a private literal address."""
        for name in arguments.headers:
            if name not in self._headers:
                return f"the header {name} may not be sent; an operator can add it to PLANGATE_HTTP_HEADERS"
        return self._forbids(arguments.server) or (
            self._forbids(server_of(arguments.observe)) if arguments.observe else None
        )

    def lacks(self) -> str | None:
        """Return the setting that is missing, without which no host can be reached."""
        return None if any(self._allowed) else f"no host may be reached; set {self._allowed.setting}"

    def advice(self) -> str:
        """Return the allowed hosts."""
        return f"Allowed hosts: {', '.join(self._allowed)}. No other host can be reached."

    def preview(self, arguments: HttpRequestArguments, observation: JsonValue) -> str:
        """Return text such as ``POST https://api.example.org/tickets with a JSON body of 120 bytes``."""
        preview = f"{arguments.method} {cut(arguments.url, _MAX_SHOWN_URL)}{_body_in_words(arguments)}"
        if observation is None or arguments.observed_url is None:
            return preview
        if not is_readable(observation):
            return f"{preview}; its present state cannot be read ({in_words(observation)})"
        which = f" {cut(arguments.observe, _MAX_SHOWN_URL)}" if arguments.observe else " that URL"
        return f"{preview}, if{which} is still as observed ({in_words(observation)})"

    def observes(self, arguments: HttpRequestArguments) -> bool:
        """Return whether the call relies on a URL."""
        return arguments.observed_url is not None

    async def observe(self, arguments: HttpRequestArguments) -> JsonValue:
        """Return the state of the URL that the call relies on, read by GET under the same host rules."""
        url = arguments.observed_url
        if url is None:
            return None
        objection = self.objection(arguments)
        if objection:
            raise ToolRefused(f"{objection[0].upper()}{objection[1:]}.")
        server = server_of(url)
        try:
            async with asyncio.timeout(OBSERVE_SECONDS):
                addresses = await self._addresses(server)
                answer = await self._exchange.send(
                    reading_of(url, arguments.headers), server, addresses, max_body=MAX_OBSERVED
                )
        except (EffectUnknown, TimeoutError) as error:
            message = str(error) or f"{server} did not answer within {OBSERVE_SECONDS} seconds."
            raise ToolUnavailable(message) from error
        state = state_of(url, answer)
        if arguments.observe and not is_readable(state):
            raise ToolRefused(
                f"The state of {cut(url, _MAX_SHOWN_URL)} cannot be read ({in_words(state)}), so the plan "
                "cannot rely on it; observe another URL, or none."
            )
        return state

    def still_holds(
        self,
        arguments: HttpRequestArguments,  # noqa: ARG002  the observation contains the URL
        seen: JsonValue,
        now: JsonValue,
        receipts: Sequence[Receipt],
    ) -> bool:
        """Return whether the URL is unchanged, apart from this run's own changes."""
        return state_holds(seen, now, receipts)

    def effect_seen(
        self, arguments: HttpRequestArguments, now: JsonValue, idempotency_key: str
    ) -> Receipt | None:
        """Return a receipt without a response if the URL shows the result of the PUT or DELETE."""
        call = arguments.call(idempotency_key)
        return receipt_without_response(call, now) if shows_result_of(call, now) else None

    async def act(self, arguments: HttpRequestArguments, idempotency_key: str) -> Receipt:
        """Make the call, to a checked address of its host; the caller has already checked `objection`."""
        server = arguments.server
        try:
            addresses = await self._addresses(server)
            async with asyncio.timeout(CALL_SECONDS):
                return await self._make(arguments.call(idempotency_key), server, addresses)
        except (EffectUnknown, TimeoutError) as error:
            message = str(error) or f"{server} did not answer within {CALL_SECONDS} seconds."
            kind = ToolUnavailable if arguments.method in SAFE else EffectUnknown
            raise kind(message) from error

    async def find_out(self, arguments: HttpRequestArguments, idempotency_key: str) -> EffectStatus:
        """Return whether the call may be repeated."""
        server = arguments.server
        if arguments.method in SAFE:
            return DidNotHappen()
        if arguments.method in IDEMPOTENT:
            return Repeatable()
        unknown = Unknown(
            f"Ask the operator of {server} whether the {arguments.method} with the {KEY_HEADER} "
            f"{header_key(idempotency_key)} was carried out: Plangate cannot tell."
        )
        return Repeatable(self._key_life, unknown) if server in self._idempotent else unknown

    async def _addresses(self, server: HttpServer) -> Sequence[str]:
        """Resolve the host once.

        Raises:
            ToolRefused: one of its addresses is not public, and the host is not allowed to be private.
        """
        addresses = await self._resolve(server.host, server.port)
        if server not in self._private:
            for address in addresses:
                if not is_public(ip_address(address)):
                    raise ToolRefused(f"{self._not_public(server, address)}.")
        return addresses

    def _forbids(self, server: HttpServer) -> str | None:
        if server not in self._allowed:
            return f"{server} may not be reached; an operator can add it to {self._allowed.setting}"
        if server.literal and server not in self._private and not is_public(server.literal):
            return self._not_public(server, server.host)
        return None

    def _not_public(self, server: HttpServer, address: str) -> str:
        return (
            f"{server} has the address {address}, which is not public; an operator can add the host to "
            f"{self._private.setting}"
        )

    async def _make(self, call: Call, server: HttpServer, addresses: Sequence[str]) -> Receipt:
        """Send the approved call and classify its response."""
        answer = await self._exchange.send(call, server, addresses)
        failure = failure_of(call, answer, honours_keys=server in self._idempotent)
        if failure is not None:
            raise failure
        return receipt_of(call, answer)
