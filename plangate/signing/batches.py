"""Write and check the list of approvals that one passkey assertion signs.

The list is the canonical JSON of 2 to 10 SHA-256 digests (64 hex digits each), one for each approval's
claims, in ascending order. Each approval has a separate token, with its claims and the whole list. Each token
can therefore be verified without the other tokens, and reveals only their number.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from pydantic import JsonValue

from plangate.domain.plans.plan import canonical_json

FEWEST: Final = 2
MOST: Final = 10
_DIGEST: Final = re.compile("[0-9a-f]{64}")


def list_of(claims: Iterable[bytes]) -> bytes:
    """Return the list of approvals with these claims, each as canonical JSON."""
    digests: list[JsonValue] = [*sorted(hashlib.sha256(one).hexdigest() for one in claims)]
    return canonical_json(digests)


def digests_in(listed: bytes) -> tuple[str, ...]:
    """Return the digests in a list; it may still be too long, or not contain its own approval.

    Raises:
        ValueError: it is not a list of digests in canonical form.
    """
    found = json.loads(listed.decode())
    if not isinstance(found, list) or canonical_json(found) != listed:
        raise ValueError("it is not a list in canonical form")
    if not all(isinstance(one, str) and _DIGEST.fullmatch(one) for one in found):
        raise ValueError("it lists something other than SHA-256 digests")
    return tuple(found)


def check_batch(digests: Sequence[str], own: str) -> None:
    """Check the list of an approval; ``own`` is the digest of the approval's claims.

    Raises:
        ValueError: it has too few or too many digests, contains a digest twice, or does not contain ``own``.
    """
    if not FEWEST <= len(digests) <= MOST:
        raise ValueError(
            f"its passkey signed a list of {len(digests)} approvals, not {FEWEST} to {MOST} as allowed"
        )
    if any(one >= other for one, other in pairwise(digests)):
        raise ValueError("its passkey signed a list that contains an approval twice or is out of order")
    if own not in digests:
        raise ValueError("its passkey signed a list of approvals without this one")
