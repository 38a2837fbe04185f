"""The reason for holding a step because of a change states the change and the changed object."""

import pytest
from pydantic import JsonValue

from activities.observing import unmet_precondition
from activities.tools.tickets.ticket import CommentTicketArguments
from activities.tools.tickets.tools import CommentTicket
from plangate.settings import Settings
from plangate.tool import tool
from plangate.web.language import languages

SEEN: JsonValue = {"ticket": "OPS-12", "title": "Lamp", "state": "To Do", "kind": "ticket"}
COMMENT = CommentTicket.from_settings(
    Settings(jira_url="https://jira.example.org", jira_token="t-1", jira_projects=("OPS",))
)


def test_the_sentence_states_the_tool_and_its_observation() -> None:
    arguments = CommentTicketArguments(project="OPS", ticket=12, body="Done. " * 20 + "Bye.")
    now: JsonValue = {**SEEN, "state": "Done"}  # type: ignore[dict-item]
    said = unmet_precondition(COMMENT, arguments, SEEN, now, ())
    assert said == (
        'What comment_ticket relies on has changed since the plan was drafted: state was "To Do", is now '
        '"Done" (project OPS, ticket 12).'
    )
    assert languages()["de"].said(said) == (
        "Worauf comment_ticket baut, hat sich seit dem Entwurf des Plans geändert: "
        '„state was "To Do", is now "Done" (project OPS, ticket 12)“.'
    )
    assert unmet_precondition(COMMENT, arguments, SEEN, SEEN, ()) is None


@pytest.mark.parametrize(
    ("identifying", "subject"), [((), " (item lamp, note blue)"), (("item",), " (item lamp)")]
)
def test_the_object_of_a_custom_tool_is_described_by_its_identifying_arguments(
    identifying: tuple[str, ...], subject: str
) -> None:
    @tool(identifying=identifying)
    def order(item: str, note: str) -> None:
        """Order it."""

    @order.observe
    def price(item: str) -> int:
        return len(item)

    arguments = order.declaration.arguments.model_validate({"item": "lamp", "note": "blue"})
    assert unmet_precondition(order.from_settings(), arguments, 4, 5, ()) == (
        f"What order relies on has changed since the plan was drafted: it was 4, is now 5{subject}."
    )
