"""The benchmark: Plangate compared with a bare Temporal workflow of the same shape.

Tests contain no measured figures. All figures are measured here and listed in ``bench/README.md``.
"""
