"""Send one notice now, to test the addresses of a person or a role; nothing is recorded."""

import asyncio
import secrets
from typing import assert_never

from plangate.domain.base import Frozen
from plangate.domain.escaping import one_line
from plangate.domain.people.people import ROLE
from plangate.notifications.addresses import addresses_of
from plangate.notifications.channels import Channels
from plangate.notifications.failures import shown_address, without_address
from plangate.notifications.ledger import shared_time
from plangate.notifications.notice import Delivery, Facts, Notice, NoticeKind, Sending
from plangate.records.current_rules import current_rules
from plangate.records.database import Database
from plangate.settings import Settings


class Tried(Frozen):
    """The result of the attempt at one address, which is shown without secrets."""

    person: str
    address: str
    result: Delivery
    reason: str

    @property
    def is_sent(self) -> bool:
        """Whether the address accepted it."""
        return self.result is Delivery.SENT

    def __str__(self) -> str:
        """Return it as one sentence."""
        reason = without_address(self.reason, self.address)
        match self.result:
            case Delivery.SENT:
                return f"{self.address}: {_clause(reason, 'accepted the notice')}."
            case Delivery.LATER:
                return f"{self.address} cannot accept it now: {_clause(reason)}; it will be tried again."
            case Delivery.REFUSED:
                return f"{self.address} refused it: {_clause(reason)}; it will not be tried again."
            case _:
                assert_never(self.result)


async def try_addresses(settings: Settings, database: Database, name: str) -> tuple[Tried, ...]:
    """Send a notice to each address of a person or role, according to the current list of people.

    Args:
        settings: the mail settings.
        database: the records.
        name: the name of the person, or ``role:NAME``.

    Returns:
        The result of each attempt; empty if there is no address.

    Raises:
        RecordsMissing: no worker has created the records yet.
        RecordsUnavailable: the database does not respond.
        SettingsInvalid: a mail setting cannot be used.
    """
    with database.read() as connection:
        now = shared_time(connection)
        people = current_rules(connection).people
    person = people.find(name) if people is not None else None
    listed_name = person.name if person is not None else name
    notice = Notice(
        person=listed_name,
        kind=NoticeKind.TEST,
        event=f"test:{secrets.token_hex(8)}",
        due_at=now,
        facts=Facts(link=settings.web_url),
    )
    sendings = [
        Sending(
            address=address,
            person=listed_name,
            notices=(notice,),
            message_id=f"{database.installation}.{secrets.token_hex(8)}",
        )
        for address in addresses_of(people, listed_name)
    ]
    channels = Channels(settings)
    attempts = await asyncio.gather(*(channels.send(one, now) for one in sendings))
    return tuple(
        Tried(
            person=listed_name,
            address=shown_address(sending.address),
            result=one.delivery,
            reason=one_line(one.reason),
        )
        for sending, one in zip(sendings, attempts, strict=True)
    )


def why_no_address(database: Database, name: str) -> str:
    """Return the reason why a person or a role has no address in the current list, and what to do."""
    with database.read() as connection:
        people = current_rules(connection).people
    shown, person = one_line(name), people.find(name) if people is not None else None
    if person is None and not name.startswith(ROLE):
        return f"{shown} is not in the list of people that the workers use."
    if person is not None and not person.active:
        return f"{shown} is not active in the list of people, and therefore gets no notices."
    return f"{shown} has no address in the list of people; add one, and wait 30 seconds."


def _clause(reason: str, otherwise: str = "it gave no reason") -> str:
    return reason.rstrip(".") or otherwise
