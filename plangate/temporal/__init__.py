"""The code that uses Temporal: connection, payloads, search attributes, names, dev server, worker process.

May import records, logs, settings and the layers below. Check this package when the Temporal SDK is upgraded.
"""
