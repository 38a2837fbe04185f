"""Alembic's way in: runs the migrations on the connection, and inside the transaction, that it is handed."""

from alembic import context

from plangate.records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
