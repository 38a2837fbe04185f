"""Identify the sender of a request by its session, and check the token in forms."""

import asyncio
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Final
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import Depends, Request
from starlette.datastructures import FormData

from plangate.domain.decisions.accesses import Access, AccessKind
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import Identified, People, identify
from plangate.domain.runs.status import Status
from plangate.presentation.clock import now
from plangate.signing.jws import public_of
from plangate.web.attempts import AttemptKind, Attempts, network_of
from plangate.web.audits import Audits
from plangate.web.confirmations import Confirmations
from plangate.web.gate import Gate
from plangate.web.html import Pages
from plangate.web.login import Login
from plangate.web.opened_plans import Opened
from plangate.web.plan_views import Views
from plangate.web.proposals import Proposals
from plangate.web.public_address import WebAddress, is_loopback
from plangate.web.run_index import RunIndex
from plangate.web.security import has_forwarding_header
from plangate.web.sessions import Session, Sessions
from plangate.web.view_rights import ViewRights

FORM_TOKEN: Final = "form_token"  # noqa: S105  the field's name
NOT_SENT: Final = "not_sent"
"""In the address of the sign-in page: a form was sent without a session, so nothing was done."""


class NotSignedIn(Exception):
    """The request has no session; a page then asks the visitor to sign in, and the API returns 401."""


class TooMany(Exception):
    """Too many requests from this address have an unknown session; ``wait`` is how long they are refused."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__(wait)
        self.wait = wait


class FormRefused(Exception):
    """The form was not issued to this session."""


@dataclass(frozen=True, slots=True)
class Web:
    """The shared objects of the pages.

    Attributes:
        place: the address of the server.
        gate: reads runs and sends decisions.
        index: the index that lists show.
        sessions: the sessions of the people who are signed in.
        attempts: the failed attempts to sign in.
        pages: renders templates.
        key: attests the decisions of people who are logged in.
        confirmations: decisions that people are asked to confirm.
        proposals: passkeys that people registered, and invitations.
        audits: verifications and exports, in separate processes.
        views: the times at which a page first showed a plan to a person.
        opened: the plans that were read to the end.
        login: the login with a provider; None if no provider is set.
        proxies: the addresses of the proxies in front of this server.
        operators: the role of the people who are notified when something is wrong.
        accesses: the sessions and runs whose accesses have already been recorded.
    """

    place: WebAddress
    gate: Gate
    index: RunIndex
    sessions: Sessions
    attempts: Attempts
    pages: Pages
    key: Ed25519PrivateKey
    confirmations: Confirmations
    proposals: Proposals
    audits: Audits
    views: Views
    opened: Opened
    login: Login | None = None
    proxies: frozenset[str] = frozenset()
    operators: str = "operator"
    accesses: set[tuple[str, str]] = field(default_factory=set)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie; with https, its prefix makes browsers require https."""
        return "__Host-plangate" if self.place.is_secure else "plangate"

    @property
    def login_cookie(self) -> str:
        """The name of the cookie that binds a login in progress to a browser."""
        return f"{self.cookie}-login"

    def is_trusted_by(self, people: People) -> bool:
        """Return whether the workers accept this server's attestations."""
        return people.web.keys is None or public_of(self.key) in people.web.keys


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person who is signed in.

    Attributes:
        session: their session.
        people: the list of people; None if there is none.
        identified: the person according to that list now: an approver, or the reason why they are not one.
        rights: decides which runs they may see.
    """

    session: Session
    people: People | None
    identified: Identified
    rights: ViewRights

    @property
    def name(self) -> str:
        """Their name."""
        return self.session.person


def web_of(request: Request) -> Web:
    """Return the shared objects of the pages."""
    web: Web = request.app.state.web
    return web


def is_signed_in(request: Request) -> bool:
    """Return whether a request belongs to a session; the list of people is not read."""
    web = web_of(request)
    return web.sessions.find(request.cookies.get(web.cookie, ""), now()) is not None


async def session_of(request: Request) -> Session | None:
    """Return the session of a request; None if it has no valid session."""
    web = web_of(request)
    token = request.cookies.get(web.cookie, "")
    session = web.sessions.find(token, now()) if token else None
    if token and session is None:
        await asyncio.to_thread(_count_unknown_token, request)
    if session is not None and session.assurance is Assurance.TYPED and not may_type_a_name(request):
        return None
    return session


def _count_unknown_token(request: Request) -> None:
    """Count an unknown session token; the first 100 from an address may be expired tokens.

    Raises:
        TooMany: there are more, so the sender is probably guessing tokens.
    """
    web, counted, at = web_of(request), [(AttemptKind.TOKEN, address_of(request))], now()
    wait = web.attempts.wait(counted, at)
    if wait is not None:
        raise TooMany(wait)
    web.attempts.note(counted, at)


async def visitor_of(request: Request) -> Visitor:
    """Return the person who is signed in.

    Raises:
        NotSignedIn: the request has no valid session.
    """
    session = await session_of(request)
    if session is None:
        raise NotSignedIn
    at = now()
    gate = web_of(request).gate
    people = await gate.people()
    identified = identify(people, session.person, at)
    if identified.approver is None:  # they are no longer on the list
        raise NotSignedIn
    return Visitor(session, people, identified, await gate.rights(identified))


async def visible_run(
    request: Request, visitor: Annotated[Visitor, Depends(visitor_of)], workflow_id: str
) -> Status:
    """Return the run at this address, if the visitor may see it.

    Raises:
        RunNotFound: there is no such run, or the person may not see it.
    """
    return await web_of(request).gate.status(workflow_id, visitor.rights)


async def note_access(web: Web, visitor: Visitor, status: Status) -> None:
    """Record that a person reads a run as an auditor, once for each session and run.

    Raises:
        NotAnswered, TemporalUnreachable: the access could not be recorded, so the run must not be shown.
    """
    seen = (visitor.session.token_hash, status.workflow_id)
    if seen in web.accesses or not visitor.rights.is_as_auditor(status):
        return
    await web.gate.record_access(Access(what=AccessKind.VIEWED, by=visitor.name, subject=status.workflow_id))
    web.accesses.add(seen)


async def form_of(request: Request, visitor: Annotated[Visitor, Depends(visitor_of)]) -> FormData:
    """Return the fields of a form that was created for this session.

    Raises:
        FormRefused: the form was issued to another session.
    """
    form = await read_form(request)
    token = form.get(FORM_TOKEN)
    if not isinstance(token, str) or not secrets.compare_digest(
        token.encode(), visitor.session.form_token.encode()
    ):
        raise FormRefused
    return form


async def read_form(request: Request) -> FormData:
    """Return the fields of a form; the CRLF line breaks that browsers send become newlines."""
    form = await request.form()
    items = form.multi_items()
    return FormData(
        [(name, one.replace("\r\n", "\n") if isinstance(one, str) else one) for name, one in items]
    )


def address_of(request: Request) -> str:
    """Return the network that a request comes from: the last hop before the configured proxies.

    Headers from other senders are not trusted, because a sender can set any value.
    """
    address = request.client.host if request.client is not None else ""
    hops = [hop.strip() for hop in request.headers.get("x-forwarded-for", "").split(",")]
    proxies = web_of(request).proxies
    while address in proxies and hops and hops[-1]:
        address = hops.pop()
    return network_of(address)


def may_type_a_name(request: Request) -> bool:
    """Return whether this request may sign in with a typed name: only from this machine, without a proxy."""
    web = web_of(request)
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    return web.place.is_loopback and is_loopback(host) and not has_forwarding_header(request.headers)


def sign_in_path(request: Request) -> str:
    """Return the address of the sign-in page, which leads back to this one, or to the page of a form."""
    path = request.scope["raw_path"].decode("ascii") + (f"?{request.url.query}" if request.url.query else "")
    if request.method == "GET":
        return f"/sign-in?next={quote(path, safe='')}"
    return f"/sign-in?{NOT_SENT}=1&next={quote(page_of_form(request), safe='')}"


def page_of_form(request: Request) -> str:
    """Return the path of the page of this server that sent a form; ``/`` if the browser does not name it."""
    place = f"{web_of(request).place.url.rstrip('/')}/"
    sender = request.headers.get("referer", "")
    return own_path(f"/{sender.removeprefix(place)}") if sender.startswith(place) else "/"


def own_path(path: str) -> str:
    """Return ``path`` if it is a path on this server, otherwise ``/``, to prevent open redirects."""
    is_path = path.startswith("/") and not path.startswith(("//", "/\\"))
    return path if is_path and path.isprintable() and "\\" not in path else "/"


WebDep = Annotated[Web, Depends(web_of)]
VisitorDep = Annotated[Visitor, Depends(visitor_of)]
RunDep = Annotated[Status, Depends(visible_run)]
FormDep = Annotated[FormData, Depends(form_of)]
