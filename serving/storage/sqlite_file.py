"""The SQLite file of a store: private, and opened so that nothing acknowledged is lost."""

import os
from pathlib import Path
from typing import Final

import sqlalchemy as sa

try:  # the one that brings its own SQLite; where it has no wheel, Python's will do if new enough
    import pysqlite3 as driver
except ModuleNotFoundError:  # pragma: no cover - other platforms
    import sqlite3 as driver

OLDEST_SQLITE: Final = (3, 51, 3)  # earlier ones can lose commits when a write-ahead log restarts


class OldSqlite(ValueError):
    """The SQLite library is one that can lose acknowledged commits."""


def require_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a SQLite library that can lose acknowledged commits.

    Raises
    ------
    OldSqlite
        If it is older than `OLDEST_SQLITE`.
    """
    if version < OLDEST_SQLITE:
        raise OldSqlite(
            f"SQLite {'.'.join(map(str, version))} can lose commits; "
            f"{'.'.join(map(str, OLDEST_SQLITE))} or newer is needed; "
            "install the package pysqlite3, or a newer Python build"
        )


def sqlite_version() -> str:
    """Version of the SQLite library in use."""
    return str(driver.sqlite_version)


def opened(path: Path) -> tuple[sa.Engine, sa.Engine]:
    """A reader and a writer of the file, which is made if there is none.

    Raises
    ------
    OldSqlite
        If the SQLite library is too old.
    """
    require_sqlite(driver.sqlite_version_info)
    make_private_file(path)
    reader, writer = connect(path, "query_only=on"), connect(path, "query_only=off")
    sa.event.listen(writer, "begin", begin_immediate)
    return reader, writer


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner may read, unless there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def connect(path: Path, pragma: str) -> sa.Engine:
    """Engine whose connections survive a power cut and leave no deleted bytes behind."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        module=driver,
        # None: SQLite's own transactions, begun by us; the driver shall begin none.
        connect_args={"isolation_level": None, "timeout": 1.0},
        hide_parameters=True,  # an error's text may reach a log; what customers did must not
    )
    pragmas = (
        "journal_mode=wal",
        "synchronous=full",  # each commit reaches the disk before it is answered
        "busy_timeout=1000",
        "foreign_keys=on",
        "secure_delete=on",
        "trusted_schema=off",
        pragma,
    )

    def prepare(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for line in pragmas:
            cursor.execute(f"PRAGMA {line}")
        cursor.close()

    sa.event.listen(engine, "connect", prepare)
    return engine


def begin_immediate(connection: sa.Connection) -> None:
    """Take the write lock at the start: a lock taken half-way can fail half-way."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
