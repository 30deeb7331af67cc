"""Edits of the company's own files: seen while the service runs, served once they are whole."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from features.home import Home

LOOK_EVERY_SECONDS: Final = 1.0  # three file dates cost some microseconds; a person saves seldom

Dates = tuple[int, ...]


class Edits:
    """Tells when the catalog, the policy or the sentences of a home were edited.

    An edit is told once the files have been the same for two looks, a second apart: an editor
    may write a file in parts, and the first part may be a valid file.

    Parameters
    ----------
    clock : () -> seconds
        Any that never goes back.
    """

    def __init__(self, home: Home, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = (home.catalog, home.policy, home.reasons)
        self._clock = clock
        self._lock = threading.Lock()
        self._read = self._seen = dates_of(self._files)
        self._looked_at = clock()

    def any_new(self) -> bool:
        """Whether there is an edit to be read; true once for each."""
        if self._clock() - self._looked_at < LOOK_EVERY_SECONDS or not self._lock.acquire(False):
            return False
        try:
            self._looked_at = self._clock()
            before, self._seen = self._seen, dates_of(self._files)
            if self._seen == self._read or self._seen != before:
                return False
            self._read = self._seen
            return True
        finally:
            self._lock.release()


def dates_of(files: tuple[Path, ...]) -> Dates:
    """When each file was last written, and how long it is; 0 where there is none."""
    found: list[int] = []
    for path in files:
        try:
            state = path.stat()
        except OSError:
            found += (0, 0)
        else:
            found += (state.st_mtime_ns, state.st_size)
    return tuple(found)
