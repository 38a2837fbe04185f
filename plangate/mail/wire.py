"""Compose an email's bytes, and compare the bytes about to be sent with the approved email.

CPython's header folding loses spaces in long non-ASCII subjects, and does so differently in each version.
Headers are therefore composed here, in the simplest form of RFC 5322 and RFC 2047. An encoded word contains
only whole characters, and the fold between two encoded words is not part of the text. An email with
attachments is multipart/mixed: its text, then each file in base64. One with HTML is multipart/alternative:
text, then HTML. The bytes about to be sent are parsed by `email.parser` and compared with the approved email.
"""

import base64
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage, MIMEPart
from email.parser import BytesParser
from typing import Final
from urllib.parse import quote

from plangate.domain.errors import ToolRefused

_HEADERS: Final = (
    "From", "To", "Cc", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding",
)  # fmt: skip
_OF_ONE_PART: Final = frozenset({"Content-Type", "Content-Transfer-Encoding"})
_OF_A_FILE: Final = _OF_ONE_PART | {"Content-Disposition"}
_LINE: Final = 76
# Octets in one encoded word: '=?utf-8?B??=' plus their base64 fit into 75 characters (RFC 2047).
_WORD: Final = 45
_END: Final = b"\r\n.\r\n"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9._ +=@()-]{1,50}")
_LONE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """An attached file: its name without folders, its media type without parameters, and its bytes."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Email:
    """The content of an email: plain addresses, a one-line subject, a body whose lines end with LF, files.

    Attributes:
        html: the same content as HTML; only in an email without files.
        fields: more headers, each with a value in ASCII on one line, which is folded at spaces.
    """

    sender: str
    to: tuple[str, ...]
    cc: tuple[str, ...]
    subject: str
    body: str
    date: str
    message_id: str
    files: tuple[AttachedFile, ...] = ()
    html: str = ""
    fields: tuple[tuple[str, str], ...] = ()

    @property
    def recipients(self) -> tuple[str, ...]:
        """All recipients: ``to``, then ``cc``."""
        return (*self.to, *self.cc)


def composed(email: Email) -> bytes:
    """Return the email's bytes: ASCII, CRLF line endings, lines of at most 76 characters."""
    headers = [("From", email.sender), ("To", _listed(email.to))]
    if email.cc:
        headers.append(("Cc", _listed(email.cc)))
    headers += [("Subject", _subject(email.subject)), ("Date", email.date)]
    headers += [("Message-ID", email.message_id)]
    headers += [(name, value.replace(" ", "\r\n ")) for name, value in email.fields]
    headers += [("MIME-Version", "1.0")]
    assert not (email.html and email.files)
    parts = [_text(email.body), *map(_file, email.files)]
    if email.html:
        parts.append(_text(email.html, "html"))
    if len(parts) == 1:
        own, content = parts[0]
        return _head([*headers, *own]) + content
    # Base64 never contains "_", and no text can contain the digest, which depends on the fingerprint of the
    # plan.
    boundary = f"=_{hashlib.sha256(email.message_id.encode()).hexdigest()[:40]}"
    headers += [("Content-Type", f'{_whole_type(email)};\r\n boundary="{boundary}"')]
    line = f"--{boundary}".encode("ascii")
    whole = b"".join(line + b"\r\n" + _head(own) + content + b"\r\n" for own, content in parts)
    return _head(headers) + whole + line + b"--\r\n"


def _whole_type(email: Email) -> str:
    return "multipart/alternative" if email.html else "multipart/mixed"


def _text(body: str, kind: str = "plain") -> tuple[list[tuple[str, str]], bytes]:
    """Return the headers and the lines of a text part."""
    content = _with_newline(body)
    if _is_plain(content):
        encoding, lines = "7bit", content.encode("ascii").replace(b"\n", b"\r\n")
    else:
        encoding, lines = "base64", _base64(content.replace("\n", "\r\n").encode())
    return [("Content-Type", f"text/{kind}; charset=utf-8"), ("Content-Transfer-Encoding", encoding)], lines


def _file(file: AttachedFile) -> tuple[list[tuple[str, str]], bytes]:
    """Return the headers and the lines of a file part."""
    name = f'filename="{file.name}"'
    if not _PLAIN_NAME.fullmatch(file.name):
        name = f"filename*=utf-8''{quote(file.name, safe='')}"  # RFC 2231
    headers = [
        ("Content-Type", file.media_type),
        ("Content-Transfer-Encoding", "base64"),
        ("Content-Disposition", f"attachment;\r\n {name}"),
    ]
    return headers, _base64(file.content)


def _head(headers: Iterable[tuple[str, str]]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers).encode("ascii") + b"\r\n"


def _base64(octets: bytes) -> bytes:
    return base64.encodebytes(octets).replace(b"\n", b"\r\n")


def difference(content: bytes, email: Email) -> str | None:
    """Return the part in which the bytes ``content`` differ from ``email``, or None."""
    if not content.isascii() or _LONE.search(content):
        return "its bytes are not ASCII, or a line does not end with CRLF"
    read = BytesParser(policy=policy.default).parsebytes(content)
    has_parts = bool(email.files or email.html)
    left_out = {"" if email.cc else "Cc", "Content-Transfer-Encoding" if has_parts else ""}
    named = (*_HEADERS, *(name for name, _ in email.fields))
    expected = sorted(name for name in named if name not in left_out)
    if sorted(read.keys()) != expected or read.defects:
        return "its headers"
    text: MIMEPart = read
    html: list[MIMEPart] = []
    files: list[MIMEPart] = []
    if has_parts:
        if read.get_content_type() != _whole_type(email) or read.preamble or read.epilogue:
            return "its parts"
        text, *files = read.iter_parts()
        if set(text.keys()) != _OF_ONE_PART or text.defects:
            return "its parts"
        html, files = (files, []) if email.html else ([], files)
    if text.is_multipart() or len(files) != len(email.files) or len(html) != bool(email.html):
        return "its parts"
    compared: dict[str, tuple[object, object]] = {
        "the sender": (_addresses(read, "From"), (email.sender,)),
        "the recipients": (_addresses(read, "To"), email.to),
        "the copies": (_addresses(read, "Cc"), email.cc),
        "the subject": (str(read["Subject"]), email.subject),
        "the date": (str(read["Date"]), email.date),
        "the Message-ID": (str(read["Message-ID"]).strip(), email.message_id),
        "the body": (_body(text), _with_newline(email.body)),
    }
    compared |= {name: (" ".join(str(read[name]).split()), value) for name, value in email.fields}
    if html:
        compared["the HTML"] = (_html(html[0]), _with_newline(email.html))
    compared |= {
        f"the attachment {file.name!r}": (_read_file(part), file)
        for part, file in zip(files, email.files, strict=True)
    }
    return next((what for what, (one, other) in compared.items() if one != other), None)


def difference_on_the_wire(data: bytes, email: Email, content: bytes = b"") -> str | None:
    """Do the same as `difference` for SMTP's DATA: leading dots doubled, a single dot at the end.

    ``content`` contains the bytes that were compared earlier, so that a large email is not parsed twice.
    """
    if not data.endswith(_END):
        return "its end is missing"
    lines = data.removesuffix(b".\r\n").split(b"\r\n")
    if any(line.startswith(b".") and not line.startswith(b"..") for line in lines):
        return "a dot at the start of a line is not doubled"
    sent = b"\r\n".join(line.removeprefix(b".") for line in lines)
    return None if sent == content else difference(sent, email)


def refuse_difference(difference: str | None) -> None:
    """Raise an error if the bytes of an email differ from the approved email.

    Args:
        difference: the name of the part that differs; None if nothing differs.

    Raises:
        ToolRefused: they differ.
    """
    if difference:
        raise ToolRefused(
            f"The mail about to be sent differs from the one that was approved ({difference}); nothing was "
            "sent. This is a bug in Plangate or its mail library: report it."
        )


def _listed(addresses: tuple[str, ...]) -> str:
    return ",\r\n ".join(addresses)


def _subject(text: str) -> str:
    """Return the header's value: the text itself if it is short and plain, else as encoded words."""
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


def _read_file(part: MIMEPart) -> AttachedFile | None:
    """Return the file that a mail program finds in a part, or None if it finds something else."""
    if set(part.keys()) != _OF_A_FILE or part.defects or part.is_multipart() or not part.is_attachment():
        return None
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return AttachedFile(part.get_filename() or "", part.get_content_type(), content)


def _with_newline(body: str) -> str:
    return body if body.endswith("\n") else body + "\n"


def _body(read: MIMEPart) -> str:
    content: str = read.get_content()
    return content.replace("\r\n", "\n")


def _html(read: MIMEPart) -> str | None:
    """Return the HTML that a mail program finds in a part, or None if it finds something else."""
    if set(read.keys()) != _OF_ONE_PART or read.defects or read.get_content_type() != "text/html":
        return None
    return _body(read)
