"""The top floor: what ``starter.py`` shows and asks.

It calls ``workflows.gateway`` and what is below. Everything here that takes long to import is imported by the
command that needs it, never by ``--help``.
"""
