"""Create delegation and absence requests at a terminal, and send them."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from pydantic import ValidationError

from plangate.cli.console import Console
from plangate.cli.exits import WrongUsage
from plangate.cli.moments import moment_of
from plangate.cli.stop_requests import show_all, show_verdict
from plangate.domain.decisions.decision import is_placeholder
from plangate.domain.decisions.delegations import (
    MAX_ROLES,
    Away,
    DelegatedRoles,
    DelegationAction,
    DelegationAnswer,
    DelegationRequest,
)
from plangate.domain.decisions.received import MAX_REASON
from plangate.domain.times.durations import read_seconds
from plangate.domain.validation import faults_in
from plangate.presentation.clock import moment, now
from plangate.presentation.page import Page
from plangate.signing.delegations import signed_delegation

_KEPT = (
    "No worker answered: the request is stored on the Temporal server and checked once a worker runs. "
    "Check the result with: {{}} {}"
)
_NAME = "must be a name on the list of people, with 1 to 100 visible characters."
_WRONG = {
    "by": f"The name after --by {_NAME}",
    "to": f"The name after --to {_NAME}",
    "roles": f"--roles takes 1 to {MAX_ROLES} roles, separated by commas.",
    "reason": f"The reason is longer than {MAX_REASON:,} characters; shorten it.",
}


def made_delegation_request(
    action: DelegationAction, *, by: str, to: str, roles: str | None, until: str | None, reason: str
) -> DelegationRequest:
    """Return the request that was entered.

    Raises:
        WrongUsage: a part of it is malformed.
    """
    is_open = action in (DelegationAction.AWAY, DelegationAction.BACK)
    for option, name in (("by", by), ("to", to)):
        if is_placeholder(name) and not (is_open and option == "to" and not name):
            raise WrongUsage(_WRONG[option])
    named = tuple(role.strip() for role in roles.split(",")) if roles is not None else ()
    ends = _ahead(until) if until is not None else None
    try:
        return DelegationRequest(action=action, by=by, to=to, roles=named, until=ends, reason=reason)
    except ValidationError as error:
        raise WrongUsage(_WRONG[str(faults_in(error)[0].path[0])]) from None


async def send(here: Console, order: DelegationRequest, shown_by: str = "delegate --list") -> int:
    """Send a request, signed if its sender has a key on this machine.

    ``shown_by`` is the command that shows the result.
    """
    async with here.connected() as session:
        key = here.keys.key_of(order.by) if here.keys.has(order.by) else None
        audience = (await session.client.delegations()).audience if key is not None else None
        if key is not None and audience is not None:
            token_id = secrets.token_urlsafe(16)
            order = signed_delegation(order, key, audience=audience, at=now(), token_id=token_id)
        return show_verdict(
            here, await session.client.delegate(order), DelegationAnswer(), _KEPT.format(shown_by)
        )


async def show_delegations(here: Console) -> int:
    """Print the delegations on the trail, except those in the list of people."""
    async with here.connected() as session:
        answer = await session.client.delegations()
    return show_all(here, answer.lent, "The trail has no delegations.", _delegations_page)


async def show_who_is_away(here: Console) -> int:
    """Print who is away according to the trail."""
    async with here.connected() as session:
        answer = await session.client.delegations()
    return show_all(here, answer.away, "No one is away.", _away_page)


def _away_page(away: Sequence[Away]) -> Page:
    page = Page()
    for one in away:
        page.field(one.by, f"is away until {moment(one.until)}")
        page.note(f"messages go to {one.to or 'their delegates'}", indent=4)
        page.note(f"since {moment(one.since)}" + (f": {one.reason}" if one.reason else ""), indent=4)
    return page


def _delegations_page(lent: Sequence[DelegatedRoles]) -> Page:
    page = Page()
    for one in lent:
        page.field(one.by, f"delegates {', '.join(one.roles)} to {one.to} until {moment(one.until)}")
        page.note(f"since {moment(one.since)}" + (f": {one.reason}" if one.reason else ""), indent=4)
    return page


def _ahead(text: str) -> datetime:
    seconds = read_seconds(text)
    try:
        return now() + timedelta(seconds=seconds) if seconds is not None else moment_of(text)
    except OverflowError:
        raise WrongUsage(f"The time {text!r} is too far ahead; choose an earlier one.") from None
