"""Adapt refusals to a page: replace a command with the page's button.

Recorded reasons are written for every interface, and some mention a command. Their sentences stay in English,
but each button is named as on the page.
"""

import re
from typing import Final

from plangate.web.language import Language

_SIGN: Final = (
    r"make a key with `starter\.py keys new`, and decide with `starter\.py [a-z-]+`, "
    r"or paste what `starter\.py sign` prints"
)
_ADD: Final = (
    r"(add the public key that `starter\.py keys list` prints to the list of people"
    r"|create one with `starter\.py keys new`, and add its public key to the list of people"
    r"|make a key with `starter\.py keys new`)"
)
_HINTS: Final = (
    (
        r"withdraw the run: starter\.py withdraw \S+",
        "the run's requester can withdraw it by '{}' on its page; otherwise an operator can stop the tool",
        "deciding.withdraw",
    ),
    (r"resolve it: starter\.py resolve \S+", "resolve it by '{}' on its page", "deciding.resolve"),
    (_SIGN, "open it again, and sign with a passkey; '{}' adds one", "me.title"),
    (r"sign with `starter\.py sign`", "open the plan again, and press '{}' there", "deciding.approve"),
    (_ADD, "add a passkey on '{}', and have it confirmed", "me.title"),
)
_COMPILED: Final = tuple((re.compile(pattern), said, name) for pattern, said, name in _HINTS)


def on_a_page(words: Language, reason: str) -> str:
    """Return a reason with the page's own buttons in place of commands."""
    for pattern, said, name in _COMPILED:
        reason = pattern.sub(said.format(words(name)).replace("\\", r"\\"), reason)
    return reason
