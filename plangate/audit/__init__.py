"""What an auditor checks: trails, rows, effects and seals; by the records, or by one run's bundle offline.

May import records, policy, signing and what is below. `evidence` and what it imports need no database.
"""
