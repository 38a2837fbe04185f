"""Plans: their steps, tools, fingerprints and changes, and how a proposal is checked.

May import the modules of ``plangate.domain`` itself, but no other folder of it.
"""
