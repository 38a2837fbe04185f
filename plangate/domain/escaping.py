"""Escape untrusted text, so that nothing in it is hidden, reordered or interpreted.

An approver must see exactly what will run. Every character that a terminal or a browser would interpret
instead of displaying it (control characters, ANSI escapes, bidirectional overrides, zero-width and blank
look-alikes, stacks of combining marks) is shown as ``⟨U+202E⟩``. The bracket ``⟨`` itself is also escaped, so
escaping never makes two different strings look the same. One such character is kept where its effect is
visible: the zero-width non-joiner of Persian, between two letters that would otherwise join.
"""

import re
import unicodedata
from typing import Final, NamedTuple

# Characters that Unicode classifies as letters, signs or marks, but that are invisible on their own: fillers,
# blanks, joiners, modifiers of notations, and placeholders for missing objects.
_BLANK_LETTERS: Final = frozenset(
    "\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5\u180b\u180c\u180d\u180f\u2d7f\u303f\ufffc"
    "\U0001107f\U00013440\U00013441\U00013442\U00016fe4\U0001bc9d\U0001d159\U0001da7f\U0001da80"
    "\U0001da9b\U0001da9c\U0001da9d\U0001da9e\U0001da9f"
) | frozenset(map(chr, range(0x1DAA1, 0x1DAB0)))
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MAX_MARKS = 2
_LONGEST_SPAN_FENCE = 2
_LONGEST_HOST = 253
_HOST = re.compile(r"[A-Za-z0-9.-]+")
# Lowercase letters that look like Latin ones: Cyrillic, Greek, Armenian.
_LIKE_LATIN: Final = frozenset(
    "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u04cf\u043e\u0440\u051b\u0455\u051d\u0445"
    "\u0443\u044c\u04bd\u043f\u0433\u0475\u0461\u0432\u043a\u043c\u043d\u0442\u0431\u0437"
    "\u03bf\u03bd\u03b9\u03c1\u03c5\u03ba\u03b1\u03b3\u03c4\u03b7\u03c7\u03c9\u03c3\u03b5\u03bc"
    "\u0578\u057d\u0570\u0585\u0581\u0584\u0566\u0575\u0582"
)
# Scripts with letters that look like Latin ones, and the scripts that can be confused with each other.
_LOOKALIKE_SCRIPTS: Final = frozenset({"Cherokee", "Coptic", "Lisu", "Fullwidth", "Mathematical", "Double"})
_ALPHABETS: Final = _LOOKALIKE_SCRIPTS | {"Latin", "Cyrillic", "Greek", "Armenian"}
_MARKED: Final = re.compile(r"⟨(U\+[0-9A-F]{4,6})⟩")
_LIKE_A_MARK: Final = re.compile(r"↵|\u2039(?=U\+)")
_WORD: Final = re.compile(r"\w+")
_SHORT_WORD: Final = 2  # shorter words occur in formulas
_LONGEST_WORD: Final = 60
_MOST_WORDS: Final = 10
_EAST_ASIAN: Final = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO"})
_DROPPED_BLANK = re.compile(r"^ | $|(?<= ) ")  # spaces that HTML drops from code
_NON_JOINER: Final = "\u200c"
# Letters of the Arabic block that join only the letter before them, or none (Unicode's ArabicShaping.txt).
_JOINS_BEFORE: Final = frozenset(
    map(
        chr,
        (
            *range(0x622, 0x626),
            *(0x627, 0x629),
            *range(0x62F, 0x633),
            0x648,
            *range(0x671, 0x674),
            *range(0x675, 0x678),
            *range(0x688, 0x69A),
            0x6C0,
            *range(0x6C3, 0x6CC),
            *(0x6CD, 0x6CF, 0x6D2, 0x6D3, 0x6D5, 0x6EE, 0x6EF),
        ),
    )
)
_JOINS_NONE: Final = frozenset("\u0621\u0674")
_BACKTICKS = re.compile(r"`+")


def _is_hidden(char: str) -> bool:
    if char == "⟨" or char in _BLANK_LETTERS:
        return True
    category = unicodedata.category(char)
    if category in _HIDDEN_CATEGORIES:
        return True
    if category == "Zs":
        return char != " "
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def _mark(char: str) -> str:
    return f"⟨U+{ord(char):04X}⟩"


def one_line(text: str) -> str:
    """Return ``text`` on one line, with hidden characters made visible; a line break becomes ``⏎``."""
    return _show(text, {"\n": "⏎", "⏎": _mark("⏎")})


def lasting_line(text: str) -> str:
    """Return ``text`` as `one_line` does, with marks that further escaping keeps, such as ``↵``.

    It is for a sentence that is stored and escaped again on each page. The marks of `one_line` in ``text``
    are kept, too. A character that only looks like a lasting mark is shown by its number.
    """
    distinct = _LIKE_A_MARK.sub(lambda found: f"\u2039U+{ord(found[0]):04X}\u203a", text)
    return _lasting(one_line(_lasting(distinct)))


def _lasting(text: str) -> str:
    return _MARKED.sub("\u2039\\1\u203a", text).replace("⏎", "↵")


def many_lines(text: str) -> str:
    """Return ``text`` with its line breaks, and all other hidden characters made visible."""
    return _show(text, {"\n": "\n"})


def _show(text: str, kept: dict[str, str]) -> str:
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for index, char in enumerate(text):
        marks = marks + 1 if unicodedata.category(char) in ("Mn", "Me") else 0
        if char in kept:
            shown.append(kept[char])
        elif char == _NON_JOINER and _separates_letters(text, index):
            shown.append(char)
        elif _is_hidden(char) or marks > (_MAX_MARKS if shown else 0):
            shown.append(_mark(char))
        else:
            shown.append(char)
    return "".join(shown)


def visible(text: str) -> str:
    """Return ``text`` without the invisible characters; whitespace is kept."""
    return "".join(char for char in text if char == "⟨" or char.isspace() or not _is_hidden(char))


def is_reordered(text: str) -> bool:
    """Return whether a screen may show parts of ``text`` in another order, because of right-to-left scripts.

    With Hebrew or Arabic letters next to digits or Latin letters, "100 ש 7" may be shown as "100 7 ש". This
    needs no hidden character, so a note next to the text must point it out.
    """
    if text.isascii():
        return False
    kinds = {unicodedata.bidirectional(char) for char in text}
    return bool(kinds & {"R", "AL", "AN"}) and bool(kinds & {"L", "EN", "AN"})


def _separates_letters(text: str, index: int) -> bool:
    """Return whether the letters before and after would join with nothing between them."""
    if not 0 < index < len(text) - 1:
        return False
    before, after = text[index - 1], text[index + 1]
    return (
        _is_arabic(before) and before not in _JOINS_BEFORE | _JOINS_NONE
        and _is_arabic(after) and after not in _JOINS_NONE
    )  # fmt: skip


def _is_arabic(char: str) -> bool:
    return "\u0620" <= char <= "\u06ff" and unicodedata.category(char) == "Lo"


def markdown_code(text: str) -> str:
    """Return ``text`` as inline code, one span per line, so that it is shown verbatim and wrapped.

    In plain text, Temporal's Web UI turns quotes into curly ones and 1/2 into ½, even if they are escaped. It
    does not wrap fenced blocks, so the ends of long lines would be invisible. A line break is also shown as
    ``⏎``, because some renderers drop it.
    """
    *broken, last = (one_line(line) for line in text.split("\n"))
    lines = [f"{line}⏎" for line in broken] + ([last] if last or not broken else [])
    return "\n".join(_code_span(line) for line in lines)


def _code_span(line: str) -> str:
    if not line:
        return "*(empty)*"
    kept = _DROPPED_BLANK.sub("\u00a0", line)
    fence = "`" * (max((len(run) for run in _BACKTICKS.findall(kept)), default=0) + 1)
    pad = " " if kept[0] == "`" or kept[-1] == "`" else ""
    # At the start of a line, three backticks would open a block, so a no-break space is put before them.
    ahead = "\u00a0" if len(fence) > _LONGEST_SPAN_FENCE else ""
    return f"{ahead}{fence}{pad}{kept}{pad}{fence}"


class UnicodeHost(NamedTuple):
    """An internationalized host name.

    Attributes:
        host: its A-labels.
        letters: its Unicode form.
        scripts: the scripts of its letters, if it could be mistaken for another host: if a name in it mixes
            letters of two scripts, or if all its letters look like Latin ones.
    """

    host: str
    letters: str
    scripts: tuple[str, ...]

    def __str__(self) -> str:
        if not self.scripts:
            return f"{self.host} is {self.letters}"
        written = f"it is written with {' and '.join(self.scripts)} letters"
        return f"⚠ {self.host} looks like {self.letters}, but {written}"


def hosts_in_unicode(text: str) -> tuple[UnicodeHost, ...]:
    """Return each internationalized host name in ``text``."""
    words = (word.strip(".-") for word in _HOST.findall(text) if "xn--" in word)
    hosts = dict.fromkeys(word for word in words if len(word) <= _LONGEST_HOST)
    return tuple(
        UnicodeHost(host, letters, _misleading_scripts(letters))
        for host in hosts
        if (letters := _in_unicode(host)) != host
    )


def lookalike_words(text: str) -> tuple[str, ...]:
    """Return a line for each word in ``text`` that could be mistaken for another, with its scripts.

    These are words that mix similar letters of two scripts. If all other words of the text are Latin,
    longer words in which every letter looks like a Latin one are included too.
    """
    if text.isascii():
        return ()
    alphabets = {char: _script(char) for char in set(text) if char.isalpha()}
    # The scripts that have at least one unambiguous letter in this text.
    own = {
        script for char, script in alphabets.items() if char.lower() not in _LIKE_LATIN
    } - _LOOKALIKE_SCRIPTS
    lines = []
    for word in dict.fromkeys(_WORD.findall(text)):
        letters = [char for char in word if char.isalpha()]
        found = [one for one in dict.fromkeys(alphabets[char] for char in letters) if one in _ALPHABETS]
        has_lookalike = any(
            char.lower() in _LIKE_LATIN or alphabets[char] in _LOOKALIKE_SCRIPTS for char in letters
        )
        is_alone = len(found) == 1 and len(word) > _SHORT_WORD and "Latin" in own and found[0] not in own
        if has_lookalike and (len(found) > 1 or is_alone):
            lines.append(f"{cut(word, _LONGEST_WORD)} is written with {' and '.join(found)} letters")
    return tuple(lines[:_MOST_WORDS])


def _misleading_scripts(host: str) -> tuple[str, ...]:
    """Return the scripts of a host whose letters may be mistaken for others; empty for any other host.

    Under a top-level domain in the same script, such as .укр, a name is not misleading.
    """
    labels, scripts = host.split("."), list[str]()
    is_below_latin = labels[-1].isascii()
    for label in labels:
        letters = [char for char in label if char.isalpha()]
        found = list(dict.fromkeys(map(_script, letters)))
        if len(found) > 1 or (is_below_latin and letters and _LIKE_LATIN.issuperset(letters)):
            scripts += found
    return tuple(dict.fromkeys(scripts))


def _script(letter: str) -> str:
    """Return the script of a letter by its Unicode name; those of East Asia count as one."""
    word = unicodedata.name(letter, "UNKNOWN").partition(" ")[0].partition("-")[0]
    return "East Asian" if word in _EAST_ASIAN else word.capitalize()


def _in_unicode(host: str) -> str:
    labels = host.split(".")
    try:
        shown = [
            label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label
            for label in labels
        ]
    except (ValueError, OverflowError):
        return host
    return ".".join(shown)


def cut(text: str, limit: int) -> str:
    """Return ``text``, or its first ``limit`` characters and the number of omitted characters."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]}… ({len(text) - limit:,} more characters are not shown here)"
