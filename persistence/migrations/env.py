"""Run by Alembic, on the connection of `persistence.migrations.upgrade`."""

from alembic import context

from persistence.tables import metadata, schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=schema.name,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
