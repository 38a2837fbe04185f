"""Alembic's entry point: runs the migrations on the given connection, inside its transaction."""

from alembic import context

from plangate.records.tables import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
