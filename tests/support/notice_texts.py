"""Hostile texts in every field of a notice, and their rendering by clients.

A message passes if it has the same shape as the message with harmless texts: the same headers, tags,
lines and labels, and no additional text that a client interprets (links, mentions, emphasis, emojis). Real
parsers (`email`, `html.parser`) and a tokenizer in this file find the interpreted text; the tokenizer covers
every syntax that a service interprets.
"""

# ruff: noqa: RUF001, E501  these letters are intended, and long lines keep the table readable

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html import unescape
from html.parser import HTMLParser
from typing import Any, Final

from plangate.notifications.notice import Facts, Notice, NoticeKind, Sending
from tests.support.notice_services import Received
from tests.support.visual_tricks import Trick, tricks

NOW: Final = datetime(2026, 11, 26, 9, 0, tzinfo=UTC)
INBOX: Final = "https://gate.example.org"
HARMLESS: Final = "rita"
NEVER_SHOWN: Final = "7Q7Q"
_PLACE: Final = f"{INBOX}/runs/"
_LONGEST_LINK: Final = 120
MENTIONS: Final = (
    "@channel", "@here", "@everyone", "@all", "<!channel>", "<!here>", "<!everyone>", "<!subteam^S1|x>", "<@U6TTX1F9R>",
    "<#C024BE7LR>", "<!date^1392734382^{date}|x>", "<users/all>", "<@&165511591545143296>", "<@86890631690977280>",
    "@dana", "@dana.example", "#general", "~town-square", "!command", "/remind me", "<at>Dana</at>", "@[Dana](user:1)",
    "tg://user?id=1", "[x](tg://user?id=1)", "&lt;!channel&gt;", "&#60;!here&#62;", "&lt;@U1&gt;", "＜!here＞",
)  # fmt: skip
HEADERS: Final = (
    "rita\r\nBcc: eve@evil.example", "rita\nSubject: approved", "rita\r\n\r\n<html>", "rita\r\n.\r\nMAIL FROM:<e@e>",
    "=?utf-8?B?QXBwcm92ZWQ=?=", "=?utf-8?Q?=0D=0ABcc:_eve?=", "rita\u2028Bcc: eve", "rita\x00", "rita\x0bBcc: eve",
    "rita\r\n--=_boundary--\r\n", "rita\x85Bcc: eve", "List-Unsubscribe: <https://evil.example>",
)  # fmt: skip
LINKS: Final = (
    "https://evil.example/approve", "HTTPS://EVIL.EXAMPLE", "evil.example", "www.evil.example", "eve@evil.example",
    "mailto:eve@evil.example", "javascript:alert(1)", "data:text/html,x", "tel:+15551234567", "//evil.example",
    "http://localhost:8088/x", "http://[::1]/", "http:/\\evil.example", "ftp://evil.example", "evil.example/approve?x=1",
    "[Review and decide](https://evil.example)", "<https://evil.example|Review and decide>", "](https://evil.example)",
    "https\uff1a//evil.example", "evil\u3002example", "evil\uff0eexample", "Decide by: never", "\nDecide by: never",
    "evil\u3002com", "evil\uff0ecom/x", "evil\uff61com", "1.2.3.4/pay", "10.0.0.1", "1\uff0e2\u30023\uff614/pay",
    "x\n\nReview and decide:\nhttps://evil.example", "slack://x", "file:///etc/passwd", "smb://evil.example/x",
)  # fmt: skip
CHAT_MARKUP: Final = (
    "*bold*", "_italic_", "__under__", "~struck~", "`code`", "```fence```", ">quote", ">>> quote", "||spoiler||", "**b**",
    "***", "___", "* item", "- item", "+ item", "1. item", "# Title", "===", "---", "\\*", "\\", "a_b_c", "_a_b_", "a*b*c",
    ":fire:", ":white_check_mark: approved", "${SLACK_HOOK}", "{{app_title}}", "%0A", "\\n", "<b>", "</b>", "<pre>", "&amp;",
)  # fmt: skip
_LABELS: Final = re.compile(
    r"(?:- )?(?:What happened|Note|What is missing|What you can do|(?:Decided|Approved|Rejected|Resolved) by|Reason given|Asked by|Decide by|To be resolved by|Runs no earlier than|You may approve it from|If no one does|Steps|Done|Not known|Not done|Skipped|Undone|Review and decide|Resolve|View details|Open your page"
    r"|Open the inbox):|(?:- )?• |\[(?:Review and decide|Resolve|View details|Open your page|Open the inbox)\]\("
)
_INTERPRETED: Final = {
    "address": re.compile(r"(?i)[a-z][a-z0-9+.-]{1,20}:/?/?[^\s]*?[\w.-]+(?=/|\b)(?<!\bby:)|www\.\w"),
    "host": re.compile(r"(?i)(?<![\w.-])(?:[\w-]+[.\u3002\uff0e\uff61])+[a-z]{2,}(?![\w.-])"),
    "IPv4 address": re.compile(r"(?<!\d)(?:[12]?\d?\d[.\u3002\uff0e\uff61]){3}[12]?\d?\d(?!\d)"),
    "mention": re.compile(r"@\w|<[!@#&]|<users/|(?<!\w)~\w|(?<![\w&])#[^\W\d_]"),
    "emphasis": re.compile(r"[*`~|]|(?<![^\W_])_|_(?![^\W_])"),
    "markup": re.compile(r"<[a-zA-Z/!?]|\]\(|\\"),
    "entity": re.compile(r"&#?\w+;"),
    "emoji": re.compile(r":[\w+-]+:"),
    "block": re.compile(r"(?m)^\s*(?:#{1,6}\s|>|\d+[.)]\s|[-+*]\s|={3,}|-{3,})"),
}
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def hostile() -> Iterator[Trick]:
    """Yield every text, with the kind of its attack."""
    yield from tricks()
    for kind, texts in (
        ("mention", MENTIONS),
        ("header", HEADERS),
        ("link", LINKS),
        ("chat markup", CHAT_MARKUP),
    ):
        for text in texts:
            yield Trick(kind, text)


def notice_with(text: str, kind: NoticeKind, *, has_details: bool) -> Notice:
    """Return a notice that has this text in every text field."""
    filled = text if text.strip() else "(blank)"
    never = f"{NEVER_SHOWN} {filled}"
    verdict = {NoticeKind.RELIEVED: "approved", NoticeKind.OUTCOME: "rejected"}.get(kind, "")
    facts = Facts(
        workflow_id=filled,
        revision=2,
        tools=((filled, 2), ("create_ticket", 1)),
        requester=filled,
        deadline=NOW + timedelta(hours=4, minutes=5),
        happened=filled,
        done=(filled,),
        not_done=(filled,),
        not_known=(filled,),
        skipped=(filled,),
        undone=(filled,),
        skipped_tools=(filled,),
        details=(filled,) if has_details else (),
        by=filled,
        verdict=verdict,
        comment=filled if has_details else "",
        link=f"{_PLACE}{filled[:_LONGEST_LINK]}",
    )
    return Notice(person=never, kind=kind, event=never, due_at=NOW, facts=facts)


def sending_with(text: str, address: str, kinds: Sequence[NoticeKind], *, has_details: bool) -> Sending:
    """Return a sending to one address with a notice of each kind."""
    notices = tuple(notice_with(text, kind, has_details=has_details) for kind in kinds)
    is_repeat = has_details
    never = f"{NEVER_SHOWN} {text}"
    return Sending(
        address=address, person=never, notices=notices, zone=text, message_id=never, is_repeat=is_repeat
    )


@dataclass(frozen=True)
class Shape:
    """The properties that must be the same for every text.

    Attributes:
        frame: headers, tags, kinds of payload: everything except text.
        lines: the label of each line, without what follows it.
        interpreted: what clients interpret, in order.
        links: the targets of links.
    """

    frame: tuple[str, ...]
    lines: tuple[str, ...]
    interpreted: tuple[str, ...]
    links: int


def check_links(found: list[str]) -> None:
    """Fail if a link leads to any page other than the inbox."""
    for one in found:
        assert one == INBOX or one.startswith(_PLACE), f"a link leads to {one[:80]!r}"


def shape_of_mail(raw: bytes) -> Shape:
    """Return the shape of a mail; fail if the mail is malformed."""
    mail = BytesParser(policy=policy.default).parsebytes(raw)
    assert not mail.defects, mail.defects
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", raw) is None, "a lone line break"
    plain, html = _parts(mail)
    shown = _Tags()
    shown.feed(html)
    shown.close()
    check_links([value for name, value in shown.targets])
    _check_visible(str(mail["Subject"]) + plain + shown.text)
    text = shape_of_text(f"{mail['Subject']}\n{plain}")
    rendered = shape_of_text(shown.text.replace("\n", " "))
    frame = (*mail.keys(), *(str(mail[name]) for name in ("From", "To", "List-Id", "Auto-Submitted")))
    return Shape(
        (*frame, *shown.tags), text.lines, text.interpreted + rendered.interpreted, len(shown.targets)
    )


def _parts(mail: EmailMessage) -> tuple[str, str]:
    assert mail.get_content_type() == "multipart/alternative"
    plain, html = mail.iter_parts()
    assert plain.get_content_type() == "text/plain"
    assert html.get_content_type() == "text/html"
    return plain.get_content().replace("\r\n", "\n"), html.get_content().replace("\r\n", "\n")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.targets: list[tuple[str, str]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(
            " ".join([tag, *(name if name == "href" else f"{name}={value}" for name, value in attrs)])
        )
        self.targets += [(name, value or "") for name, value in attrs if name in ("href", "src", "action")]
        if tag in ("p", "li", "br", "hr"):
            self.text += "\n"

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.tags.append(f"comment {data}")

    def handle_decl(self, decl: str) -> None:
        self.tags.append(decl)

    def handle_data(self, data: str) -> None:
        self.text += data


def shape_of_text(text: str) -> Shape:
    """Return the shape of a text for a client that interprets every syntax of any client."""
    found = re.findall(r"https?://[^\s)]+", text)
    check_links(found)
    without = re.sub(r"\]\(https?://[^\s)]+\)", "](LINK)", text)
    without = re.sub(r"https?://[^\s)]+", "LINK", without)
    lines = tuple(_label(line) for line in without.splitlines())
    interpreted = [
        (match.start(), kind) for kind, pattern in _INTERPRETED.items() for match in pattern.finditer(without)
    ]
    return Shape((), lines, tuple(kind for _, kind in sorted(interpreted)), len(found))


def _label(line: str) -> str:
    label = _LABELS.match(line)
    return label[0] if label else ("text" if line else "")


def shape_of(received: Received) -> Shape:
    """Return the shape of a message that a chat service accepted."""
    _check_visible(f"{received.title}\n{received.body}")
    title, body, frame = received.title, received.body, list(_kinds(received.payload))
    if received.service == "telegram":
        tags = _Tags()
        tags.feed(f"{title}\n{body}")
        tags.close()
        check_links([value for _, value in tags.targets])
        return _framed([*frame, *tags.tags], tags.text)
    if received.service.startswith("slack"):
        assert re.search(r"[<>]", title + body) is None, "Slack finds a link or a mention"
        assert re.search(r"&(?!amp;|lt;|gt;)", title + body) is None, "a lone &"
        title, body = unescape(title), unescape(body)
    if received.service == "google chat":
        assert re.search(r"&(?!amp;|lt;|gt;)", title + body) is None, "a lone &"
        title, body = title.replace("&amp;", "&"), body.replace("&amp;", "&")
        title, body = (
            title.replace("\\_", "_"),
            re.sub(r"<(https://[^|>]+)\|([^>]+)>", r"[\2](\1)", body.replace("\\_", "_")),
        )
    return _framed(frame, f"{title}\n{body}")


def _framed(frame: list[str], text: str) -> Shape:
    shape = shape_of_text(text)
    return Shape(tuple(frame), shape.lines, shape.interpreted, shape.links)


def _kinds(value: Any, path: str = "") -> Iterator[str]:
    """Yield the kind of value at each place of a payload, and the short values that are not our texts."""
    match value:
        case dict():
            for name, one in value.items():
                yield from _kinds(one, f"{path}.{name}")
        case list():
            for number, one in enumerate(value):
                yield from _kinds(one, f"{path}[{number}]")
        case bool() | None:
            yield f"{path}={value}"
        case _:
            yield f"{path}: {type(value).__name__}"


def _check_visible(text: str) -> None:
    """Fail if a character is hidden, reorders, or is a blank look-alike, or if private content is shown."""
    assert NEVER_SHOWN not in text, "the message shows private content"
    for char in text.replace("\r\n", "\n"):
        kind = unicodedata.category(char)
        is_fine = char in "\n\u200c" or not (kind in _HIDDEN or (kind == "Zs" and char != " "))
        assert is_fine, f"U+{ord(char):04X} is hidden in the message"
