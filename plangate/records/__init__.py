"""The records: audit trail and effects ledger in one database, SQLite or PostgreSQL.

The worker writes them; the command line and the client read them. May import policy, signing, files, the
domain and SQLAlchemy.
"""
