"""From one version of the tables to the next, with Alembic.

`Store.open` makes a new store at the newest version without Alembic (a test holds both to the same
result); this is for the stores that are there already.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy.exc import SQLAlchemyError

from quince_persistence.databases.bootstrap import version
from quince_persistence.databases.database import Database
from quince_persistence.databases.opening import database_of
from quince_persistence.errors import SchemaTooNew
from quince_persistence.schema.tables import SCHEMA_VERSION


def upgrade(url: str, revision: str = "head") -> str:
    """Bring a store to the newest version. Safe to call twice, and from two programs at once.

    Durable on return; if it fails, the store is as it was. No worker should run meanwhile.

    Args:
        url: As for `Store`. An empty database becomes an empty store.
        revision: Where to stop.

    Returns:
        The version that the store now has.

    Raises:
        PersistenceError: the database cannot be used; see `quince_persistence.errors`.
    """
    database = database_of(url)
    try:
        return _upgrade(database, revision)
    except SQLAlchemyError as error:
        raise database.explain(error) from error
    finally:
        database.dispose()


def _upgrade(database: Database, revision: str) -> str:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with database.turn(), database.writer() as connection:
        database.lock_schema(connection)
        found = version(connection)
        if found is not None and found > SCHEMA_VERSION:
            raise SchemaTooNew(found, SCHEMA_VERSION)
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
        return version(connection) or ""
