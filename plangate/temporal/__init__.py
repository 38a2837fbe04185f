"""The Temporal side: connection, payloads, search attributes, names, dev server, agreement of workers.

May import records, logs, settings and what is below. Look here when Temporal's library is upgraded.
"""
