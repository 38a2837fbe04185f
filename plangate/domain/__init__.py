"""Plangate's rules, as pure code: no clock, no environment, no log, no network, no Temporal.

The modules of this folder are the base of all models, errors and texts. Each of its folders may import only
those before it: ``times`` and ``plans``, ``people``, ``decisions``, ``policies``, ``runs``.

May import the pure part of the standard library, pydantic and rfc8785 (canonical JSON); nothing else.
"""
