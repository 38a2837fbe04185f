"""Declarations of small tools for tests of planning, in which no tool is called."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from plangate.domain.plans.tool import RetrySafety, ToolArguments, ToolDeclaration


class MailArguments(ToolArguments):
    to: tuple[str, ...]
    cc: tuple[str, ...] = ()
    subject: str
    body: str


class HttpArguments(ToolArguments):
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: str
    headers: dict[str, str] | None = None
    json_body: JsonValue = None


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    article: str
    count: int


class OrderArguments(ToolArguments):
    lines: list[Line]


class RefundArguments(ToolArguments):
    """Money back."""

    amount: float
    fee: int | None = None
    to: list[str] = Field(default=[])
    note: str | None = None


class NoteArguments(ToolArguments):
    """A note."""

    text: str


def declare(name: str, arguments: type[ToolArguments]) -> ToolDeclaration:
    return ToolDeclaration(
        name=name, description=f"{name}, for tests.", arguments=arguments, retry_safety=RetrySafety.VENDOR_KEY
    )


TOOLS = {
    "send_email": declare("send_email", MailArguments),
    "http_request": declare("http_request", HttpArguments),
    "order": declare("order", OrderArguments),
}

REFUND_AND_NOTE = {"refund": declare("refund", RefundArguments), "note": declare("note", NoteArguments)}
"""The tools for tests of policies: a refund, whose amounts are added up, and a note."""

MAIL = {
    "to": ["kim@example.org"],
    "subject": "Your refund",
    "body": "It is on its way.",
    "why": "to tell Kim",
}
HTTP = {"method": "POST", "url": "http://127.0.0.1:8099/tickets", "json_body": {"n": 1}, "why": "to track it"}
