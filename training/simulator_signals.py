"""The book in which the demo company writes down its signals, and its tables."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.signals import CANONICAL_COLUMNS, Int64Array

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

    def table(self, place: str, ids: pa.Array, end: int) -> pa.Table:
        """Signals of one file in the canonical columns, sorted by time.

        Parameters
        ----------
        place : str
            One of `FILES`.
        ids : pa.Array of str, shape (n_people,)
        end : int
            Signals that arrive at this moment or later are not known yet, and left out.
        """
        entries = self.entries[place]
        if not entries:
            return SCHEMA.empty_table()
        occurred_at = np.concatenate([entry.occurred_at for entry in entries])
        received_at = np.concatenate([entry.received_at for entry in entries])
        order = np.argsort(occurred_at, kind="stable")
        order = order[received_at[order] < end]
        who = np.concatenate([entry.who for entry in entries])
        columns = {
            "message_id": pa.array([f"{place}-{number:07d}" for number in range(len(order))]),
            "customer_id": ids.take(pa.array(who[order])),
            "event": _words([(entry.event, len(entry.who)) for entry in entries], order),
            "occurred_at": pa.array(occurred_at[order]).cast(pa.timestamp("us")),
            "received_at": pa.array(received_at[order]).cast(pa.timestamp("us")),
        }
        details = [(entry.details, len(entry.who)) for entry in entries]
        columns["amount"] = _words([(_money(one.amount), n) for one, n in details], order)
        columns["currency"] = _words(
            [(None if one.amount is None else CURRENCY, n) for one, n in details], order
        )
        columns["category"] = _words([(one.category, n) for one, n in details], order)
        columns["channel"] = _words([(one.channel, n) for one, n in details], order)
        columns["score"] = _words([(_digits(one.score), n) for one, n in details], order)
        columns["communication"] = _words([(one.communication, n) for one, n in details], order)
        columns["selection_probability"] = _words(
            [(_digits(one.probability), n) for one, n in details], order
        )
        columns["properties"] = _words([(one.properties, n) for one, n in details], order)
        return pa.table([columns[name] for name in CANONICAL_COLUMNS], schema=SCHEMA)


def properties(**words: str) -> str:
    """One JSON object for all signals of an entry."""
    return json.dumps(words, separators=(",", ":"))


def _words(pieces: Sequence[tuple[str | Sequence[str] | None, int]], order: Int64Array) -> pa.Array:
    """One column of text from pieces that are one word, many words, or none."""
    words: list[str] = []
    numbers: dict[str, int] = {}
    parts: list[Int64Array] = []
    for words_here, length in pieces:
        if words_here is None:
            parts.append(np.full(length, -1))
        elif isinstance(words_here, str):
            if words_here not in numbers:
                numbers[words_here] = len(words)
                words.append(words_here)
            parts.append(np.full(length, numbers[words_here]))
        else:
            parts.append(np.arange(len(words), len(words) + length))
            words.extend(words_here)
    index = np.concatenate(parts)[order]
    return pa.array(words, pa.string()).take(pa.array(index, mask=index < 0))


def _money(cents: Int64Array | None) -> list[str] | None:
    return None if cents is None else [decimal(int(one)) for one in cents]


def _digits(numbers: Iterable[float] | None) -> list[str] | None:
    return None if numbers is None else [repr(one) for one in np.asarray(numbers).tolist()]


def decimal(cents: int) -> str:
    """Cents as decimal text: 1250 -> 12.50."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
