"""Checkpoints seal the trails of many runs at one point in time, so that a deleted run is detected.

A checkpoint contains, for each run that changed since the last one, the length of its trail and the hash of
its last entry. Checkpoints form a chain: each contains the hash of the previous one.
`plangate.signing.checkpoints` signs them.

A run appears in a checkpoint as a leaf, a hash that reveals nothing about it. The bundle of one run can
therefore contain the whole checkpoint.
"""

import hashlib
from collections.abc import Iterable
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from plangate.domain.base import Frozen, Typed
from plangate.domain.plans.plan import canonical_json

MOST_RUNS: Final = 1_000
"""The maximum number of runs that one checkpoint seals; the next checkpoint follows immediately."""

Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]


class Seal(Frozen):
    """The length of one run's trail, in entries, and the hash of its last entry."""

    workflow_id: str
    number: int
    hash: str

    def leaf(self) -> str:
        """Return the leaf of this seal in a checkpoint: SHA-256 over its canonical JSON (RFC 8785)."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()


class CheckpointClaims(Typed):
    """The claims of a checkpoint's token.

    Attributes:
        number: the number of the checkpoint, from 1, without gaps.
        previous: SHA-256 of the token of the previous checkpoint, 64 zeros for the first.
        runs: the number of its leaves.
        root: SHA-256 over all leaves, concatenated in ascending order, as hex digits.
        iat: when it was signed, in whole seconds since 1970, by the clock of the records' database.
    """

    number: int = Field(ge=1)
    previous: Hash
    runs: int = Field(ge=1, le=MOST_RUNS)
    root: Hash
    iat: int = Field(ge=0)


class Checkpoint(Frozen):
    """A signed checkpoint as it is stored; ``public_key`` is its signer's public key, as base64url."""

    number: int
    token: str
    public_key: str

    @property
    def hash(self) -> str:
        """The SHA-256 of its token, which the next checkpoint contains."""
        return hashlib.sha256(self.token.encode()).hexdigest()


class SealedBy(Typed):
    """A checkpoint that seals a run up to ``entry``; ``leaves`` are all its leaves."""

    entry: int
    checkpoint: Checkpoint
    leaves: tuple[Hash, ...]


def root_of(leaves: Iterable[str]) -> str:
    """Return the hash over all leaves, regardless of their order."""
    return hashlib.sha256("".join(sorted(leaves)).encode()).hexdigest()
