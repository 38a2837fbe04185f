"""Texts that a screen could display misleadingly, each with its kind."""

# ruff: noqa: RUF001, E501  these letters are intended, and long lines make their table readable

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Trick:
    """One text, and the way in which it misleads."""

    kind: str
    text: str


BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
ZERO_WIDTH = (
    "\u200b\u200c\u200d\u2060\u2061\u2062\u2063\u2064\ufeff\u00ad\u034f\u180e\u17b4\u17b5\ufff9\ufffa\ufffb"
)
BLANKS = (
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
    "\u3164\u115f\u1160\uffa0\u2800\ufffc\u2028\u2029\x85\x0b\x0c\t"
)
ANSI = (
    "\x1b[2K\rpay 1", "\x1b[1A\x1b[2Kpay 1", "\x1b[8mhidden\x1b[0m", "\x1b[30;40mblack\x1b[0m", "\x1b]0;title\x07",
    "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\", "\x1b[H\x1b[2J", "\x1b[?25l", "\x9b2Kpay 1", "\x90q\x9c",
    "pay 100\b\b\b1", "pay 100\rpay 1", "pay\x00100", "\x07", "\x7f\x7f", "\x1bc", "\x1b(0lqk\x1b(B", "\x1b[6n",
    "\x1b[200~x\x1b[201~", "\x1bPq#0;2;0;0;0\x1b\\", "\x1b[s\x1b[10Dpay 1\x1b[u", "\x0e\x0f", "\x1b[5m!", "\x1b[?1049h",
)  # fmt: skip
HOMOGLYPHS = (
    "pаypal", "раypal", "paypаl", "аррle", "gооgle", "micrоsоft", "Kіm", "dаnа", "ехаmple", "bаnk",
    "pαypal", "gοοgle", "Ηello", "Αpple", "micrοsoft", "bαnk", "kιm", "Ρaypal", "Τransfer", "οne",
    "ｐａypal", "ｐａｙｐａｌ to kim", "𝐩aypal", "𝗽𝗮𝘆𝗽𝗮𝗹 to kim", "𝓹aypal", "Ꭺpple", "ꓑaypal", "ⲣaypal", "հello", "սser",
)  # fmt: skip
HOSTS = (
    "https://xn--pypal-4ve.com/pay", "https://xn--80ak6aa92e.com/", "kim@xn--exmple-cua.org", "https://xn--ggle-0nda.com",
    "https://paypal.com.evil.example/", "https://paypal.com@evil.example/", "https://evil.example\\@paypal.com/",
    "https://paypal.com\u2044evil.example", "https://paypal.com\uff0fevil.example", "https://xn--.com",
    "kim@example.org\u202e gro.live@", "kim@example.org\u200b", '"kim@example.org" <eve@evil.example>', "eve@evil.example\nkim@example.org",
)  # fmt: skip
MARKDOWN = (
    "[pay 1](http://evil.example)", "![x](http://evil.example/x.png)", "# Approved", "**bold**", "~~struck~~ 100", "`code`",
    "``two``", "```\nfence\n```", "~~~\nfence\n~~~", "| a | b |\n|---|---|\n| 1 | 2 |", "> quoted", "---", "* * *",
    "1. one\n2. two", "- [x] approved", "<http://evil.example>", "http://evil.example", "a\\\nb", "line  \nbreak",
    "&copy; &lt;b&gt; &#60;", "[^1]\n\n[^1]: note", "$x^2$", ":smile:", "1/2 ... -- (c)", "    indented", "\\*not\\*", "`\u200b`",
    "<!-- hidden -->", "[a]: http://evil.example\n[a]", "\n\n\n# heading", "text`", "`", "```", "\\`", "``` ``` ```",
)  # fmt: skip
HTML = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "<b>bold</b>", "<s>100</s> 1", "<del>pay</del>",
    "<style>*{display:none}</style>", "<span style='display:none'>hidden</span>", "<font color=white>white</font>",
    "<iframe srcdoc='x'></iframe>", "</pre></main><h1>Approved</h1>", "</textarea><script>alert(1)</script>", "</title><b>",
    "<svg onload=alert(1)>", "<a href='javascript:alert(1)'>x</a>", "<input name=decision value=approve>",
    "<button>Approve</button>", "<details><summary>x</summary>", "<bdo dir=rtl>100</bdo>", "<wbr>", "&nbsp;&nbsp;",
    "&#x202e;evil", "&amp;lt;", "<!doctype html>", "<base href=http://evil.example>", "<meta http-equiv=refresh content=0>",
    "'\" onfocus=alert(1) autofocus '", "{{ 7 * 7 }}", "{% raw %}", "{# hidden #}", "<plaintext>", "<marquee>x</marquee>",
    "<template>hidden</template>", "<noscript>hidden</noscript>", "<math><mtext></mtext></math>", "<ruby>a<rt>b</rt></ruby>",
)  # fmt: skip
RIGHT_TO_LEFT = ("100 ש 7", "ש 100 a", "ا 1-2-3", "abc אבג 12/34", "עברית", "مرحبا 42.50", "a\u05d0b", "٤٢ a")
ENDS = (
    " leading", "trailing ", "  two  blanks  ", "\nleading line", "trailing line\n", "\n\n\n", " ", "", "a" + " " * 200 + "b",
    "a" + "\n" * 60 + "b", "x" * 3_000 + " end", "word " * 500 + "end", "-" * 500, "\n".join(f"line {n}" for n in range(300)),
    "true", "null", "7", "007", "1e3", '"quoted"', "[1]", "{}", "NaN", "⟨U+202E⟩", "⟨", "⏎", "a⏎b", "none", "'",
)  # fmt: skip
MARKS = (
    "e" + "\u0301" * 20,
    "Z\u0334\u0335\u0336",
    "1\u20e0",
    "pay\u0338 100",
    "a\ufe0f",
    "1\ufe0f\u20e3",
    "x\U000e0041\U000e0042",
    "a\u0489b",
)


def tricks() -> Iterator[Trick]:
    """Yield all misleading texts."""
    for char in BIDI:
        yield Trick("bidi", f"pay {char}100 EUR")
        yield Trick("bidi", f"{char}pay 1{char}00 EUR")
    for char in ZERO_WIDTH:
        yield Trick("zero width", f"kim{char}@example.org")
    for char in BLANKS:
        yield Trick("blank", f"pay{char}100")
    for kind, texts in (
        ("ansi", ANSI), ("homoglyph", HOMOGLYPHS), ("host", HOSTS), ("markdown", MARKDOWN), ("html", HTML),
        ("right to left", RIGHT_TO_LEFT), ("end", ENDS), ("mark", MARKS),
    ):  # fmt: skip
        for text in texts:
            yield Trick(kind, text)
