"""The succession of champions: who served before, and the step from an older store."""

import re
from collections.abc import Iterator
from pathlib import Path

import pysqlite3
import pytest

from serving.storage.store import Store
from serving.storage.succession import Change, UnknownWay, predecessor

BACK = "rolled_back"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    ticks = iter(range(1, 100))
    with Store.open(tmp_path / "store.db", clock=lambda: next(ticks)) as opened:
        yield opened


def test_every_change_of_champion_is_kept(store: Store) -> None:
    assert store.champion_history() == ()
    assert store.previous_champion() is None
    store.set_champion("aa")
    store.set_champion("bb", "forced")
    assert store.champion() == "bb"
    assert store.previous_champion() == "aa"
    assert store.champion_history() == (Change("aa", 1, "promoted"), Change("bb", 2, "forced"))


def test_an_unknown_way_is_refused_and_changes_nothing(store: Store) -> None:
    store.set_champion("aa")
    words = "by 'luck'; ways are promoted, forced, rolled_back; name one of them"
    with pytest.raises(UnknownWay, match=re.escape(words)):
        store.set_champion("bb", "luck")
    assert store.champion() == "aa"
    assert len(store.champion_history()) == 1


@pytest.mark.parametrize(
    ("steps", "before"),
    [
        ("", None),
        ("a", None),
        ("a a", None),
        ("a b", "a"),
        ("a b a", "b"),
        ("a b c <b", "a"),  # a second rollback goes further back, not forth again
        ("a b c <b <a", None),
        ("a b <a c", "a"),  # b was taken off the pile
        ("a <z", "a"),  # a bundle that never served: it comes on top
    ],
)
def test_a_rollback_takes_the_last_one_off_the_pile(steps: str, before: str | None) -> None:
    history = [
        Change(step.removeprefix("<"), 0, BACK if step.startswith("<") else "promoted")
        for step in steps.split()
    ]
    assert predecessor(history) == before


def test_a_store_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / "store.db"
    with Store.open(file, clock=lambda: 5) as opened:
        opened.set_champion("aa")
        key = opened.new_key("crm")
    connection = pysqlite3.connect(file)
    connection.execute("DROP TABLE champions")
    connection.execute("UPDATE meta SET value = '1' WHERE key = 'schema'")
    connection.commit()
    connection.close()
    for _ in range(2):  # once as the step, once as a store like any other
        with Store.open(file) as opened:
            assert opened.champion_history() == (Change("aa", 5, "promoted"),)
            assert opened.key_is_known(key)


def test_a_challenger_waits_until_it_serves(store: Store) -> None:
    assert store.challenger() is None
    store.set_champion("aa")
    store.set_challenger("bb")
    store.set_challenger("cc")
    assert store.challenger() == "cc"
    store.set_champion("bb")
    assert store.challenger() == "cc"
    store.set_champion("cc")
    assert store.challenger() is None
