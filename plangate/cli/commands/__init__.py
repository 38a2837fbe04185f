"""The commands, one file per command or group; `plangate.cli.app` lists them.

Each command is a function: Click's decorators are its arguments and options, its docstring is the help, and
it returns the exit code. Import modules of the package here as modules, not names from them:
`plangate.cli.lazy` runs such a module at its first use, which keeps `--help` fast.
"""
