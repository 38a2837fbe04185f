"""Describe undelivered notices, without showing secrets."""

from typing import Final

from plangate.domain.base import AwareDatetime, Frozen
from plangate.domain.errors import RecordsMissing, RecordsUnavailable
from plangate.domain.escaping import cut, one_line
from plangate.notifications.notice import NoticeKind
from plangate.presentation.clock import FormatTime, moment
from plangate.records.database import Database
from plangate.records.deliveries import HELD_BACK, Undelivered, undelivered
from plangate.records.notices import DeliveryState

_WHAT: Final[dict[str, str]] = {
    NoticeKind.NEEDED: "",
    NoticeKind.REMINDER: "reminder",
    NoticeKind.ESCALATED: "escalation",
    NoticeKind.CHANGED: "request to review again",
    NoticeKind.VOIDED: "notice 'your approval is no longer valid'",
    NoticeKind.RELIEVED: "notice 'nothing more to do'",
    NoticeKind.HELD: "notice 'held'",
    NoticeKind.OUTCOME: "notice 'your request has ended'",
    NoticeKind.STUCK: "notice 'cannot be approved'",
    NoticeKind.UNSTUCK: "notice 'can be approved again'",
    NoticeKind.TROUBLE: "notice 'an operator is needed'",
    NoticeKind.AWAY: "notice 'you are marked as away'",
    NoticeKind.TEST: "test",
}
"""What was not delivered: a noun, or a name from the table of notices in docs/howto-notices.md.

Empty for a request for an approval, which is the usual notice.
"""
_LONGEST_REASON: Final = 300


class UndeliveredNotice(Frozen):
    """One undelivered notice, in a form for people and programs.

    Attributes:
        held_until: when the delay caused by the hourly limit ends; None if the limit is not the reason.
    """

    person: str
    run: str
    kind: str
    address: str
    state: str
    reason: str
    attempts: int
    held_until: AwareDatetime | None = None

    def __str__(self) -> str:
        """Return it as one sentence."""
        return self.words()

    def words(self, written: FormatTime = moment) -> str:
        """Return the notice as one sentence; ``written`` formats its time."""
        is_tried = self.state == DeliveryState.WAITING
        what = _WHAT.get(self.kind, self.kind)
        not_yet = f"{what} not {'yet ' if is_tried else ''}delivered".strip()
        reason = without_address(self.reason, self.address).rstrip(".")
        why = f": {reason}" if reason else ""
        again = "; it will be tried again" if is_tried else ""
        if self.held_until is not None:
            again = f" until {written(self.held_until)}"
        begin = f"{not_yet[0].upper()}{not_yet[1:]} to {one_line(self.person)}"
        return f"{begin} ({self.address}){why}{again}."


def undelivered_notice(one: Undelivered) -> UndeliveredNotice:
    """Return a failure in the form that is shown."""
    is_held = one.state is DeliveryState.WAITING and one.reason == HELD_BACK
    return UndeliveredNotice(
        person=one.person,
        run=one.workflow_id,
        kind=one.kind,
        address=shown_address(one.address),
        state=one.state.value,
        reason=cut(one_line(one.reason), _LONGEST_REASON),
        attempts=one.attempts,
        held_until=one.next_at if is_held else None,
    )


def undelivered_about(database: Database, workflow_id: str) -> tuple[UndeliveredNotice, ...]:
    """Return the notices about a run that were not delivered or are being retried; none if unreadable."""
    try:
        with database.read() as connection:
            return tuple(map(undelivered_notice, undelivered(connection, workflow_id)))
    except (RecordsMissing, RecordsUnavailable):
        return ()


def without_address(reason: str, address: str) -> str:
    """Return the reason for a failure without the leading address, which is shown next to it."""
    reason = reason.removeprefix(f"The mail server refuses {address}: ")  # as earlier versions recorded it
    return reason.removeprefix(f"{address} ")


def shown_address(address: str) -> str:
    """Return an email address unchanged, but only the kind of any other address, as it may be secret."""
    kind, _, rest = address.partition(":")
    return one_line(rest) if kind == "mailto" else f"{one_line(kind)}://…"
