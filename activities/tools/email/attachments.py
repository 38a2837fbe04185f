"""Read the attachments of an email: files with relative names, in a folder that the operator has set.

Names are normalized and have no hidden characters. No part of a name may be a symbolic link, and only regular
files are read. Each folder is opened relative to its parent, so that no part of the path can be replaced in
between.
"""

import errno
import mimetypes
import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from plangate.domain.errors import SettingsInvalid, ToolRefused

SETTING: Final = "PLANGATE_ATTACHMENTS_DIR"
MAX_FILES: Final = 10
MAX_BYTES: Final = 10 * 1024 * 1024  # the limit for all files in one email
MAX_PATH: Final = 400
_MAX_NAME: Final = 120  # characters
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Not from the machine's MIME types, because each worker must get the same result.
_TYPES: Final = mimetypes.MimeTypes()
_ANY_TYPE: Final = "application/octet-stream"
_IN_PARTS: Final = ("message/", "multipart/")  # parts of this type must not be encoded in Base64


def normalized_name(text: str) -> str:
    """Return the normalized relative name.

    Raises:
        ValueError: it is not a plain relative name; the message says why.
    """
    name = unicodedata.normalize("NFC", text)
    if name.startswith("/"):
        raise ValueError("is an absolute path; give the path relative to the folder of attachments")
    if "\\" in name:
        raise ValueError("contains a backslash; separate folders with /")
    for part in name.split("/"):
        if part in ("", ".", ".."):
            raise ValueError("has an empty part, '.' or '..'; write the path without them")
        if part.startswith(".") or part != part.strip() or part.endswith("."):
            raise ValueError("has a part that begins or ends with a dot or a space; rename the file")
        if len(part) > _MAX_NAME:
            raise ValueError(f"has a part of more than {_MAX_NAME} characters; rename the file")
    hidden = next((char for char in name if unicodedata.category(char) in _HIDDEN), None)
    if hidden is not None:
        raise ValueError(f"contains U+{ord(hidden):04X}, which is not visible; rename the file")
    return name


def media_type_of(name: str) -> str:
    """Return the media type for a file name's extension."""
    kind, encoding = _TYPES.guess_type(name)
    return _ANY_TYPE if kind is None or encoding or kind.startswith(_IN_PARTS) else kind


class AttachmentsFolder:
    """The folder of files that can be attached to emails.

    Raises:
        SettingsInvalid: it is not a folder.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise SettingsInvalid(f"The setting {SETTING} cannot be used: {path} is not a folder.")
        self._path = path

    def read(self, name: str, limit: int) -> bytes:
        """Return the bytes of a file with a valid name.

        Raises:
            ToolRefused: there is no such regular file, or it has more than ``limit`` bytes.
        """
        try:
            with self._opened(name) as descriptor:
                found = os.fstat(descriptor)
                if not stat.S_ISREG(found.st_mode):
                    raise ToolRefused(f"The attachment {name} is not a plain file.")
                with open(descriptor, "rb", closefd=False) as file:
                    content = file.read(limit + 1)
        except OSError as error:
            raise ToolRefused(
                f"The attachment {name} cannot be read from {SETTING}: {_why(error)}."
            ) from None
        if len(content) > limit:
            raise ToolRefused(
                f"The attachment {name} is too large: the files in an email may total {MAX_BYTES:,} bytes."
            )
        return content

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        *folders, last = name.split("/")
        opened = [os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            for folder in folders:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                opened.append(os.open(folder, flags, dir_fd=opened[-1]))
            # Opening a pipe would wait for a writer.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            opened.append(os.open(last, flags, dir_fd=opened[-1]))
            yield opened[-1]
        finally:
            for descriptor in opened:
                os.close(descriptor)


def _why(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "there is no such file"
        case _ if error.errno == errno.ELOOP:
            return "it is a symbolic link"
        case NotADirectoryError():
            return "a part of its name is a symbolic link or not a folder"
        case _:
            return error.strerror or type(error).__name__
