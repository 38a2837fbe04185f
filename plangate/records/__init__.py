"""The records: audit trail and effects ledger in one database, SQLite or PostgreSQL.

The worker writes them; the command line opens them for reading. May import the domain and SQLAlchemy.
"""
