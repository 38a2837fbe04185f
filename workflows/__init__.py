"""Workflow code alone: deterministic, with no I/O and no vendor library but Temporal's."""
