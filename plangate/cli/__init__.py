"""The command line: parsing, questions and output.

`app.py` lists the commands, `commands/` contains them, and `lazy.py` imports a command only when it is typed,
which keeps ``--help`` fast. May import everything in the package.
"""
