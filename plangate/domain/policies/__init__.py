"""What a plan requires, and who may approve it. The files of rules are read in ``plangate.policy``.

May import ``decisions`` and everything that it may import.
"""
