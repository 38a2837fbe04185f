"""Find who can be notified, according to the list of people and the rules that a worker recorded last."""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection

from plangate.notifications.addresses import addresses_of
from plangate.notifications.audience import Audience, audience_of
from plangate.records.current_rules import current_rules
from plangate.records.key_statements import head_of_rules

_CHECK_AGAIN: Final = timedelta(seconds=15)
"""The precision with which a delegation or an absence begins and ends."""
_log = structlog.get_logger(__name__)


class Readers:
    """Returns the current audience; people's rights are cached for `_CHECK_AGAIN`.

    Args:
        operators: the role whose members are notified of problems.
        inbox: the public address of the inbox.
    """

    def __init__(self, operators: str, inbox: str) -> None:
        self._operators = operators
        self._inbox = inbox.rstrip("/")
        self._kept: tuple[str, datetime, Audience] | None = None
        self._lacks_operators = False

    def __call__(self, connection: Connection, now: datetime) -> Audience:
        """Return who can be notified now."""
        head = head_of_rules(connection)
        kept = self._kept
        if kept is None or kept[0] != head or not kept[1] <= now < kept[1] + _CHECK_AGAIN:
            rules = current_rules(connection)
            audience = audience_of(
                rules.people,
                now,
                operators=self._operators,
                is_narrowed=rules.is_narrowed,
                inbox=self._inbox,
                addresses_of=partial(addresses_of, rules.people),
            )
            kept = self._kept = (head, now, audience)
            self._warn_without_operators(audience)
        return replace(kept[2], now=now)

    def _warn_without_operators(self, audience: Audience) -> None:
        """Log once that problems are reported to no one, for example because the last operator has left."""
        lacks = audience.people is not None and not audience.operators
        if lacks and not self._lacks_operators:
            _log.warning(
                f"No active person in the list of people has the role {self._operators}, so no one is "
                "notified of problems; give someone this role, or set PLANGATE_OPERATORS.",
                action="notices",
            )
        self._lacks_operators = lacks
