"""The book in which the demo company writes down its signals, and its tables."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.signals import CANONICAL_COLUMNS, DAY, Int64Array

FILES: Final = (
    "orders",
    "web",
    "email",
    "app",
    "support",
    "feedback",
    "loyalty",
    "consent",
    "pilot",
)
CURRENCY: Final = "EUR"

SCHEMA: Final = pa.schema(
    [
        (name, pa.timestamp("us") if name.endswith("_at") else pa.string())
        for name in CANONICAL_COLUMNS
    ]
)


@dataclass(frozen=True, slots=True)
class Details:
    """What some signals say besides who, what and when.

    Each is one word for all the signals written together, or one for each of them; `amount` is
    in cents, shape (n,).
    """

    amount: Int64Array | None = None
    category: str | Sequence[str] | None = None
    channel: str | Sequence[str] | None = None
    score: Sequence[int] | Int64Array | None = None
    communication: str | Sequence[str] | None = None
    probability: NDArray[np.float64] | None = None
    properties: str | Sequence[str] | None = None


PLAIN: Final = Details()


@dataclass(frozen=True, slots=True)
class Entry:
    """Signals of one event, written down together."""

    event: str
    who: Int64Array
    occurred_at: Int64Array
    received_at: Int64Array
    details: Details


@dataclass(slots=True)
class SignalBook:
    """All signals so far, by the file they will stand in."""

    entries: dict[str, list[Entry]] = field(default_factory=lambda: {name: [] for name in FILES})

    def write(
        self, place: str, event: str, who: Int64Array, at: Int64Array, details: Details = PLAIN
    ) -> None:
        """Write down one signal for each of `who`, which arrives within the same second."""
        self.write_late(place, event, who, (at, at + 400_000), details)

    def write_late(
        self,
        place: str,
        event: str,
        who: Int64Array,
        times: tuple[Int64Array, Int64Array],
        details: Details = PLAIN,
    ) -> None:
        """Write down signals whose arrival is told: `times` are occurred_at and received_at."""
        if len(who):
            self.entries[place].append(Entry(event, who, times[0], times[1], details))

    def table(self, place: str, ids: pa.Array, end: int, since: int | None = None) -> pa.Table:
        """Signals of one file in the canonical columns, sorted by time.

        Parameters
        ----------
        place : str
            One of `FILES`.
        ids : pa.Array of str, shape (n_people,)
        end : int
            Signals that arrive at this moment or later are not known yet, and left out.
        since : int, optional
            Those that arrived before this moment are left out too: they stand in an earlier
            table, whose `end` it was.
        """
        entries = self.entries[place]
        if not entries:
            return SCHEMA.empty_table()
        occurred_at = np.concatenate([entry.occurred_at for entry in entries])
        received_at = np.concatenate([entry.received_at for entry in entries])
        order = np.argsort(occurred_at, kind="stable")
        order = order[received_at[order] < end]
        if since is not None:
            order = order[received_at[order] >= since]
        who = np.concatenate([entry.who for entry in entries])
        lengths = np.array([len(entry.who) for entry in entries])
        numbers = pc.utf8_lpad(pa.array(np.arange(len(order))).cast(pa.string()), 7, "0")
        written = place if since is None else f"{place}-{since // DAY}"
        details = [entry.details for entry in entries]
        texts: dict[str, Sequence[str | Sequence[str] | None]] = {
            "event": [entry.event for entry in entries],
            "amount": [_money(one.amount) for one in details],
            "currency": [None if one.amount is None else CURRENCY for one in details],
            "category": [one.category for one in details],
            "channel": [one.channel for one in details],
            "score": [_digits(one.score) for one in details],
            "communication": [one.communication for one in details],
            "selection_probability": [_digits(one.probability) for one in details],
            "properties": [one.properties for one in details],
        }
        columns = {name: _words(pieces, lengths, order) for name, pieces in texts.items()}
        columns["message_id"] = pc.binary_join_element_wise(written, numbers, "-")
        columns["customer_id"] = ids.take(pa.array(who[order]))
        columns["occurred_at"] = pa.array(occurred_at[order]).cast(pa.timestamp("us"))
        columns["received_at"] = pa.array(received_at[order]).cast(pa.timestamp("us"))
        return pa.table([columns[name] for name in CANONICAL_COLUMNS], schema=SCHEMA)


def properties(**words: str) -> str:
    """One JSON object for all signals of an entry."""
    return json.dumps(words, separators=(",", ":"))


def _words(
    pieces: Sequence[str | Sequence[str] | None], lengths: Int64Array, order: Int64Array
) -> pa.Array:
    """One column of text from pieces that are one word, many words, or none.

    Parameters
    ----------
    pieces : sequence of length n_entries
    lengths : ndarray of int64, shape (n_entries,)
        Signals in each entry.
    order : ndarray of int64, shape (n_rows,)
        Which signals, counted over all entries, stand in the column.
    """
    words: list[str] = []
    numbers: dict[str, int] = {}
    first = np.full(len(pieces), -1)  # number of the entry's first word
    many = np.zeros(len(pieces), dtype=np.int64)  # 1 where each signal has its own word
    for index, piece in enumerate(pieces):
        if isinstance(piece, str):
            if piece not in numbers:
                numbers[piece] = len(words)
                words.append(piece)
            first[index] = numbers[piece]
        elif piece is not None:
            first[index], many[index] = len(words), 1
            words.extend(piece)
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    index = (np.repeat(first, lengths) + np.repeat(many, lengths) * within)[order]
    return pa.array(words, pa.string()).take(pa.array(index, mask=index < 0))


def _money(cents: Int64Array | None) -> list[str] | None:
    return None if cents is None else [decimal(int(one)) for one in cents]


def _digits(numbers: Iterable[float] | None) -> list[str] | None:
    return None if numbers is None else [repr(one) for one in np.asarray(numbers).tolist()]


def decimal(cents: int) -> str:
    """Cents as decimal text: 1250 -> 12.50."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
