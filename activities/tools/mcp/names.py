"""Name a server's tools in a form that Plangate and all models accept: ``SERVER_TOOL`` of a-z, 0-9 and _.

The name depends only on the names of the server and the tool. No other tool can affect it, so a policy rule
for the tool keeps its meaning. If two tools would get the same name, both are refused.
"""

import hashlib
import re
from typing import Final

from plangate.domain.plans.plan import MAX_TOOL_NAME

_PLAIN: Final = re.compile(r"[a-z0-9_-]+")
_OTHER: Final = re.compile(r"[^a-z0-9]+")
_MARK: Final = 8  # hex digits


def legal_name(server: str, tool: str) -> str:
    """Return ``files_write_file`` for ``files`` and ``write-file``.

    If the names contain other characters or are too long, the result ends in 8 hex digits of the SHA-256 of
    both.
    """
    name = f"{server}_{tool}".replace("-", "_")
    if _PLAIN.fullmatch(name) and name[0].isalpha() and len(name) <= MAX_TOOL_NAME:
        return name
    mark = hashlib.sha256(f"{server}\0{tool}".encode(errors="backslashreplace")).hexdigest()[:_MARK]
    plain = _OTHER.sub("_", f"{server}_{tool}".lower()).strip("_")
    if not plain[:1].isalpha():
        plain = f"mcp_{plain}".rstrip("_")
    return f"{plain[: MAX_TOOL_NAME - _MARK - 1].rstrip('_')}_{mark}"
