"""TOML files that people write: read whole, or refused with every fault and its place."""

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

from plangate.domain.errors import FileInvalid

_MOST_DOTS: Final = 1_000  # on a line; the reader takes time by the square of a name's parts
_HEADER: Final = re.compile(r"\s*\[\[\s*([\w-]+)\s*\]\]")


def parse_toml(path: Path, raw: bytes) -> dict[str, Any]:
    """Return the document; ``Any`` stands for TOML.

    Raises:
        FileInvalid: it is no TOML.
    """
    try:
        text = _text(raw)
        for number, line in enumerate(text.split("\n"), 1):
            if line.count(".") > _MOST_DOTS:
                raise FileInvalid(str(path), [f"line {number} has over {_MOST_DOTS} dots; break it up"])
        return tomllib.loads(text)
    except UnicodeDecodeError:
        raise FileInvalid(str(path), ["it is no UTF-8 text"]) from None
    except RecursionError:
        raise FileInvalid(str(path), ["it is nested too deeply"]) from None
    except tomllib.TOMLDecodeError as error:
        raise FileInvalid(str(path), [f"it is no TOML: {error}"]) from None


def places(raw: bytes, table: str) -> Mapping[int, str]:
    """Return where each ``[[table]]`` begins: ``line 12``, by its index."""
    headers = ((number, _HEADER.match(line)) for number, line in enumerate(_text(raw).split("\n"), 1))
    lines = (number for number, header in headers if header and header[1] == table)
    return {index: f"line {number}" for index, number in enumerate(lines)}


def unknown_names(
    document: Mapping[str, Any], known: Collection[str], belongs_elsewhere: Mapping[str, str]
) -> list[str]:
    """Return a fault for each name at the top that this kind of file has not; ``Any`` stands for TOML.

    ``belongs_elsewhere`` says of the names of another kind of file where they belong.
    """
    return [
        f"{name}: is not known here; {belongs_elsewhere.get(name, 'take it out')}"
        for name in document
        if name not in known
    ]


def tables(document: Mapping[str, Any], name: str, faults: list[str]) -> list[dict[str, Any]]:
    """Return the tables of one name, and put a fault where they are none; ``Any`` stands for TOML."""
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        faults.append(f"{name}: write each as a table of its own, under [[{name}]]")
        return []
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8-sig")  # some editors of Windows begin a file with a byte order mark
