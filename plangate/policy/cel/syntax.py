"""The syntax tree of an expression. An operator is a call of the function with its name, such as ``+``."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, a string, bytes, true, false or null."""

    value: Any


@dataclass(frozen=True, slots=True)
class Name:
    """A variable or a type; ``is_global`` if written as ``.name``, so that no macro's variable shadows it."""

    name: str
    is_global: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """The field of a map; ``is_test`` if it is the argument of ``has``."""

    operand: "Expression"
    field: str
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function or an operator; the name of a method begins with a dot: ``.size``."""

    function: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Logic:
    """A chain of ``&&`` or of ``||``, as one node, so that a long chain is not deeply nested."""

    is_or: bool
    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """``condition ? yes : no``."""

    condition: "Expression"
    yes: "Expression"
    no: "Expression"


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map; keys and values alternate."""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """``operand.all(variable, body)``, or another macro that evaluates its bodies for each item."""

    macro: str
    operand: "Expression"
    variable: str
    bodies: tuple["Expression", ...]


Expression = Literal | Name | Select | Call | Logic | Conditional | ListOf | MapOf | Macro


def children(node: Expression) -> tuple[Expression, ...]:
    """Return the parts of an expression, in the order in which they are written."""
    match node:
        case Literal() | Name():
            return ()
        case Select(operand):
            return (operand,)
        case Call(_, parts) | Logic(_, parts) | ListOf(parts) | MapOf(parts):
            return parts
        case Conditional(condition, yes, no):
            return (condition, yes, no)
        case Macro(_, operand, _, bodies):
            return (operand, *bodies)


def walk(root: Expression) -> Iterator[tuple[Expression, frozenset[str]]]:
    """Yield each node, parents first, with the variables of macros that are bound there."""
    left: list[tuple[Expression, frozenset[str]]] = [(root, frozenset())]
    while left:
        node, bound = left.pop()
        yield node, bound
        inner = bound | {node.variable} if isinstance(node, Macro) else bound
        outer = node.operand if isinstance(node, Macro) else None
        left += [(one, bound if one is outer else inner) for one in reversed(children(node))]


def paths(root: Expression) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each use of a variable, with the selected fields: ``a.b['c']`` yields ``a`` with ``b, c``.

    Variables that a macro defines are left out.
    """
    prefixes: set[int] = set()
    for node, bound in walk(root):
        if id(node) in prefixes:
            continue
        fields: list[str] = []
        while (step := _step(node)) is not None:
            node, field = step  # noqa: PLW2901
            fields.append(field)
            prefixes.add(id(node))
        if isinstance(node, Name) and (node.is_global or node.name not in bound):
            yield node.name, tuple(reversed(fields))


def _step(node: Expression) -> tuple[Expression, str] | None:
    match node:
        case Select(operand, field) | Call("[]", (operand, Literal(str(field)))):
            return operand, field
    return None
