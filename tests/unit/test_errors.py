"""The error hierarchy drawn in the module's docstring matches the code."""

import re

from plangate.domain import errors

CLASSES = [
    thing
    for thing in vars(errors).values()
    if isinstance(thing, type) and issubclass(thing, errors.PlangateError)
]


def drawn() -> set[tuple[str, str]]:
    """Return a pair of an error and its parent for each line of the drawing."""
    pairs: set[tuple[str, str]] = set()
    above: dict[int, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ([│├└─ ]*)([A-Z]\w+)", line)
        if found:
            depth, name = len(found[1]) // 4, found[2]
            above[depth] = name
            if depth:
                pairs.add((name, above[depth - 1]))
    return pairs


def test_every_domain_error_is_in_the_documented_tree() -> None:
    assert drawn() == {(cls.__name__, cls.__mro__[1].__name__) for cls in CLASSES[1:]}


def test_every_error_has_a_docstring() -> None:
    assert all(cls.__doc__ for cls in CLASSES)
