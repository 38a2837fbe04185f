"""The installable package: rules, records, audit, client and command line. Imports nothing above it."""

__version__ = "0.1.0"
