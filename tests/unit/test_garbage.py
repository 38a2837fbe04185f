"""A worker collects garbage rarely, but often enough that ended runs do not fill its memory."""

import subprocess
import sys

from plangate.settings import PROJECT

# Long-lived reference cycles, like runs, that are then dropped; only a full collection frees their objects.
_PROGRAM = """
import gc, weakref
from plangate.temporal.worker_process import raise_gc_threshold
raise_gc_threshold()
class Ring:
    def __init__(self):
        self.itself, self.more = self, [[] for _ in range(150)]
most, alive = 0, weakref.WeakSet()
waiting = []
for _ in range(20_000):
    ring = Ring()
    alive.add(ring)
    waiting.append(ring)
    if len(waiting) > 300:
        waiting.pop(0)
    most = max(most, len(alive))
print(most)
"""


def test_long_lived_garbage_is_collected_early() -> None:
    program = [sys.executable, "-c", _PROGRAM]
    most = int(subprocess.run(program, cwd=PROJECT, capture_output=True, text=True, check=True).stdout)
    assert 300 < most < 2_500
