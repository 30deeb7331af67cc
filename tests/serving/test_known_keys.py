"""A key that worked is remembered for as long as nobody can ask the store."""

import pytest

from serving.calls.known_keys import REMEMBERED_SECONDS, KnownKeys
from serving.storage.store_file import StoreFailed


class Away:
    """A store of keys that can go away, and a clock."""

    def __init__(self) -> None:
        self.known, self.is_away, self.now = {"mine"}, False, 0.0

    def holds(self, wanted: str) -> bool:
        if self.is_away:
            raise StoreFailed("the store could not be read")
        return wanted in self.known

    def clock(self) -> float:
        return self.now


def test_a_key_that_worked_works_for_a_day_without_the_store() -> None:
    store = Away()
    keys = KnownKeys(store.holds, store.clock)
    assert keys.hash_is_known("mine")
    assert not keys.hash_is_known("other")
    store.is_away, store.now = True, REMEMBERED_SECONDS
    assert keys.hash_is_known("mine")
    with pytest.raises(StoreFailed, match="could not be read"):
        keys.hash_is_known("other")
    store.now = REMEMBERED_SECONDS + 1
    with pytest.raises(StoreFailed, match="could not be read"):
        keys.hash_is_known("mine")


def test_a_revoked_key_is_forgotten_at_once() -> None:
    store = Away()
    keys = KnownKeys(store.holds, store.clock)
    assert keys.hash_is_known("mine")
    store.known.clear()
    assert not keys.hash_is_known("mine")
    store.is_away = True
    with pytest.raises(StoreFailed, match="could not be read"):
        keys.hash_is_known("mine")
