"""The HTML part of an email: one column for phones, and no scripts, images or external content."""

from collections.abc import Sequence
from html import escape
from typing import Final

from plangate.notifications.message import Part

_BODY: Final = (
    "margin:0;padding:24px 16px;font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif;"
    "max-width:600px;overflow-wrap:anywhere"
)
_BUTTON: Final = (
    "display:inline-block;padding:14px 24px;border-radius:8px;background:#1d4ed8;color:#ffffff;"
    "font-weight:600;text-decoration:none"
)
_SMALL: Final = "margin:4px 0 16px;font-size:13px;opacity:.7"
_LABEL: Final = "opacity:.7"
_SENTENCE: Final = "margin:0 0 16px;font-size:18px;font-weight:600"


def html_of(subject: str, parts: Sequence[Part], closing: Sequence[str]) -> str:
    """Return a message as HTML."""
    body = "\n<hr>\n".join(_row(part) if part.is_row else _part(part) for part in parts)
    lines = "\n".join(f'<p style="{_SMALL}">{_text(line)}</p>' for line in closing)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="format-detection" content="telephone=no, date=no, address=no, email=no, url=no">\n'
        f"<title>{_text(subject)}</title>\n</head>\n"
        f'<body style="{_BODY}">\n{body}\n{lines}\n</body>\n</html>\n'
    )


def _row(part: Part) -> str:
    line = f'<p style="margin:0 0 8px"><bdi>{_text(part.sentence)}</bdi>'
    if not part.link:
        return f"{line}</p>"
    link = escape(part.link, quote=True)
    return f'{line}<br>\n<a href="{link}">{_text(part.action)}</a></p>\n<p style="{_SMALL}">{link}</p>'


def _part(part: Part) -> str:
    blocks = [f'<p style="{_SENTENCE}">{_text(part.sentence)}</p>']
    if part.fields:
        rows = "<br>\n".join(
            f'<span style="{_LABEL}">{_text(label)}:</span> <bdi>{_text(value)}</bdi>'
            for label, value in part.fields
        )
        blocks.append(f'<p style="margin:0 0 16px">{rows}</p>')
    for label, lines in part.lists:
        items = "\n".join(f"<li><bdi>{_text(line)}</bdi></li>" for line in lines)
        blocks.append(f'<p style="margin:0;{_LABEL}">{_text(label)}:</p>\n<ul>\n{items}\n</ul>')
    if part.link:
        link = escape(part.link, quote=True)
        blocks.append(f'<p style="margin:0"><a href="{link}" style="{_BUTTON}">{_text(part.action)}</a></p>')
        blocks.append(f'<p style="{_SMALL}">{link}</p>')
    return "\n".join(blocks)


def _text(text: str) -> str:
    return escape(text, quote=True)
