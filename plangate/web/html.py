"""Draw the templates: values are escaped for HTML, and characters that hide something made visible."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from plangate import __version__
from plangate.domain.escaping import many_lines, one_line
from plangate.presentation.clock import moment, now
from plangate.presentation.durations import from_now
from plangate.presentation.words import spelled
from plangate.web.language import chosen

_FOLDER: Final = Path(__file__).parent


class Pages:
    """The templates."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=_visible,
        )
        self._environment.filters.update(
            lines=many_lines, moment=moment, from_now=_from_now, spelled=spelled, iso=_iso
        )

    def draw(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page; ``Any`` stands for what a template shows."""
        language = chosen(request.headers.get("accept-language", ""))
        shared: Mapping[str, Any] = {
            "t": language,
            "language": language.code,
            "version": __version__,
            "path": request.url.path,
            "visitor": values.get("visitor"),
            "fault": "",
            "form_token": values["visitor"].session.form_token if values.get("visitor") else "",
        }
        html = self._environment.get_template(template).render({**shared, **values})
        return HTMLResponse(html, status, headers={"Content-Language": language.code})


def _visible(value: object) -> object:
    """Make hidden characters visible in every text that a template prints, but for line breaks."""
    return many_lines(value) if type(value) is str else value


def _from_now(when: datetime) -> str:
    return from_now(when, now())


def _iso(when: datetime) -> str:
    return when.isoformat()


__all__ = ["Pages", "one_line"]
