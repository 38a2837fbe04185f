"""Count the effects that happened in the demo, and compare them with the plan.

The counts come from the ticket service, the files in the outbox and the trail, not from receipts, because
Plangate itself reports those.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import policy
from email.parser import BytesHeaderParser
from pathlib import Path

from plangate.cli.demo.ticket_service import TicketService
from plangate.domain.runs.audit import AuditEntry, Claimed, Outcome, StepDone
from plangate.domain.runs.status import Status

Mail = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Count:
    """One kind of effect, with its expected and actual counts."""

    what: str
    expected: int
    found: int

    @property
    def is_equal(self) -> bool:
        """Whether both numbers are equal."""
        return self.expected == self.found

    def __str__(self) -> str:
        sign = "✓" if self.is_equal else "✗"
        return f"{sign} {self.what}: {self.found} (planned: {self.expected})"


class Outbox:
    """The emails that were added to the outbox since this object was created."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._before = frozenset(folder.glob("*.eml"))

    def mails(self) -> dict[Path, Mail]:
        """Return the new emails, each with its recipients and subject."""
        return {path: _mail(path) for path in sorted(set(self._folder.glob("*.eml")) - self._before)}


def count_effects(
    status: Status, trail: Sequence[AuditEntry], service: TicketService, outbox: Outbox
) -> list[Count]:
    """Return the counts that show whether each effect happened as often as expected: once, or never."""
    runs = status.state == Outcome.EXECUTED
    steps = status.steps if runs else ()
    asked_for = [(step.arguments.get("method"), step.arguments.get("url")) for step in steps]
    tickets = asked_for.count(("POST", service.url))
    sent = Counter(
        (", ".join(map(str, _list(step.arguments["to"]))), str(step.arguments["subject"]))
        for step in steps
        if step.tool == "send_email"
    )
    found = Counter(outbox.mails().values())
    mails = found if not runs else Counter({mail: found[mail] for mail in sent})
    return [
        Count("tickets opened in the ticket service", tickets, len(service.tickets)),
        Count("calls that the ticket service received", tickets, service.calls),
        Count("mails in the outbox", sent.total(), mails.total()),
        *_on_record(trail, len(steps)),
    ]


def _on_record(trail: Sequence[AuditEntry], steps: int) -> Iterator[Count]:
    begun = [entry.event.step for entry in trail if isinstance(entry.event, Claimed)]
    done = [entry.event.step for entry in trail if isinstance(entry.event, StepDone)]
    yield Count("steps begun, according to the audit trail", steps, len(begun))
    yield Count("steps done, according to the audit trail", steps, len(done))


def _mail(path: Path) -> Mail:
    headers = BytesHeaderParser(policy=policy.default).parsebytes(path.read_bytes())
    return str(headers["To"]), str(headers["Subject"])


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
