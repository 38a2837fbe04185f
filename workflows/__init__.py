"""Workflow code only: deterministic and without I/O.

May import activities (their names and messages) and the package; of libraries only Temporal and pydantic.
"""
