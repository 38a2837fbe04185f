"""Addresses of runs: an id may contain a slash, which an address contains as ``%2F``.

`/runs/pay%2Fedit` is the page of the run `pay/edit`, and `/runs/pay/edit` is the page on which the run `pay`
is edited. Servers decode both to the same path, so they are told apart before.
"""

import re
from typing import Final
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

RUN: Final = "/runs/{workflow_id:id}"
"""The path of a run, for routes."""
_SLASH: Final = "\0"  # in the path of a request, for `%2F`; no id contains it
_ESCAPED: Final = re.compile(rb"%2f", re.IGNORECASE)
_OF_A_RUN: Final = re.compile(rb"/(?:api/v1/)?runs/")


def in_address(workflow_id: str) -> str:
    """Return an id as one part of an address."""
    return quote(workflow_id, safe="")


class KeepSlashesInIds:
    """An ASGI app for which a slash in the id of a run does not separate the parts of a path."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        raw: bytes = scope.get("raw_path") or b""
        if _OF_A_RUN.match(raw) and _ESCAPED.search(raw):
            scope = {**scope, "path": unquote(_ESCAPED.sub(quote(_SLASH).encode(), raw).decode("ascii"))}
        await self._app(scope, receive, send)


class _IdConvertor(Convertor[str]):
    """The convertor ``{workflow_id:id}``; an id may also contain slashes that are not escaped."""

    regex = ".*"

    def convert(self, value: str) -> str:
        return value.replace(_SLASH, "/")

    def to_string(self, value: str) -> str:
        return in_address(value)


register_url_convertor("id", _IdConvertor())
