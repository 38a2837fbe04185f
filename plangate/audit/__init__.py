"""Verify what Plangate recorded: all records against each other, or one run's bundle offline.

`inspection` verifies the records, `evidence` one trail and its bundle; each docstring lists the checks. May
import records, policy, signing and the layers below. `evidence` and its imports need no database.
"""
