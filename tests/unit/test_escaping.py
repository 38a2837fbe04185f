"""Untrusted text is shown unchanged: nothing is hidden, reordered or interpreted."""

# ruff: noqa: RUF001  these letters are intended

import re
import sys
import unicodedata
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.domain.escaping import cut, hosts_in_unicode, lasting_line, many_lines, one_line

# Words in the names of invisible characters, and visible characters with such names.
BLANK_BY_NAME = re.compile(
    r"\b(FILLER|BLANK|NULL|INVISIBLE|JOINER|SELECTOR|SPACE|INHERENT|OBJECT REPLACEMENT"
    r"|(FILL|ROTATION) MODIFIER)\b"
)
DRAWN = {"␀", "␠", "␢", *"\ua8f9\U0001144e\U00011945\U00010af6\U00011c44\U00011c45"}  # lines that fill gaps
MARK = re.compile("⟨U\\+[0-9A-F]+⟩")
ANYTHING = st.text(st.characters(), max_size=60)
HOSTILE = st.text(
    st.sampled_from("\x1b\r\n\t\x00\x7f\x9b\u202e\u2066\u200b\ufeff\u00ad\u3164\u2028\u0301\ufe0f⟨⟩⏎ab<>&`*_[]()#|!\\~:/@-+.1\ud800"),
    max_size=60,
)  # fmt: skip
LIKE_MARKS = ("\n", "↵", "⏎", "⟨", "\u202e", "\u2039", "\u203a", "U+202E", "U+2039", "U+21B5", "U+23CE")


@pytest.mark.parametrize(
    "hidden",
    ["\x1b", "\x00", "\x7f", "\x9b", "\t", "\r", "\u202e", "\u2066", "\u200b", "\u200d", "\ufeff", "\u00ad",
     "\u00a0", "\u3000", "\u3164", "\u2800", "\u2028", "\ufe0f", "\U000e0041", "\ue000", "\ud800", "⟨",
     "\ufffc", "\U0001d159", "\U00016fe4", "\U0001da7f", "\U0001da9b", "\u2d7f", "\u034f", "\u17b4",
     "\U000e01ef"],
)  # fmt: skip
def test_an_invisible_character_is_escaped(hidden: str) -> None:
    assert one_line(f"a{hidden}b") == f"a⟨U+{ord(hidden):04X}⟩b"


def test_every_unicode_character_that_is_blank_is_escaped() -> None:
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"}
    every: dict[bool, list[str]] = {True: [], False: []}
    for char in map(chr, range(sys.maxunicode + 1)):
        every[unicodedata.category(char) in hidden].append(char)
    assert MARK.sub("", many_lines("".join(every[True]))) == "\n "
    named = [char for char in every[False] if BLANK_BY_NAME.search(unicodedata.name(char, ""))]
    assert {char for char in named if one_line(f"a{char}") == f"a{char}"} == DRAWN
    assert len(MARK.findall(many_lines("a".join(every[False])))) < 400  # visible characters are unchanged


@pytest.mark.parametrize("plain", ["", "Dana", "Grüße, 東京, Здравствуйте", "e\u0301", "👍", "a b"])
def test_visible_characters_stay_unchanged(plain: str) -> None:
    assert one_line(plain) == plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("علی\u200cرضا", "علی\u200cرضا"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("رضا\u200cعلی", "رضا⟨U+200C⟩علی"),  # alef does not join the next letter, so this is invisible
        ("علی\u200c", "علی⟨U+200C⟩"),
        ("علی\u200c\u200cرضا", "علی⟨U+200C⟩⟨U+200C⟩رضا"),
        ("علی\u200dرضا", "علی⟨U+200D⟩رضا"),
        ("fin\u200cance", "fin⟨U+200C⟩ance"),
    ],
)
def test_a_zero_width_non_joiner_is_kept_only_where_it_is_visible(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_line_breaks_are_kept_in_blocks_and_escaped_in_lines() -> None:
    assert many_lines("a\nb") == "a\nb"
    assert one_line("a\nb") == "a⏎b"
    assert one_line("a⏎b") == "a⟨U+23CE⟩b"


def test_stacked_combining_marks_are_separated() -> None:
    assert one_line("e" + "\u0301" * 4) == "e\u0301\u0301⟨U+0301⟩⟨U+0301⟩"


@given(ANYTHING | HOSTILE)
def test_no_control_format_or_separator_character_is_shown(text: str) -> None:
    for char in one_line(text).replace(
        "\u200c", "" if any("\u0620" <= char <= "\u06ff" for char in text) else "\u200c"
    ):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(ANYTHING | HOSTILE, ANYTHING | HOSTILE)
def test_two_different_texts_never_look_the_same(one: str, other: str) -> None:
    assert (one_line(one) == one_line(other)) == (one == other)


@given(ANYTHING | HOSTILE)
def test_a_stored_sentence_is_escaped_once(text: str) -> None:
    kept = lasting_line(text)
    assert one_line(kept) == kept


def test_two_different_texts_never_look_the_same_in_a_stored_sentence() -> None:
    texts = {"".join(parts) for length in range(5) for parts in product(LIKE_MARKS, repeat=length)}
    assert len({lasting_line(one_line(text)) for text in texts}) == len(texts)


def test_a_stored_sentence_shows_what_is_hidden() -> None:
    assert lasting_line("a\n\u202eb⟨⏎") == "a↵‹U+202E›b‹U+27E8›↵"
    assert lasting_line("a↵b‹U+202E› ‹c›") == "a‹U+21B5›b‹U+2039›U+202E› ‹c›"


def test_a_truncated_text_shows_how_much_is_missing() -> None:
    assert cut("abcdef", 4) == "abcd… (2 more characters are not shown here)"
    assert cut("abcd", 4) == "abcd"


def test_an_international_host_is_also_shown_in_its_script() -> None:
    text = "dana@xn--bcher-kva.example, erin@example.org, https://xn--80a1acn3a.xn--j1amh/a"
    assert [str(one) for one in hosts_in_unicode(text)] == [
        "xn--bcher-kva.example is bücher.example",
        "xn--80a1acn3a.xn--j1amh is пошта.укр",
    ]
    assert hosts_in_unicode("xn--99999999999.ru xn--") == ()


@pytest.mark.parametrize(
    ("letters", "scripts"),
    [
        ("p\u0430ypal.com", "Latin and Cyrillic"),
        ("\u0430\u0440\u0440\u04cf\u0435.com", "Cyrillic"),
        ("\u03bf\u03bd\u03bf.example", "Greek"),
        ("b\u00fccher.example", ""),
        ("\u043f\u043e\u0448\u0442\u0430.\u0443\u043a\u0440", ""),
        ("\u6771\u4eac\u306e\u30bf\u30ef\u30fc.jp", ""),
    ],
)
def test_a_confusable_host_is_never_said_to_be_the_other_host(letters: str, scripts: str) -> None:
    host = ".".join(
        label if label.isascii() else f"xn--{label.encode('punycode').decode()}"
        for label in letters.split(".")
    )
    looks = f"⚠ {host} looks like {letters}, but it is written with {scripts} letters"
    assert [str(one) for one in hosts_in_unicode(host)] == [looks if scripts else f"{host} is {letters}"]


@given(st.text("xn-a9.\u00fc", max_size=300))
def test_showing_hosts_accepts_any_text(text: str) -> None:
    assert all(" is " in str(one) for one in hosts_in_unicode(text))
