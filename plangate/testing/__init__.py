"""Test your own tools and policies against a complete Plangate: `docs/howto-test-your-tool.md`.

The pytest fixture ``plangate`` starts a Temporal server, records and a worker in the test's process. It
imports few modules, because pytest loads it in every project with the package. May import client and the
layers below.
"""

from plangate.testing.approvers import (
    Approver,
    approves,
    edits,
    rejects,
    requests_changes,
    resolves,
    stays_silent,
    strikes,
)
from plangate.testing.plans import step

__all__ = [
    "Approver",
    "approves",
    "edits",
    "rejects",
    "requests_changes",
    "resolves",
    "stays_silent",
    "step",
    "strikes",
]
