"""What the performance figures come from: Plangate beside a bare Temporal workflow of the same shape.

No test states a figure that a clock gave; all of them come from here and stand in ``bench/README.md``.
"""
