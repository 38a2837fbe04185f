"""Runs: their events, state, life cycle, deadlines and status, and whether a decision is accepted.

May import every other folder of ``plangate.domain``.
"""
