"""Everything that uses Temporal: connection, payloads, search attributes, names, dev server, worker process.

May import records, logs, settings and what is below. Look here when the Temporal SDK is upgraded.
"""
