"""Verify what Plangate recorded: all records against each other, or the bundle of one run offline.

`inspection` verifies the records, `evidence` verifies one trail and its bundle; their docstrings list the
checks, and docs/howto-verify.md what a bundle shows and what it cannot show. May import records, policy,
signing and the layers below. `evidence` and its imports need no database.
"""
