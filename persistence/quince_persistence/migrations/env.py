"""Run by Alembic, on the connection of `quince_persistence.migrations.upgrade`."""

from alembic import context

from quince_persistence.schema.tables import metadata, schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=schema.name,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
