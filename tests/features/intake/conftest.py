"""What a home holds after files were taken in."""

from collections.abc import Callable

import duckdb
import pytest

from features.history import History
from features.home import Home


def rows_of(home: Home, columns: str, order: str = "all") -> list[tuple[object, ...]]:
    """Some columns of the signals of a home, as SQL names them and puts them in order."""
    files = ", ".join(f"'{part}'" for part in History(home.signals).parts())
    with duckdb.connect() as connection:
        return connection.execute(
            f"select {columns} from read_parquet([{files}]) order by {order}"
        ).fetchall()


@pytest.fixture
def kept() -> Callable[..., list[tuple[object, ...]]]:
    return rows_of
