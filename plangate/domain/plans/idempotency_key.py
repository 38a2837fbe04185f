"""The idempotency key of an effect: the same in every attempt, so that a repeat is recognized.

`plangate.domain.runs.run.key_of` returns the current key of a step. docs/howto-add-a-tool.md describes how a
tool uses it.
"""

import re
from typing import Final

_RENEWED: Final = re.compile(r":r[0-9]+\Z")  # a retry after a definite failure adds this to a key


def idempotency_key(
    workflow_id: str, fingerprint: str, step: int, *, undo: bool = False, resolution: int = 0
) -> str:
    """Return the idempotency key of one effect; it never depends on the attempt.

    Args:
        workflow_id: the run.
        fingerprint: the fingerprint of its plan.
        step: the number of the step, from 1.
        undo: whether the effect undoes the step.
        resolution: the number of the resolution that retries after a definite failure; 0 for the first try. A
            vendor may respond to a used key with the stored failure, so the retry needs a new key.
    """
    key = f"{workflow_id}:{fingerprint}:{step}"
    return key + (":undo" if undo else "") + (f":r{resolution}" if resolution else "")


def key_of_first_try(key: str) -> str:
    """Return the idempotency key that the effect had before any retry after a definite failure."""
    return _RENEWED.sub("", key)
