"""Workflow code only: deterministic and without I/O.

May import activities (their names and messages), the package, Temporal and pydantic; no other library.
"""
