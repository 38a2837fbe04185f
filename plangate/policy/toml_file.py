"""Read the TOML files that people write."""

import re
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, StringConstraints

from plangate.domain.errors import FileInvalid
from plangate.domain.faults import Fault

_NAME: Final = re.compile(r"\w[\w .:/-]*")
_MOST_DOTS: Final = 1_000  # per line; parsing takes quadratic time in the number of dots
_HEADER: Final = re.compile(r"\s*\[\[\s*([\w-]+)\s*\]\]")


def _valid_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("must begin with a letter or digit; use letters, digits, spaces and _ . : / - only")
    return name


Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_valid_name)]
"""The name of a rule or a role."""


def parse_toml(path: Path, raw: bytes) -> dict[str, Any]:
    """Return the document; ``Any`` represents TOML.

    Raises:
        FileInvalid: it is not valid TOML.
    """
    try:
        text = _text(raw)
        for number, line in enumerate(text.split("\n"), 1):
            if line.count(".") > _MOST_DOTS:
                raise FileInvalid(
                    str(path), [Fault((f"line {number}",), f"has over {_MOST_DOTS} dots; split it")]
                )
        return tomllib.loads(text)
    except UnicodeDecodeError:
        raise FileInvalid(str(path), [Fault((), "is not UTF-8 text; save it as UTF-8")]) from None
    except RecursionError:
        raise FileInvalid(str(path), [Fault((), "is nested too deeply")]) from None
    except tomllib.TOMLDecodeError as error:
        raise FileInvalid(str(path), [Fault((), f"is not TOML: {error}")]) from None


def places(raw: bytes, table: str) -> Mapping[int, str]:
    """Return the location of each ``[[table]]``, such as ``line 12``, keyed by its index."""
    headers = ((number, _HEADER.match(line)) for number, line in enumerate(_text(raw).split("\n"), 1))
    lines = (number for number, header in headers if header and header[1] == table)
    return {index: f"line {number}" for index, number in enumerate(lines)}


def unknown_names(
    document: Mapping[str, Any], known: Collection[str], belongs_elsewhere: Mapping[str, str]
) -> list[Fault]:
    """Return an error for each unknown name at the top level; ``Any`` represents TOML.

    ``belongs_elsewhere`` maps names from other kinds of files to a hint about where they belong.
    """
    return [
        Fault((name,), f"unknown field; {belongs_elsewhere.get(name, 'remove it')}")
        for name in document
        if name not in known
    ]


def tables(document: Mapping[str, Any], name: str, faults: list[Fault]) -> list[dict[str, Any]]:
    """Return the tables of one name, or add an error if they are not tables; ``Any`` represents TOML."""
    found = document.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        faults.append(Fault((name,), f"write each as a separate table, under [[{name}]]"))
        return []
    return found


def _text(raw: bytes) -> str:
    return raw.decode("utf-8-sig")  # some Windows editors write a byte order mark
