"""Sign checkpoints with a worker's seal key, and verify them with its public key.

Only the worker's host has the private key, so a checkpoint cannot be forged with write access to the
database.
"""

from codecs import BOM_UTF8
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from plangate.domain.errors import SettingsInvalid
from plangate.domain.runs.audit import FIRST_HASH
from plangate.domain.runs.checkpoint import Checkpoint, CheckpointClaims, Seal, root_of
from plangate.signing.jws import PUBLIC_PREFIX, checked_public, public_of, read_token, write_token

TYPE: Final = "plangate-checkpoint+jwt"


def saved_checkpoint(path: Path) -> Checkpoint | None:
    """Return the checkpoint saved in a file, or None if there is no such file.

    Raises:
        SettingsInvalid: the file exists, but a checkpoint cannot be read from it.
    """
    try:
        return Checkpoint.model_validate_json(path.read_bytes().removeprefix(BOM_UTF8))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsInvalid(f"The saved checkpoint {path} cannot be read: {error.strerror}.") from None
    except ValidationError:
        raise SettingsInvalid(
            f"The file {path} does not contain a checkpoint as printed by `audit checkpoint`; find out "
            "what changed it."
        ) from None


def checkpoint_after(
    last: Checkpoint | None, seals: Sequence[Seal], at: datetime, key: Ed25519PrivateKey
) -> Checkpoint:
    """Return the signed checkpoint that follows ``last`` and seals these runs."""
    number = last.number + 1 if last else 1
    claims = CheckpointClaims(
        number=number,
        previous=last.hash if last else FIRST_HASH,
        runs=len(seals),
        root=root_of(seal.leaf() for seal in seals),
        iat=int(at.timestamp()),
    )
    token = write_token(claims.model_dump(), key, TYPE)
    return Checkpoint(number=number, token=token, public_key=public_of(key))


def claims_of(checkpoint: Checkpoint) -> CheckpointClaims:
    """Verify a checkpoint's signature with the key that it contains, and return its claims.

    Raises:
        ValueError: the signature or the claims are not valid; the message explains why.
    """
    try:
        return CheckpointClaims.model_validate(read_token(checkpoint.token, checkpoint.public_key, TYPE))
    except ValidationError:
        raise ValueError("its token is not that of a checkpoint") from None


def sealed_at(checkpoint: Checkpoint) -> datetime | None:
    """Return the time at which a checkpoint was made, from its claims; None if they cannot be read."""
    try:
        return datetime.fromtimestamp(claims_of(checkpoint).iat, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def unknown_sealer(public_key: str) -> str:
    """Return the finding that a checkpoint was signed by an untrusted key, and what to do."""
    return (
        f"a checkpoint was signed by the untrusted key {PUBLIC_PREFIX}{public_key}; if the key is yours, add "
        "it to PLANGATE_SEALERS (--sealer for a bundle)"
    )


def broken_checkpoint(checkpoint: Checkpoint, leaves: Sequence[str]) -> str | None:
    """Return the error in a checkpoint and its stored leaves, or None."""
    try:
        if checked_public(checkpoint.public_key) != checkpoint.public_key:
            return "does not give its key in canonical form"
        claims = claims_of(checkpoint)
    except ValueError as error:
        return f"was changed: {error}"
    if claims.number != checkpoint.number:
        return f"was written as checkpoint {claims.number}"
    if (claims.runs, claims.root) != (len(leaves), root_of(leaves)):
        return f"does not seal the runs stored with it ({claims.runs} then, {len(leaves)} now)"
    return None
