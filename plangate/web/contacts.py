"""Find the recipients of an email or a payment, and the hosts that a step calls."""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from pydantic import JsonValue

RECIPIENTS: Final = frozenset({"to", "cc", "bcc", "recipient", "recipients", "payee", "iban"})
HOSTS: Final = frozenset({"url", "host"})
_LONGEST: Final = 300


def contacts_in(arguments: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return every recipient and host in a step's arguments, without duplicates."""
    return tuple(dict.fromkeys(one for name, value in arguments.items() for one in contacts_of(name, value)))


def contacts_of(name: str, value: JsonValue) -> Iterator[str]:
    """Yield the recipients or hosts of one argument, normalized; nothing if it has none."""
    for text in _texts(value):
        if name in RECIPIENTS:
            yield text.strip().casefold()[:_LONGEST]
        elif name in HOSTS:
            yield (_host(text) if name == "url" else text.strip().casefold())[:_LONGEST]


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].casefold()
    except ValueError:
        return url


def _texts(value: JsonValue) -> Iterator[str]:
    match value:
        case str() if value:
            yield value
        case list():
            for item in value:
                yield from _texts(item)
