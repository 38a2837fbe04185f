"""People: their names, roles, keys and absences, and how strongly their identity is proven.

May import ``times``, ``plans`` and the modules of ``plangate.domain`` itself.
"""
