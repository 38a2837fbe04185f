"""Sign and verify decisions, checkpoints, and requests about keys, stops and delegations.

May import files and the domain.
"""
