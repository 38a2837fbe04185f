"""Tell people that they are said to be away: a typed name is enough for that, and moves their messages."""

from collections.abc import Iterator

from plangate.domain.absence import absence_of
from plangate.notifications.audience import Audience
from plangate.notifications.notice import Facts, Notice, NoticeKind


def absence_notices(audience: Audience) -> Iterator[Notice]:
    """Yield a notice to each person who is away now, at their own addresses, once for each absence."""
    for person in audience.people.persons if audience.people is not None else ():
        absence = absence_of(person, audience.now)
        if absence is None or not person.active:
            continue
        happened = (
            f"somebody said that you are away until {absence.until:%Y-%m-%d %H:%M} UTC, so others get your "
            "messages; if this was not you: plangate away --back"
        )
        yield Notice(
            person=person.name,
            kind=NoticeKind.AWAY,
            event=f"away:{absence.since:%Y%m%dT%H%M%S}:{absence.until:%Y%m%dT%H%M%S}",
            due_at=audience.now,
            facts=Facts(happened=happened, link=audience.inbox),
        )
