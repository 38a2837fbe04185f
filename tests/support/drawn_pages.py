"""Render pages of the inbox without a server, and find elements in them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

from fastapi import Request

from plangate.domain.people.assurance import Assurance
from plangate.domain.people.people import identify
from plangate.domain.runs.status import Status
from plangate.web.html import Pages
from plangate.web.run_view import NO_CONTEXT, RunContext, view_of
from plangate.web.sessions import Session
from plangate.web.view_rights import ViewRights
from plangate.web.visitor_actions import Acts
from plangate.web.visitors import Visitor

PAGES = Pages()
_EMPTY = frozenset({"meta", "link", "input", "br", "wbr", "img", "hr"})


def render(
    template: str, *, language: str = "en", path: str = "/", person: str = "dana", **values: Any
) -> str:
    """Return a page as HTML, for a person who signed in under this name."""
    scope = {
        "type": "http",
        "path": path,
        "query_string": b"",
        "headers": [(b"accept-language", language.encode())],
    }
    session = Session(token_hash="t", person=person, assurance=Assurance.TYPED, form_token="f")
    identified = identify(None, person, datetime.now(UTC))
    visitor = Visitor(session, None, identified, ViewRights(identified.approver, is_narrowed=False))
    answer = PAGES.draw(Request(scope), template, visitor=visitor, **values)
    return bytes(answer.body).decode()


def render_run(status: Status, context: RunContext = NO_CONTEXT, *, language: str = "en", **more: Any) -> str:
    """Return the page of a run as HTML."""
    visitor = identify(None, "dana", datetime.now(UTC))
    return render(
        "run.html", language=language, run=view_of(status, visitor, context), **{"acts": Acts(), **more}
    )


class Element:
    """One element with its content."""

    def __init__(self, tag: str, attributes: dict[str, str | None]) -> None:
        self.tag = tag
        self.attributes = attributes
        self.parts: list[Element | str] = []

    @property
    def text(self) -> str:
        """Its text content."""
        return "".join(one if isinstance(one, str) else one.text for one in self.parts)

    def has(self, tag: str = "", **attributes: str) -> bool:
        """Whether it is such an element; ``class_`` asks for one of its classes."""
        wanted = attributes.pop("class_", None)
        classes = (self.attributes.get("class") or "").split()
        is_one = all(self.attributes.get(name) == value for name, value in attributes.items())
        return tag in ("", self.tag) and (wanted is None or wanted in classes) and is_one

    def all(self, tag: str = "", **attributes: str) -> "list[Element]":
        """Return every such element in this one, in order."""
        found: list[Element] = []
        for one in self.parts:
            if isinstance(one, Element):
                found += [one] if one.has(tag, **attributes) else []
                found += one.all(tag, **attributes)
        return found

    def one(self, tag: str = "", **attributes: str) -> "Element":
        """Return the first such element."""
        return self.all(tag, **attributes)[0]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        one = Element(tag, dict(attrs))
        self.open[-1].parts.append(one)
        if tag not in _EMPTY:
            self.open.append(one)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> ends <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        is_first = self.open[-1].tag in ("pre", "textarea") and not self.open[-1].parts
        self.open[-1].parts.append(data.removeprefix("\n") if is_first else data)


def read_html(html: str) -> Element:
    """Return the elements of a page; every element has to be closed."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == [reader.root]
    return reader.root
