"""YAML, read as JSON with fewer brackets: what looks like text stays text, and nothing refers to anything.

YAML 1.1 makes a truth value of ``yes``, eight of ``010`` and a date of ``2026-01-01``; anchors and merge keys
make a plan that is not what its lines show, and `` #`` cuts a text short. So only what JSON has too is
understood (``null``, ``true``, JSON's numbers; YAML 1.2's ``~``, ``True`` and their like). Any other
plain word is text, and anchors, aliases, tags, merge keys, and comments behind an unquoted text are faults.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import yaml
from yaml import events

from plangate.cli.json_reader import number
from plangate.cli.tree import Fault, Place, Tree, TreeBuilder, Unreadable
from plangate.domain.escaping import cut

_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MERGE: Final = "<<"
_COMMENT: Final = re.compile(r"[ \t]+(#[^\r\n]*)")
_SHOWN_COMMENT: Final = 60


def read_yaml(text: str) -> Tree:
    """Return what a YAML text says.

    Raises:
        Unreadable: it is not YAML, or holds more than one document.
    """
    builder = TreeBuilder()
    documents = 0
    for event in _events(text):
        place = _place(event.start_mark)
        match event:
            case events.DocumentStartEvent():
                documents += 1
                if documents > 1:
                    raise Unreadable(Fault(place, "", "a second document begins; a plan file holds one"))
                if event.tags:
                    builder.fault(place, "tags are not understood here; take the %TAG line out")
            case events.NodeEvent():
                if isinstance(event, events.ScalarEvent) and not builder.at_key:
                    _check_comment(builder, place, event, text)
                _take_node(builder, place, event)
            case events.CollectionEndEvent():
                builder.close()
    if not documents:
        raise Unreadable(Fault(Place(1, 1), "", "the file is empty"))
    return builder.tree()


def _events(text: str) -> Iterator[Any]:
    """Yield the parser's events; ``Any``, since its types know nothing of what each kind carries."""
    last = Place(1, 1)
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            last = _place(event.start_mark)
            yield event
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise Unreadable(Fault(_place(mark) if mark else last, "", f"this is not YAML: {said}")) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        place = Place(before.count("\n") + 1, error.position - before.rfind("\n"))
        raise Unreadable(
            Fault(place, "", f"the character U+{ord(text[error.position]):04X} may not stand here")
        ) from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        # The parser stumbles over some wrong escapes instead of refusing them.
        raise Unreadable(Fault(last, "", f"this is not YAML: {error}")) from None


def _take_node(builder: TreeBuilder, place: Place, event: Any) -> None:
    if isinstance(event, events.AliasEvent):
        builder.blank(place, f"*{event.anchor} refers to another part; write it out instead")
        return
    if event.anchor is not None:
        builder.fault(place, f"the anchor &{event.anchor} is not understood here; take it out")
    if event.tag is not None:
        builder.fault(place, f"the tag {event.tag} is not understood here; take it out")
    match event:
        case events.MappingStartEvent():
            builder.open(place, {})
        case events.SequenceStartEvent():
            builder.open(place, [])
        case _:
            _take_scalar(builder, place, event.value, is_plain=event.implicit[0] and not event.style)


def _check_comment(builder: TreeBuilder, place: Place, event: Any, text: str) -> None:
    """Put a fault where a comment behind an unquoted value may have been meant as its end.

    It may in any text (``Invoice #42``), and in whatever stands before a ``#`` with no blank behind it.
    """
    comment = _COMMENT.match(text, event.end_mark.index) if not event.style else None
    if comment is None:
        return
    is_text = event.value not in _WORDS and not _NUMBER.fullmatch(event.value)
    if is_text or not comment[1].startswith("# "):
        builder.fault(
            place,
            f"the value ends before {cut(comment[1], _SHOWN_COMMENT)!r}, for YAML takes that for a comment; "
            "put the whole value in quotes, or the comment on a line of its own",
        )


def _take_scalar(builder: TreeBuilder, place: Place, text: str, *, is_plain: bool) -> None:
    is_text = not is_plain or (text not in _WORDS and not _NUMBER.fullmatch(text))
    if builder.at_key:
        if is_plain and text == _MERGE:
            builder.fault(place, "merge keys are not understood here; write the values out")
            builder.key(place, None)
        elif is_text:
            builder.key(place, text)
        else:
            builder.fault(place, f'a name must be text; write "{text}" in quotes')
            builder.key(place, None)
    elif is_text:
        builder.scalar(place, text)
    elif text in _WORDS:
        builder.scalar(place, _WORDS[text])
    else:
        number(builder, place, text)


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)
