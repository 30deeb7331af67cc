"""The store: one SQLite file that remembers signals, consent, decisions and keys.

A decision is made in one short transaction (`Store.record`): what must be read at the moment of
choosing is read there, under the customer's lock, and the answer is given after the commit.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.signals import SignalColumns, pack, unpack
from serving import tables
from serving.ledger import (
    CRISIS_PAUSE,
    NOTHING_MORE,
    Circumstances,
    ConsentLike,
    Entry,
    IdempotencyConflict,
    InvalidDecision,
    claim,
    is_paused,
    ledger_of,
    lock_customer,
    log_decision,
)
from serving.records import Decision, Ledger
from serving.succession import (
    PROMOTED,
    Change,
    challenger_of,
    champion_of,
    crown,
    history_of,
    name_challenger,
    predecessor,
)
from serving.turnstile import StoreBusy, Turnstile

try:  # the one that brings its own SQLite; where it has no wheel, Python's will do if new enough
    import pysqlite3 as driver
except ModuleNotFoundError:  # pragma: no cover - other platforms
    import sqlite3 as driver

OLDEST_SQLITE: Final = (3, 51, 3)  # earlier ones can lose commits when a write-ahead log restarts
PATIENCE_SECONDS: Final = (
    0.8  # below the service's deadline of 1 s, so that the store gives up first
)
ROWS_A_TURN: Final = 500  # imports let waiting decisions pass after so many rows
KEY_PREFIX: Final = "nb_"

# Statements of every decision are built once: building one costs more than running it.
_META: Final = sa.select(tables.meta.c.value).where(tables.meta.c.key == sa.bindparam("wanted"))
_KEY: Final = sa.select(tables.api_keys.c.sha256).where(
    tables.api_keys.c.sha256 == sa.bindparam("wanted")
)
_SIGNALS: Final = sa.select(tables.customers.c.signals).where(
    tables.customers.c.customer_id == sa.bindparam("customer")
)
_CONSENT_CHANGED: Final = sa.exists().where(
    tables.consents.c.customer_id == tables.decisions.c.customer_id,
    tables.consents.c.recorded_at >= tables.decisions.c.recorded_at,
)
_STANDING: Final = (
    sa.select(tables.decisions.c.answer)
    .where(
        tables.decisions.c.customer_id == sa.bindparam("customer"),
        tables.decisions.c.scope == sa.bindparam("asked"),
        tables.decisions.c.fallback == 0,
        tables.decisions.c.as_of <= sa.bindparam("now"),
        tables.decisions.c.valid_until > sa.bindparam("now"),
        ~_CONSENT_CHANGED,
    )
    .order_by(tables.decisions.c.as_of.desc(), tables.decisions.c.sequence.desc())
    .limit(1)
)

__all__ = [
    "Circumstances",
    "IdempotencyConflict",
    "InvalidDecision",
    "OldSqlite",
    "Store",
    "StoreBusy",
    "StoreFailed",
    "UnusableStore",
    "wall_clock",
]


class OldSqlite(ValueError):
    """The SQLite library is one that can lose acknowledged commits."""


class UnusableStore(ValueError):
    """The file is no store, or one of another version."""


class StoreFailed(ValueError):
    """SQLite could not write."""


def require_sqlite(version: tuple[int, ...]) -> None:
    """Refuse a SQLite library that can lose acknowledged commits.

    Raises
    ------
    OldSqlite
        If it is older than `OLDEST_SQLITE`.
    """
    if version < OLDEST_SQLITE:
        raise OldSqlite(
            f"SQLite {'.'.join(map(str, version))} can lose commits; "
            f"{'.'.join(map(str, OLDEST_SQLITE))} or newer is needed; "
            "install the package pysqlite3, or a newer Python build"
        )


def wall_clock() -> int:
    """The present, microseconds UTC. Used for the log's own times, never for a decision."""
    return time.time_ns() // 1000


def sqlite_version() -> str:
    """Version of the SQLite library in use."""
    return str(driver.sqlite_version)


class Store:
    """One open store. Safe for several threads and several processes; make it with `open`."""

    def __init__(
        self, engines: tuple[sa.Engine, sa.Engine], turnstile: Turnstile, clock: Callable[[], int]
    ) -> None:
        self._reader, self._writer = engines
        self._turnstile = turnstile
        self._clock = clock
        self._together: sa.Connection | None = None

    @classmethod
    def open(
        cls,
        path: Path,
        clock: Callable[[], int] = wall_clock,
        patience: float = PATIENCE_SECONDS,
    ) -> "Store":
        """Open the store at `path`, making it if there is none.

        Raises
        ------
        OldSqlite
            If the SQLite library is too old.
        UnusableStore
            If the file is no store, or one of another version.
        """
        require_sqlite(driver.sqlite_version_info)
        make_private_file(path)
        engines = (connect(path, driver, "query_only=on"), connect(path, driver, "query_only=off"))
        sa.event.listen(engines[1], "begin", begin_immediate)
        store = cls(engines, Turnstile(path, patience), clock)
        try:
            with store._writing() as connection:
                tables.METADATA.create_all(connection)
                connection.execute(
                    insert(tables.meta)
                    .values(key="schema", value=tables.SCHEMA_VERSION)
                    .on_conflict_do_nothing()
                )
                found = connection.scalar(_META, {"wanted": "schema"})
                if found in tables.OLDER_VERSIONS:
                    found = brought_up_to_date(connection)
        except (sa.exc.DatabaseError, StoreFailed) as error:
            store.close()
            why = getattr(error, "orig", error)
            raise UnusableStore(
                f"{path}: not a usable store ({why}); move it away and run "
                "`nextbest ingest` again, or put a backup in its place"
            ) from error
        if found != tables.SCHEMA_VERSION:
            store.close()
            raise UnusableStore(
                f"{path}: a store of version {found}; this program reads version "
                f"{tables.SCHEMA_VERSION}; use the program that wrote it, or ingest into a new home"
            )
        return store

    def close(self) -> None:
        """Close all connections and the lock files."""
        self._reader.dispose()
        self._writer.dispose()
        self._turnstile.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        if self._together is not None:
            yield self._together
            return
        try:
            with self._turnstile.turn(), self._writer.begin() as connection:
                yield connection
        except sa.exc.OperationalError as error:
            raise StoreFailed(
                f"the store could not be written ({error.orig}); nothing was kept; "
                "look at the disk's free space and at the rights of the home"
            ) from error

    @contextmanager
    def together(self) -> Iterator[None]:
        """Many records, one commit: for a batch in one thread, some hundred at a time.

        A disk sync is most of what a decision costs; all calls inside share one. Either all of
        them are kept or none. Others wait meanwhile, so keep it short.
        """
        with self._writing() as connection:
            self._together = connection
            try:
                yield
            finally:
                self._together = None

    # What the store knows of the data set and of customers

    def data_end(self) -> int | None:
        """The data set's own present (microseconds UTC); None before the first ingest."""
        with self._reader.connect() as connection:
            value = connection.scalar(_META, {"wanted": "data_end"})
        return None if value is None else int(value)

    def set_data_end(self, at: int) -> None:
        """Set the data set's own present."""
        with self._writing() as connection:
            row = insert(tables.meta).values(key="data_end", value=str(int(at)))
            connection.execute(
                row.on_conflict_do_update(index_elements=["key"], set_={"value": str(int(at))})
            )

    def put_customers(self, customers: Iterable[tuple[str, SignalColumns]]) -> int:
        """Keep these customers' signals, replacing what was kept of each; how many they were."""
        written, waiting = 0, iter(customers)
        now = self._clock()
        row = insert(tables.customers)
        row = row.on_conflict_do_update(
            index_elements=["customer_id"],
            set_={"signals": row.excluded.signals, "written_at": row.excluded.written_at},
        )
        while some := list(islice(waiting, ROWS_A_TURN)):
            rows = [
                {"customer_id": customer_id, "signals": pack(signals), "written_at": now}
                for customer_id, signals in some
            ]
            with self._writing() as connection:
                connection.execute(row, rows)
            written += len(rows)
        return written

    def customer_signals(self, customer_id: str) -> SignalColumns | None:
        """One customer's signals in time order; None if the store has never heard of them."""
        with self._reader.connect() as connection:
            packed = connection.scalar(_SIGNALS, {"customer": customer_id})
        return None if packed is None else unpack(packed)

    def customer_ids(self) -> tuple[str, ...]:
        """All known customers, ascending."""
        query = sa.select(tables.customers.c.customer_id)
        with self._reader.connect() as connection:
            return tuple(connection.scalars(query.order_by(tables.customers.c.customer_id)))

    def customer_ids_like(self, start: str, limit: int) -> tuple[str, ...]:
        """The first known customers, ascending, whose id begins with `start`."""
        column = tables.customers.c.customer_id
        query = sa.select(column).where(column.startswith(start, autoescape=True))
        with self._reader.connect() as connection:
            return tuple(connection.scalars(query.order_by(column).limit(limit)))

    def put_consent_changes(self, changes: Iterable[ConsentLike]) -> int:
        """Keep changes of consent; the same change twice is kept once. How many were new."""
        new, waiting = 0, iter(changes)
        now = self._clock()
        while some := list(islice(waiting, ROWS_A_TURN)):
            rows = [
                {
                    "customer_id": change.customer_id,
                    "channel": change.channel,
                    "purpose": change.purpose,
                    "given": int(change.given),
                    "objection": int(change.objection),
                    "evidence": change.evidence,
                    "occurred_at": int(change.occurred_at),
                    "received_at": int(change.received_at),
                    "recorded_at": now,
                }
                for change in some
            ]
            with self._writing() as connection:
                count = sa.select(sa.func.count()).select_from(tables.consents)
                before = connection.scalar(count)
                connection.execute(insert(tables.consents).on_conflict_do_nothing(), rows)
                new += (connection.scalar(count) or 0) - (before or 0)
        return new

    def ledger(self, customer_id: str, as_of: int) -> Ledger:
        """What a decision at `as_of` would read under the lock; for a look that decides nothing."""
        with self._reader.connect() as connection:
            return ledger_of(connection, customer_id, as_of)

    # Keys, champion, switch

    def new_key(self, name: str) -> str:
        """Make an API key; only its hash is kept, so it is shown this once."""
        key = KEY_PREFIX + secrets.token_urlsafe(32)  # 256 bits: no guessing, no need for salt
        row = {"sha256": hash_of_key(key), "name": name, "created_at": self._clock()}
        with self._writing() as connection:
            connection.execute(insert(tables.api_keys), row)
        return key

    def key_is_known(self, key: str) -> bool:
        """Whether the key was made here and not revoked."""
        return self.key_hash_is_known(hash_of_key(key))

    def key_hash_is_known(self, wanted: str) -> bool:
        """Whether a key of this hash was made here and not revoked."""
        with self._reader.connect() as connection:
            found = connection.scalar(_KEY, {"wanted": wanted})
        return hmac.compare_digest(found or "", wanted)

    def key_names(self) -> tuple[str, ...]:
        """Names of the keys that work, oldest first."""
        query = sa.select(tables.api_keys.c.name)
        with self._reader.connect() as connection:
            return tuple(connection.scalars(query.order_by(tables.api_keys.c.created_at)))

    def revoke_keys(self, name: str) -> int:
        """Make all keys of that name useless; how many they were."""
        with self._writing() as connection:
            gone = connection.execute(
                sa.delete(tables.api_keys).where(tables.api_keys.c.name == name)
            )
            return int(gone.rowcount)

    def champion(self) -> str | None:
        """Hash of the bundle in service; None if none has been chosen."""
        with self._reader.connect() as connection:
            return champion_of(connection)

    def set_champion(self, sha: str, how: str = PROMOTED) -> None:
        """Put a bundle into service, by its hash. One row, so it is the old one or the new one.

        Parameters
        ----------
        how : str
            In which way it came; one of `serving.succession.WAYS`. Kept in the history.

        Raises
        ------
        UnknownWay
            If `how` is none of them.
        """
        with self._writing() as connection:
            crown(connection, Change(sha, self._clock(), how))

    def challenger(self) -> str | None:
        """Hash of the bundle that waits to be promoted; None if none does."""
        with self._reader.connect() as connection:
            return challenger_of(connection)

    def set_challenger(self, sha: str) -> None:
        """Let a bundle wait to be promoted, in place of the one that waited before."""
        with self._writing() as connection:
            name_challenger(connection, sha)

    def champion_history(self) -> tuple[Change, ...]:
        """Every bundle that came into service, oldest first."""
        with self._reader.connect() as connection:
            return history_of(connection)

    def previous_champion(self) -> str | None:
        """Hash of the bundle that a rollback returns to; None if there is none."""
        return predecessor(self.champion_history())

    def paused(self) -> bool:
        """Whether the crisis switch is on."""
        with self._reader.connect() as connection:
            return is_paused(connection)

    def set_paused(self, paused: bool) -> None:
        """Turn the crisis switch on or off."""
        values = {"is_on": int(paused), "changed_at": self._clock()}
        row = insert(tables.switches).values(name=CRISIS_PAUSE, **values)
        with self._writing() as connection:
            connection.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))

    # Decisions

    def record(
        self,
        customer_id: str,
        as_of: int,
        idempotency: tuple[str, str] | None,
        settle: Callable[[Ledger], Decision],
        render: Callable[[str, Decision], bytes],
        circumstances: Circumstances = NOTHING_MORE,
    ) -> bytes:
        """Decide in one transaction: claim, lock, read, settle, log, commit, answer.

        Parameters
        ----------
        customer_id : str
        as_of : int
            Microseconds UTC; consent and contacts are read as of then.
        idempotency : (key, request hash) or None
        settle : from the ledger to the decision; no clock, no store in it
        render : from the decision's id and the decision to the answer's bytes
        circumstances : what else to log

        Returns
        -------
        bytes
            The answer; of the first call, if the same key came with the same request before.

        Raises
        ------
        IdempotencyConflict
            If the key came before with another request.
        StoreBusy
            If the store's turn did not come in time; nothing is logged then.
        """
        decision_id = "dec_" + secrets.token_hex(12)
        with self._writing() as connection:
            now = self._clock()
            if idempotency is not None:
                earlier = claim(connection, idempotency, decision_id, now)
                if earlier is not None:
                    return earlier
            lock_customer(connection, customer_id)
            decision = settle(ledger_of(connection, customer_id, as_of))
            answer = render(decision_id, decision)
            entry = Entry(decision_id, now, answer)
            log_decision(connection, decision, circumstances, entry)
        return answer

    def standing(self, customer_id: str, now: int, scope: str = "") -> bytes | None:
        """Answer of the last decision that still holds at `now`; None if there is none.

        A decision stops standing when its time is over, when any consent of the customer was
        recorded since, or while the crisis switch is on.
        """
        asked = {"customer": customer_id, "now": now, "asked": scope}
        with self._reader.connect() as connection:
            if is_paused(connection):
                return None
            found = connection.scalar(_STANDING, asked)
        return None if found is None else bytes(found)

    def decision_count(self) -> int:
        """How many decisions are on record."""
        with self._reader.connect() as connection:
            return int(connection.scalar(sa.select(sa.func.count(tables.decisions.c.id))) or 0)


def brought_up_to_date(connection: sa.Connection) -> str:
    """Finish the step from an older version, whose missing tables are there by now."""
    first = sa.select(tables.champion.c.sha256, tables.champion.c.changed_at, sa.literal(PROMOTED))
    connection.execute(
        sa.insert(tables.champions).from_select(["sha256", "changed_at", "how"], first)
    )
    version = sa.update(tables.meta).where(tables.meta.c.key == "schema")
    connection.execute(version.values(value=tables.SCHEMA_VERSION))
    return tables.SCHEMA_VERSION


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner may read, unless there is one already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return


def connect(path: Path, module: ModuleType, pragma: str) -> sa.Engine:
    """Engine whose connections survive a power cut and leave no deleted bytes behind."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        module=module,
        # None: SQLite's own transactions, begun by us; the driver shall begin none.
        connect_args={"isolation_level": None, "timeout": 1.0},
        hide_parameters=True,  # an error's text may reach a log; what customers did must not
    )
    pragmas = (
        "journal_mode=wal",
        "synchronous=full",  # each commit reaches the disk before it is answered
        "busy_timeout=1000",
        "foreign_keys=on",
        "secure_delete=on",
        "trusted_schema=off",
        pragma,
    )

    def prepare(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        for line in pragmas:
            cursor.execute(f"PRAGMA {line}")
        cursor.close()

    sa.event.listen(engine, "connect", prepare)
    return engine


def begin_immediate(connection: sa.Connection) -> None:
    """Take the write lock at the start: a lock taken half-way can fail half-way."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def hash_of_key(key: str) -> str:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()
