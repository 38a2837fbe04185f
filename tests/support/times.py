"""The number of generated cases of a test: the suite's sample, or a multiple of it."""

import os
from typing import Final

_TIMES: Final = int(os.environ.get("PLANGATE_TEST_TIMES", "1"))


def times(sample: int) -> int:
    """Return ``sample``, multiplied by PLANGATE_TEST_TIMES (1 by default)."""
    return sample * _TIMES
