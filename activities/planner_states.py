"""Keep the state that a planner returns with a plan, so that it can continue if changes are requested.

Like attachments, the bytes are kept in the records under their digest, which is part of the recorded plan. No
message or history contains them. If a state is lost, too large or invalid, the planner starts over from the
previous plan.
"""

import json
from typing import Final

import structlog
from pydantic import JsonValue

from plangate.domain.plans.plan import uncanonical
from plangate.domain.runs.audit import Drafted, RunRef
from plangate.logs.redaction import redact_text
from plangate.records.attachments import StoredAttachments
from plangate.records.records import Records
from plangate.records.trail import OpenTrail

MAX_STATE: Final = 512 * 1024  # bytes of JSON
_log = structlog.get_logger(__name__)


class PlannerStates:
    """The states of planners in the records."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._blobs = StoredAttachments(records)

    @staticmethod
    def written(state: JsonValue) -> bytes | None:
        """Return the bytes of a state; None if there is no state or it cannot be saved."""
        if state is None:
            return None
        try:
            text = json.dumps(state, ensure_ascii=False, allow_nan=False)
            content = text.encode()
        except (TypeError, ValueError, RecursionError):
            _log_loss("it is not JSON")
            return None
        why = ""
        if any(uncanonical(state)):
            why = "it is not JSON that can be stored unchanged"
        elif len(content) > MAX_STATE:
            why = f"it has {len(content):,} bytes, more than {MAX_STATE:,}"
        elif redact_text(text) != text:
            why = "it contains text that looks like a key or a password"
        if why:
            _log_loss(why)
        return None if why else content

    async def last(self, run: RunRef) -> JsonValue:
        """Return the state of the last plan that a planner made; None if it is lost or invalid.

        Raises:
            RecordsUnavailable: the database did not respond.
        """
        digest = await self._records.transact(run, _newest)
        content = await self._blobs.read(digest) if digest else None
        if content is None:
            if digest:
                _log.warning("The planner's state is lost; it starts over.", action="planner_starts_over")
            return None
        try:
            state: JsonValue = json.loads(content)
        except (ValueError, RecursionError):
            return None
        return state


def _newest(trail: OpenTrail) -> str:
    """Return the digest of the state of the planner's last plan; empty if none was saved.

    An earlier state would belong to a conversation whose reads differ from that plan's.
    """
    events = [entry.event for entry in trail.entries()]
    return next((one.state for one in reversed(events) if isinstance(one, Drafted) and one.planner), "")


def _log_loss(why: str) -> None:
    _log.warning(
        f"The planner's state is not saved, because {why}; after a request for changes it starts over.",
        action="planner_state",
    )
