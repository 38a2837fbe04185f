"""People: their names, roles, keys and absences, the levels of proof of identity, and trusted web servers.

May import ``times``, ``plans`` and the modules of ``plangate.domain`` itself.
"""
