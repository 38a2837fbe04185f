"""The list of a condition's variables in docs/policy.md, made from `PolicyInput`.

``make reference`` rewrites it; ``python -m plangate.policy.reference docs/policy.md`` prints the document.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import Final

from plangate.policy.policy_input import FIELDS, PolicyInput

_BEGIN: Final = "<!-- PolicyInput: written by make reference -->\n"
_END: Final = "<!-- end of PolicyInput -->\n"
_WIDTH: Final = 118


def variables() -> str:
    """Return the list in Markdown: an item for each variable and each of its fields."""
    return "\n".join(_items()) + "\n"


def with_variables(document: str) -> str:
    """Return a document with the current list between its two marks.

    Raises:
        ValueError: the marks are missing.
    """
    before, begin, rest = document.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"the marks {_BEGIN.strip()} and {_END.strip()} are missing")
    return f"{before}{begin}\n{variables()}\n{end}{after}"


def _items() -> Iterator[str]:
    for variable, field in PolicyInput.model_fields.items():
        if field.description:
            yield _item(variable, field.description)
        for name, description in FIELDS[variable].items():
            yield _item(f"{variable}.{name}", description)


def _item(name: str, description: str) -> str:
    return fill(f"- `{name}`: {description}", _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


if __name__ == "__main__":
    sys.stdout.write(with_variables(Path(sys.argv[1]).read_text("utf-8")))
