"""Workflow code alone: deterministic and without I/O.

May import activities (their names and messages) and the package; of vendors Temporal and pydantic alone.
"""
