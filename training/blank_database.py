"""The SQL of an empty MLflow database, written anew: `python -m training.blank_database`."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from training.blank_sql import sql_file
from training.registry import tracking_client

# Rows that MLflow finds or makes itself; everything else in a new database is structure.
KEPT_ROWS: Final = ('INSERT INTO "alembic_version"', 'INSERT INTO "workspaces"')


def blank_sql(database: Path) -> str:
    """SQL that makes an empty database like this one."""
    with closing(sqlite3.connect(database)) as connection:
        return "\n".join(_structure(connection)) + "\n"


def _structure(connection: sqlite3.Connection) -> Iterator[str]:
    for statement in connection.iterdump():
        if not statement.startswith("INSERT INTO") or statement.startswith(KEPT_ROWS):
            yield statement


def main() -> None:
    """Let MLflow make a database and write down what it made."""
    sql_file().unlink(missing_ok=True)  # else it would only be copied
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "mlflow.db"
        tracking_client(database)
        sql_file().write_text(blank_sql(database), encoding="utf-8")


if __name__ == "__main__":
    main()
