"""Show what a visitor can do with a run, and how they prove it: the part of the page below the plan."""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastapi import Request

from plangate.domain.decisions.decision import Choice
from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import same_person
from plangate.domain.runs.audit import OUTCOMES
from plangate.domain.runs.status import GONE, Status
from plangate.presentation.clock import now
from plangate.web.approving_together import may_be_together
from plangate.web.decision_proof import Way, proving_of
from plangate.web.run_addresses import in_address
from plangate.web.run_view import RunView
from plangate.web.visitors import Visitor, web_of

_MOST_SHOWN: Final = 500
_INSIDE_AN_APP: Final = re.compile(
    r"Slack|Teams|FBAN|FBAV|Instagram|LinkedInApp|Line/|MicroMessenger|Outlook|; wv\)"
)


@dataclass(frozen=True, slots=True)
class Acts:
    """What a visitor can do with a run.

    Attributes:
        needs_passkey: whether the visitor's decisions need a passkey here.
        unproven: the key of the message that explains why an approver cannot prove decisions here; otherwise
            empty.
        may_not_count: whether an approver has passkeys, none of which is known to be valid.
        is_inside_an_app: whether the page is open in the browser of another app, where passkeys rarely work.
        link: the address of the run, without a session.
        can_withdraw: whether the visitor may withdraw the request.
        can_strike: whether the visitor can remove steps.
        cooling_until: the earliest start of a step, if the visitor can still withdraw their approval.
        begins_at: the earliest start of a step, for other visitors.
        comment: the comment that was typed.
        is_one_of_many: whether the plan may be approved together with others, once it is opened.
        opened_files: the hashes of the files that the visitor has downloaded or opened separately.
    """

    needs_passkey: bool = False
    unproven: str = ""
    may_not_count: bool = False
    is_inside_an_app: bool = False
    link: str = ""
    can_withdraw: bool = False
    can_strike: bool = False
    cooling_until: datetime | None = None
    begins_at: datetime | None = None
    comment: str = ""
    is_one_of_many: bool = False
    opened_files: frozenset[str] = frozenset()


async def acts_of(request: Request, visitor: Visitor, view: RunView, comment: str = "") -> Acts:
    """Return what this visitor can do with the run in a view."""
    web, status = web_of(request), view.status
    choices = [Choice(one) for one in view.offers]
    may_count = any(one in choices for one in (Choice.APPROVE, Choice.WITHDRAW_APPROVAL, Choice.RESOLVE))
    proofs = [await proving_of(web, status, choice, visitor) for choice in choices]
    unproven = next((one.least for one in proofs if one.way is None), None)
    waits = status.waits_until(now())
    can_withdraw_approval = Choice.WITHDRAW_APPROVAL in choices
    return Acts(
        needs_passkey=any(one.way is Way.PASSKEY for one in proofs),
        unproven=_why_unproven(unproven) if unproven is not None and may_count else "",
        may_not_count=may_count and any(one.way is Way.PASSKEY and not one.passkeys for one in proofs),
        is_inside_an_app=_is_inside_an_app(request.headers.get("user-agent", "")[:_MOST_SHOWN]),
        link=f"{web.place.url}/runs/{in_address(status.workflow_id)}",
        can_withdraw=can_withdraw(status, visitor.name),
        can_strike=Choice.EDIT in choices and len(status.steps) > 1,
        cooling_until=waits if can_withdraw_approval else None,
        begins_at=None if can_withdraw_approval else waits,
        comment=comment,
        is_one_of_many=may_be_together(view),
        opened_files=await asyncio.to_thread(web.opened.files_of, visitor.session),
    )


def _why_unproven(least: Assurance) -> str:
    return "passkey.none" if least is Assurance.SIGNED else "passkey.no_login"


def can_withdraw(status: Status, name: str) -> bool:
    """Return whether this person may withdraw the request of this run now."""
    return same_person(status.requester, name) and status.state not in (*OUTCOMES, GONE)


def _is_inside_an_app(agent: str) -> bool:
    """Return whether a page is shown inside an app, where passkeys cannot be used."""
    is_view_of_ios = ("iPhone" in agent or "iPad" in agent) and "Safari/" not in agent
    return is_view_of_ios or _INSIDE_AN_APP.search(agent) is not None
