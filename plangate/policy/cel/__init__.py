"""CEL, the Common Expression Language (cel-spec, langdef.md): `parse` and `evaluate` an expression.

Without messages of Protocol Buffers. Imports nothing of Plangate.
"""
