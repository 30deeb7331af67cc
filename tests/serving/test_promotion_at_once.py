"""A promotion is one step: whatever stops it, the old bundle or the new one serves."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from serving.storage.store import Store

KILLED = """
import os, signal, sys
from pathlib import Path
import sqlalchemy as sa
from serving.storage.store import Store

@sa.event.listens_for(sa.Engine, {moment!r})
def die(connection, cursor, statement, *others):
    if {table!r} in statement and statement.startswith("INSERT"):
        os.kill(os.getpid(), signal.SIGKILL)

with Store.open(Path({path!r})) as store:
    store.set_champion("bb")
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Store.open(tmp_path / "store.db") as store:
        store.set_champion("aa")
        store.set_challenger("bb")
    return tmp_path / "store.db"


def state(path: Path) -> tuple[str | None, str | None, list[str]]:
    with Store.open(path) as store:
        return (
            store.champion(),
            store.challenger(),
            [each.sha256 for each in store.champion_history()],
        )


@pytest.mark.parametrize("table", ["champion ", "champions "])
@pytest.mark.parametrize("moment", ["before_cursor_execute", "after_cursor_execute"])
def test_a_killed_promotion_leaves_the_old_one(path: Path, moment: str, table: str) -> None:
    script = KILLED.format(moment=moment, table=f"INTO {table}", path=str(path))
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], check=False
    )
    assert ended.returncode == -9
    assert state(path) == ("aa", "bb", ["aa"])
    with Store.open(path) as store:
        store.set_champion("bb")
    assert state(path) == ("bb", None, ["aa", "bb"])


def test_a_promotion_that_cannot_be_written_down_is_none(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON champions "
            "BEGIN SELECT RAISE(FAIL, 'no room'); END"
        )
    connection.close()
    with Store.open(path) as store, pytest.raises(sa.exc.DBAPIError, match="no room"):
        store.set_champion("bb")
    assert state(path) == ("aa", "bb", ["aa"])
