"""Normalize host names: lower case, with A-labels (``xn--…``) for internationalized names.

``BÜCHER.example``, ``bücher.example``, ``XN--BCHER-KVA.example`` and full-width letters all refer to the same
host, ``xn--bcher-kva.example``. The mapping is UTS 46, non-transitional; names that IDNA 2008 does not allow
are refused. Pages also show the original letters (`plangate.domain.escaping.hosts_in_unicode`).
"""

import re
from typing import Final

import idna

THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})
"""The names of this machine, to which a secret may be sent unencrypted."""
_MAX_HOST: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


def normalized_host(text: str) -> str:
    """Return the normalized host name.

    Raises:
        ValueError: it is not a valid host name; the message begins with 'contains the host'.
    """
    folded = text.lower()
    try:
        if not text.isascii():
            folded = idna.uts46_remap(text, std3_rules=False, transitional=False)
        name = ".".join(_one_label(label) for label in folded.split("."))
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"contains the host {text!r}, which IDNA does not allow ({error})") from None
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError(f"contains the host {text!r}, which is not a valid name")
    return name


def _one_label(label: str) -> str:
    if label.isascii() and not label.startswith("xn--"):
        return label
    # Decode an A-label and encode it again, which refuses invalid and non-canonical ones.
    return idna.alabel(label).decode("ascii")
