"""Runs: their events, state, life cycle, deadlines and status, and whether a decision is accepted.

Also the stops that make their steps wait, the checkpoints that seal their trails, and findings about trails.

May import every other folder of ``plangate.domain``.
"""
