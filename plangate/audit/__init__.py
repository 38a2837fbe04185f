"""Verify what Plangate recorded: all records against each other, or one run's bundle offline.

`inspection` verifies the records, `evidence` one trail and its bundle; each docstring lists the checks. May
import records, policy, signing and what is below. `evidence` and what it imports need no database.
"""
