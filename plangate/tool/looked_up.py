"""Turn the return value of a look-up (`find_out`, `find_out_undo`) into the status of an effect.

None means that the effect did not happen, and a receipt means that it happened. For any other value, the
effect is in doubt.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from numbers import Number
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin

from plangate.tool.places import refuse, returned_by
from plangate.tool.protocols import EffectStatus, Happened, Reversed, Settled, Unknown
from plangate.tool.returned import Accepted, receipt_of

LOOK_UPS: Final = ("find_out", "find_out_undo")
_MAY_BE_EMPTY: Final = (Number, Sequence, Mapping, AbstractSet)


def check_look_up(function: Callable[..., Any], name: str) -> None:
    """Check that a look-up is not annotated to return True or False.

    Raises:
        ToolInvalid: it is.
    """
    if _has_bool(returned_by(function)):
        refuse(
            function,
            name,
            "it returns bool; return what the call returned if it happened, or None if it did not.",
        )


def status_of(found: Any, tool: str) -> EffectStatus | None:
    """Return the status of an effect from the result of a look-up of ``tool``; None if it found no effect."""
    if found is None or (isinstance(found, EffectStatus) and not isinstance(found, Happened)):
        return found
    result = found.receipt if isinstance(found, Happened) else found
    unfit = _unfit(result.value if isinstance(result, Accepted) else result)
    if unfit:
        return Unknown(
            f"The look-up of {tool} returned {unfit}, which does not show whether the effect happened (it "
            "must return a result, or None if it did not happen); check by hand."
        )
    return Happened(receipt_of(result))


def _has_bool(annotation: Any) -> bool:
    if get_origin(annotation) in (Union, UnionType, Accepted):
        return any(map(_has_bool, get_args(annotation)))
    return annotation is bool


def _unfit(found: Any) -> str:
    """Return a description of a value that cannot be the result of a call; empty if it can."""
    kind = type(found).__name__
    if isinstance(found, bool):
        return str(found)
    if isinstance(found, type):
        return f"the class {found.__name__}"
    if isinstance(found, BaseException):
        return f"an error ({kind}) instead of raising it"
    if isinstance(found, _MAY_BE_EMPTY) and not found:
        return f"an empty value ({kind})"
    return kind if found is NotImplemented or isinstance(found, (Iterator, Settled, Reversed)) else ""
