"""The commands, one file for each or for those of one group; `plangate.cli.app` lists them.

A function is a command: its parameters are the options, its docstring is the help, and it returns the exit
code. Modules of the package are imported here as modules, not by the names in them: `plangate.cli.lazy` runs
such a module when it is first used, so that `--help` of a command stays fast.
"""
