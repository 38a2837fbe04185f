"""Store tool descriptions under the definitions that plans refer to, for programs that do not load tools.

A description is stored when a plan is drafted with it, and never changed. Its SHA-256 is the definition, so
readers can verify it.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from pydantic import ValidationError
from sqlalchemy import Connection

from plangate.domain.plans.tool import ToolDescription
from plangate.records.attachments import contents_of, keep


def keep_descriptions(connection: Connection, described: Iterable[bytes]) -> None:
    """Store descriptions in the format of `plangate.domain.plans.tool.ToolDeclaration.described`.

    All transactions store them in the same order, because each waits for others that store the same one.
    """
    for one in sorted(described):
        keep(connection, one)


def descriptions_of(connection: Connection, definitions: Collection[str]) -> Mapping[str, ToolDescription]:
    """Return each unchanged description that is stored under one of these definitions."""
    found: dict[str, ToolDescription] = {}
    for definition, content in contents_of(connection, definitions):
        if hashlib.sha256(content).hexdigest() == definition:
            with suppress(ValidationError):
                found[definition] = ToolDescription.model_validate_json(content)
    return found
