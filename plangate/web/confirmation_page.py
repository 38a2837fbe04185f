"""Show the page that asks for a confirmation and describes the plan."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Final

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from plangate.domain.decisions.decision import Choice, Decision
from plangate.domain.errors import Refused
from plangate.domain.policies.requirement import Missing
from plangate.presentation.clock import now
from plangate.presentation.resolutions import resolution_words, without_needs
from plangate.signing.passkeys import challenge_of
from plangate.web.confirmations import Confirmation
from plangate.web.deciding_view import (
    NotPreviewed,
    missing_after,
    not_previewed,
    runs_if_approved,
)
from plangate.web.decision_proof import Proving, Way, proving_of
from plangate.web.edit_view import EditView, edit_view
from plangate.web.passkeys import request_options
from plangate.web.run_addresses import in_address
from plangate.web.run_view import RunView
from plangate.web.visitor_actions import acts_of
from plangate.web.visitors import Visitor, web_of

NOT_SIGNED: Final = "not_signed"
"""In the address of a confirmation: it was sent without the signature of a passkey."""
UNCHECKED: Final = "unchecked"
"""In the address of a confirmation: no worker's tools have checked the new plan of the edit."""


@dataclass(frozen=True, slots=True)
class ConfirmationView:
    """The content of a confirmation page.

    Attributes:
        confirmation: the decision to be confirmed.
        way: how the decision will be proven.
        sign: the options of the passkey ceremony, as JSON.
        resolution: the effect of a resolution.
        edit: the changes that an edit makes.
        is_checked: whether a worker's tools have checked its plan.
        texts: the values of an approved plan that the previews do not show.
        missing: the approvals that are still missing after this one.
        cooling: the cooling-off time after an approval, in seconds.
        runs_at: when the plan runs if it is approved now; None for immediately.
    """

    confirmation: Confirmation
    way: Way
    sign: str
    resolution: str
    edit: EditView | None
    is_checked: bool
    texts: tuple[NotPreviewed, ...] = ()
    missing: tuple[Missing, ...] = ()
    cooling: int = 0
    runs_at: datetime | None = None


async def ask(
    request: Request,
    visitor: Visitor,
    view: RunView,
    decision: Decision,
    warning: str = "",
) -> Response:
    """Store ``decision`` until it is confirmed, and redirect to the page that asks for it.

    A page without its own address would make the browser's back button show an error about sending a form
    again.

    Args:
        request: the request for the page.
        visitor: the person who decides.
        view: the run.
        decision: the decision to send.
        warning: a warning on the page, `NOT_SIGNED` or `UNCHECKED`.

    Raises:
        Refused: the new plan of the edit cannot be signed.
    """
    web = web_of(request)
    proving = await proving_of(web, view.status, decision.decision, visitor)
    if proving.way is None:
        return await show_run(request, visitor, view, fault="passkey.none", comment=decision.comment)
    try:
        kept = await asyncio.to_thread(web.confirmations.make, visitor.session, decision, view.status, now())
    except ValueError:
        raise Refused(
            "The new plan has a value that JSON cannot represent, so it cannot be signed."
        ) from None
    address = f"/runs/{in_address(view.status.workflow_id)}/confirm/{kept.id}"
    return RedirectResponse(f"{address}?{warning}=1" if warning else address, 303)


async def ask_again(request: Request, visitor: Visitor, view: RunView, kept: Confirmation) -> Response:
    """Return the page of a stored decision that is not confirmed yet."""
    proving = await proving_of(web_of(request), view.status, kept.decision.decision, visitor)
    if proving.way is None:
        return await show_run(request, visitor, view, fault="passkey.none", comment=kept.decision.comment)
    return _page(request, visitor, view, kept, proving)


def _page(
    request: Request, visitor: Visitor, view: RunView, kept: Confirmation, proving: Proving
) -> Response:
    web, decision = web_of(request), kept.decision
    assert proving.way is not None  # otherwise the decision cannot be made here
    is_signed, challenge = proving.way is Way.PASSKEY, challenge_of(kept.claims)
    sign = request_options(challenge, web.place, proving.credential_ids) if is_signed else ""
    asked = ConfirmationView(
        confirmation=kept,
        way=proving.way,
        sign=sign,
        resolution=_resolution_words(view, decision),
        edit=edit_view(view.status, decision, visitor.people) if decision.decision is Choice.EDIT else None,
        is_checked=UNCHECKED not in request.query_params,
    )
    if decision.decision is Choice.APPROVE:
        requirement = view.status.requirement
        asked = replace(
            asked,
            texts=not_previewed(view),
            missing=missing_after(view.status, visitor.identified),
            cooling=requirement.cooling_seconds or 0 if requirement else 0,
            runs_at=runs_if_approved(view.status, now()),
        )
    fault = "passkey.not_signed" if NOT_SIGNED in request.query_params else ""
    return web.pages.draw(
        request, "confirm.html", visitor=visitor, run=view, decision=decision, asked=asked, fault=fault
    )


async def show_run(
    request: Request, visitor: Visitor, view: RunView, *, fault: str, comment: str = ""
) -> Response:
    """Return a run's page with an error above the plan, and with the text that the visitor typed."""
    acts = await acts_of(request, visitor, view, comment)
    return web_of(request).pages.draw(
        request, "run.html", HTTPStatus.CONFLICT, visitor=visitor, run=view, acts=acts, fault=fault
    )


def _resolution_words(view: RunView, decision: Decision) -> str:
    if decision.resolution is None:
        return ""
    words = resolution_words(view.status).get(decision.resolution, "")
    return without_needs(words) if decision.comment.strip() else words
