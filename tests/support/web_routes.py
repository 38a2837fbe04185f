"""Every route of the inbox."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

from plangate.settings import Settings
from plangate.web.app import build_app
from plangate.web.gate import Gate


def all_routes(settings: Settings) -> list[Any]:
    """Return the routes of the application."""
    app = build_app(settings, Gate.from_settings(settings))
    inner = getattr(app, "_app")  # noqa: B009  the wrapped object
    assert isinstance(inner, FastAPI)
    return list(_flat(inner.routes))


def routes(settings: Settings) -> list[tuple[str, str]]:
    """Return each method and path of the application."""
    return [
        (method, route.path)
        for route in all_routes(settings)
        for method in sorted(route.methods or ())
        if method != "HEAD"
    ]


def _flat(found: list[Any]) -> Iterator[Any]:
    for one in found:
        if hasattr(one, "methods"):
            yield one
        elif hasattr(one, "original_router"):  # FastAPI's representation of an included router
            yield from _flat(one.original_router.routes)
