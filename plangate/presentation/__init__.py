"""A run, its trail and lists as neutral pages, and Markdown for Temporal's Web UI.

`console.py` prints these pages on a terminal or into a pipe; other front ends can show them too. May import
audit, records and the layers below.
"""
