"""Plangate's vocabulary and plumbing: what more than one process needs."""
