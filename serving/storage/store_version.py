"""The version of a store: its tables are made, and an older store is brought up to date."""

from pathlib import Path
from typing import Final

import sqlalchemy as sa

from serving.storage import tables
from serving.storage.customer_signals import customer_ids, signals_of
from serving.storage.moment_index import note_all
from serving.storage.single_values import keep_value, value_of
from serving.storage.store_file import StoreFailed, StoreFile
from serving.storage.succession import PROMOTED

_VERSION: Final = "schema"


class UnusableStore(ValueError):
    """The file is no store, or one of another version."""


def current_file(path: Path, patience: float) -> StoreFile:
    """Open a store's file, with the tables of the present version.

    Raises
    ------
    OldSqlite
        If the SQLite library is too old.
    UnusableStore
        If the file is no store, or one of another version.
    """
    file = StoreFile(path, patience)
    try:
        with file.writing() as connection:
            found = _prepared(connection)
    except (sa.exc.DatabaseError, StoreFailed) as error:
        file.close()
        why = getattr(error, "orig", error)
        raise UnusableStore(
            f"{path}: not a usable store ({why}); move it away and run "
            "`nextbest ingest` again, or put a backup in its place"
        ) from error
    if found != tables.SCHEMA_VERSION:
        file.close()
        raise UnusableStore(
            f"{path}: a store of version {found}; this program reads version "
            f"{tables.SCHEMA_VERSION}; use the program that wrote it, or ingest into a new home"
        )
    return file


def _prepared(connection: sa.Connection) -> str:
    """Make what tables are missing; the version of the store as it then is."""
    tables.METADATA.create_all(connection)
    found = value_of(connection, _VERSION)
    if found is None:
        found = tables.SCHEMA_VERSION
        keep_value(connection, _VERSION, found)
    return _brought_up_to_date(connection, found) if found in tables.OLDER_VERSIONS else found


def _brought_up_to_date(connection: sa.Connection, found: str) -> str:
    """Finish the step from an older version, whose missing tables are there by now."""
    tables.decisions_by_communication.create(connection, checkfirst=True)
    for customer_id in customer_ids(connection):
        signals = signals_of(connection, customer_id)
        if signals is not None:
            note_all(connection, [(customer_id, signals)])
    if found == "1":
        champion = tables.champion.c
        first = sa.select(champion.sha256, champion.changed_at, sa.literal(PROMOTED))
        connection.execute(
            sa.insert(tables.champions).from_select(["sha256", "changed_at", "how"], first)
        )
    keep_value(connection, _VERSION, tables.SCHEMA_VERSION)
    return tables.SCHEMA_VERSION
