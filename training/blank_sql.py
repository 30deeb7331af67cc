"""An empty MLflow database, ready at once.

MLflow builds its tables by some sixty migrations, each forced to disk: 3 s of work and up to 12 s
on a busy machine. Its result for the version that the lock names lies here as SQL; any other
version builds its own. `python -m training.blank_database` writes the SQL anew.
"""

import sqlite3
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent


def sql_file() -> Path:
    """Where the SQL of the installed MLflow would lie; it need not exist."""
    return FOLDER / f"mlflow_{version('mlflow')}.sql"


def make_blank(database: Path) -> bool:
    """Make the database from SQL, unless it exists or there is none for this MLflow.

    Returns
    -------
    bool
        Whether it was made.
    """
    source = sql_file()
    if database.exists() or not source.exists():
        return False
    database.parent.mkdir(parents=True, exist_ok=True)
    beside = database.with_name(f".{database.name}.part")
    beside.unlink(missing_ok=True)
    with closing(sqlite3.connect(beside)) as connection:
        connection.executescript(source.read_text(encoding="utf-8"))
    beside.replace(database)
    return True
