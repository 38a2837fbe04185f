"""Compose a mail's bytes, and compare the bytes about to be sent with the approved mail.

CPython's header folding loses spaces in long non-ASCII subjects, differently in each version. Headers are
therefore composed here, in the plainest form of RFC 5322 and RFC 2047: an encoded word holds whole characters
only, and the fold between two encoded words is not part of the text. The bytes about to be sent are parsed by
`email.parser` and compared with the approved mail. Standard library only.
"""

import base64
import re
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Final

_HEADERS: Final = (
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding",
)  # fmt: skip
_LINE: Final = 76
# Octets in one encoded word: '=?utf-8?B??=' plus their base64 fit into 75 characters (RFC 2047).
_WORD: Final = 45
_END: Final = b"\r\n.\r\n"
_LONE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Letter:
    """The content of a mail: plain addresses, a one-line subject, a body whose lines end with LF."""

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    body: str
    date: str
    message_id: str


def composed(letter: Letter) -> bytes:
    """Return the mail's bytes: ASCII, CRLF line endings, lines of at most 76 characters."""
    headers = [("From", letter.sender), ("To", _listed(letter.to))]
    if letter.cc:
        headers.append(("Cc", _listed(letter.cc)))
    headers += [("Subject", _subject(letter.subject)), ("Date", letter.date)]
    headers += [("Message-ID", letter.message_id), ("MIME-Version", "1.0")]
    headers += [("Content-Type", "text/plain; charset=utf-8")]
    content = letter.body if letter.body.endswith("\n") else letter.body + "\n"
    if _is_plain(content):
        encoding, lines = "7bit", content.encode("ascii").replace(b"\n", b"\r\n")
    else:
        octets = content.replace("\n", "\r\n").encode()
        encoding, lines = "base64", base64.encodebytes(octets).replace(b"\n", b"\r\n")
    headers.append(("Content-Transfer-Encoding", encoding))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return head.encode("ascii") + b"\r\n" + lines


def difference(content: bytes, letter: Letter) -> str | None:
    """Return the part in which the bytes ``content`` differ from ``letter``, or None."""
    if not content.isascii() or _LONE.search(content):
        return "its bytes are not ASCII, or a line does not end with CRLF"
    read = BytesParser(policy=policy.default).parsebytes(content)
    expected = sorted(name for name in _HEADERS if name != "Cc" or letter.cc)
    if sorted(read.keys()) != expected or read.defects or read.is_multipart():
        return "its headers"
    said = {
        "the sender": (_addresses(read, "From"), (letter.sender,)),
        "the recipients": (_addresses(read, "To"), letter.to),
        "the copies": (_addresses(read, "Cc"), letter.cc),
        "the subject": (str(read["Subject"]), letter.subject),
        "the date": (str(read["Date"]), letter.date),
        "the Message-ID": (str(read["Message-ID"]).strip(), letter.message_id),
        "the body": (_body(read), letter.body if letter.body.endswith("\n") else letter.body + "\n"),
    }
    return next((what for what, (one, other) in said.items() if one != other), None)


def difference_on_the_wire(data: bytes, letter: Letter) -> str | None:
    """Do the same for what follows SMTP's DATA: leading dots doubled, a lone dot at the end."""
    if not data.endswith(_END):
        return "its end is missing"
    lines = data.removesuffix(b".\r\n").split(b"\r\n")
    if any(line.startswith(b".") and not line.startswith(b"..") for line in lines):
        return "a dot at the start of a line is not doubled"
    return difference(b"\r\n".join(line.removeprefix(b".") for line in lines), letter)


def _listed(addresses: tuple[str, ...]) -> str:
    return ",\r\n ".join(addresses)


def _subject(text: str) -> str:
    """Return the header's value: the text itself if it is short and plain, else encoded words."""
    if text.isascii() and "=?" not in text and len(text) + len("Subject: ") <= _LINE:
        return text
    words, word = [], b""
    for char in text:
        octets = char.encode()
        if len(word) + len(octets) > _WORD:
            words.append(word)
            word = b""
        word += octets
    words.append(word)
    return "\r\n ".join(f"=?utf-8?B?{base64.b64encode(one).decode('ascii')}?=" for one in words)


def _is_plain(content: str) -> bool:
    return content.isascii() and all(len(line) <= _LINE for line in content.split("\n"))


def _addresses(read: EmailMessage, name: str) -> tuple[str, ...]:
    header = read[name]
    return tuple(str(one.addr_spec) for one in header.addresses) if header is not None else ()


def _body(read: EmailMessage) -> str:
    content: str = read.get_content()
    return content.replace("\r\n", "\n")
