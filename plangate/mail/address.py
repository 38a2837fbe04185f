"""Validate and normalize an email address.

Approvers must be able to see where an email goes. An address is therefore a plain ``name@host``: no display
name, no quoting, no routing characters (``%``, ``!``). It is in lower case, with the host in A-labels.
"""

import re
from typing import Final

from plangate.domain.errors import SettingsInvalid
from plangate.host_names import normalized_host

MAX_ADDRESS: Final = 254
_ATOM: Final = r"[A-Za-z0-9_+=&'~#$*/-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)*(?![0-9]+\Z){_LABEL}")
_MAX_NAME: Final = 64


def checked_sender(mail_from: str) -> str:
    """Return the value of PLANGATE_MAIL_FROM, the address that emails are sent from, in normalized form.

    Raises:
        SettingsInvalid: it is not a plain address.
    """
    try:
        return normalized_address(mail_from)
    except ValueError as error:
        raise SettingsInvalid(f"The setting PLANGATE_MAIL_FROM cannot be used: it {error}.") from None


def normalized_address(text: str) -> str:
    """Return the normalized form of a plain address.

    Raises:
        ValueError: it is not a plain address; the message explains why.
    """
    name, at, host = text.rpartition("@")
    if at and not host.isascii() and not any(char.isspace() for char in host):
        text = f"{name}@{normalized_host(host)}"
    foreign = next((char for char in text if not char.isascii()), None)
    if foreign is not None:
        raise ValueError(
            f"contains U+{ord(foreign):04X}, which is not ASCII and can look like another letter; "
            "use an address whose part before the @ is ASCII"
        )
    text = text.lower()
    if not _ADDRESS.fullmatch(text) or text.index("@") > _MAX_NAME or len(text) > MAX_ADDRESS:
        raise ValueError(
            "is not a plain address such as dana@example.org; remove display names, brackets and spaces"
        )
    return f"{text.rpartition('@')[0]}@{normalized_host(text.rpartition('@')[2])}"
