"""Seal the trails: a worker signs checkpoints, so that the removal of a run is detected.

Every `PLANGATE_SEAL_SECONDS` it signs a checkpoint of the runs that changed. The newest checkpoint is also
saved in a file outside the records. If the records are restored to an older state, the file still contains
it.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from plangate.domain.errors import RecordsUnavailable, SettingsInvalid
from plangate.domain.runs.checkpoint import Checkpoint, Seal
from plangate.files.durable_file import write_over
from plangate.records.checkpoints import checkpoint_of, seal_changed_runs
from plangate.records.database import Database
from plangate.signing.checkpoints import checkpoint_after, saved_checkpoint
from plangate.signing.jws import PUBLIC_PREFIX, public_of
from plangate.signing.key_files import host_key

_ACTION: Final = "sealing"
_REPORTED_AFTER: Final = 6
"""The number of consecutive attempts that may fail because of a database restart."""
_NOT_SEALED: Final = "The trails could not be sealed; Plangate will try again."
_log = structlog.get_logger(__name__)


def seal_key(path: Path) -> Ed25519PrivateKey:
    """Return the seal key of this host; create it if it does not exist.

    Raises:
        SettingsInvalid: the file cannot be read or created, or is not an Ed25519 key without a passphrase.
    """
    is_new = not path.exists()
    try:
        key = host_key(path)
    except OSError as error:
        raise SettingsInvalid(
            f"The seal key {path} cannot be read or created: {error.strerror}; set PLANGATE_SEAL_KEY."
        ) from None
    except (ValueError, TypeError):
        raise SettingsInvalid(
            f"{path} is not an Ed25519 key without a passphrase; move it away to let the worker create a new "
            "one, or set PLANGATE_SEAL_KEY."
        ) from None
    if is_new:
        _log.info(
            f"This host seals with a new key: add {PUBLIC_PREFIX}{public_of(key)} to "
            "PLANGATE_SEALERS wherever the records are verified, and keep the keys that are there.",
            action="seal_key",
        )
    return key


class Sealing:
    """Seals the trails with one key.

    Args:
        database: the records.
        key: signs the checkpoints.
        kept: the file for the newest checkpoint.
        every: the interval in seconds.
        report: called with the affected part and a description of the problem, to notify operators.
    """

    def __init__(
        self,
        database: Database,
        key: Ed25519PrivateKey,
        kept: Path,
        every: float,
        report: Callable[[str, str], None] = lambda _what, _happened: None,
    ) -> None:
        self._database = database
        self._key = key
        self._kept = kept
        self._every = every
        self._reported = False
        self._report_problem = report
        self._failed = 0

    async def keep_sealing(self) -> None:
        """Seal at intervals until cancelled, and once more at the end."""
        try:
            while True:
                await asyncio.sleep(self._every)
                await asyncio.to_thread(self._seal_all)
        finally:
            await asyncio.to_thread(self._seal_all)

    def seal(self) -> Checkpoint | None:
        """Seal the runs that changed, up to the limit of one checkpoint.

        Returns:
            The checkpoint; None if nothing had changed.

        Raises:
            RecordsUnavailable: the database is unavailable; nothing was sealed.
        """
        with self._database.write() as connection:
            checkpoint = seal_changed_runs(connection, self._sign)
        if checkpoint is not None and self._may_replace_kept():
            write_over(self._kept, checkpoint.model_dump_json().encode())
        return checkpoint

    def _seal_all(self) -> None:
        try:
            while True:
                sealed = self.seal()
                self._failed = 0
                if sealed is None:
                    return
                _log.debug("The trails were sealed.", action=_ACTION, checkpoint=sealed.number)
        except RecordsUnavailable as error:
            _log.warning(_NOT_SEALED, action=_ACTION, error=str(error))
            self._failed += 1
            if self._failed == _REPORTED_AFTER:
                self._report_problem(
                    _ACTION, f"The trails could not be sealed {self._failed} times in a row: {error}"
                )
        except OSError as error:
            _log.warning(_NOT_SEALED, action=_ACTION, error=str(error))
            self._report_problem(
                _ACTION, f"The newest checkpoint could not be saved on a worker's disk: {error}"
            )
        except Exception as error:  # noqa: BLE001  no error may stop the sealing
            _log.exception(_NOT_SEALED, action=_ACTION)
            self._report_problem(_ACTION, f"The trails could not be sealed: {type(error).__name__}")

    def _may_replace_kept(self) -> bool:
        """Return whether the records still contain the saved checkpoint; if not, log it once."""
        try:
            kept = saved_checkpoint(self._kept)
        except SettingsInvalid as error:
            return self._report(str(error))
        if kept is None:
            self._reported = False
            return True
        with self._database.read() as connection:
            if checkpoint_of(connection, kept.number) == kept:
                return True
        return self._report(
            f"The records were restored or changed: checkpoint {kept.number} of this host is missing. "
            f"Check them with `starter.py audit verify`; if this was intended, delete {self._kept}."
        )

    def _report(self, what: str) -> bool:
        if not self._reported:
            self._reported = True
            _log.error(what, action=_ACTION)
            self._report_problem("checkpoint", what)
        return False

    def _sign(self, last: Checkpoint | None, seals: Sequence[Seal], at: datetime) -> Checkpoint:
        return checkpoint_after(last, seals, at, self._key)
