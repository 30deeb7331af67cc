"""Keys that work: asked of the store, and remembered for when it cannot be read.

A caller whose key worked this day gets the fallback while the store is away, and no error.
"""

import time
from collections.abc import Callable
from typing import Final

from features.signals import HOUR, SECOND
from serving.storage.api_keys import hash_of_key
from serving.storage.store_file import StoreFailed

# A key that was revoked meanwhile opens nothing but fallbacks, and only while nobody can read
# the store. A day: long enough to mend a disk.
REMEMBERED_SECONDS: Final = 24 * HOUR // SECOND


class KnownKeys:
    """Tells whether a key works.

    Parameters
    ----------
    hash_is_known : from the sha256 of a key to whether the store holds it
        May raise `StoreFailed`.
    clock : () -> seconds
        Any that never goes back.
    """

    def __init__(
        self, hash_is_known: Callable[[str], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._hash_is_known, self._clock = hash_is_known, clock
        # Only keys that worked are in it, so it cannot grow beyond the number of keys.
        self._worked_at: dict[str, float] = {}

    def key_is_known(self, key: str) -> bool:
        """Whether a key works, or worked when the store could last be read."""
        return self.hash_is_known(hash_of_key(key))

    def hash_is_known(self, wanted: str) -> bool:
        """The same for the hash of a key.

        Raises
        ------
        StoreFailed
            If the store cannot be read and the key is not among those remembered: whether it
            works cannot be told.
        """
        try:
            known = self._hash_is_known(wanted)
        except StoreFailed:
            worked_at = self._worked_at.get(wanted)
            if worked_at is None or self._clock() - worked_at > REMEMBERED_SECONDS:
                raise
            return True
        if known:
            self._worked_at[wanted] = self._clock()
        else:
            self._worked_at.pop(wanted, None)
        return known
