"""The installable package: rules, records, audit, client and command line. Imports nothing outside itself."""

__version__ = "0.1.0"
