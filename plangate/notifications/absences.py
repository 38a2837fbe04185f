"""Notify people who were marked as away, because anyone who types their name can redirect their messages."""

from collections.abc import Iterator
from typing import Final

from plangate.domain.people.absence import absence_of
from plangate.notifications.audience import Audience
from plangate.notifications.notice import Facts, Notice, NoticeKind

_GO_TO_OTHERS: Final = "you are marked as away; you are still asked for decisions that no one else can make"
_COME_TO_YOU: Final = "no one else can get your messages now, so they still come to you"
_IF_NOT: Final = "if you are not away, choose “I am back” on your page"


def absence_notices(audience: Audience) -> Iterator[Notice]:
    """Yield a notice to each person who is away now, at their own addresses, once for each absence."""
    for person in audience.people.persons if audience.people is not None else ():
        absence = absence_of(person, audience.now)
        if absence is None or not person.active:
            continue
        others = audience.recipients_instead_of(None, person.name)
        goes_to = () if others == (person.name,) else others
        yield Notice(
            person=person.name,
            kind=NoticeKind.AWAY,
            event=f"away:{absence.since:%Y%m%dT%H%M%S}:{absence.until:%Y%m%dT%H%M%S}",
            due_at=audience.now,
            facts=Facts(
                happened=f"{_GO_TO_OTHERS if goes_to else _COME_TO_YOU}; {_IF_NOT}",
                goes_to=goes_to,
                away_until=absence.until,
                link=f"{audience.inbox}/me",
            ),
        )
