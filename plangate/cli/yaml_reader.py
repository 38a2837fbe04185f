"""Read the JSON subset of YAML, with the location of each part.

YAML 1.1 reads ``yes`` as true, ``010`` as eight and ``2026-01-01`` as a date. With anchors and merge keys, a
plan differs from what its lines show, and `` #`` ends a text early. Therefore only JSON's values are
recognized (``null``, ``true``, JSON's numbers, and YAML 1.2's ``~``, ``True`` and so on). Every other
unquoted word is text. Anchors, aliases, tags, merge keys, and comments after an unquoted text are errors.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml import events

from plangate.cli.json_reader import scalar
from plangate.cli.plan_tree import START, Kind, Part, Place, Unreadable
from plangate.domain.escaping import cut

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS: Final = {  # the accepted words, each with its JSON value
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), "null"),
    **dict.fromkeys(("true", "True", "TRUE"), "true"),
    **dict.fromkeys(("false", "False", "FALSE"), "false"),
}
_COMMENT: Final = re.compile(r"[ \t]+(#[^\r\n]*)")
_SHOWN_COMMENT: Final = 60


def yaml_parts(text: str) -> Iterator[Part]:
    """Yield the parts of a YAML text.

    Raises:
        Unreadable: it is not YAML, or contains more than one document.
    """
    documents = 0
    for event in _events(text):
        place = _place(event.start_mark)
        match event:
            case events.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise Unreadable(place, "a second document begins; a plan file contains one")
                if event.tags:
                    raise Unreadable(place, "tags are not supported; remove the %TAG line")
            case events.NodeEvent():
                yield _part(place, event, text)
            case events.CollectionEndEvent():
                yield Part(place, Kind.END)


def _events(text: str) -> Iterator[Any]:
    """Yield the parser's events; the type is ``Any`` because the library's types omit some attributes."""
    last = START
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            last = _place(event.start_mark)
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = ", ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(_place(mark) if mark else last, f"this is not YAML: {message}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - before.rfind("\n"))
        message = f"the character U+{ord(text[error.position]):04X} is not allowed here"
        raise Unreadable(place, message) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # The parser crashes on some invalid escapes instead of reporting them.
        raise Unreadable(last, f"this is not YAML: {error}") from None


def _part(place: Place, event: Any, text: str) -> Part:
    if isinstance(event, events.AliasEvent):
        message = f"the alias *{event.anchor} is not supported; write the value out"
        return Part(place, Kind.SCALAR, faults=(message,))
    faults = []
    if event.anchor is not None:
        faults.append(f"the anchor &{event.anchor} is not supported; remove it")
    if event.tag is not None:
        faults.append(f"the tag {event.tag} is not supported; remove it")
    match event:
        case events.MappingStartEvent():
            return Part(place, Kind.MAPPING, faults=tuple(faults))
        case events.SequenceStartEvent():
            return Part(place, Kind.LIST, faults=tuple(faults))
    word = str(event.value)
    if event.style or not event.implicit[0]:
        return Part(place, Kind.SCALAR, word, tuple(faults), as_value=_comment(event, text, is_text=True))
    if word not in _WORDS and not _NUMBER.fullmatch(word):
        as_name = "merge keys are not supported; write the values out" if word == "<<" else ""
        return Part(place, Kind.SCALAR, word, tuple(faults), as_name, _comment(event, text, is_text=True))
    found = scalar(place, _WORDS.get(word, word))
    return Part(
        place,
        Kind.SCALAR,
        found.value,
        (*faults, *found.faults),
        as_name=f'a name must be text; write "{cut(word, _SHOWN_COMMENT)}" in quotes',
        as_value=_comment(event, text, is_text=False),
    )


def _comment(event: Any, text: str, *, is_text: bool) -> str:
    """Return the error in a comment after an unquoted value that may be intended as part of the value.

    A comment may be part of the value after any text (``Invoice #42``), and after any value if no space
    follows the ``#``.
    """
    comment = _COMMENT.match(text, event.end_mark.index) if not event.style else None
    if comment is None or not (is_text or not comment[1].startswith("# ")):
        return ""
    return (
        f"the value ends before {cut(comment[1], _SHOWN_COMMENT)!r}, which YAML reads as a comment; put the "
        "whole value in quotes, or the comment on its own line"
    )


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)
