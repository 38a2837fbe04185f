"""The sentences of Plangate's code on pages in other languages: no translation is outdated or missing."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plangate.web import language
from plangate.web.language import chosen, languages
from plangate.web.sentences import Sentences
from tests.unit.test_languages import FOLDER, OTHERS

ROOT = Path(language.__file__).parents[2]
FOLDERS = ("plangate", "activities", "workflows")
TRANSLATED = (
    "plangate/domain/runs/review.py",
    "plangate/domain/runs/lifecycle.py",
    "plangate/domain/runs/revocation.py",
    "plangate/domain/decisions/key_requests.py",
    "plangate/domain/decisions/delegations.py",
    "plangate/signing/decisions.py",
    "plangate/signing/delegations.py",
    "plangate/signing/passkeys.py",
    "plangate/presentation/resolutions.py",
    "plangate/web/key_signing.py",
    "plangate/web/delegating.py",
    "plangate/web/pages/enrolling.py",
    "plangate/web/pages/delegations.py",
    "plangate/web/pages/me.py",
)
"""Files in which every complete sentence is translated."""
NOT_ON_A_PAGE = (
    "so none of its steps may run", "may not run before", "no accepted resolution tries", "has no step",
    "it cannot be undone", "none of its steps may be undone", "is not the next one to undo", "is recorded",
    "no authorized", "no review was open", "had not passed", "is done or skipped", "send one JSON object",
    "not that of a passkey", "it is not text", "one JSON object in c", "occurs twice", "a placeholder",
    "plangate people confirm",  # a command
    "it has no input", "its input is", "it is not a JSON object", '"lend" needs', '"end" needs',
    '"away" needs', '"back" must not', '"list" needs',
    "a request to delegate roles",  # fields that no form of a page sends
)  # fmt: skip


def tables(code: str) -> dict[str, dict[str, str | list[str]]]:
    found = tomllib.loads((FOLDER / "languages" / f"{code}.toml").read_text(encoding="utf-8"))
    return {name: found.get(name, {}) for name in ("said", "parts")}


def translations(table: Mapping[str, str | list[str]]) -> Iterator[tuple[str, str]]:
    """Yield each pattern with each of its translations."""
    for english, own in table.items():
        yield from ((english, one) for one in ([own] if isinstance(own, str) else own))


VALUE = re.compile(r"\{(\d)([#@%_&!?*]?)\}")
EXAMPLES = {
    "": ("carol", "carol"), "&": ("carol", "carol"), "_": ("note", "note"), "*": ("wörtlich", "wörtlich"),
    "#": ("7", "7"), "@": ("2026-11-27 10:00", "27. Nov. 2026 10:00"), "%": ("09:00-17:00", "09:00-17:00"),
    "!": ("step 7", ""), "?": ("step 7", ""),
}  # fmt: skip
ENGLISH = re.compile(
    r"(?<![\w'./-])(?:the|is|are|were|it|its|has|have|had|been|be|may|cannot|could|not|because|since|that|this"
    r"|which|whether|then|if|but|needs|until|with|by|of|and|or|for|no|to|at|on|step|approvals?|was not"
    r"|\d+ days?|\d+ hours?|held|done|again|changed|new)(?![\w./-])"
)
PARTS = re.compile(r"value|`[^`]*`|(?<=[.]) ")


@cache
def literals() -> str:
    """Return every string in the code, one per line, without full stops."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in files)
    return "\n".join(
        re.sub("[.;:()]", "", node.value)
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@cache
def known_pairs() -> frozenset[str]:
    return frozenset(one for line in literals().split("\n") for one in pairs(line))


def sentences_in(path: str) -> Iterator[str]:
    """Yield each string in a file that may be a sentence, with a word in place of each inserted value."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    within = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(
                part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "value"
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within | docs:
            yield node.value


def pairs(text: str) -> list[str]:
    """Return every two adjacent words of a text, with no value between them."""
    words = [part.split(" ") for part in text.split("{}")]
    return [f"{one} {other}" for run in words for one, other in pairwise(run) if one and other]


@pytest.mark.parametrize("code", OTHERS)
def test_every_translated_sentence_occurs_in_the_code(code: str) -> None:
    """Most of its words are adjacent there, because a sentence may be composed of several strings."""
    stale = []
    for english in tables(code)["said"]:
        known = known_pairs()
        found = [
            one in known or one in literals() or one[1:] in literals()
            for one in pairs(re.sub("[.;:()]", "", english))
        ]
        if len(found) > 3 and sum(found) < len(found) * 3 / 5:
            stale.append(english)
    assert stale == []


@pytest.mark.parametrize("code", OTHERS)
def test_a_translation_contains_each_value_of_its_sentence_once(code: str) -> None:
    for table in tables(code).values():
        for english, own in translations(table):
            named = [name for name, _ in VALUE.findall(own)]
            assert sorted(named) == [str(number) for number in range(english.count("{}"))] or (
                set(named) < {str(number) for number in range(english.count("{}"))}
            ), english
            assert "{" not in VALUE.sub("", own), english


def filled(english: str, own: str, parts: Mapping[str, str]) -> tuple[str, str]:
    """Return a sentence with values that fit its translation, and that translation."""
    kinds = dict(VALUE.findall(own))
    values = {str(number): EXAMPLES[kinds.get(str(number), "")] for number in range(english.count("{}"))}
    for number, kind in kinds.items():
        if kind in ("!", "?"):
            values[number] = next(iter(parts.items()))
    text = english.replace("{}", "\0").split("\0")
    whole = "".join(
        part + (values[str(number)][0] if number < len(text) - 1 else "") for number, part in enumerate(text)
    )
    return whole, VALUE.sub(lambda found: values[found[1]][1], own)


def in_english(text: str) -> list[str]:
    """Return the English words in a text, except those in quotation marks."""
    return ENGLISH.findall(re.sub("„[^“]*“|`[^`]*`", "", text))


@pytest.mark.parametrize("code", OTHERS)
def test_no_other_pattern_rewrites_a_part_of_a_sentence(code: str) -> None:
    """The most specific pattern wins: each known sentence gets its own translation."""
    said = tables(code)["said"]
    parts = {"step 7": languages()[code].said("step 7")}
    wrong = []
    for english, own in translations(said):
        if english == "on {} at {}":  # days, followed by hours
            continue
        text, expected = filled(english, own, parts)
        found = languages()[code].said(text)
        if found.casefold() != expected.casefold():
            wrong.append((text, found))
    assert wrong == []


@pytest.mark.parametrize("code", OTHERS)
def test_a_known_sentence_inside_another_leaves_no_english_clause(code: str) -> None:
    """Clauses are inserted in place of values, even two in a row."""
    known = [one for table in tables(code).values() for one in translations(table)]
    simple = [filled(english, own, {"step 7": ""})[0] for english, own in known if len(english.split()) > 3]
    places = [one for one in tables(code)["said"] if "{}" in one]
    rng, mixed = Random(12), []
    for _ in range(400):
        inner, other = rng.choice(simple), rng.choice(simple)
        between = rng.choice(["; ", ", ", ". ", ": ", " and ", ", because "])
        place = rng.choice(places).replace("{}", rng.choice([inner, f"{inner}{between}{other}"]), 1)
        for text in (place.replace("{}", rng.choice(["7", "carol"])), f"{inner}{between}{other}"):
            own = languages()[code].said(text)
            if own != text and in_english(own):
                mixed.append((text, own))
    assert mixed == []


@pytest.mark.parametrize("code", OTHERS)
def test_no_sentence_of_the_code_is_translated_in_part(code: str) -> None:
    files = [
        path for folder in ("plangate", "activities", "workflows") for path in (ROOT / folder).rglob("*.py")
    ]
    known = {text for path in files for text in sentences_in(str(path.relative_to(ROOT))) if " " in text}
    said = languages()[code].said
    texts = [
        text.replace("value", value) for text in sorted(known) for value in ("7", "carol", "it is in doubt")
    ]
    texts = Random(12).sample(texts, 800)
    found = [(text, said(text)) for text in texts]
    assert [(text, own) for text, own in found if own != text and in_english(own)] == []
    assert sum(own != text for text, own in found) > 20


@pytest.mark.parametrize("code", OTHERS)
@pytest.mark.parametrize("path", TRANSLATED)
def test_every_sentence_shown_on_a_page_has_a_translation(code: str, path: str) -> None:
    """Each sentence is translated, or its parts occur in translated sentences."""
    languages_own = languages()[code].said
    known = "\n".join(english.casefold() for table in tables(code).values() for english in table)
    missing = [
        one
        for one in sentences_in(path)
        if len(one.split()) > 4
        and not any(part in one for part in NOT_ON_A_PAGE)
        and all(languages_own(as_said) == as_said for as_said in (one, one.replace("value", "7")))
        and not all(part.strip(" .:;,`").casefold() in known for part in PARTS.split(one))
    ]
    assert missing == []


def test_text_by_people_and_tools_stays_unchanged() -> None:
    said = chosen("de").said
    assert said("Tom and Jerry") == "Tom and Jerry"
    assert said("Refund 42.50 EUR of payment pi_1") == "Refund 42.50 EUR of payment pi_1"
    assert said("Ann and Bob is the requester; another person must approve").startswith("Ann and Bob hat")
    mixed = "You state that step 1 (note) happened. Something that no pattern knows."
    assert said(mixed) == mixed


@given(st.text(max_size=300))
def test_any_text_is_translated_or_unchanged(text: str) -> None:
    assert isinstance(chosen("de").said(text), str)
    assert chosen("en").said(text) == text


def test_a_long_text_of_words_in_patterns_is_translated_quickly() -> None:
    text = "'step 1 was x; and now step; it needs with ; until " * 28
    assert chosen("de").said(text[:1_400]) is not None
    assert Sentences({"a {} b {} c {} d": "{0}{1}{2}"}, {})("a b c " * 240) is not None
