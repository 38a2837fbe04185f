"""Read an expression: a tokenizer and a precedence-climbing parser, both linear in its length."""

import math
import re
import sys
from collections.abc import Iterator
from typing import Final, NamedTuple

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
    children,
)
from plangate.policy.cel.values import TYPES, Uint

MAX_DEPTH: Final = 64
"""How deeply an expression may be nested."""
_PRECEDENCE: Final = {"*": 4, "/": 4, "%": 4, "+": 3, "-": 3, "in": 2} | dict.fromkeys(
    ("==", "!=", "<", "<=", ">", ">="), 2
)
_RELATION: Final = 2
_MACROS: Final = {("all", 2), ("exists", 2), ("exists_one", 2), ("filter", 2), ("map", 2), ("map", 3)}
_KEYWORDS: Final = {"true": True, "false": False, "null": None}
_RESERVED: Final = frozenset(
    {
        *("as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop"),
        *("namespace", "package", "return", "var", "void", "while"),
    }
)
_TOKEN: Final = re.compile(
    r"""(?P<blank>[\t\n\f\r ]++|//[^\n]*+)
    |(?P<raw>[bB]?[rR](?:'''(?:(?!''')[\s\S])*+'''|\"""(?:(?!\""")[\s\S])*+\"""
        |'(?!'')[^'\r\n]*+'|"(?!"")[^"\r\n]*+"))
    |(?P<text>[bB]?(?:'''(?:\\[\s\S]|(?!''')[^\\])*+'''|\"""(?:\\[\s\S]|(?!\""")[^\\])*+\"""
        |'(?!'')(?:\\.|[^'\\\r\n])*+'|"(?!"")(?:\\.|[^"\\\r\n])*+"))
    |(?P<double>[0-9]*+\.[0-9]++(?:[eE][+-]?[0-9]++)?+|[0-9]++[eE][+-]?[0-9]++)
    |(?P<integer>(?:0[xX][0-9a-fA-F]++|[0-9]++)[uU]?+)
    |(?P<word>[_a-zA-Z][_a-zA-Z0-9]*+)
    |(?P<field>`[a-zA-Z0-9_.\-/\ ]++`)
    |(?P<sign>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}])""",
    re.VERBOSE,
)
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\?\"'`])|[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|)"
)
_SINGLE: Final = dict(zip("abfnrtv", "\a\b\f\n\r\t\v", strict=True))
_LONGEST: Final = 40  # characters of an integer
_SURROGATES: Final = range(0xD800, 0xE000)
_FIRST_OCTET: Final = 0x80  # that is not ASCII
_MEANT: Final = {"=": "==", "&": "&&", "|": "||"}


class InvalidExpression(ValueError):
    """A text is not an expression.

    ``str()`` gives the line and the column, the reason, and the line with a mark below the column.
    """

    def __init__(self, source: str, at: int, reason: str) -> None:
        before = source[:at].split("\n")
        line = source.split("\n")[len(before) - 1]
        column = len(before[-1])
        mark = f"| {line}\n| {'.' * column}^"
        super().__init__(f"{len(before)}:{column + 1}: Syntax error: {reason}\n{mark}")


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


def parse(source: str) -> Expression:
    """Return the syntax tree of an expression.

    Raises:
        InvalidExpression: it is not valid.
    """
    parser = _Parser(source)
    try:
        return parser.whole()
    except RecursionError:  # the caller is deep, too
        raise parser.too_deep() from None


def _tokens(source: str) -> Iterator[_Token]:
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            character = source[at]
            if source.startswith(("'", '"'), at) or source[at + 1 : at + 2] in {"'", '"'}:
                raise InvalidExpression(source, at, "this text has no closing quote")
            meant = f"; write {_MEANT[character]}" if character in _MEANT else ""
            raise InvalidExpression(source, at, f"{character!r} has no meaning here{meant}")
        kind = found.lastgroup or ""
        if kind != "blank":
            yield _Token(kind, found[0], at)
        at = found.end()
    yield _Token("end", "", len(source))


def _field(operand: Expression, name: str) -> Expression:
    match operand:
        case Select(Name("google"), "protobuf") if f"google.protobuf.{name}" in TYPES:
            return Name(f"google.protobuf.{name}")
    return Select(operand, name)


class _Parser:
    """Reads one expression; each method reads a part, from the current token on."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(_tokens(source))
        self._next = 0
        self._open = 0
        self._heights: dict[int, int] = {}  # of the nodes of the tree, by id

    def whole(self) -> Expression:
        tree = self._expression()
        if self._now.kind != "end":
            raise self._unexpected("an operator or the end")
        return tree

    @property
    def _now(self) -> _Token:
        return self._tokens[self._next]

    def _takes(self, text: str) -> bool:
        """Read the token if it is this sign."""
        is_next = self._now.text == text
        self._next += is_next
        return is_next

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise self._unexpected(f"'{text}'")

    def _invalid(self, reason: str, at: int | None = None) -> InvalidExpression:
        return InvalidExpression(self._source, self._now.at if at is None else at, reason)

    def _unexpected(self, wanted: str) -> InvalidExpression:
        found = "it ends here" if self._now.kind == "end" else f"this is {self._now.text[:40]!r}"
        return self._invalid(f"{found}, but {wanted} is expected")

    def _made(self, node: Expression) -> Expression:
        height = 1 + max((self._heights[id(part)] for part in children(node)), default=0)
        if height > MAX_DEPTH:
            raise self.too_deep()
        self._heights[id(node)] = height
        return node

    def too_deep(self) -> InvalidExpression:
        return self._invalid(f"it is nested more than {MAX_DEPTH} levels deep")

    def _expression(self) -> Expression:
        self._open += 1
        if self._open > MAX_DEPTH:
            raise self.too_deep()
        found = self._logic(is_or=True)
        if self._takes("?"):
            yes = self._logic(is_or=True)
            self._expect(":")
            found = self._made(Conditional(found, yes, self._expression()))
        self._open -= 1
        return found

    def _logic(self, *, is_or: bool) -> Expression:
        operands: list[Expression] = []
        while not operands or self._takes("||" if is_or else "&&"):
            operands.append(self._logic(is_or=False) if is_or else self._binary(_RELATION))
        return operands[0] if len(operands) == 1 else self._made(Logic(is_or, tuple(operands)))

    def _binary(self, lowest: int) -> Expression:
        """Read operands that are joined by operators of at least this precedence."""
        found = self._unary()
        while (precedence := _PRECEDENCE.get(self._now.text, 0)) >= lowest:
            operator = self._now.text
            self._next += 1
            found = self._made(Call(operator, (found, self._binary(precedence + 1))))
        return found

    def _unary(self) -> Expression:
        signs: list[str] = []
        while self._now.text in (signs[:1] or ["!", "-"]):
            signs.append(self._now.text)
            self._next += 1
        is_negative = signs[:1] == ["-"] and self._now.kind in {"integer", "double"}
        found = self._member(is_negative=is_negative)
        for sign in signs[is_negative:]:
            found = self._made(Call(sign, (found,)))
        return found

    def _member(self, *, is_negative: bool) -> Expression:
        found = self._primary(is_negative=is_negative)
        while True:
            if self._takes("["):
                index = self._expression()
                self._expect("]")
                found = self._made(Call("[]", (found, index)))
            elif self._takes("."):
                name = self._selector()
                found = self._method(found, name) if self._takes("(") else self._made(_field(found, name))
            else:
                return found

    def _selector(self) -> str:
        token = self._now
        if token.kind not in {"word", "field"} or token.text in {*_KEYWORDS, "in"}:
            raise self._unexpected("a name")
        self._next += 1
        return token.text.strip("`")

    def _method(self, operand: Expression, name: str) -> Expression:
        at = self._now.at
        arguments = self._items(")")
        if (name, len(arguments)) not in _MACROS:
            return self._made(Call(f".{name}", (operand, *arguments)))
        variable, *bodies = arguments
        if not isinstance(variable, Name) or variable.is_global:
            raise self._invalid(f"the first argument of {name} must be a name", at)
        return self._made(Macro(name, operand, variable.name, tuple(bodies)))

    def _items(self, end: str) -> tuple[Expression, ...]:
        """Read the items of a list or of a map, or the arguments of a call, which do not end with a comma."""
        items: list[Expression] = []
        while not self._takes(end):
            if items and not self._takes(","):
                raise self._unexpected(f"',' or '{end}'")
            if items and end != ")" and self._takes(end):
                break
            items.append(self._expression())
            if end == "}":
                self._expect(":")
                items.append(self._expression())
        return tuple(items)

    def _primary(self, *, is_negative: bool) -> Expression:
        token = self._now
        if token.kind in {"integer", "double", "text", "raw"} or token.text in _KEYWORDS:
            self._next += 1
            return self._made(Literal(self._value(token, is_negative=is_negative)))
        if self._takes("("):
            found = self._expression()
            self._expect(")")
            return found
        if self._takes("["):
            return self._made(ListOf(self._items("]")))
        if self._takes("{"):
            return self._made(MapOf(self._items("}")))
        return self._name(is_global=self._takes("."))

    def _name(self, *, is_global: bool) -> Expression:
        token = self._now
        if token.kind != "word" or token.text in {*_KEYWORDS, "in"}:
            raise self._unexpected("a name" if is_global else "a value")
        if token.text in _RESERVED:
            raise self._invalid(f"{token.text!r} is a reserved word")
        self._next += 1
        if not self._takes("("):
            return self._made(Name(token.text, is_global))
        arguments = self._items(")")
        if token.text != "has" or is_global:
            return self._made(Call(token.text, arguments))
        match arguments:
            case [Select(operand, field, False)]:
                return self._made(Select(operand, field, is_test=True))
        raise self._invalid("the argument of has must be a field, as in has(step.arguments.amount)", token.at)

    def _value(self, token: _Token, *, is_negative: bool) -> object:
        sign = "-" if is_negative else ""
        match token.kind:
            case "integer":
                digits = token.text.rstrip("uU")
                number = (
                    int(sign + digits, 16 if "x" in digits.lower() else 10)
                    if len(digits) <= _LONGEST
                    else 2**64
                )
                is_uint = digits != token.text
                if not (0 <= number < 2**64 if is_uint else -(2**63) <= number < 2**63):
                    raise self._invalid(
                        f"the number is not {'a uint' if is_uint else 'an int'} of 64 bits", token.at
                    )
                return Uint(number) if is_uint else number
            case "double":
                double = float(sign + token.text)
                if math.isinf(double):
                    raise self._invalid("the number is too large for a double", token.at)
                return double
            case "word":
                return _KEYWORDS[token.text]
        quoted = token.text.lstrip("bBrR")
        quotes = 3 if quoted.startswith(("'''", '"""')) else 1
        is_bytes = token.text[0] in "bB"

        def unescaped(found: re.Match[str]) -> str:
            simple, *hexadecimal, octal = found.groups()
            if simple:
                return _SINGLE.get(simple, str(simple))
            digits = next(filter(None, hexadecimal), "")
            code = int(digits or octal or "-1", 16 if digits else 8)
            is_character = 0 <= code <= sys.maxunicode and code not in _SURROGATES
            if not is_character or (is_bytes and found[0][1] in "uU"):
                where = token.at + token.text.index(quoted) + quotes + found.start()
                raise self._invalid("this is not an escape sequence; write \\\\ for a backslash", where)
            # Python encodes these surrogates as single bytes.
            return chr(code + 0xDC00 if is_bytes and code >= _FIRST_OCTET else code)

        text = quoted[quotes:-quotes]
        if token.kind == "text":
            text = _ESCAPE.sub(unescaped, text)
        return text.encode("utf-8", "surrogateescape") if is_bytes else text
