"""The store: one SQLite file that remembers signals, consent, decisions and keys.

A decision is made in one short transaction (`Store.record`): what must be read at the moment of
choosing is read there, under the customer's lock, and the answer is given after the commit.
"""

import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.machines import marked
from features.signals import SignalColumns, pack, unpack
from features.traits import TraitChange
from serving import tables
from serving.catalog import Catalog
from serving.events import Item
from serving.households import keep_traits, others_at_home, traits_of
from serving.inbox import (
    Verdict,
    quarantine_counts,
    take_in,
    taken_over,
    waiting_rows,
    with_waiting,
)
from serving.ledger import (
    CROSSING,
    NOTHING_MORE,
    Circumstances,
    ConsentLike,
    Entry,
    IdempotencyConflict,
    InvalidDecision,
    claim,
    consent_of,
    keep_consents,
    ledger_of,
    lock_customer,
    log_decision,
    spent_in_week,
    taken_of,
)
from serving.moment_index import (
    LastSaid,
    due_customers,
    ended_at,
    last_said,
    note_all,
)
from serving.outcome_kinds import NOT_SENT
from serving.outcomes import Kept, Outcome, Report, keep_outcome, outcomes_of
from serving.past_decisions import PastDecision, past_decisions
from serving.pauses import (
    HELD_SILENCE,
    Wanted,
    pauses_in_force,
    pauses_on,
    turn_off,
    turn_on,
)
from serving.records import NO_CONTACT, Decision, Ledger, Pause, Situation
from serving.sqlite_file import OldSqlite, opened, require_sqlite, sqlite_version
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
from serving.withheld import EVERYTHING, Reach, Withheld, withheld_by

PATIENCE_SECONDS: Final = (
    0.8  # below the service's deadline of 1 s, so that the store gives up first
)
ROWS_A_TURN: Final = 500  # imports let waiting decisions pass after so many rows
KEY_PREFIX: Final = "nb_"
DECISION_BYTES: Final = 32 * 1024  # more than any decision of a catalog of 60 entries takes

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
_NOT_SENT: Final = sa.exists().where(
    tables.outcomes.c.decision_id == tables.decisions.c.id,
    tables.outcomes.c.outcome == NOT_SENT,
)
_STANDING: Final = (
    sa.select(
        tables.decisions.c.answer,
        tables.decisions.c.communication,
        tables.decisions.c.channel,
        tables.decisions.c.message_class,
        tables.decisions.c.stage,
        tables.decisions.c.flags,
        tables.decisions.c.recorded_at,
    )
    .where(
        tables.decisions.c.customer_id == sa.bindparam("customer"),
        tables.decisions.c.scope == sa.bindparam("asked"),
        tables.decisions.c.fallback == 0,
        tables.decisions.c.as_of <= sa.bindparam("latest"),
        tables.decisions.c.as_of >= sa.bindparam("since"),
        tables.decisions.c.valid_until > sa.bindparam("now"),
        ~_CONSENT_CHANGED,
        ~_NOT_SENT,
        ~HELD_SILENCE,
    )
    .order_by(tables.decisions.c.as_of.desc(), tables.decisions.c.sequence.desc())
    .limit(1)
)
_LATEST: Final = (
    sa.select(sa.func.max(tables.decisions.c.sequence))
    .where(tables.decisions.c.fallback == 0, ~_NOT_SENT)
    .group_by(tables.decisions.c.customer_id)
)
_LAST: Final = sa.select(tables.decisions.c.customer_id, tables.decisions.c.communication).where(
    tables.decisions.c.sequence.in_(_LATEST)
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
    "require_sqlite",
    "sqlite_version",
    "wall_clock",
]


class UnusableStore(ValueError):
    """The file is no store, or one of another version."""


class StoreFailed(ValueError):
    """SQLite could not read or write."""


def wall_clock() -> int:
    """The present, microseconds UTC. Used for the log's own times, never for a decision."""
    return time.time_ns() // 1000


class Store:
    """One open store. Safe for several threads and several processes; make it with `open`."""

    def __init__(
        self, engines: tuple[sa.Engine, sa.Engine], turnstile: Turnstile, clock: Callable[[], int]
    ) -> None:
        self._reader, self._writer = engines
        self._turnstile = turnstile
        self._clock = clock
        self._thread = threading.local()

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
        store = cls(opened(path), Turnstile(path, patience), clock)
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
                    found = brought_up_to_date(connection, found)
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
    def _reading(self) -> Iterator[sa.Connection]:
        try:
            with self._reader.connect() as connection:
                yield connection
        except sa.exc.DatabaseError as error:
            if not _is_broken(error):
                raise
            raise StoreFailed(
                f"the store could not be read ({error.orig}); look at the disk and at the rights "
                "of the home, or put a backup in the store's place"
            ) from error

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        shared: sa.Connection | None = getattr(self._thread, "connection", None)
        if shared is not None:
            with shared.begin_nested():  # what fails is undone alone, the others stay
                yield shared
            return
        try:
            with self._turnstile.turn(), self._writer.begin() as connection:
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
        """Many records of one thread, one commit: some dozens at a time.

        A disk sync is most of what a decision costs; all calls inside share one. A call that
        fails is undone alone; the end keeps all others, or none. Everybody else waits
        meanwhile, so compute before and only record inside.
        """
        with self._writing() as connection:
            self._thread.connection = connection
            try:
                yield
            finally:
                self._thread.connection = None

    def why_unwritable(self) -> str:
        """Why no decision can be written, in words; empty if as much as one takes could be."""
        try:
            with self._writing() as connection:
                row = insert(tables.meta).values(key="trial", value=" " * DECISION_BYTES)
                set_ = {"value": row.excluded.value}
                connection.execute(row.on_conflict_do_update(index_elements=["key"], set_=set_))
        except StoreFailed as error:
            return str(error)
        except StoreBusy:
            return ""  # somebody else is writing
        return ""

    # What the store knows of the data set and of customers

    def data_end(self) -> int | None:
        """The data set's own present (microseconds UTC); None before the first ingest."""
        with self._reading() as connection:
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
        """Keep these customers' raw signals, replacing what was kept of each; how many they were.

        Signals that came over HTTP and wait for the history are kept with them.
        """
        written, waiting = 0, iter(customers)
        now = self._clock()
        row = insert(tables.customers)
        row = row.on_conflict_do_update(
            index_elements=["customer_id"],
            set_={"signals": row.excluded.signals, "written_at": row.excluded.written_at},
        )
        while some := list(islice(waiting, ROWS_A_TURN)):
            with self._writing() as connection:
                whole = with_waiting(connection, some)
                rows = [
                    {"customer_id": customer_id, "signals": pack(signals), "written_at": now}
                    for customer_id, signals in whole
                ]
                connection.execute(row, rows)
                note_all(connection, whole)
            written += len(rows)
        return written

    def customer_signals(self, customer_id: str) -> SignalColumns | None:
        """One customer's signals in time order; None if the store has never heard of them.

        What time shows to be a machine's open or click has its own key, as in the history.
        """
        with self._reading() as connection:
            packed = connection.scalar(_SIGNALS, {"customer": customer_id})
        return None if packed is None else marked(unpack(packed))

    def customer_ids(self) -> tuple[str, ...]:
        """All known customers, ascending."""
        query = sa.select(tables.customers.c.customer_id)
        with self._reading() as connection:
            return tuple(connection.scalars(query.order_by(tables.customers.c.customer_id)))

    def customer_ids_like(self, start: str, limit: int) -> tuple[str, ...]:
        """The first known customers, ascending, whose id begins with `start`."""
        column = tables.customers.c.customer_id
        query = sa.select(column).where(column.startswith(start, autoescape=True))
        with self._reading() as connection:
            return tuple(connection.scalars(query.order_by(column).limit(limit)))

    def put_consent_changes(self, changes: Iterable[ConsentLike]) -> int:
        """Keep changes of consent; the same change twice is kept once. How many were new."""
        new, waiting = 0, iter(changes)
        while some := list(islice(waiting, ROWS_A_TURN)):
            with self._writing() as connection:
                # Under the lock: a change must never look older than a decision made before it.
                new += keep_consents(connection, some, self._clock())
        return new

    def ledger(self, customer_id: str, as_of: int, limited: tuple[str, ...] = ()) -> Ledger:
        """What a decision at `as_of` would read under the lock; for a look that decides nothing."""
        with self._reading() as connection:
            return ledger_of(connection, customer_id, as_of, limited)

    def places_taken(self, limited: tuple[str, ...], as_of: int) -> dict[str, int]:
        """How many places of these communications are taken, whoever took them."""
        with self._reading() as connection:
            return taken_of(connection, as_of, limited)

    def spent_in_week(self, as_of: int) -> float:
        """What the marketing of the last seven days cost; see `ledger.spent_in_week`."""
        with self._reader.connect() as connection:
            return spent_in_week(connection, as_of)

    def objected(self, customer_id: str, as_of: int) -> bool:
        """Whether an objection to direct marketing is on record: then nobody is scored."""
        with self._reading() as connection:
            return consent_of(connection, customer_id, as_of).objected

    def put_trait_changes(self, changes: Iterable[TraitChange]) -> None:
        """Keep what customers stated of how they are contacted; the same twice is kept once."""
        waiting = iter(changes)
        while some := list(islice(waiting, ROWS_A_TURN)):
            with self._writing() as connection:
                keep_traits(connection, some, self._clock())

    def others_at_home(self, customer_id: str, as_of: int) -> tuple[str, ...]:
        """The other members of a customer's household at a moment."""
        with self._reading() as connection:
            traits = traits_of(connection, customer_id, as_of)
            return others_at_home(connection, customer_id, traits, as_of)

    # What comes over HTTP

    def receive(self, items: Sequence[Item], known_by: int) -> tuple[Verdict, ...]:
        """Take in a batch of items in one transaction; one verdict each. See `inbox.take_in`."""
        with self._writing() as connection:
            return take_in(connection, items, self._clock(), known_by)

    def due_customers(self, catalog: Catalog, as_of: int, after: str, limit: int) -> list[str]:
        """Customers whose moment may have come; see `moment_index.due_customers`."""
        with self._reading() as connection:
            return due_customers(connection, catalog, as_of, after, limit)

    def last_said(self, customer_id: str, scope: str) -> LastSaid | None:
        """The last decision of a scope about a customer; None if there was none."""
        with self._reading() as connection:
            return last_said(connection, customer_id, scope)

    def ended_at(self, customer_id: str, catalog: Catalog) -> int:
        """When it was last heard of what ends a moment; what was decided before is void."""
        with self._reading() as connection:
            return ended_at(connection, customer_id, catalog)

    def waiting_rows(self) -> list[tuple[str, str]]:
        """Message id and row (JSON) of every signal that the history has yet to get."""
        with self._reading() as connection:
            return waiting_rows(connection)

    def taken_over(self, message_ids: Sequence[str]) -> None:
        """Note that the history has these signals."""
        waiting = iter(message_ids)
        while some := list(islice(waiting, ROWS_A_TURN)):
            with self._writing() as connection:
                taken_over(connection, some, self._clock())

    def quarantine_counts(self) -> dict[str, int]:
        """How many items over HTTP were put aside, by reason in words."""
        with self._reading() as connection:
            return quarantine_counts(connection)

    def keep_outcome(self, outcome: Outcome, report: Report) -> Kept:
        """Append an outcome of a decision; see `outcomes.keep_outcome`.

        Raises
        ------
        UnknownDecision, ImpossibleOutcome
            If there is no such decision, or it cannot have had this outcome.
        """
        with self._writing() as connection:
            return keep_outcome(connection, outcome, report, self._clock())

    def outcomes(self, decision_id: str) -> tuple[Outcome, ...]:
        """Outcomes of a decision, in the order in which they came."""
        with self._reading() as connection:
            return outcomes_of(connection, decision_id)

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
        with self._reading() as connection:
            found = connection.scalar(_KEY, {"wanted": wanted})
        return hmac.compare_digest(found or "", wanted)

    def key_names(self) -> tuple[str, ...]:
        """Names of the keys that work, oldest first."""
        query = sa.select(tables.api_keys.c.name)
        with self._reading() as connection:
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
        with self._reading() as connection:
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
        with self._reading() as connection:
            return challenger_of(connection)

    def set_challenger(self, sha: str) -> None:
        """Let a bundle wait to be promoted, in place of the one that waited before."""
        with self._writing() as connection:
            name_challenger(connection, sha)

    def champion_history(self) -> tuple[Change, ...]:
        """Every bundle that came into service, oldest first."""
        with self._reading() as connection:
            return history_of(connection)

    def previous_champion(self) -> str | None:
        """Hash of the bundle that a rollback returns to; None if there is none."""
        return predecessor(self.champion_history())

    def pauses(self) -> tuple[Pause, ...]:
        """The parts of the crisis switch that are on, oldest first."""
        with self._reading() as connection:
            return pauses_on(connection)

    def pause(self, wanted: Wanted) -> Pause:
        """Turn a part of the crisis switch on: no later decision sends what it holds back."""
        with self._writing() as connection:
            return turn_on(connection, wanted, self._clock())

    def end_pause(self, number: int | None = None, review: bool = False) -> tuple[Pause, ...]:
        """Turn one pause off, or all; those that were. See `pauses.turn_off`.

        Raises
        ------
        UnknownPause
            If no pause of that number is on.
        """
        with self._writing() as connection:
            return turn_off(connection, number, self._clock(), review)

    def reviewed(self, within: int) -> tuple[Pause, ...]:
        """Pauses under review that ended within so many microseconds, oldest first."""
        now = self._clock()
        with self._reader.connect() as connection:
            _, found = pauses_in_force(connection, now)
        return tuple(each for each in found if (each.ended_at or 0) > now - within)

    def withheld(self, pause: Pause, reach: Reach = EVERYTHING) -> Withheld:
        """What a pause held back, and of whom."""
        with self._reader.connect() as connection:
            return withheld_by(connection, pause, reach)

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
            The answer; of the first call, if the same key came with the same request before, or
            if a standing decision is wanted and another caller was given one meanwhile.

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
            lock_customer(connection, customer_id, as_of)
            if circumstances.reuses_standing:
                asked = (circumstances.scope, circumstances.since)
                standing = standing_of(connection, customer_id, as_of, *asked)
                if standing is not None:
                    return standing
            ledger = ledger_of(connection, customer_id, as_of, circumstances.limited)
            decision = settle(ledger)
            answer = render(decision_id, decision)
            entry = Entry(decision_id, now, answer)
            log_decision(connection, decision, circumstances, entry)
        return answer

    def standing(self, customer_id: str, now: int, scope: str = "", since: int = 0) -> bytes | None:
        """Answer of the last decision that still holds at `now`; None if there is none.

        What was decided before `since` does not count.
        A decision stops standing when its time is over, when any consent of the customer was
        recorded since, when its message was not sent, or while a pause holds its message back. A
        silence that was decided under a pause ends with the pause.
        """
        with self._reading() as connection:
            return standing_of(connection, customer_id, now, scope, since)

    def last_communications(self) -> dict[str, str]:
        """What each customer's last decision chose; fallbacks and unsent messages left out."""
        with self._reading() as connection:
            return {customer: chosen for customer, chosen in connection.execute(_LAST)}

    def past_decisions(self, before: int) -> list[PastDecision]:
        """Decisions made before a moment, as they were logged; fallbacks left out."""
        with self._reading() as connection:
            return list(past_decisions(connection, before))

    def decision_count(self) -> int:
        """How many decisions are on record."""
        with self._reading() as connection:
            return int(connection.scalar(sa.select(sa.func.count(tables.decisions.c.id))) or 0)


def standing_of(
    connection: sa.Connection, customer_id: str, now: int, scope: str, since: int = 0
) -> bytes | None:
    """See `Store.standing`."""
    period = {"now": now, "latest": now + CROSSING, "since": since}
    asked = {"customer": customer_id, "asked": scope, **period}
    found = connection.execute(_STANDING, asked).one_or_none()
    if found is None:
        return None
    situation = Situation(found.stage, tuple(json.loads(found.flags)))
    on, reviewed = pauses_in_force(connection, now)
    # What was said before a pause under review began is not said again after it.
    waiting = [each for each in reviewed if found.recorded_at < (each.ended_at or 0)]
    held_back = found.communication != NO_CONTACT and any(
        pause.holds_back(found.channel, found.message_class, situation) for pause in (*on, *waiting)
    )
    return None if held_back else bytes(found.answer)


def brought_up_to_date(connection: sa.Connection, found: str) -> str:
    """Finish the step from an older version, whose missing tables are there by now."""
    tables.decisions_by_communication.create(connection, checkfirst=True)
    for customer_id in connection.scalars(sa.select(tables.customers.c.customer_id)).all():
        packed = connection.scalar(_SIGNALS, {"customer": customer_id}) or b""
        note_all(connection, [(customer_id, unpack(packed))])
    if found != "1":
        return _now_current(connection)
    first = sa.select(tables.champion.c.sha256, tables.champion.c.changed_at, sa.literal(PROMOTED))
    connection.execute(
        sa.insert(tables.champions).from_select(["sha256", "changed_at", "how"], first)
    )
    return _now_current(connection)


def _now_current(connection: sa.Connection) -> str:
    version = sa.update(tables.meta).where(tables.meta.c.key == "schema")
    connection.execute(version.values(value=tables.SCHEMA_VERSION))
    return tables.SCHEMA_VERSION


def _is_broken(error: sa.exc.DatabaseError) -> bool:
    """Whether the file or the disk is to blame, and not a statement of ours."""
    return type(error) in (sa.exc.DatabaseError, sa.exc.OperationalError)


def hash_of_key(key: str) -> str:
    """What is kept of an API key."""
    return hashlib.sha256(key.encode()).hexdigest()
