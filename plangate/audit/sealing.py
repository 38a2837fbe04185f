"""Sealing: what a worker does beside its activities, so that nobody can take a run out of the records unseen.

Every few seconds it signs a checkpoint over the runs that moved, and keeps the newest one in a file of its
own: the records may be put back to an older state with all their checkpoints, but the file is not in them.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.checkpoint import Checkpoint, Seal
from plangate.domain.errors import RecordsUnavailable, SettingsInvalid
from plangate.files.durable_file import write_over
from plangate.records.checkpoints import checkpoint_of, seal_what_moved
from plangate.records.database import Database
from plangate.signing.checkpoints import checkpoint_after, kept_checkpoint

_ACTION: Final = "sealing"
_NOT_SEALED: Final = "The trail could not be sealed; it is tried again."
_log = structlog.get_logger(__name__)


class Sealing:
    """Seals the trail with one key.

    Args:
        database: the records.
        key: signs the checkpoints.
        kept: the file for the newest one.
        every: seconds between two looks at what moved.
    """

    def __init__(self, database: Database, key: Ed25519PrivateKey, kept: Path, every: float) -> None:
        self._database = database
        self._key = key
        self._kept = kept
        self._every = every
        self._complained = False

    async def keep_sealing(self) -> None:
        """Seal again and again, until cancelled; and once more then."""
        try:
            while True:
                await asyncio.sleep(self._every)
                await asyncio.to_thread(self._seal_all)
        finally:
            await asyncio.to_thread(self._seal_all)

    def seal(self) -> Checkpoint | None:
        """Seal what moved, at most as many runs as one checkpoint takes; None where nothing did.

        Raises:
            RecordsUnavailable: the database did not answer; nothing was sealed.
        """
        with self._database.write() as connection:
            checkpoint = seal_what_moved(connection, self._sign)
        if checkpoint is not None and self._may_replace_kept():
            write_over(self._kept, checkpoint.model_dump_json().encode())
        return checkpoint

    def _seal_all(self) -> None:
        try:
            while True:
                sealed = self.seal()
                if sealed is None:
                    return
                _log.debug("The trail is sealed.", action=_ACTION, checkpoint=sealed.number)
        except (RecordsUnavailable, OSError) as error:
            _log.warning(_NOT_SEALED, action=_ACTION, error=str(error))
        except Exception:  # noqa: BLE001  whatever it is, it must not end the sealing
            _log.exception(_NOT_SEALED, action=_ACTION)

    def _may_replace_kept(self) -> bool:
        """Return whether the records still have what was kept; if not it stays, and that is said once."""
        try:
            kept = kept_checkpoint(self._kept)
        except SettingsInvalid as error:
            return self._complain(str(error))
        if kept is None:
            self._complained = False
            return True
        with self._database.read() as connection:
            if checkpoint_of(connection, kept.number) == kept:
                return True
        return self._complain(
            f"The records were put back or changed: they lack checkpoint {kept.number}, which was made here. "
            f"Look at them with `starter.py audit verify`; if it was meant, delete {self._kept}."
        )

    def _complain(self, what: str) -> bool:
        if not self._complained:
            self._complained = True
            _log.error(what, action=_ACTION)
        return False

    def _sign(self, last: Checkpoint | None, seals: Sequence[Seal], at: datetime) -> Checkpoint:
        return checkpoint_after(last, seals, at, self._key)
