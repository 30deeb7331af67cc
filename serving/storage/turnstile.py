"""A fair lock between threads and processes, held for one short transaction."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# How often a waiting process looks again. A transaction takes a few milliseconds, so looking
# twice a millisecond adds little to the wait and nearly nothing to the processor's work.
LOOK_AGAIN_SECONDS: Final = 0.0005


class StoreBusy(ValueError):
    """Somebody else held the store for longer than the caller can wait."""


class Turnstile:
    """Two locked files: who holds the gate is the next to pass.

    A process that has just finished must queue at the gate again, so it cannot overtake the one
    that waits there. SQLite's own waiting has no such order: under load one worker was seen to
    wait for seconds.

    Parameters
    ----------
    beside : Path
        The database; the lock files stand beside it. The database itself is never opened here,
        since closing it would drop SQLite's locks.
    patience : float
        Seconds to wait before `StoreBusy`.
    """

    def __init__(self, beside: Path, patience: float) -> None:
        self._patience = patience
        self._thread = threading.Lock()
        self._files = tuple(
            os.open(f"{beside}.{name}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for name in ("gate", "turn")
        )

    @contextmanager
    def turn(self) -> Iterator[None]:
        """One turn, alone among all threads and processes.

        Raises
        ------
        StoreBusy
            If the turn did not come within the patience.
        """
        deadline = time.monotonic() + self._patience
        if not self._thread.acquire(timeout=self._patience):
            raise self._busy()
        try:
            gate, turn = self._files
            self._lock(gate, deadline)
            try:
                self._lock(turn, deadline)
            finally:
                fcntl.flock(gate, fcntl.LOCK_UN)
            try:
                yield
            finally:
                fcntl.flock(turn, fcntl.LOCK_UN)
        finally:
            self._thread.release()

    def close(self) -> None:
        """Close the lock files."""
        for file in self._files:
            os.close(file)

    def _lock(self, file: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._busy() from None
                time.sleep(LOOK_AGAIN_SECONDS)
            else:
                return

    def _busy(self) -> StoreBusy:
        return StoreBusy(
            f"the store was busy for {self._patience:g} s; a turn lasts milliseconds; "
            "look for a stopped process that uses the same home, then try again"
        )
