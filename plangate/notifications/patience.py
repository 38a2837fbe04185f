"""Limit how long a channel waits for a server, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """The limits of one attempt.

    Attributes:
        envelope: the time for a mail server to connect, and to take sender and recipient.
        reply: the time for its reply to the mail, which it may scan first. Without a reply the mail may have
            been sent.
        wait: the time for a chat service to connect, and between two parts of its answer.
        whole: the time for a complete attempt with a chat service.
    """

    envelope: float = 60.0
    reply: float = 120.0
    wait: float = 10.0
    whole: float = 30.0


PATIENCE = Patience()
