"""The store: one SQLite file that remembers signals, consent, decisions and keys.

Each call is a transaction of what the file of its subject does: consents in `consents`, keys in
`api_keys`, champions in `succession`, and so on; `store_file` says who reads and writes when.

A decision is made in one short transaction (`Store.record`): what must be read at the moment of
choosing is read there, under the customer's lock, and the answer is given after the commit.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from features.machines import marked
from features.signals import SignalColumns
from features.traits import TraitChange
from serving.catalog import Catalog
from serving.events import Item
from serving.records import Decision, Ledger, Pause
from serving.storage.api_keys import hash_of_key, is_key_hash, key_names, make_key, revoke_keys
from serving.storage.consents import ConsentLike, consent_of, keep_consents
from serving.storage.customer_signals import (
    customer_ids,
    customer_ids_like,
    keep_signals,
    signals_of,
)
from serving.storage.households import keep_traits, others_at_home, traits_of
from serving.storage.inbox import (
    Verdict,
    quarantine_counts,
    take_in,
    taken_over,
    waiting_rows,
    with_waiting,
)
from serving.storage.ledger import (
    costs_of_contacts,
    ledger_of,
    lock_customer,
    spent_in_week,
    taken_of,
)
from serving.storage.log_entries import NOTHING_MORE, Circumstances, Entry, claim, log_decision
from serving.storage.moment_index import LastSaid, due_customers, ended_at, last_said, note_all
from serving.storage.outcomes import Kept, Outcome, Report, keep_outcome, outcomes_of
from serving.storage.past_decisions import (
    PastDecision,
    decision_count,
    last_communications,
    past_decisions,
)
from serving.storage.pauses import Wanted, pauses_in_force, pauses_on, turn_off, turn_on
from serving.storage.single_values import keep_value, value_of
from serving.storage.standing import standing_of
from serving.storage.store_file import StoreFailed, StoreFile
from serving.storage.store_version import current_file
from serving.storage.succession import (
    PROMOTED,
    Change,
    challenger_of,
    champion_of,
    crown,
    history_of,
    name_challenger,
    predecessor,
)
from serving.storage.turnstile import StoreBusy
from serving.storage.withheld import EVERYTHING, Reach, Withheld, withheld_by

PATIENCE_SECONDS: Final = (
    0.8  # below the service's deadline of 1 s, so that the store gives up first
)
ROWS_A_TURN: Final = 500  # imports let waiting decisions pass after so many rows
DECISION_BYTES: Final = 32 * 1024  # more than any decision of a catalog of 60 entries takes
DATA_END: Final = "data_end"

T = TypeVar("T")


def wall_clock() -> int:
    """The present, microseconds UTC. Used for the log's own times, never for a decision."""
    return time.time_ns() // 1000


def in_parts(rows: Iterable[T]) -> Iterator[list[T]]:
    """Rows in parts that are written in one turn each."""
    waiting = iter(rows)
    while some := list(islice(waiting, ROWS_A_TURN)):
        yield some


class Store:
    """One open store. Safe for several threads and several processes; make it with `open`."""

    def __init__(self, file: StoreFile, clock: Callable[[], int]) -> None:
        self._file = file
        self._clock = clock

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
        return cls(current_file(path, patience), clock)

    def close(self) -> None:
        """Close all connections and the lock files."""
        self._file.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Many records of one thread, one commit: some dozens at a time.

        A disk sync is most of what a decision costs; all calls inside share one. A call that
        fails is undone alone; the end keeps all others, or none. Everybody else waits
        meanwhile, so compute before and only record inside.
        """
        with self._file.together():
            yield

    def why_unwritable(self) -> str:
        """Why no decision can be written, in words; empty if as much as one takes could be."""
        try:
            with self._file.writing() as connection:
                keep_value(connection, "trial", " " * DECISION_BYTES)
        except StoreFailed as error:
            return str(error)
        except StoreBusy:
            return ""  # somebody else is writing
        return ""

    # What the store knows of the data set and of customers

    def data_end(self) -> int | None:
        """The data set's own present (microseconds UTC); None before the first ingest."""
        value = self._file.ask(value_of, DATA_END)
        return None if value is None else int(value)

    def set_data_end(self, at: int) -> None:
        """Set the data set's own present."""
        with self._file.writing() as connection:
            keep_value(connection, DATA_END, str(int(at)))

    def put_customers(self, customers: Iterable[tuple[str, SignalColumns]]) -> int:
        """Keep these customers' raw signals, replacing what was kept of each; how many they were.

        Signals that came over HTTP and wait for the history are kept with them.
        """
        written, now = 0, self._clock()
        for some in in_parts(customers):
            with self._file.writing() as connection:
                whole = with_waiting(connection, some)
                keep_signals(connection, [(customer, signals, now) for customer, signals in whole])
                note_all(connection, whole)
            written += len(some)
        return written

    def customer_signals(self, customer_id: str) -> SignalColumns | None:
        """One customer's signals in time order; None if the store has never heard of them.

        What time shows to be a machine's open or click has its own key, as in the history.
        """
        signals = self._file.ask(signals_of, customer_id)
        return None if signals is None else marked(signals)

    def customer_ids(self) -> tuple[str, ...]:
        """All known customers, ascending."""
        return self._file.ask(customer_ids)

    def customer_ids_like(self, start: str, limit: int) -> tuple[str, ...]:
        """The first known customers, ascending, whose id begins with `start`."""
        return self._file.ask(customer_ids_like, start, limit)

    def put_consent_changes(self, changes: Iterable[ConsentLike]) -> int:
        """Keep changes of consent; the same change twice is kept once. How many were new."""
        new = 0
        for some in in_parts(changes):
            with self._file.writing() as connection:
                # Under the lock: a change must never look older than a decision made before it.
                new += keep_consents(connection, some, self._clock())
        return new

    def ledger(self, customer_id: str, as_of: int, limited: tuple[str, ...] = ()) -> Ledger:
        """What a decision at `as_of` would read under the lock; for a look that decides nothing."""
        return self._file.ask(ledger_of, customer_id, as_of, limited)

    def places_taken(self, limited: tuple[str, ...], as_of: int) -> dict[str, int]:
        """How many places of these communications are taken, whoever took them."""
        return self._file.ask(taken_of, as_of, limited)

    def spent_in_week(self, as_of: int) -> float:
        """What the marketing of the last seven days cost; see `ledger.spent_in_week`."""
        return self._file.ask(spent_in_week, as_of)

    def costs_of_contacts(self, before: int) -> dict[str, float]:
        """What each customer's contacts cost; see `ledger.costs_of_contacts`."""
        return self._file.ask(costs_of_contacts, before)

    def objected(self, customer_id: str, as_of: int) -> bool:
        """Whether an objection to direct marketing is on record: then nobody is scored."""
        with self._file.reading() as connection:
            return consent_of(connection, customer_id, as_of).objected

    def put_trait_changes(self, changes: Iterable[TraitChange]) -> None:
        """Keep what customers stated of how they are contacted; the same twice is kept once."""
        for some in in_parts(changes):
            with self._file.writing() as connection:
                keep_traits(connection, some, self._clock())

    def others_at_home(self, customer_id: str, as_of: int) -> tuple[str, ...]:
        """The other members of a customer's household at a moment."""
        with self._file.reading() as connection:
            traits = traits_of(connection, customer_id, as_of)
            return others_at_home(connection, customer_id, traits, as_of)

    # What comes over HTTP

    def receive(self, items: Sequence[Item], known_by: int) -> tuple[Verdict, ...]:
        """Take in a batch of items in one transaction; one verdict each. See `inbox.take_in`."""
        with self._file.writing() as connection:
            return take_in(connection, items, self._clock(), known_by)

    def due_customers(self, catalog: Catalog, as_of: int, after: str, limit: int) -> list[str]:
        """Customers whose moment may have come; see `moment_index.due_customers`."""
        return self._file.ask(due_customers, catalog, as_of, after, limit)

    def last_said(self, customer_id: str, scope: str) -> LastSaid | None:
        """The last decision of a scope about a customer; None if there was none."""
        return self._file.ask(last_said, customer_id, scope)

    def ended_at(self, customer_id: str, catalog: Catalog) -> int:
        """When it was last heard of what ends a moment; what was decided before is void."""
        return self._file.ask(ended_at, customer_id, catalog)

    def waiting_rows(self) -> list[tuple[str, str]]:
        """Message id and row (JSON) of every signal that the history has yet to get."""
        return self._file.ask(waiting_rows)

    def taken_over(self, message_ids: Sequence[str]) -> None:
        """Note that the history has these signals."""
        for some in in_parts(message_ids):
            with self._file.writing() as connection:
                taken_over(connection, some, self._clock())

    def quarantine_counts(self) -> dict[str, int]:
        """How many items over HTTP were put aside, by reason in words."""
        return self._file.ask(quarantine_counts)

    def keep_outcome(self, outcome: Outcome, report: Report) -> Kept:
        """Append an outcome of a decision; see `outcomes.keep_outcome`.

        Raises
        ------
        UnknownDecision, ImpossibleOutcome
            If there is no such decision, or it cannot have had this outcome.
        """
        with self._file.writing() as connection:
            return keep_outcome(connection, outcome, report, self._clock())

    def outcomes(self, decision_id: str) -> tuple[Outcome, ...]:
        """Outcomes of a decision, in the order in which they came."""
        return self._file.ask(outcomes_of, decision_id)

    # Keys, champion, switch

    def new_key(self, name: str) -> str:
        """Make an API key; only its hash is kept, so it is shown this once."""
        with self._file.writing() as connection:
            return make_key(connection, name, self._clock())

    def key_is_known(self, key: str) -> bool:
        """Whether the key was made here and not revoked."""
        return self.key_hash_is_known(hash_of_key(key))

    def key_hash_is_known(self, wanted: str) -> bool:
        """Whether a key of this hash was made here and not revoked."""
        return self._file.ask(is_key_hash, wanted)

    def key_names(self) -> tuple[str, ...]:
        """Names of the keys that work, oldest first."""
        return self._file.ask(key_names)

    def revoke_keys(self, name: str) -> int:
        """Make all keys of that name useless; how many they were."""
        with self._file.writing() as connection:
            return revoke_keys(connection, name)

    def champion(self) -> str | None:
        """Hash of the bundle in service; None if none has been chosen."""
        return self._file.ask(champion_of)

    def set_champion(self, sha: str, how: str = PROMOTED) -> None:
        """Put a bundle into service, by its hash. One row, so it is the old one or the new one.

        Parameters
        ----------
        how : str
            In which way it came; one of `serving.storage.succession.WAYS`. Kept in the history.

        Raises
        ------
        UnknownWay
            If `how` is none of them.
        """
        with self._file.writing() as connection:
            crown(connection, Change(sha, self._clock(), how))

    def challenger(self) -> str | None:
        """Hash of the bundle that waits to be promoted; None if none does."""
        return self._file.ask(challenger_of)

    def set_challenger(self, sha: str) -> None:
        """Let a bundle wait to be promoted, in place of the one that waited before."""
        with self._file.writing() as connection:
            name_challenger(connection, sha)

    def champion_history(self) -> tuple[Change, ...]:
        """Every bundle that came into service, oldest first."""
        return self._file.ask(history_of)

    def previous_champion(self) -> str | None:
        """Hash of the bundle that a rollback returns to; None if there is none."""
        return predecessor(self.champion_history())

    def pauses(self) -> tuple[Pause, ...]:
        """The parts of the crisis switch that are on, oldest first."""
        return self._file.ask(pauses_on)

    def pause(self, wanted: Wanted) -> Pause:
        """Turn a part of the crisis switch on: no later decision sends what it holds back."""
        with self._file.writing() as connection:
            return turn_on(connection, wanted, self._clock())

    def end_pause(self, number: int | None = None, review: bool = False) -> tuple[Pause, ...]:
        """Turn one pause off, or all; those that were. See `pauses.turn_off`.

        Raises
        ------
        UnknownPause
            If no pause of that number is on.
        """
        with self._file.writing() as connection:
            return turn_off(connection, number, self._clock(), review)

    def reviewed(self, within: int) -> tuple[Pause, ...]:
        """Pauses under review that ended within so many microseconds, oldest first."""
        now = self._clock()
        _, found = self._file.ask(pauses_in_force, now)
        return tuple(each for each in found if (each.ended_at or 0) > now - within)

    def withheld(self, pause: Pause, reach: Reach = EVERYTHING) -> Withheld:
        """What a pause held back, and of whom."""
        return self._file.ask(withheld_by, pause, reach)

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
        with self._file.writing() as connection:
            now = self._clock()
            if idempotency is not None:
                earlier = claim(connection, idempotency, decision_id, now)
                if earlier is not None:
                    return earlier
            traits = lock_customer(connection, customer_id, as_of)
            if circumstances.reuses_standing:
                asked = (circumstances.scope, circumstances.since)
                standing = standing_of(connection, customer_id, as_of, *asked)
                if standing is not None:
                    return standing
            ledger = ledger_of(connection, customer_id, as_of, circumstances.limited, traits)
            decision = settle(ledger)
            answer = render(decision_id, decision)
            entry = Entry(decision_id, now, answer)
            log_decision(connection, decision, circumstances, entry)
        return answer

    def standing(self, customer_id: str, now: int, scope: str = "", since: int = 0) -> bytes | None:
        """Answer of the last decision that still holds; see `standing.standing_of`."""
        return self._file.ask(standing_of, customer_id, now, scope, since)

    def last_communications(self) -> dict[str, str]:
        """What each customer's last decision chose; fallbacks and unsent messages left out."""
        return self._file.ask(last_communications)

    def past_decisions(self, before: int) -> list[PastDecision]:
        """Decisions made before a moment, as they were logged; fallbacks left out."""
        return self._file.ask(past_decisions, before)

    def decision_count(self) -> int:
        """How many decisions are on record."""
        return self._file.ask(decision_count)
