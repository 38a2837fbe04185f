"""Every message on the pages is in every language file and not in a template."""

import re
from collections.abc import Mapping
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter

import pytest

from plangate.web import language
from plangate.web.language import chosen, languages

FOLDER = Path(language.__file__).parent
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))
SCRIPTS = sorted((FOLDER / "static").glob("*.js"))
NO_WORDS = {
    "Plangate",
    "SHA-256",
    "pip install plangate",
    "plangate verify-bundle",
    "--sealer ed25519:…",
    "plangate verify-bundle FILE --sealer ed25519:…",
    "CSV",
    "JSON",
    "UTC",
}
OTHERS = [code for code in languages() if code != "en"]


@cache
def own(code: str) -> Mapping[str, str]:
    """Return the messages in a language's own file."""
    return language.read_words(FOLDER / "languages" / f"{code}.toml")


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("code", OTHERS)
def test_a_language_has_the_same_names_and_placeholders_as_english(code: str) -> None:
    assert own(code).keys() == own("en").keys()
    differ = [name for name, text in own("en").items() if placeholders(text) != placeholders(own(code)[name])]
    assert differ == []


@pytest.mark.parametrize("code", languages())
def test_the_typed_sign_in_page_mentions_passkeys(code: str) -> None:
    assert "passkey" in own(code)["sign_in.proves_nothing"].lower()


def test_german_differs_from_english() -> None:
    same = {name for name, text in own("en").items() if own("de")[name] == text}
    assert len(same) < 12


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_contains_no_text(template: Path) -> None:
    plain = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "\n", template.read_text(encoding="utf-8"), flags=re.DOTALL)
    reader = _Words()
    reader.feed(plain)
    words = {text for text in reader.found if re.search(r"[A-Za-z]", text)}
    assert {text for text in words if text not in NO_WORDS} == set()


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_time_has_the_same_format_on_every_page(template: Path) -> None:
    source = template.read_text(encoding="utf-8")
    assert "moment" not in source
    if template.name != "parts.html":  # the file that defines the form
        assert "time_left" not in source
        assert "<time" not in source


def test_every_message_in_a_template_exists_and_every_message_is_used() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (*TEMPLATES, *FOLDER.rglob("*.py")))
    names = set(own("en"))
    asked = set(re.findall(r'\bt(?:\.count)?\("([a-z_.]+)"', source))
    bare = {name.removesuffix(".one").removesuffix(".other") for name in names}
    assert {name for name in asked if not name.endswith((".", "_"))} <= names | bare
    used = set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)+)"', source))
    families = {name.rpartition(".")[0] for name in re.findall(r'"([a-z_]+\.[a-z_]*)" ~', source)}
    families |= set(re.findall(r'"([a-z_]+)\." ~', source))
    unused = {
        name
        for name in bare
        if name not in used and f"{name}.one" not in used and name.partition(".")[0] not in families
    }
    assert unused == set()


def test_the_language_is_the_one_that_the_browser_prefers() -> None:
    assert chosen("fr, de-CH;q=0.9, en;q=0.8").code == "de"
    assert chosen("fr, en-GB;q=0.9, de;q=0.8").code == "en"
    assert chosen("").code == "en"
    assert chosen("xx;q=abc,,;;q=1").code == "en"


class _Words(HTMLParser):
    """Finds the visible text and attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.found += [
            value or "" for name, value in attrs if name in ("aria-label", "title", "placeholder", "alt")
        ]

    def handle_data(self, data: str) -> None:
        if self.inside not in ("script", "style"):
            self.found += [part.strip(" ·:,.") for part in data.split("\n") if part.strip(" ·():,.-;<>")]
