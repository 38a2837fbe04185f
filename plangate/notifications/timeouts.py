"""Limit how long a channel waits for a server, in seconds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The limits of one attempt.

    Attributes:
        envelope: the time to connect to a mail server, and for it to accept the sender and the recipient.
        reply: the time for the mail server to respond to the email, which it may scan first. Without a
            response, the email may have been sent.
        wait: the time to connect to a chat service, and between two parts of its response.
        whole: the time for a complete attempt with a chat service.
    """

    envelope: float = 60.0
    reply: float = 120.0
    wait: float = 10.0
    whole: float = 30.0


TIMEOUTS = Timeouts()
