"""Build the schema of a tool call for models."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import JsonValue

from plangate.domain.plans.tool import REASON_ARGUMENT, ToolDeclaration

_REASON_SCHEMA: Final = {
    "type": "string",
    "description": "why this step is needed, for the person who approves it",
    "minLength": 1,
}


def schema_of_call(declaration: ToolDeclaration) -> dict[str, Any]:
    """Return the schema of a call: the tool's own schema, plus the reason for a step."""
    raw = declaration.schema()
    schema = _inlined(raw, raw.get("$defs", {}))
    why = {} if declaration.reads_only else {REASON_ARGUMENT: _REASON_SCHEMA}
    return {
        "type": "object",
        "properties": {**why, **schema.get("properties", {})},
        "required": [*why, *schema.get("required", [])],
        "additionalProperties": False,
    }


def _inlined(node: Any, definitions: Mapping[str, JsonValue], within: tuple[str, ...] = ()) -> Any:
    """Return a JSON schema with its references inlined, because some compatible servers do not resolve them.

    A recursive model is cut off with an unconstrained object; the tool's own validation still reports errors.
    """
    if isinstance(node, list):
        return [_inlined(item, definitions, within) for item in node]
    if not isinstance(node, dict):
        return node
    inlined = {
        key: _inlined(item, definitions, within)
        for key, item in node.items()
        if key not in ("$defs", "$ref") and not (key == "discriminator" and "mapping" in item)
    }
    if "$ref" not in node:
        return inlined
    name = str(node["$ref"]).removeprefix("#/$defs/")
    if name in within:
        return {"type": "object", **inlined}
    return {**_inlined(definitions[name], definitions, (*within, name)), **inlined}
