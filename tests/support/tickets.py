"""The ticket tools, configured for the fake server of a vendor, behind a server with faults."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr

from activities.tools.tickets.github import GitHubTracker
from activities.tools.tickets.jira import JiraTracker
from activities.tools.tickets.ticket import CommentTicketArguments, CreateTicketArguments, Limits
from activities.tools.tickets.tools import CommentTicket, CreateTicket, CreateTicketWithoutUndo
from tests.support.faulty_server import FaultyServer
from tests.support.github_server import GitHubServer, published
from tests.support.jira_server import JiraServer

TOKEN = "canary-7f3b9d"
VENDORS = ("github", "jira", "jira-cloud")


@dataclass
class TicketSetup:
    """The fake server of one vendor, behind a server with faults, and both tools configured for it."""

    vendor: GitHubServer | JiraServer
    server: FaultyServer
    project: str
    tracker_with: Callable[[Limits], GitHubTracker | JiraTracker]
    tracker: GitHubTracker | JiraTracker

    @property
    def create(self) -> CreateTicketWithoutUndo:
        return (CreateTicket if self.tracker.can_close else CreateTicketWithoutUndo)(self.tracker)

    @property
    def comment(self) -> CommentTicket:
        return CommentTicket(self.tracker)

    def ticket(self, **more: Any) -> CreateTicketArguments:
        values = {
            "project": self.project,
            "title": "Refund of order 7",
            "body": "It failed.\n\nTwice.",
            **more,
        }
        return CreateTicketArguments(**values)

    def on(self, number: int, body: str = "Done.") -> CommentTicketArguments:
        return CommentTicketArguments(project=self.project, ticket=number, body=body)


@contextmanager
def ticket_setup(name: str, limits: Limits = Limits()) -> Iterator[TicketSetup]:  # noqa: B008  immutable
    is_cloud, user, secret = (
        name == "jira-cloud",
        "dana@example.org" * (name == "jira-cloud"),
        SecretStr(TOKEN),
    )
    vendor = GitHubServer(TOKEN) if name == "github" else JiraServer(TOKEN, user, is_cloud)
    if name == "github":
        published()  # takes seconds, which must not delay a request
    with FaultyServer(answer=vendor) as server:

        def tracker(within: Limits) -> GitHubTracker | JiraTracker:
            if name == "github":
                return GitHubTracker("GitHub", server.url, secret, ["acme/support"], within)
            return JiraTracker(
                "Jira", server.url, secret, ["OPS"], user=user, is_cloud=is_cloud, limits=within
            )

        project = "acme/support" if name == "github" else "OPS"
        yield TicketSetup(vendor, server, project, tracker, tracker(limits))
    assert vendor.misuses == []
