"""Tell people that they are said to be away: a typed name is enough for that, and moves their messages."""

from collections.abc import Iterator
from typing import Final

from plangate.domain.absence import absence_of
from plangate.notifications.audience import Audience
from plangate.notifications.notice import Facts, Notice, NoticeKind

_TOO: Final = "what no one else can decide comes to you, too"
_SAID: Final = "it was said in your name that you are away: if you are not, choose “I am back” on your page"
_NO_ONE: Final = "no one is there to get your messages, so they still come to you"


def absence_notices(audience: Audience) -> Iterator[Notice]:
    """Yield a notice to each person who is away now, at their own addresses, once for each absence."""
    for person in audience.people.persons if audience.people is not None else ():
        absence = absence_of(person, audience.now)
        if absence is None or not person.active:
            continue
        others = audience.instead(None, person.name)
        goes_to = () if others == (person.name,) else others
        yield Notice(
            person=person.name,
            kind=NoticeKind.AWAY,
            event=f"away:{absence.since:%Y%m%dT%H%M%S}:{absence.until:%Y%m%dT%H%M%S}",
            due_at=audience.now,
            facts=Facts(
                happened=f"{_TOO if goes_to else _NO_ONE}; {_SAID}",
                goes_to=goes_to,
                away_until=absence.until,
                link=f"{audience.inbox}/me",
            ),
        )
