"""Plangate's rules, as pure code: no clock, no environment, no log, no network, no Temporal.

May import the standard library, pydantic and rfc8785 (canonical JSON); nothing else.
"""
