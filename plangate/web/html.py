"""Render the templates: values are escaped for HTML, and hidden characters are made visible."""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from plangate import __version__
from plangate.domain.decisions.decision import Choice
from plangate.domain.escaping import many_lines, one_line
from plangate.presentation.clock import recorded
from plangate.presentation.words import how_proven, spelled
from plangate.web.language import Language, chosen, languages
from plangate.web.page_refusals import on_a_page
from plangate.web.run_addresses import in_address
from plangate.web.security import CONTENT_SECURITY_POLICY
from plangate.web.times import length, time_left, times_in

_FOLDER: Final = Path(__file__).parent
_WITH_FRAMES: Final = f"{CONTENT_SECURITY_POLICY}; frame-src 'self'"
"""Attachments are shown in frames, each with its own content security policy."""
_SHOWS_FILES: Final = ("run.html", "resolve.html", "confirm.html")


_LONG_WORD: Final = re.compile(r"\S{25,}")
_MARK: Final = re.compile(r"([@./])(?=\S)")
_LONG_NUMBER: Final = re.compile(r"-?\d{5,}(?:\.\d+)?|\"-?\d{5,}\.\d+\"")
_GAP: Final = Markup('<span class="gap"></span>')
_KEY: Final = re.compile(r"\b[0-9a-f]{64}\b")
_KEY_SHOWN: Final = 12


class Pages:
    """The templates, which are compiled once per process."""

    def draw(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page; ``Any`` is the type of the template's values."""
        language = chosen(request.headers.get("accept-language", ""))
        shared: Mapping[str, Any] = {
            "language": language.code,
            "version": __version__,
            "path": request.url.path,
            "visitor": values.get("visitor"),
            "counts": {},
            "fault": "",
            "form_token": values["visitor"].session.form_token if values.get("visitor") else "",
        }
        html = _environments()[language.code].get_template(template).render({**shared, **values})
        headers = {"Content-Language": language.code}
        if template in _SHOWS_FILES:
            headers["Content-Security-Policy"] = _WITH_FRAMES
        return HTMLResponse(html, status, headers=headers)


@cache
def _environments() -> Mapping[str, Environment]:
    """Return an environment for each language; it keeps the templates that it has compiled."""
    return {code: _environment(words) for code, words in languages().items()}


def _environment(words: Language) -> Environment:
    """Return the environment that renders templates in one language; imported templates use it too."""
    made = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    made.filters.update(
        line=_on_one_line,
        exact=_exact,
        wraps=_wraps,
        digits=_digits,
        spelled=spelled,
        iso=_iso,
        utc=recorded,
        on_a_page=partial(on_a_page, words),
        localized=partial(localized, words),
        long_keys=long_keys,
        in_address=in_address,
    )
    made.globals |= {
        "t": words,
        "how_proven": how_proven,
        "length": length,
        "time_left": time_left,
        "choices": (*Choice, "withdraw"),
    }
    return made


class _Shown(str):
    """Text that is printed unchanged: hidden characters are already visible, or a form sends it back."""

    __slots__ = ()


def _visible(value: object) -> object:
    """Make hidden characters visible in all text that a template prints, except line breaks."""
    return many_lines(value) if type(value) is str else value


def _on_one_line(text: str) -> str:
    """Return text with its line breaks made visible too."""
    return _Shown(one_line(text))


def _wraps(text: str) -> Markup:
    """Return text in which long words, such as addresses, can break after ``@``, a dot or a slash."""
    shown = text if isinstance(text, _Shown) else many_lines(text)
    return Markup(_LONG_WORD.sub(lambda word: _MARK.sub(r"\1<wbr>", word[0]), str(escape(shown))))  # noqa: S704


def _digits(text: str) -> Markup:
    """Return a value; a long number has gaps between its thousands, which are not part of the text."""
    if not _LONG_NUMBER.fullmatch(text):
        return escape(text if isinstance(text, _Shown) else many_lines(text))
    whole, point, places = text.partition(".")
    digits = whole.lstrip('"-')
    first = len(digits) % 3 or 3
    groups = [digits[:first], *(digits[at : at + 3] for at in range(first, len(digits), 3))]
    return escape(whole.removesuffix(digits)) + _GAP.join(groups) + point + places


def localized(words: Language, text: str, is_short: bool = False) -> Markup:  # noqa: FBT001, FBT002  a filter of templates
    """Return a sentence of Plangate's own code, with its times in the reader's time zone.

    ``is_short`` shortens each key to 12 digits; `long_keys` returns the whole keys.
    """
    shown = many_lines(text)
    if is_short:
        shown = _KEY.sub(lambda key: f"{key[0][:_KEY_SHOWN]}…", shown)
    return times_in(words, str(escape(shown)))


def long_keys(text: str) -> list[str]:
    """Return the keys and fingerprints of 64 digits in a text, without duplicates."""
    return list(dict.fromkeys(_KEY.findall(text)))


def _exact(value: object) -> object:
    """Return a form control's value unchanged; otherwise the form would send a different value."""
    return _Shown(value) if type(value) is str else value


def _iso(when: datetime) -> str:
    return when.isoformat()
