"""A run, its trail and lists as neutral pages, and Markdown for Temporal's Web UI.

Terminals print these pages, and other front ends can too. This package prints nothing. May import audit,
records and the layers below.
"""
