"""The command line: what is typed, asked and printed.

May import everything in the package. What takes long to import is imported by the command that needs it, so
that ``--help`` answers at once.
"""
