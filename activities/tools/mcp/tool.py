"""An MCP server's tool as a Plangate tool: proposed, approved, and called once.

Just before each call, the server lists its tools again. A tool that differs from the approved one is not
called. A response becomes a receipt even if it does not match the tool's own output schema, because the tool
has run. If the tool reports an error (``isError``), part of its effect may have happened, so the step is then
in doubt (docs/decisions/0058).

If the operator states that the server honours keys, all calls of a step have the same key, even after a
person retries it. So if the server ran the call although it reported a refusal, it does not run the call
again.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from pydantic import BaseModel, JsonValue

from activities.tools.mcp.arguments import TOO_EXPENSIVE, SchemaArguments, arguments_of, checker_of
from activities.tools.mcp.config import ServerConfig
from activities.tools.mcp.names import legal_name
from activities.tools.mcp.refusals import is_reported_refusal
from activities.tools.mcp.schema import Parts, SchemaRefused, plain_schema
from activities.tools.mcp.session import Answer, Offered, call_tool
from activities.tools.mcp.turns import Turns
from plangate.domain.errors import EffectUnknown, ToolRefused, ToolUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.domain.plans.idempotency_key import key_of_first_try
from plangate.domain.plans.plan import canonical_json, uncanonical
from plangate.domain.plans.previews import in_words
from plangate.domain.plans.tool import Receipt, RetrySafety, ToolDeclaration
from plangate.logs.redaction import redact_text
from plangate.tool import EffectStatus, Repeatable, Unknown

_LONGEST_DESCRIPTION: Final = 2_000
_LONGEST_SUMMARY: Final = 300
_LONGEST_TEXT: Final = 4_000
_LONGEST_READ: Final = 64 * 1024
_MAX_STRUCTURED: Final = 8 * 1024  # bytes of JSON in a receipt


Changed = Callable[[Sequence[Offered]], None]


def _ignore(_listed: Sequence[Offered]) -> None:
    pass


class Called(BaseModel):
    """The details of a receipt."""

    server: str
    tool: str
    text: str
    structured: JsonValue = None
    note: str = ""


class McpTool:
    """One tool of a server, as listed.

    Args:
        server: the server's entry in the file.
        offered: the tool as listed.
        turns: limits the concurrent calls to the server.
        changed: called with the server's current tools if a call finds that this tool has changed.
        parts: the number of parts left for the server's schemas.

    Raises:
        SchemaRefused: Plangate cannot use the schema of its arguments.
    """

    def __init__(
        self,
        server: ServerConfig,
        offered: Offered,
        turns: Turns,
        changed: Changed = _ignore,
        parts: Parts | None = None,
    ) -> None:
        self._server = server
        self._turns = turns
        self._changed = changed
        self.offered = offered
        parts = parts or Parts()
        left = parts.left
        self._arguments = arguments_of(plain_schema(_without_secrets(server, offered.schema), parts))
        self._parts = left - parts.left
        self.declaration = _declared(server, offered, self._arguments)
        self.unavailable_because = ""

    def replaced_by(self, offered: Offered, parts: Parts | None = None) -> "McpTool":
        """Return the tool as listed now; this object if it is unchanged.

        Raises:
            SchemaRefused: Plangate cannot use the schema of its arguments.
        """
        if offered == self.offered:
            (parts or Parts()).count(self._parts)
            return self
        return type(self)(self._server, offered, self._turns, self._changed, parts)

    def defined_by(self) -> str:
        """Return who may change the tool while a worker is running."""
        return f"the MCP server {self._server.name}"

    def lacks(self) -> str | None:
        """Return the reason why the server cannot be used now."""
        return self.unavailable_because or None

    def objection(self, arguments: SchemaArguments) -> str | None:  # noqa: ARG002  the protocol
        """Return None, because only a call shows whether a server allows it."""
        return None

    def preview(self, arguments: SchemaArguments, observation: JsonValue) -> str:  # noqa: ARG002  the protocol
        """Return text such as ``files, an MCP server: write_file with path notes.txt, content "x"``."""
        shown = in_words(arguments.model_dump(mode="json"))
        named = f"{_short(self._server.name)}, an MCP server: {_short(self.offered.name)}"
        return f"{named} with {shown}" if shown else f"{named} without arguments"

    async def act(self, arguments: SchemaArguments, idempotency_key: str) -> Receipt:
        """Call the tool, if the server still lists it as approved."""
        answer = await self._call(arguments, self._sent_key(idempotency_key))
        if not answer.is_error:
            return self._receipt(answer)
        message = self._text(answer.text, _LONGEST_SUMMARY) or "no reason given"
        if is_reported_refusal(answer.text, self.offered.name):
            raise ToolRefused(
                f"The MCP server {_short(self._server.name)} refused the call before it ran the tool: "
                f"{message}"
            )
        raise EffectUnknown(
            f"{_short(self.offered.name)} of the MCP server {_short(self._server.name)} reports an error, "
            f"possibly after part of its effect: {message}"
        )

    async def find_out(
        self,
        arguments: SchemaArguments,  # noqa: ARG002  the protocol
        idempotency_key: str,
    ) -> EffectStatus:
        """Return whether the call may be repeated, according to the operator's entry."""
        unknown = Unknown(
            f"Check whether {_short(self.offered.name)} of the MCP server {_short(self._server.name)} "
            f"was carried out (the key in its _meta was {self._sent_key(idempotency_key)}): Plangate "
            "cannot tell."
        )
        if self._honours_keys:
            return Repeatable(within=self._server.trusted.key_life, later=unknown)
        return unknown

    @property
    def _honours_keys(self) -> bool:
        return self.declaration.retry_safety is RetrySafety.VENDOR_KEY

    def _sent_key(self, idempotency_key: str) -> str:
        """Return the key for the server."""
        return hashed(key_of_first_try(idempotency_key) if self._honours_keys else idempotency_key)

    async def _call(self, arguments: SchemaArguments, key: str) -> Answer:
        values = arguments.model_dump(mode="json")
        async with self._turns.turn():
            return await call_tool(self._server, self.offered.name, values, key, self._require_unchanged)

    def _require_unchanged(self, listed: Sequence[Offered]) -> None:
        """Check that the server still lists the tool with the definition that this worker has.

        Raises:
            ToolRefused: it lists a different tool under this name, or none.
        """
        now = next((one for one in listed if one.name == self.offered.name), None)
        if now == self.offered:
            return
        self._changed(listed)
        what = "no longer lists the tool" if now is None else "has changed the description or arguments of"
        raise ToolRefused(
            f"The MCP server {_short(self._server.name)} {what} {_short(self.offered.name)} since the plan "
            "was made; it was not called. Make a new plan, or start the server as it was and retry."
        )

    def _receipt(self, answer: Answer) -> Receipt:
        note = self._note(answer.structured)
        message = self._text(answer.text, _LONGEST_SUMMARY) or "no text"
        called = Called(
            server=self._server.name,
            tool=self.offered.name,
            text=self._text(answer.text, _LONGEST_TEXT),
            structured=self._kept(answer.structured),
            note=note,
        )
        summary = f"{_short(self._server.name)} answered: {message}" + (f" ({note})" if note else "")
        return Receipt(summary=summary, details=called.model_dump(mode="json", exclude_defaults=True))

    def _note(self, structured: JsonValue) -> str:
        """Return the reason why a response does not match the output schema, or an empty string."""
        if self.offered.output is None:
            return ""
        if structured is None:
            return "done, but the answer is missing the structure that the tool declares"
        try:
            fault = next(checker_of(plain_schema(self.offered.output))(structured), None)
        except SchemaRefused:
            return ""
        if fault is None:
            return ""
        if fault[1] == TOO_EXPENSIVE:
            return "done, but the answer is too large to be compared with the form that the tool declares"
        return "done, but the answer does not have the form that the tool declares"

    def _kept(self, structured: JsonValue) -> JsonValue:
        """Return a structured response for the record; None if it is too large or not JSON."""
        if structured is None or any(uncanonical(structured)):
            return None
        if len(canonical_json(structured)) > _MAX_STRUCTURED:
            return None
        return _shown(self._server.secrets.hide_in(structured))

    def _text(self, text: str, limit: int) -> str:
        """Return a server's text for the record: one line, shortened, without secrets."""
        return cut(one_line(redact_text(self._server.secrets.hide(text).strip())), limit)


class ReadingMcpTool(McpTool):
    """A tool that an operator has declared read-only; planners call it while they draft."""

    async def read(self, arguments: SchemaArguments) -> JsonValue:
        """Return the server's response."""
        try:
            answer = await self._call(arguments, "")
        except EffectUnknown as error:
            raise ToolUnavailable(str(error)) from error
        if answer.is_error:
            raise ToolRefused(self._text(answer.text, _LONGEST_SUMMARY) or "The server gave no reason.")
        structured = self._kept(answer.structured)
        return structured if structured is not None else self._text(answer.text, _LONGEST_READ)


def tool_of(
    server: ServerConfig,
    offered: Offered,
    turns: Turns,
    changed: Changed = _ignore,
    parts: Parts | None = None,
) -> McpTool:
    """Return a server's tool.

    Raises:
        SchemaRefused: Plangate cannot use the schema of its arguments.
    """
    kind = ReadingMcpTool if offered.name in server.trusted.reads else McpTool
    return kind(server, offered, turns, changed, parts)


def hashed(idempotency_key: str) -> str:
    """Return the key for the server, hashed because the workflow id in it may be any text."""
    return hashlib.sha256(idempotency_key.encode()).hexdigest()


def _declared(server: ServerConfig, offered: Offered, arguments: type[SchemaArguments]) -> ToolDeclaration:
    description = one_line(server.secrets.hide(offered.description).strip())
    if len(description) > _LONGEST_DESCRIPTION:  # the rest is part of the definition, too
        rest = hashlib.sha256(description.encode()).hexdigest()
        description = f"{cut(description, _LONGEST_DESCRIPTION)} (SHA-256 of the whole: {rest})"
    return ToolDeclaration(
        name=legal_name(server.name, offered.name),
        description=f"{_short(offered.name)} of the MCP server {_short(server.name)}, which says: "
        f"{description}",
        arguments=arguments,
        retry_safety=server.trusted.safety(offered.name),
        seconds=server.call_seconds,
        receipt=Called,
        reads_only=offered.name in server.trusted.reads,
    )


def _without_secrets(server: ServerConfig, schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    hidden = server.secrets.hide_in(schema)
    assert isinstance(hidden, dict)
    return hidden


def _shown(value: JsonValue) -> JsonValue:
    """Return JSON with each text shortened to one line."""
    match value:
        case str():
            return cut(one_line(redact_text(value)), _LONGEST_TEXT)
        case list():
            return [_shown(item) for item in value]
        case dict():
            return {one_line(name): _shown(item) for name, item in value.items()}
        case _:
            return value


def _short(name: str) -> str:
    return cut(one_line(name), 100)
