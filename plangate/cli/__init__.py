"""The command line: what is typed, asked and printed.

`app.py` lists the commands, `commands/` holds them, and `lazy.py` imports one when it is typed, so that
``--help`` stays fast. May import everything in the package.
"""
