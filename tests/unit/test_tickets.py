"""The arguments of tickets, their previews, missing settings, and the meaning of a vendor's responses."""

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue, ValidationError

from activities.tools.registry import listed_tools
from activities.tools.tickets.answers import Answer, Approved, Reading, number_in, wait_of
from activities.tools.tickets.ticket import (
    MARK,
    MAX_BODY,
    MAX_TITLE,
    CommentTicketArguments,
    CreateTicketArguments,
    marker_of,
    oldest_of,
)
from activities.tools.tickets.tools import CommentTicket, CreateTicket
from plangate.domain.errors import EffectUnknown, SettingsInvalid, ToolError, ToolRefused, ToolUnavailable
from plangate.settings import Settings

GITHUB: dict[str, Any] = {"github_token": "t-1", "github_repos": ("acme/support",)}
JIRA: dict[str, Any] = {
    "jira_url": "https://jira.example.org",
    "jira_token": "t-2",
    "jira_projects": ("OPS",),
}


def create(**settings: Any) -> Any:
    return CreateTicket.from_settings(Settings(**settings))


def ticket(**more: Any) -> CreateTicketArguments:
    return CreateTicketArguments(**{"project": "acme/support", "title": "Lamp", "body": "Broken.", **more})


# ---- missing settings -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "lacks"),
    [
        ({}, "no tracker is configured; set PLANGATE_GITHUB_TOKEN"),
        ({"tickets": "github"}, "set PLANGATE_GITHUB_TOKEN and PLANGATE_GITHUB_REPOS"),
        ({"github_token": "t"}, "set PLANGATE_GITHUB_REPOS"),
        ({"tickets": "jira"}, "set PLANGATE_JIRA_URL and PLANGATE_JIRA_TOKEN and PLANGATE_JIRA_PROJECTS"),
        ({**JIRA, "jira_projects": ()}, "set PLANGATE_JIRA_PROJECTS"),
        ({**JIRA, "jira_url": "https://acme.atlassian.net"}, "set PLANGATE_JIRA_USER"),
        ({**GITHUB, **JIRA}, "both GitHub and Jira are configured; set PLANGATE_TICKETS to github or jira"),
        (GITHUB, None),
        (JIRA, None),
        ({**GITHUB, **JIRA, "tickets": "jira"}, None),
    ],
)
def test_a_tool_states_its_missing_setting(settings: dict[str, Any], lacks: str | None) -> None:
    for tool in (create(**settings), CommentTicket.from_settings(Settings(**settings))):
        assert (tool.lacks() or "").startswith(lacks or "")
        assert (tool.lacks() is None) == (lacks is None)


@pytest.mark.parametrize(("settings", "library"), [(GITHUB, "githubkit"), (JIRA, "atlassian")])
def test_a_tool_explains_how_to_install_its_missing_library(
    settings: dict[str, Any], library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr("activities.tools.tickets.choice.find_spec", lambda _: None)
    extra = "github" if library == "githubkit" else "jira"
    assert f"pip install 'plangate[{extra}]'" in create(**settings).lacks()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({**GITHUB, "github_repos": ("acme",)}, "PLANGATE_GITHUB_REPOS cannot be used: write repositories"),
        ({**GITHUB, "github_repos": ("acme/..",)}, "PLANGATE_GITHUB_REPOS cannot be used"),
        (
            {**GITHUB, "github_token": "secret x"},
            "PLANGATE_GITHUB_TOKEN cannot be used: write the",
        ),
        ({**GITHUB, "github_api_url": "http://ghe.example.org"}, "a token is never sent unencrypted"),
        ({**GITHUB, "github_api_url": "ghe.example.org"}, "write it as https://HOST/PATH"),
        ({**JIRA, "jira_projects": ("ops",)}, "PLANGATE_JIRA_PROJECTS cannot be used: write keys"),
        ({**JIRA, "jira_url": "https://dana:secret@jira.example.org"}, "write it as https://HOST/PATH"),
    ],
)
def test_an_invalid_setting_is_reported_without_its_value(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        create(**settings)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_only_allowed_projects_may_be_used_and_the_planner_is_told_about_them() -> None:
    tool = create(**GITHUB)
    assert tool.objection(ticket()) is None
    for other in ("acme/secret", "Acme/support", "acme/support.", "OPS"):
        assert "acme/support" in tool.objection(ticket(project=other))
        assert "PLANGATE_GITHUB_REPOS" in tool.objection(ticket(project=other))
    assert tool.advice() == "Allowed projects, on GitHub: acme/support."


def test_the_list_of_tools_shows_that_a_jira_ticket_cannot_be_undone() -> None:
    for settings, can_be in ((GITHUB, True), (JIRA, False)):
        listed = {one.declaration.name: one for one in listed_tools(Settings(**settings))}
        assert listed["create_ticket"].declaration.undoable == can_be
        assert listed["comment_ticket"].declaration.undoable


# ---- arguments and previews -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"title": ""},
        {"title": "two\nlines"},
        {"title": " spaced"},
        {"title": "a\u202e\u2028b"},
        {"title": "x" * (MAX_TITLE + 1)},
        {"title": "😀" * (MAX_TITLE // 2 + 1)},
        {"body": ""},
        {"body": "bell \x07"},
        {"body": "carriage\r\nreturn"},
        {"body": f"a {MARK}0123 -->"},
        {"body": "x" * (MAX_BODY + 1)},
        {"body": "ends\n"},
        {"project": "../x"},
        {"project": "acme/support/x"},
        {"labels": ["x"]},
    ],
)
def test_a_ticket_that_would_be_altered_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ticket(**changed)


@pytest.mark.parametrize("number", [0, -1, 10**13, 1.5, "12", True])
def test_a_ticket_number_is_a_whole_number(number: object) -> None:
    with pytest.raises(ValidationError):
        CommentTicketArguments.model_validate({"project": "OPS", "ticket": number, "body": "x"})


def test_a_preview_shows_the_project_the_title_and_the_notified_people() -> None:
    tool, comment = create(**GITHUB), CommentTicket.from_settings(Settings(**JIRA))
    body = "Hello @dana and @acme/ops,\nmail ops@example.org. [~kim] @dana"
    assert tool.preview(ticket(body=body), None) == (
        'Create a ticket in acme/support on GitHub: "Lamp", 2 lines, which mention @dana, @acme/ops, [~kim]'
    )
    seen: JsonValue = {"ticket": "OPS-12", "title": "Lamp", "state": "To Do", "kind": "ticket"}
    arguments = CommentTicketArguments(project="OPS", ticket=12, body="Done.")
    assert comment.preview(arguments, seen) == (
        'Comment on OPS-12 on Jira at jira.example.org, "Lamp", which is To Do: 1 line'
    )


@given(st.text(max_size=60), st.text(max_size=60))
def test_two_effects_have_different_markers(one: str, other: str) -> None:
    assert (marker_of(one) == marker_of(other)) == (one == other)
    assert len(marker_of(one)) == 64


# ---- lists and responses --------------------------------------------------------------------------

NOW = datetime(2026, 11, 26, tzinfo=UTC)


@given(st.lists(st.integers(0, 1_000), min_size=1), st.integers(0, 1_000))
def test_a_list_never_claims_to_go_back_further_than_it_does(ages: list[int], missing: int) -> None:
    """Entries older than the whole list, or between entries in another order, may be missing."""
    since = oldest_of([NOW - timedelta(seconds=age) for age in ages], is_whole=False)
    assert since is not None
    is_newest_first = ages == sorted(ages)
    if missing > max(ages) or not is_newest_first:
        assert since >= NOW - timedelta(seconds=max(missing, *ages))
    assert is_newest_first or since == NOW - timedelta(seconds=min(ages))
    assert oldest_of([], is_whole=True) is None


APPROVED = Approved("POST", "/x", "create the ticket", {"a": 1})


BODIES = st.binary(max_size=60) | st.sampled_from(
    [b"{}", b"[[", b'{"message": 1, "errors": [null, 2]}', b"[" * 9_999]
)


def outcome(answer: Answer) -> ToolError | None:
    try:
        Reading("GitHub", APPROVED, []).document(answer)
    except ToolError as error:
        return error
    return None


@given(
    st.integers(200, 599),
    st.dictionaries(
        st.sampled_from(["retry-after", "date", "x-ratelimit-remaining", "x-ratelimit-reset", "location"]),
        st.text(max_size=20) | st.sampled_from(["0", "7", "9" * 30, "Thu, 26 Nov 2026 12:00:07 GMT"]),
    ),
    BODIES,
)
def test_any_response_is_a_document_or_a_classified_tool_error(
    status: int, headers: dict[str, str], body: bytes
) -> None:
    error = outcome(Answer(status, headers, body))
    match status:
        case 408 | 425 | 429:
            assert isinstance(error, ToolUnavailable)
            assert error.after is not None
        case 403:
            assert isinstance(error, ToolRefused | ToolUnavailable)
        case 301 | 302 | 307 | 308:
            assert isinstance(error, ToolRefused)
        case 503:
            assert isinstance(error, EffectUnknown | ToolUnavailable)
        case _ if 400 <= status < 500:
            assert isinstance(error, ToolRefused)
        case _ if status >= 300:
            assert isinstance(error, EffectUnknown)
        case _:
            assert error is None or isinstance(error, EffectUnknown)
    assert len(str(error)) < 700


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "9" * 30}, 3_600),
        ({"retry-after": "soon"}, 60),
        ({"retry-after": "Thu, 26 Nov 2026 12:00:07 GMT"}, 60),
        ({"retry-after": "Thu, 26 Nov 2026 12:00:07 GMT", "date": "Thu, 26 Nov 2026 12:00:00 GMT"}, 7),
        ({"x-ratelimit-remaining": "0"}, 60),
        (
            {
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "1795694530",
                "date": "Thu, 26 Nov 2026 12:00:00 GMT",
            },
            1_795_694_530 - 1_795_694_400,
        ),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "1795694530"}, None),
    ],
)
def test_the_time_to_wait_is_set_by_the_vendor(headers: dict[str, str], seconds: int | None) -> None:
    assert wait_of(headers) == (None if seconds is None else timedelta(seconds=seconds))


@pytest.mark.parametrize("message", ["You have exceeded a secondary rate limit.", "API rate limit exceeded"])
def test_a_rate_limit_without_a_time_causes_a_wait_of_one_minute(message: str) -> None:
    error = outcome(Answer(403, {}, json.dumps({"message": message}).encode()))
    assert isinstance(error, ToolUnavailable)
    assert error.after == timedelta(minutes=1)


def test_a_request_other_than_the_approved_one_is_not_sent() -> None:
    APPROVED.refuse_other("POST", "/x", b'{"a":1}')
    for method, path, content in (
        ("PUT", "/x", b'{"a":1}'),
        ("POST", "/y", b'{"a":1}'),
        ("POST", "/x", b'{"a":2}'),
        ("POST", "/x", b'{"a":1,"b":2}'),
        ("POST", "/x", b"a"),
        ("POST", "/x", b""),
    ):
        with pytest.raises(ToolRefused, match="nothing was sent"):
            APPROVED.refuse_other(method, path, content)


@pytest.mark.parametrize("value", [None, True, 0, -1, 1.0, "7", 10**12 + 1, [1]])
def test_only_a_positive_whole_number_is_a_ticket_number(value: object) -> None:
    with pytest.raises(ValueError, match="no number in the answer"):
        number_in({"number": value}, "number")
    assert number_in({"number": 7}, "number") == 7
