"""Generate the lists in docs/policy.md: a policy's keys, and a condition's variables.

``make reference`` rewrites them; ``python -m plangate.policy.reference docs/policy.md`` prints the document.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Final

from pydantic import BaseModel

from plangate.policy.calendars_file import CalendarEntry
from plangate.policy.policy_entries import ResolveEntry, RuleEntry, SeeEntry, WholePolicy
from plangate.policy.policy_input import FIELDS, FUNCTIONS, PolicyInput

_WIDTH: Final = 118
_TABLES: Final[dict[str, type[BaseModel]]] = {
    "RuleEntry": RuleEntry,
    "ResolveEntry": ResolveEntry,
    "SeeEntry": SeeEntry,
    "CalendarEntry": CalendarEntry,
    "WholePolicy": WholePolicy,
}
_FIRST: Final = ("name", "when", "who", "roles")


def variables() -> str:
    """Return the list in Markdown: an item for each variable and each of its fields."""
    return "\n".join(_items()) + "\n"


def keys(table: str) -> str:
    """Return a Markdown table of the keys of one table of a policy file."""
    fields = _TABLES[table].model_fields
    order = sorted(fields, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
    rows = [f"| `{name}` | {fields[name].description} |" for name in order]
    return "\n".join(["| key | meaning |", "|---|---|", *rows]) + "\n"


def with_lists(document: str) -> str:
    """Return a document with the current lists, each between its markers.

    Raises:
        ValueError: markers are missing.
    """
    document = _with(document, "PolicyInput", variables())
    for table in _TABLES:
        document = _with(document, table, keys(table))
    return document


def _with(document: str, name: str, content: str) -> str:
    first, last = f"<!-- {name}: written by make reference -->\n", f"<!-- end of {name} -->\n"
    before, begin, rest = document.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"the markers {first.strip()} and {last.strip()} are missing")
    return f"{before}{begin}\n{content}\n{end}{after}"


def _items() -> Iterator[str]:
    for variable, field in PolicyInput.model_fields.items():
        if field.description:
            yield _item(variable, field.description)
        for name, description in FIELDS[variable].items():
            yield _item(f"{variable}.{name}", description)
    for call, description in FUNCTIONS.items():
        yield _item(call, description)


def _item(name: str, description: str) -> str:
    return fill(f"- `{name}`: {description}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(with_lists(Path(sys.argv[1]).read_text("utf-8")))
