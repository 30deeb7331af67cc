"""The store's file: anybody reads it at any time, one at a time writes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa

from serving.storage.sqlite_file import opened
from serving.storage.turnstile import Turnstile

P = ParamSpec("P")
T = TypeVar("T")


class StoreFailed(ValueError):
    """SQLite could not read or write."""


class StoreFile:
    """One open file. Safe for several threads and several processes.

    Parameters
    ----------
    path : Path
        Made if there is none.
    patience : float
        Seconds to wait for the turn to write before `StoreBusy`.

    Raises
    ------
    OldSqlite
        If the SQLite library is too old.
    """

    def __init__(self, path: Path, patience: float) -> None:
        self.reader, self.writer = opened(path)
        self._turnstile = Turnstile(path, patience)
        self._thread = threading.local()

    def close(self) -> None:
        """Close all connections and the lock files."""
        self.reader.dispose()
        self.writer.dispose()
        self._turnstile.close()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A connection that reads.

        Raises
        ------
        StoreFailed
            If the file cannot be read.
        """
        try:
            with self.reader.connect() as connection:
                yield connection
        except sa.exc.DatabaseError as error:
            if not _is_broken(error):
                raise
            raise StoreFailed(
                f"the store could not be read ({error.orig}); look at the disk and at the rights "
                "of the home, or put a backup in the store's place"
            ) from error

    def ask(
        self,
        question: Callable[Concatenate[sa.Connection, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """What a function of a connection that reads returns; see `reading`."""
        with self.reading() as connection:
            return question(connection, *args, **kwargs)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction: committed at the end, undone if anything fails inside.

        Raises
        ------
        StoreBusy
            If the turn did not come in time.
        StoreFailed
            If the file cannot be written.
        """
        shared: sa.Connection | None = getattr(self._thread, "connection", None)
        if shared is not None:
            with shared.begin_nested():  # what fails is undone alone, the others stay
                yield shared
            return
        try:
            with self._turnstile.turn(), self.writer.begin() as connection:
                yield connection
        except sa.exc.DatabaseError as error:
            if not _is_broken(error):
                raise
            raise StoreFailed(
                f"the store could not be written ({error.orig}); nothing was kept; "
                "look at the disk's free space and at the rights of the home"
            ) from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """All transactions of this thread inside are one; what fails is undone alone."""
        with self.writing() as connection:
            self._thread.connection = connection
            try:
                yield
            finally:
                self._thread.connection = None


def _is_broken(error: sa.exc.DatabaseError) -> bool:
    """Whether the file or the disk is to blame, and not a statement of ours."""
    return type(error) in (sa.exc.DatabaseError, sa.exc.OperationalError)
