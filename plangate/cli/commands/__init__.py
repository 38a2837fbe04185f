"""The commands, one file per command or group; `plangate.cli.app` lists them.

Each function is a command: its parameters are the options, its docstring is the help, and it returns the exit
code. Import modules of the package here as modules, not names from them: `plangate.cli.lazy` runs such a
module at its first use, which keeps `--help` fast.
"""
