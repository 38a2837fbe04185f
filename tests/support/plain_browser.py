"""A browser without scripts: it reads the forms of a page, and submits the form whose button is pressed."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx


@dataclass
class Form:
    action: str
    method: str
    fields: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Button:
    text: str
    form: Form | None
    attributes: dict[str, str]


class _Reader(HTMLParser):
    """Collects forms, their fields, and buttons, according to the HTML rules that the pages rely on."""

    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.by_id: dict[str, Form] = {}
        self.buttons: list[Button] = []
        self.orphans: list[tuple[str, str, str]] = []  # form's id, name, value
        self._form: Form | None = None
        self._area: tuple[dict[str, str], list[str]] | None = None
        self._select = ""
        self._has_option = False
        self._button: Button | None = None
        self._words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        match tag:
            case "form":
                self._form = Form(found.get("action", ""), found.get("method", "get"))
                self.forms.append(self._form)
                if "id" in found:
                    self.by_id[found["id"]] = self._form
            case "input" if "disabled" not in found:
                kind = found.get("type", "text")
                if kind not in ("checkbox", "radio") or "checked" in found:
                    self._add(found, found.get("value", ""))
            case "textarea":
                self._area = (found, [])
            case "select":
                self._select, self._has_option = found.get("name", ""), False
            case "option" if self._select:
                if not self._has_option or "selected" in found:
                    self._set(self._select, found.get("value", ""))
                self._has_option = True
            case "button":
                self._button = Button("", self._form, found)
                self._words = []
            case _:
                pass

    def handle_endtag(self, tag: str) -> None:
        match tag:
            case "form":
                self._form = None
            case "textarea" if self._area is not None:
                found, text = self._area
                self._add(found, "".join(text).removeprefix("\n"))
                self._area = None
            case "select":
                self._select = ""
            case "button" if self._button is not None:
                self._button.text = " ".join("".join(self._words).split())
                self.buttons.append(self._button)
                self._button = None
            case _:
                pass

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area[1].append(data)
        if self._button is not None:
            self._words.append(data)

    def _add(self, found: dict[str, str], value: str) -> None:
        name = found.get("name")
        if name is None:
            return
        if "form" in found:
            self.orphans.append((found["form"], name, value))
        elif self._form is not None:
            self._form.fields.append((name, value))

    def _set(self, name: str, value: str) -> None:
        if self._form is not None:
            self._form.fields = [one for one in self._form.fields if one[0] != name] + [(name, value)]


class PlainBrowser:
    """One person's browser without scripts, on the page that it loaded last."""

    def __init__(self, visitor: httpx.AsyncClient) -> None:
        self._visitor = visitor
        self.status = 0
        self.html = ""
        self.path = ""
        self.address = ""  # with its query

    async def open(self, path: str) -> str:
        return self._loaded(await self._visitor.get(path))

    async def press(self, name: str, which: int = 0, **typed: str | None) -> str:
        """Press the button with that name; ``typed`` replaces fields; None leaves one out."""
        reader = self.read()
        fitting = [one for one in reader.buttons if one.text == name]
        assert len(fitting) > which, f"{self.address} has no such button '{name}': {self._outline(reader)}"
        button = fitting[which]
        form = reader.by_id[button.attributes["form"]] if "form" in button.attributes else button.form
        assert form is not None
        path = button.attributes.get("formaction") or form.action or self.path
        return self._loaded(await self.send(path, form.method, self._fields(reader, form, button, typed)))

    async def send(self, path: str, method: str, fields: list[tuple[str, str]]) -> httpx.Response:
        if method == "get":
            return await self._visitor.get(path, params=httpx.QueryParams(dict(fields)))
        sent: dict[str, list[str]] = {}
        for name, value in fields:
            sent.setdefault(name, []).append(value)
        return await self._visitor.post(path, data=sent)

    def form(self, name: str) -> Form:
        """Return the form that has a field with that name."""
        return next(form for form in self.read().forms if any(one == name for one, _ in form.fields))

    def buttons(self) -> list[str]:
        return [button.text for button in self.read().buttons]

    def read(self) -> _Reader:
        reader = _Reader()
        reader.feed(self.html)
        return reader

    def _outline(self, reader: _Reader) -> str:
        """Return the status, the headings and the buttons of the page, for a failed test."""
        headings = [re.sub(r"<[^>]+>", "", one).strip() for one in re.findall(r"(?s)<h1.*?</h1>", self.html)]
        return f"{self.status}, {headings}, {[one.text for one in reader.buttons]}"

    @staticmethod
    def _fields(
        reader: _Reader, form: Form, button: Button, typed: dict[str, str | None]
    ) -> list[tuple[str, str]]:
        known = [*form.fields]
        known += [(name, value) for owner, name, value in reader.orphans if reader.by_id[owner] is form]
        changed = {
            name.replace("_", "-") if name.startswith("s") else name: value for name, value in typed.items()
        }
        kept = [(name, value) for name, value in known if name not in changed]
        kept += [(name, value) for name, value in changed.items() if value is not None]
        if "name" in button.attributes:
            kept.append((button.attributes["name"], button.attributes.get("value", "")))
        return kept

    def _loaded(self, answer: httpx.Response) -> str:
        self.status, self.html = answer.status_code, answer.text
        self.path = urlsplit(str(answer.url)).path
        self.address = str(answer.url)
        return self.html
