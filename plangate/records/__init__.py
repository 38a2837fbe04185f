"""The records: audit trail and effects ledger in one database, SQLite or PostgreSQL.

The worker writes them; the command line, the client and the inbox read them. May import policy and the layers
below, and the libraries of databases.
"""
