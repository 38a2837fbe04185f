"""Evaluate an expression by walking over its syntax tree."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from plangate.policy.cel.functions import call
from plangate.policy.cel.syntax import (
    Call,
    Conditional,
    Expression,
    ListOf,
    Literal,
    Logic,
    Macro,
    MapOf,
    Name,
    Select,
)
from plangate.policy.cel.values import (
    MAX_OPERATIONS,
    TYPES,
    EvaluationFailed,
    Operations,
    TooManyOperations,
    found_in,
    from_json,
    items_of,
    key_of,
    kind,
)

Scope = Mapping[str, Any]
_NO_FUNCTIONS: Final[Mapping[str, Callable[..., Any]]] = {}


def evaluate(
    expression: Expression, variables: Scope, functions: Mapping[str, Callable[..., Any]] = _NO_FUNCTIONS
) -> Any:
    """Return the value of an expression.

    ``functions`` are the caller's. ``&&``, ``||``, ``all`` and ``exists`` may ignore an `EvaluationFailed`
    that they raise; any other exception ends the evaluation.

    Raises:
        EvaluationFailed: it has no value.
    """
    try:
        found = _Evaluation(variables, functions).of(expression, variables)
    except RecursionError:
        raise EvaluationFailed("a value is nested too deeply") from None
    except TooManyOperations:
        raise EvaluationFailed(f"it takes more than {MAX_OPERATIONS:,} operations") from None
    except UnicodeEncodeError:
        raise EvaluationFailed("a text is not Unicode") from None
    kind(found)  # raises the error if it is no value of CEL
    return found


class _Evaluation:
    def __init__(self, variables: Scope, functions: Mapping[str, Callable[..., Any]]) -> None:
        self._variables = variables
        self._functions = functions
        self._operations = Operations()

    def of(self, node: Expression, scope: Scope) -> Any:
        self._operations.count()
        match node:
            case Literal(value):
                return value
            case Name(name, is_global):
                names = self._variables if is_global else scope
                if name in names:
                    return from_json(names[name])
                if name in TYPES:
                    return TYPES[name]
                raise EvaluationFailed(f"there is no {name}")
            case Select(operand, field, is_test):
                value = self.of(operand, scope)
                if type(value) is not dict:
                    raise EvaluationFailed(f"{kind(value)} has no field {field}")
                return field in value if is_test else found_in(value, field)
            case Call(function, arguments):
                values = [self.of(one, scope) for one in arguments]
                own = self._functions.get(function)
                return call(function, values, self._operations) if own is None else own(*values)
            case Logic(is_or, operands):
                return self._joined(((one, scope) for one in operands), is_or=is_or)
            case Conditional(condition, yes, no):
                return self.of(yes if self._truth(condition, scope) else no, scope)
            case ListOf(items):
                return [self.of(one, scope) for one in items]
            case MapOf(items):
                return self._map(items, scope)
            case Macro():
                return self._macro(node, scope)

    def _truth(self, node: Expression, scope: Scope) -> bool:
        value = self.of(node, scope)
        if not isinstance(value, bool):
            raise EvaluationFailed(f"{kind(value)} is neither true nor false")
        return value

    def _joined(self, parts: Iterable[tuple[Expression, Scope]], *, is_or: bool) -> bool:
        """Join parts by ``||`` or ``&&``; a part that decides the result outweighs failures of others."""
        failure = None
        for node, scope in parts:
            try:
                if self._truth(node, scope) is is_or:
                    return is_or
            except EvaluationFailed as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return not is_or

    def _map(self, items: tuple[Expression, ...], scope: Scope) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        for key, value in zip(items[::2], items[1::2], strict=True):
            new = self.of(key, scope)
            if isinstance(new, float):
                raise EvaluationFailed("double cannot be the key of a map")
            stored = key_of(new)
            if stored in found:
                raise EvaluationFailed("a map has the same key twice")
            found[stored] = self.of(value, scope)
        return found

    def _macro(self, node: Macro, scope: Scope) -> Any:
        *tests, last = node.bodies
        cases = self._cases(node, scope)
        match node.macro:
            case "all" | "exists":
                return self._joined(((last, inner) for _, inner in cases), is_or=node.macro == "exists")
            case "exists_one":
                return sum([self._truth(last, inner) for _, inner in cases]) == 1
            case "filter":
                return [item for item, inner in cases if self._truth(last, inner)]
            case _:
                return [
                    self.of(last, inner)
                    for _, inner in cases
                    if all(self._truth(one, inner) for one in tests)
                ]

    def _cases(self, node: Macro, scope: Scope) -> Iterator[tuple[Any, Scope]]:
        """Yield each item with a scope in which it is the macro's variable, valid until the next item."""
        inner = dict(scope)
        for item in items_of(self.of(node.operand, scope)):
            inner[node.variable] = item
            yield item, inner
