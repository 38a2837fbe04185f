"""Tickets and comments are created once, on GitHub and on Jira, and found again by their marker."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from pydantic import JsonValue, SecretStr

from activities.tools.tickets.github import PER_PAGE, GitHubTracker
from activities.tools.tickets.jira import JiraTracker
from activities.tools.tickets.ticket import CommentTicketArguments, CreateTicketArguments
from activities.tools.tickets.tools import CommentTicket, CreateTicket, CreateTicketWithoutUndo
from plangate.domain.errors import EffectUnknown, StepUnready, ToolError, ToolRefused, ToolUnavailable
from plangate.domain.plans.tool import Receipt
from plangate.domain.runs.resolved_references import resolve_references
from plangate.domain.runs.run import StepProgress, StepState
from plangate.tool import Happened, NotFound, Repeatable
from tests.support.faulty_server import Answer, FaultyServer, Request
from tests.support.github_server import GitHubServer
from tests.support.jira_server import JiraServer
from tests.support.tickets import VENDORS, TicketSetup, ticket_setup

KEY = "plan-ü:3f9a12bc4d5e:1"
WANTED: dict[str, Any] = {"project": "acme/support", "title": "Refund of order 7", "body": "Please."}


@pytest.fixture(params=VENDORS)
def tickets(request: pytest.FixtureRequest) -> Iterator[TicketSetup]:
    with ticket_setup(request.param) as opened:
        yield opened


async def test_a_ticket_is_created_by_one_request_and_found_again_by_its_marker(tickets: TicketSetup) -> None:
    created = await tickets.create.act(tickets.ticket(), KEY)
    assert tickets.server.count() == 1
    assert tickets.vendor.titles() == ["Refund of order 7"]
    assert created.details["number"] == 1
    assert await tickets.create.find_out(tickets.ticket(), KEY) == Happened(created)
    assert tickets.server.effects() == 1


async def test_a_comment_is_added_by_one_request_and_found_again_by_its_marker(tickets: TicketSetup) -> None:
    await tickets.create.act(tickets.ticket(), KEY)
    tickets.server.reset_counts()
    added = await tickets.comment.act(tickets.on(1), KEY)
    assert tickets.server.count() == 1
    assert len(tickets.vendor.bodies()) == 1
    assert await tickets.comment.find_out(tickets.on(1), KEY) == Happened(added)


async def test_another_effect_with_the_same_text_is_not_mistaken_for_this_one(tickets: TicketSetup) -> None:
    await tickets.create.act(tickets.ticket(), "another")
    await tickets.comment.act(tickets.on(1), "another")
    assert isinstance(await tickets.create.find_out(tickets.ticket(), KEY), NotFound)
    assert isinstance(await tickets.comment.find_out(tickets.on(1), KEY), NotFound)


async def test_a_comment_with_this_marker_on_another_ticket_is_not_mistaken_for_this_one(
    tickets: TicketSetup,
) -> None:
    for key in ("first", "second"):
        await tickets.create.act(tickets.ticket(), key)
    added = await tickets.comment.act(tickets.on(2), KEY)
    assert isinstance(await tickets.comment.find_out(tickets.on(1), KEY), NotFound)
    assert await tickets.comment.find_out(tickets.on(2), KEY) == Happened(added)


async def test_the_older_of_two_entries_with_the_same_marker_is_found(tickets: TicketSetup) -> None:
    """An abandoned request may arrive after its repeat."""
    first, _ = [await tickets.create.act(tickets.ticket(), KEY) for _ in range(2)]
    assert await tickets.create.find_out(tickets.ticket(), KEY) == Happened(first)
    first, _ = [await tickets.comment.act(tickets.on(1), KEY) for _ in range(2)]
    assert await tickets.comment.find_out(tickets.on(1), KEY) == Happened(first)


async def test_a_missing_list_entry_does_not_rule_out_the_effect(tickets: TicketSetup) -> None:
    await tickets.create.act(tickets.ticket(), KEY)
    tickets.vendor.lag = 1
    assert await tickets.create.find_out(tickets.ticket(), KEY) == NotFound(
        None,
        "Its marker is not among the newest entries. "
        f"Look for a ticket titled 'Refund of order 7' in {tickets.project} on {tickets.tracker.name}.",
    )


@pytest.mark.parametrize("vendor", ["jira", "jira-cloud"])
async def test_the_number_of_a_moved_ticket_does_not_identify_a_ticket_in_its_first_project(
    vendor: str,
) -> None:
    """Otherwise the next step, 'comment on the ticket of step 1', would write to another person's ticket."""
    with ticket_setup(vendor) as tickets:
        for title in ("Another person's", "A third person's"):
            await tickets.create.act(tickets.ticket(title=title), title)
        await tickets.create.act(tickets.ticket(), KEY)
        tickets.vendor.issues[-1]["key"] = "DESK-1"  # immediately, by a rule of the project
        found = await tickets.create.find_out(tickets.ticket(), KEY)
    assert isinstance(found, Happened)
    assert found.receipt.details == {"key": "DESK-1", "url": f"{tickets.server.url}/browse/DESK-1"}
    assert "no longer in OPS" in found.receipt.summary
    number: dict[str, JsonValue] = {"ticket": {"from_step": 1, "field": "number"}}
    with pytest.raises(StepUnready, match="does not have it"):
        resolve_references(number, (StepProgress(state=StepState.DONE, receipt=found.receipt),))


async def test_a_github_answer_about_another_ticket_is_not_shown_to_approvers() -> None:
    other = {"number": 2, "title": "Another", "state": "open"}
    with FaultyServer(answer=lambda _request: Answer(200, other)) as server:
        comment = CommentTicket(GitHubTracker("GitHub", server.url, SecretStr("x"), ["acme/support"]))
        on_another = CommentTicketArguments(project="acme/support", ticket=1, body="Done.")
        with pytest.raises(ToolUnavailable, match="about another ticket"):
            await comment.observe(on_another)


@pytest.mark.parametrize("vendor", ["jira", "jira-cloud"])
async def test_a_moved_ticket_is_not_the_requested_ticket(vendor: str) -> None:
    """Jira returns the moved ticket, which may be in a project that is not allowed."""
    with ticket_setup(vendor) as tickets:
        await tickets.create.act(tickets.ticket(), KEY)
        assert isinstance(tickets.vendor, JiraServer)
        tickets.vendor.issues[0].update(id="OPS-1", key="DESK-1")  # both keys find it
        with pytest.raises(ToolRefused, match="moved to another project"):
            await tickets.comment.observe(tickets.on(1))


async def test_a_comment_is_deleted_once(tickets: TicketSetup) -> None:
    await tickets.create.act(tickets.ticket(), KEY)
    added = await tickets.comment.act(tickets.on(1), KEY)
    assert await tickets.comment.find_out_undo(tickets.on(1), added, KEY) == Repeatable()
    gone = await tickets.comment.undo(tickets.on(1), added, f"{KEY}:undo")
    assert tickets.vendor.bodies() == []
    assert await tickets.comment.find_out_undo(tickets.on(1), added, KEY) == Happened(gone)
    with pytest.raises(ToolRefused, match="404"):
        await tickets.comment.undo(tickets.on(1), added, f"{KEY}:undo")


async def test_a_github_ticket_can_be_closed_and_a_jira_ticket_cannot() -> None:
    with ticket_setup("github") as tickets:
        tool = tickets.create
        assert isinstance(tool, CreateTicket)
        created = await tool.act(tickets.ticket(), KEY)
        assert await tool.find_out_undo(tickets.ticket(), created, KEY) == Repeatable()
        closed = await tool.undo(tickets.ticket(), created, f"{KEY}:undo")
        assert await tool.find_out_undo(tickets.ticket(), created, KEY) == Happened(closed)
        assert isinstance(tickets.vendor, GitHubServer)
        assert (tickets.vendor.issues[0]["state"], tickets.vendor.issues[0]["state_reason"]) == (
            "closed",
            "not_planned",
        )
    with ticket_setup("jira") as tickets:
        assert not tickets.create.declaration.undoable
        assert not hasattr(tickets.create, "undo")


async def test_a_comment_step_observes_the_title_and_state_of_its_ticket(tickets: TicketSetup) -> None:
    await tickets.create.act(tickets.ticket(), KEY)
    seen = await tickets.comment.observe(tickets.on(1))
    assert tickets.comment.still_holds(tickets.on(1), seen, await tickets.comment.observe(tickets.on(1)), ())
    issue = tickets.vendor.issues[0]
    if isinstance(tickets.vendor, GitHubServer):
        issue["state"] = "closed"
    else:
        issue["fields"]["status"] = {"name": "Done"}
    assert not tickets.comment.still_holds(
        tickets.on(1), seen, await tickets.comment.observe(tickets.on(1)), ()
    )


async def test_a_full_page_is_not_the_last_even_without_a_link_to_the_next() -> None:
    """A proxy may drop the header with the next page."""
    asked = []

    def full(request: Request) -> Answer:
        asked.append(request.query)
        count = PER_PAGE if len(asked) < 3 else PER_PAGE - 1
        one = {"number": 1, "body": "", "created_at": "2026-05-03T12:00:00Z"}
        return Answer(200, [one] * count, {})

    with FaultyServer(answer=full) as server:
        create = CreateTicket(GitHubTracker("GitHub", server.url, SecretStr("x"), ["acme/support"]))
        found = await create.find_out(CreateTicketArguments(**WANTED), KEY)
    assert isinstance(found, NotFound)
    assert (len(asked), found.since) == (3, None)


async def test_a_page_with_a_link_to_the_next_is_not_the_last_even_if_it_is_not_full() -> None:
    """A server may limit its pages, or omit entries that its reader may not see."""
    asked = []

    def short(request: Request) -> Answer:
        asked.append(request.query)
        page = int(dict(parse_qsl(request.query))["page"])
        one = {"number": page, "body": "", "created_at": "2026-05-03T12:00:00Z"}
        return Answer(200, [one], {"Link": f'<x?page={page + 1}>; rel="next"'} if page < 3 else {})

    with FaultyServer(answer=short) as server:
        create = CreateTicket(GitHubTracker("GitHub", server.url, SecretStr("x"), ["acme/support"]))
        found = await create.find_out(CreateTicketArguments(**WANTED), KEY)
    assert isinstance(found, NotFound)
    assert (len(asked), found.since) == (3, None)


@pytest.mark.parametrize("is_cloud", [False, True])
async def test_an_empty_jira_list_with_more_pages_rules_nothing_out(*, is_cloud: bool) -> None:
    empty = {"issues": [], "total": 5, "nextPageToken": "more", "name": "plangate"}
    with FaultyServer(answer=lambda _: Answer(200, empty)) as server:
        tracker = JiraTracker("Jira", server.url, SecretStr("x"), ["OPS"], user="u", is_cloud=is_cloud)
        wanted = CreateTicketArguments(**{**WANTED, "project": "OPS"})
        with pytest.raises(ToolUnavailable, match="an empty page that is not the last"):
            await CreateTicketWithoutUndo(tracker).find_out(wanted, KEY)


@pytest.mark.parametrize("vendor", ["jira", "jira-cloud"])
async def test_a_list_that_jira_returns_without_authentication_rules_nothing_out(vendor: str) -> None:
    """Jira responds to an expired token with 200, and then lists only public tickets."""
    with ticket_setup(vendor) as tickets:
        created = await tickets.create.act(tickets.ticket(), KEY)
        assert isinstance(tickets.vendor, JiraServer)
        tickets.vendor.is_anonymous = True
        with pytest.raises(ToolError, match="401"):
            await tickets.create.find_out(tickets.ticket(), KEY)
        tickets.vendor.is_anonymous = False
        assert await tickets.create.find_out(tickets.ticket(), KEY) == Happened(created)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {"number": 1, "state": "open"}),
        Answer(200, {"number": 2, "state": "closed"}),
        Answer(200, {}),
        Answer(204, b""),
    ],
)
async def test_a_ticket_is_closed_only_if_the_response_confirms_it(answer: Answer) -> None:
    with FaultyServer(answer=lambda _request: answer) as server:
        create = CreateTicket(GitHubTracker("GitHub", server.url, SecretStr("x"), ["acme/support"]))
        receipt = Receipt(summary="", details={"number": 1, "key": "acme/support#1"})
        with pytest.raises(EffectUnknown):
            await create.undo(CreateTicketArguments(**WANTED), receipt, f"{KEY}:undo")


async def test_an_answer_without_our_marker_concerns_another_object() -> None:
    """Otherwise its undo would close another person's ticket, or delete their comment."""
    other = {"number": 7, "id": 7, "title": "Refund of order 7", "body": "Another", "html_url": "https://x/7"}
    with FaultyServer(answer=lambda _request: Answer(201, other)) as server:
        tracker = GitHubTracker("GitHub", server.url, SecretStr("x"), ["acme/support"])
        with pytest.raises(EffectUnknown, match="it does not contain the marker"):
            await CreateTicket(tracker).act(CreateTicketArguments(**WANTED), KEY)
        on_one = CommentTicketArguments(project="acme/support", ticket=1, body="Done.")
        with pytest.raises(EffectUnknown, match="it does not contain the marker"):
            await CommentTicket(tracker).act(on_one, KEY)


async def test_a_comment_on_an_invisible_ticket_does_not_count_as_deleted(tickets: TicketSetup) -> None:
    await tickets.create.act(tickets.ticket(), KEY)
    added = await tickets.comment.act(tickets.on(1), KEY)
    hidden = {**tickets.vendor.__dict__}
    tickets.vendor.issues, tickets.vendor.comments = [], []
    with pytest.raises(ToolError):
        await tickets.comment.find_out_undo(tickets.on(1), added, KEY)
    tickets.vendor.issues = hidden["issues"]
    assert isinstance(await tickets.comment.find_out_undo(tickets.on(1), added, KEY), Happened)
