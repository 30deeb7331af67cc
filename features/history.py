"""The history: every accepted signal, in append-only Parquet parts."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path
from typing import Final

import duckdb
import numpy as np

from features.consent import CONSENT_EVENTS, ConsentChange, consent_change
from features.machines import marked
from features.signals import CONTACT_EVENTS, DAY, EMPTY, Int64Array, SignalColumns, SignalLog
from features.traits import TRAIT_EVENT, TraitChange, trait_changes

# Columns of a part. The first thirteen are the canonical columns; times are microseconds UTC.
# `amount_minor` and `value` hold `ABSENT` where there is no number, the codes 0 for no name.
PART_COLUMNS: Final = {
    "message_id": "VARCHAR",
    "customer_id": "VARCHAR",
    "event": "VARCHAR",
    "occurred_at": "BIGINT",
    "received_at": "BIGINT",
    "amount": "DECIMAL(18, 2)",
    "currency": "VARCHAR",
    "category": "VARCHAR",
    "channel": "VARCHAR",
    "score": "DECIMAL(18, 3)",
    "communication": "VARCHAR",
    "selection_probability": "DOUBLE",
    "properties": "VARCHAR",
    "arrival_assumed": "BOOLEAN",
    "event_code": "BIGINT",
    "amount_minor": "BIGINT",
    "value": "BIGINT",
    "category_code": "BIGINT",
}
_PARQUET: Final = b"PAR1"  # what a Parquet file begins and ends with
_CODED: Final = (
    "event_code",
    "occurred_at",
    "received_at",
    "amount_minor",
    "value",
    "category_code",
)


class EmptyHistory(LookupError):
    """The history holds no signals yet."""


class DamagedHistory(ValueError):
    """A part of the history cannot be read."""


@dataclass(frozen=True, slots=True)
class DecisionSignal:
    """A decision that was made elsewhere, in a pilot or by another system, as a signal tells it.

    `decided_at` in microseconds UTC, `properties` a JSON object as text.
    """

    customer_id: str
    decided_at: int
    communication: str
    selection_probability: float
    properties: str


@dataclass(frozen=True, slots=True)
class SentSignal:
    """A message that somebody sent, as a signal tells it.

    `sent_at` in microseconds UTC; `communication` and `category` are empty where the signal
    names none.
    """

    customer_id: str
    sent_at: int
    event: str
    channel: str
    communication: str
    category: str


@dataclass(frozen=True, slots=True)
class History:
    """The signals of one home. Making the object touches no disk."""

    folder: Path

    def parts(self) -> tuple[Path, ...]:
        """Files that hold the signals, by name."""
        return tuple(sorted(self.folder.glob("part-*.parquet")))

    def load(self, received_before: int | None = None, raw: bool = False) -> SignalLog:
        """All signals, or those received before a moment, sorted by customer and time.

        Signals of one customer at one moment are sorted by all their other columns, so the
        order in which files came makes no difference. What time shows to be a machine's open
        or click has its own key (see `features.machines`), unless they are wanted `raw`.
        """
        if not self.parts():
            return SignalLog((), np.zeros(1, dtype=np.int64), EMPTY)
        before = "" if received_before is None else f"where received_at < {int(received_before)}"
        with self._connection() as connection:
            owners = connection.execute(
                f"select customer_id, count(*)::bigint as n from history {before} "
                "group by customer_id order by customer_id"
            ).fetchnumpy()
            # Sorting by a number is several times faster than by the id: rank the ids first.
            connection.execute(
                "create temp table ranks as select customer_id, "
                "row_number() over (order by customer_id) as customer_rank "
                f"from (select distinct customer_id from history {before})"
            )
            found = connection.execute(
                f"select {', '.join(_CODED)} from history join ranks using (customer_id) {before} "
                "order by customer_rank, occurred_at, received_at, event_code, amount_minor, "
                "value, category_code"
            ).fetchnumpy()
        starts = np.zeros(len(owners["n"]) + 1, dtype=np.int64)
        np.cumsum(owners["n"], out=starts[1:])
        owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        columns = SignalColumns(*(_int64(found[name]) for name in _CODED))
        if not raw:
            columns = marked(columns, owner)
        return SignalLog(tuple(str(owner) for owner in owners["customer_id"]), starts, columns)

    def data_end(self) -> int:
        """Midnight after the last signal occurred or was received: the data set's own clock.

        Raises
        ------
        EmptyHistory
            If there are no signals.
        """
        if not self.parts():
            raise EmptyHistory(
                f"{self.folder}: no signals yet; bring some in with `nextbest ingest FILE...`"
            )
        with self._connection() as connection:
            found = connection.execute(
                "select greatest(max(occurred_at), max(received_at)) from history"
            ).fetchall()
        # A signal at midnight itself must still lie before the end, hence the whole day more.
        return (int(found[0][0]) // DAY + 1) * DAY

    def events(self) -> dict[str, int]:
        """How many signals there are of each event, most frequent first."""
        if not self.parts():
            return {}
        with self._connection() as connection:
            found = connection.execute(
                "select event, count(*) from history group by event order by count(*) desc, event"
            ).fetchall()
        return {str(event): int(count) for event, count in found}

    def consent_changes(self) -> list[ConsentChange]:
        """Every consent, withdrawal and objection, in order of time."""
        if not self.parts():
            return []
        names = ", ".join(f"'{name}'" for name in CONSENT_EVENTS)
        with self._connection() as connection:
            found = connection.execute(
                "select customer_id, event, channel, properties, message_id, occurred_at, "
                f"received_at from history where event in ({names}) "
                "order by received_at, occurred_at, customer_id, message_id"
            ).fetchall()
        return [consent_change(*row) for row in found]

    def trait_changes(self) -> list[TraitChange]:
        """Every trait that says how a customer is contacted, in order of time."""
        if not self.parts():
            return []
        with self._connection() as connection:
            found = connection.execute(
                "select customer_id, properties, occurred_at, received_at from history "
                f"where event = {sql_text(TRAIT_EVENT)} "
                "and regexp_matches(lower(properties), 'household|time|channel') "
                "order by received_at, occurred_at, customer_id, message_id"
            ).fetchall()
        return [change for row in found for change in trait_changes(*row)]

    def trait(self, name: str, received_before: int) -> dict[str, str]:
        """What each customer last stated of a trait; who stated nothing is left out."""
        if not self.parts():
            return {}
        key = name.replace('"', "")  # a name in quotes; no trait has one in it
        paths = (f'$.traits."{key}"', f'$."{key}"')
        stated = f"coalesce({', '.join(f'properties ->> {sql_text(path)}' for path in paths)})"
        with self._connection() as connection:
            found = connection.execute(
                f"select customer_id, arg_max({stated}, occurred_at) from history "
                f"where event = '{TRAIT_EVENT}' and received_at < {int(received_before)} "
                f"and {stated} is not null group by customer_id"
            ).fetchall()
        return {str(customer): str(value) for customer, value in found}

    def decisions(self, received_before: int) -> list[DecisionSignal]:
        """Every `Decision Made` received before a moment, by time and customer."""
        if not self.parts():
            return []
        with self._connection() as connection:
            found = connection.execute(
                "select customer_id, occurred_at, communication, selection_probability, "
                "coalesce(properties, '{}') from history where event = 'Decision Made' "
                f"and received_at < {int(received_before)} "
                "order by occurred_at, customer_id, message_id"
            ).fetchall()
        return [DecisionSignal(*row) for row in found]

    def sends(self, since: int, before: int) -> list[SentSignal]:
        """Messages sent in [since, before), and known before its end; by customer and time."""
        if not self.parts():
            return []
        named = {key.partition("/")[0] for key in CONTACT_EVENTS}
        events = ", ".join(sql_text(event) for event in sorted(named))
        with self._connection() as connection:
            found = connection.execute(
                "select customer_id, occurred_at, event, coalesce(channel, ''), "
                "coalesce(communication, ''), coalesce(category, '') from history "
                f"where event in ({events}) and occurred_at >= {int(since)} "
                f"and occurred_at < {int(before)} and received_at < {int(before)} "
                "order by customer_id, occurred_at, event, message_id"
            ).fetchall()
        return [SentSignal(*row) for row in found]

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with duckdb.connect() as connection:
            try:
                connection.execute(f"create view history as select * from {parquet_source(self)}")
                yield connection
            except (duckdb.IOException, duckdb.InvalidInputException) as error:
                raise DamagedHistory(
                    f"{self.folder}: cannot be read ({str(error).splitlines()[0]}); restore that "
                    "file from a backup, or remove it and take its files in again"
                ) from error


def parquet_source(history: History) -> str:
    """SQL that reads all parts of a history.

    Raises
    ------
    DamagedHistory
        If a part does not begin and end as Parquet files do.
    """
    for path in history.parts():
        with path.open("rb") as file:
            begins = file.read(len(_PARQUET))
            file.seek(max(path.stat().st_size - len(_PARQUET), 0))
            if begins != _PARQUET or file.read() != _PARQUET:
                raise DamagedHistory(
                    f"{path}: this part of the history is damaged (cut off, or overwritten); "
                    "restore it from a backup, or remove it and take its files in again with "
                    "`nextbest ingest FILE...`"
                )
    files = ", ".join(sql_text(str(path)) for path in history.parts())
    return f"read_parquet([{files}])"


def sql_text(text: str) -> str:
    """Text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def commit_part(history: History, written: Path) -> Path:
    """Move a finished Parquet file into the history, named by the sha256 of its bytes.

    The bytes are on the disk before the name is, so an interrupted run leaves either the whole
    part or none.
    """
    with written.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    place = history.folder / f"part-{digest}.parquet"
    written.replace(place)
    folder = os.open(history.folder, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return place


@contextmanager
def only_writer(history: History) -> Iterator[None]:
    """Hold the history's lock: two intakes at once could both take the same signal for new."""
    history.folder.mkdir(parents=True, exist_ok=True)
    with (history.folder / ".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        for left_over in history.folder.glob(".part-*"):
            left_over.unlink()
        yield


def _int64(found: object) -> Int64Array:
    return np.ascontiguousarray(np.asarray(found, dtype=np.int64))
