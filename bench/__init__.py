"""The benchmark: Plangate compared with a bare Temporal workflow of the same shape.

Tests contain no measured figures; all of them come from here and are listed in ``bench/README.md``.
"""
