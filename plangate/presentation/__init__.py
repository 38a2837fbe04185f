"""A run, its trail and lists as neutral pages, and Markdown for Temporal's Web UI.

Terminals print what is made here, and other front ends can. May import audit, records and what is below, and
prints nothing.
"""
