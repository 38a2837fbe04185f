"""Messages, with their plain text and Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send: a one-line subject, and the same content as plain text, HTML and Markdown."""

    subject: str
    text: str
    html: str
    markdown: str


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a message about one run: a sentence, fields, lists, and a link with its purpose.

    Its text is safe to show: it contains no hidden characters and nothing that a client interprets. In a
    digest, each part is one row with only a sentence and its link.
    """

    sentence: str
    fields: tuple[tuple[str, str], ...] = ()
    lists: tuple[tuple[str, tuple[str, ...]], ...] = ()
    link: str = ""
    action: str = ""
    is_row: bool = False


def plain_of(parts: Sequence[Part], closing: Sequence[str]) -> str:
    """Return a message as plain text."""
    blocks = [line for part in parts for line in _blocks(part)]
    return "\n\n".join([*blocks, *closing]) + "\n"


def markdown_of(parts: Sequence[Part], closing: Sequence[str]) -> str:
    """Return the message as Markdown; its text needs no escaping."""
    blocks: list[str] = []
    for part in parts:
        if part.is_row:
            blocks.append(f"- {part.sentence}" + (f" [{part.action}]({part.link})" if part.link else ""))
            continue
        blocks.append(part.sentence)
        if part.fields:
            blocks.append("\n".join(f"- {label}: {value}" for label, value in part.fields))
        for label, lines in part.lists:
            blocks += [f"{label}:", "\n".join(f"- • {line}" for line in lines)]
        if part.link:
            blocks.append(f"[{part.action}]({part.link})")
    return "\n\n".join([*blocks, *closing]) + "\n"


def _blocks(part: Part) -> list[str]:
    if part.is_row:
        return [f"• {part.sentence}" + (f"\n{part.link}" if part.link else "")]
    blocks = [part.sentence]
    if part.fields:
        blocks.append("\n".join(f"{label}: {value}" for label, value in part.fields))
    for label, lines in part.lists:
        blocks.append("\n".join([f"{label}:", *(f"• {line}" for line in lines)]))
    if part.link:
        blocks.append(f"{part.action}:\n{part.link}")
    return blocks
