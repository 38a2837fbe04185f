"""Errors for the part of an email that a server refused permanently; sending it again cannot succeed."""

from plangate.domain.errors import ToolRefused


class RecipientsRefused(ToolRefused):
    """The server refused every recipient.

    Attributes:
        reply: its reply to the first recipient, such as ``550 no such user``.
    """

    def __init__(self, message: str, reply: str) -> None:
        super().__init__(message)
        self.reply = reply


class ContentRefused(ToolRefused):
    """The server accepted the recipients, but refused the email itself.

    Attributes:
        reply: its reply, such as ``554 spam``.
    """

    def __init__(self, message: str, reply: str) -> None:
        super().__init__(message)
        self.reply = reply
