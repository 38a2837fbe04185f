"""Workflow code only: deterministic and without I/O.

Open runs continue under changed code; CONTRIBUTING.md ("Changing the workflow") describes how to ensure this.
May import activities (their names and messages), the package, Temporal and pydantic; no other library.
"""
