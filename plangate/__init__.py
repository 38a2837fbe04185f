"""Plangate's vocabulary and plumbing: what more than one process needs."""

__version__ = "0.1.0"
