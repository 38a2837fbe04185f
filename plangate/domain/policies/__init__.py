"""What a plan requires, who may approve it, resolve its run or see it, and rolling totals.

The files of rules are read in ``plangate.policy``.

May import ``decisions`` and everything that it may import.
"""
