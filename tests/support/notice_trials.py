"""Send hostile texts through every channel; compare each received message with a harmless one."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from plangate.notifications.channels import Channels
from plangate.notifications.notice import Delivery, NoticeKind
from plangate.settings import Settings
from tests.support.notice_services import ADDRESSES, Running
from tests.support.notice_texts import (
    HARMLESS,
    INBOX,
    NOW,
    Shape,
    hostile,
    sending_with,
    shape_of,
    shape_of_mail,
)
from tests.support.visual_tricks import Trick

CHANNELS: Final = ("mail", *ADDRESSES)
_DIGEST: Final = (NoticeKind.NEEDED, NoticeKind.OUTCOME)
FORMS: Final = (*((kind,) for kind in NoticeKind), _DIGEST)


@dataclass(frozen=True)
class TextCase:
    """One text in every field of notices of these kinds, sent through one channel."""

    trick: Trick
    channel: str
    kinds: tuple[NoticeKind, ...]
    has_details: bool


def cases(seed: int) -> list[TextCase]:
    """Return every text with every channel; the kinds of notices and the details are random."""
    rng = Random(seed)
    return [
        TextCase(trick, channel, rng.choice(FORMS), rng.random() < 0.5)
        for trick in hostile()
        for channel in CHANNELS
    ]


@dataclass
class TextTrials:
    """The channels and their services; ``folder`` is where mails are written."""

    running: Running
    folder: Path
    _harmless: dict[tuple[str, tuple[NoticeKind, ...], bool], Shape] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._channels = Channels(Settings(var_dir=self.folder, web_url=INBOX, smtp_url=None))

    async def check(self, case: TextCase) -> None:
        """Fail if the text appears outside its field, or is interpreted."""
        key = case.channel, case.kinds, case.has_details
        if key not in self._harmless:
            self._harmless[key] = await self._shape(HARMLESS, *key)
        found, harmless = await self._shape(case.trick.text, *key), self._harmless[key]
        assert found.frame == harmless.frame, "the frame of the message differs"
        assert found.lines == harmless.lines, f"its lines are {found.lines}, not {harmless.lines}"
        more = Counter(found.interpreted) - Counter(harmless.interpreted)
        assert found.interpreted == harmless.interpreted, f"a client interprets {dict(more)}"
        assert found.links == harmless.links, f"it has {found.links} links, not {harmless.links}"

    async def _shape(
        self, text: str, channel: str, kinds: tuple[NoticeKind, ...], has_details: bool
    ) -> Shape:
        address = self.running.addresses.get(channel, "mailto:dana@example.org")
        sending = sending_with(text, address, kinds, has_details=has_details)
        self.running.services.received.clear()
        attempted = await self._channels.send(sending, NOW)
        assert attempted.delivery is Delivery.SENT, f"it was not sent: {attempted.reason}"
        if channel != "mail":
            (received,) = self.running.services.received
            assert received.service == channel
            return shape_of(received)
        (path,) = (self.folder / "outbox").glob("*.eml")
        raw = path.read_bytes()
        path.unlink()
        return shape_of_mail(raw)
