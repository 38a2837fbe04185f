"""The installable package, one folder for each subject; docs/architecture.md lists them, in layers.

Imports neither `activities` nor `workflows`, which are not installed.
"""

__version__ = "0.1.0"
