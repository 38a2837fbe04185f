"""Mails, URLs and headers in twenty scripts, each encoded to bytes and parsed again.

    PYTHONPATH=. python tests/support/wire_cases.py COUNT SEED

Prints one JSON object: the Python version, the number of cases of each kind, and the differences. It needs
only the standard library, ``idna`` and ``h11``, all pure Python, so that an interpreter without our
dependencies can run it.
"""

import json
import random
import re
import sys
import unicodedata
from urllib.parse import parse_qsl, quote, unquote

import h11

from activities.tools.http import wire as http_wire
from activities.tools.http.headers import normalized_headers
from activities.tools.http.url import normalized_url
from plangate.mail import wire as mail_wire

SCRIPTS = {
    "Latin": (0x20, 0x7F), "Latin Extended": (0xA0, 0x250), "Greek": (0x370, 0x400),
    "Cyrillic": (0x400, 0x500), "Armenian": (0x531, 0x58A), "Hebrew": (0x5D0, 0x5EB),
    "Arabic": (0x620, 0x64B), "Devanagari": (0x904, 0x940), "Bengali": (0x985, 0x9BA),
    "Tamil": (0xB85, 0xBBA), "Thai": (0xE01, 0xE3B), "Georgian": (0x10D0, 0x10FB),
    "Ethiopic": (0x1200, 0x1249), "Khmer": (0x1780, 0x17B4), "Cherokee": (0x13A0, 0x13F5),
    "Hiragana": (0x3041, 0x3097), "Katakana": (0x30A1, 0x30FB), "Han": (0x4E00, 0x9FFF),
    "Hangul": (0xAC00, 0xD7A3), "Symbols": (0x20A0, 0x2200), "Emoji": (0x1F300, 0x1F600),
}  # fmt: skip
_BETWEEN = (" ", " ", "  ", "   ", "", "-", "=?", "?=", "=?utf-8?q?", ", ", "\u00a0", "\u2009")
_EXCLUDED = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})
_HOSTS = (
    "api.example.org",
    "bücher.example",
    "пошта.укр",
    "日本語.jp",
    "[2001:db8::1]",
    "192.0.2.7",
    "a_b.example",
)


def text(rng: random.Random, longest: int) -> str:
    """Return text of up to that many characters, in some of the scripts, without control characters."""
    parts: list[str] = []
    wanted = rng.randint(1, longest)
    while sum(map(len, parts)) < wanted:
        first, end = rng.choice(list(SCRIPTS.values()))
        parts.append("".join(chr(rng.randrange(first, end)) for _ in range(rng.randint(1, 12))))
        parts.append(rng.choice(_BETWEEN))
    kept = (char for char in "".join(parts)[:wanted] if unicodedata.category(char) not in _EXCLUDED)
    return unicodedata.normalize("NFC", "".join(kept))[:longest].strip() or "x"


def segment(rng: random.Random) -> str:
    """Return text without the characters that a path must not contain, in any width."""
    plain = (char for char in text(rng, 20) if not set("/\\;%.") & set(unicodedata.normalize("NFKC", char)))
    return "".join(plain).strip() or "x"


def sample_email(rng: random.Random) -> mail_wire.Email:
    """Return a mail whose subject and body are in random scripts."""
    lines = [text(rng, rng.choice((5, 40, 300))) for _ in range(rng.randint(0, 6))]
    body = rng.choice(("\n", "\n\n", "\n.\n", "\n..", "\nFrom ")).join(lines)
    names = [f"{rng.choice(('dana', 'o.brien+x', 'a' * 60))}{number}" for number in range(rng.randint(2, 9))]
    addresses = [f"{name}@{rng.choice(('b.example', 'xn--bcher-kva.example'))}" for name in names]
    split = rng.randint(1, len(addresses))
    return mail_wire.Email(
        sender="gate@example.org",
        to=tuple(addresses[:split]),
        cc=tuple(addresses[split:]),
        subject=text(rng, 200),
        body=body + rng.choice(("", "\n", "\n.\n", ".")),
        date="Wed, 25 Nov 2026 10:00:00 -0000",
        message_id=f"<{rng.getrandbits(256):064x}@example.org>",
    )


def call(rng: random.Random) -> tuple[http_wire.Call, str]:
    """Return a call in canonical form with parts in random scripts, and its path and query in plain text."""
    path = [segment(rng) for _ in range(rng.randint(0, 4))]
    query = [(text(rng, 10), text(rng, 30)) for _ in range(rng.randint(0, 3))]
    asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    place = f"{rng.choice(_HOSTS)}{rng.choice(('', '', ':443', ':8443', ':0080'))}"
    steps = "/".join(quote(segment, safe="") for segment in path)
    url = normalized_url(f"{rng.choice(('http', 'HTTPS'))}://{place}/{steps}?{asked}")
    headers = {
        "Accept-Language": "de, en;q=0.5",
        "X-Request-Id": f"{rng.getrandbits(64):x}",
        "CONTENT-TYPE": "Application/JSON; Charset=UTF-8",
    }
    said = {text(rng, 10): [text(rng, 60), rng.choice((1, 1.5, True, None))]} if rng.random() < 0.5 else None
    one = http_wire.Call(
        method=rng.choice(("POST", "PUT", "PATCH", "DELETE")),
        url=url,
        headers=normalized_headers({name: value for name, value in headers.items() if rng.random() < 0.5}),
        content=None if said is None else json.dumps(said, ensure_ascii=False).encode(),
        json_body=said,
    )
    return one, f"/{'/'.join(path)} {query}"


def bytes_of(one: http_wire.Call) -> bytes:
    """Return the bytes that the HTTP client sends for a call."""
    connection = h11.Connection(our_role=h11.CLIENT)
    request = h11.Request(method=one.method, target=one.target, headers=list(one.all_headers().items()))
    events: list[h11.Event] = [request, h11.EndOfMessage()]
    if one.content:
        events.insert(1, h11.Data(data=one.content))
    return b"".join(connection.send(event) or b"" for event in events)


def parsed_target(one: http_wire.Call) -> str:
    """Return the path and query as an independent server parses them."""
    path, _, query = one.target.partition("?")
    return f"{unquote(path)} {parse_qsl(query, keep_blank_values=True)}"


def on_the_wire(content: bytes) -> bytes:
    """Return a mail as it is sent after SMTP's DATA."""
    return re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"


def differences(count: int, seed: int) -> list[str]:
    """Try this many cases of each kind; return each that differs."""
    rng, found = random.Random(seed), []
    for number in range(count):
        mail = sample_email(rng)
        difference = mail_wire.difference_on_the_wire(on_the_wire(mail_wire.composed(mail)), mail)
        if difference:
            found.append(f"mail {number}: {difference}: {mail!r}")
        one, meant = call(rng)
        raw = bytes_of(one)
        difference = http_wire.difference(raw, one) if http_wire.is_whole(raw) else "it is incomplete"
        if difference or parsed_target(one) != meant:
            found.append(f"call {number}: {difference or 'its URL is parsed differently'}: {one!r}")
    return found


def main(count: int, seed: int) -> None:
    """Try this many cases of each kind, and print the results."""
    found = differences(count, seed)
    python = ".".join(map(str, sys.version_info[:3]))
    counts = {"python": python, "scripts": len(SCRIPTS), "mails": count, "calls": count}
    sys.stdout.write(json.dumps({**counts, "differences": found}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
