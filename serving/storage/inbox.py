"""The inbox: signals that came over HTTP, until the history has them.

Taking one in puts it at once among the customer's packed signals, where the next decision sees
it, and keeps it for the history, which is the record. What made no sense is kept beside it.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import sqlalchemy as sa

from features.consent import ConsentChange
from features.signals import DAY, EMPTY, SignalColumns, pack, unpack
from features.traits import TRAIT_EVENT, TraitChange, trait_changes
from serving.events import Item, PutAside, Received, Silent
from serving.storage import tables
from serving.storage.consents import keep_consents
from serving.storage.customer_signals import keep_signals, signals_of
from serving.storage.households import keep_traits
from serving.storage.moment_index import note_more

ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"
QUARANTINED: Final = "quarantined"
IGNORED: Final = "ignored"
STATUSES: Final = (ACCEPTED, DUPLICATE, QUARANTINED, IGNORED)

# Segment's libraries repeat a failed batch for twelve hours; a queue before us may hold one longer.
KNOWN_DAYS: Final = 30
# Whoever sends nothing but nonsense shall not fill the disk: the newest are kept.
QUARANTINE_ROWS: Final = 10_000
REUSED: Final = "message_id_reused"
_REUSED_WORDS: Final = "the messageId belongs to another signal already; the first received is kept"

_KNOWN: Final = sa.select(tables.received.c.message_id, tables.received.c.content).where(
    tables.received.c.message_id.in_(sa.bindparam("wanted", expanding=True))
)
_ANY_WAITS: Final = sa.select(sa.exists().where(tables.received.c.waits == 1))
_WAITING_OF: Final = (
    sa.select(tables.received.c.customer_id, tables.received.c.signal)
    .where(
        tables.received.c.waits == 1,
        tables.received.c.customer_id.in_(sa.bindparam("wanted", expanding=True)),
    )
    .order_by(tables.received.c.customer_id)
)
_WAITING: Final = (
    sa.select(tables.received.c.message_id, tables.received.c.row)
    .where(tables.received.c.waits == 1)
    .order_by(tables.received.c.received_at, tables.received.c.message_id)
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one item.

    Attributes
    ----------
    status : str
        One of `STATUSES`.
    reasons : mapping of name to words
        Why it was put aside.
    note : str
        Something the sender should know although it was not.
    """

    status: str
    message_id: str
    reasons: Mapping[str, str] = field(default_factory=dict)
    note: str = ""


def take_in(
    connection: sa.Connection, items: Sequence[Item], now: int, known_by: int
) -> tuple[Verdict, ...]:
    """Take in what makes sense, put aside what does not; one verdict an item, in order.

    Parameters
    ----------
    now : int
        When it is written down; microseconds UTC.
    known_by : int
        The present of the home. What is said about consent counts from then on, also in a home
        that looks from an earlier day than the one on which it was said.
    """
    wanted = [item.message_id for item in items if isinstance(item, Received)]
    known: dict[str, str] = {i: c for i, c in connection.execute(_KNOWN, {"wanted": wanted})}
    verdicts: list[Verdict] = []
    new: list[Received] = []
    for item in items:
        verdict = _verdict(item, known)
        verdicts.append(verdict)
        if isinstance(item, Received) and verdict.status == ACCEPTED:
            known[item.message_id] = item.content
            new.append(item)
    _keep_new(connection, new, known_by)
    keep_consents(connection, [_known(c, known_by) for i in new if (c := i.consent)], now)
    keep_traits(connection, [change for item in new for change in _stated(item)], now)
    _set_aside(connection, zip(items, verdicts, strict=True), now)
    return tuple(verdicts)


def joined(signals: SignalColumns, more: Iterable[SignalColumns]) -> SignalColumns:
    """Signals of one customer and some more of them, in the order of the history."""
    stacked = np.concatenate([np.stack(part.columns()) for part in (signals, *more)], axis=1)
    event, occurred_at, received_at, amount, value, category = stacked
    order = np.lexsort((category, value, amount, event, received_at, occurred_at))
    return SignalColumns(*stacked[:, order])


def with_waiting(
    connection: sa.Connection, customers: Sequence[tuple[str, SignalColumns]]
) -> list[tuple[str, SignalColumns]]:
    """Signals of customers as the history has them, and those that still wait for it."""
    if not connection.scalar(_ANY_WAITS):
        return list(customers)
    waiting: dict[str, list[SignalColumns]] = {}
    wanted = {"wanted": [customer_id for customer_id, _ in customers]}
    for customer_id, packed in connection.execute(_WAITING_OF, wanted):
        waiting.setdefault(customer_id, []).append(unpack(packed))
    return [(c, joined(signals, waiting.get(c, ()))) for c, signals in customers]


def waiting_rows(connection: sa.Connection) -> list[tuple[str, str]]:
    """Message id and row (JSON) of every signal that waits for the history."""
    return [(str(message_id), str(row)) for message_id, row in connection.execute(_WAITING)]


def taken_over(connection: sa.Connection, message_ids: Sequence[str], now: int) -> None:
    """The history has these signals: forget all but that they came, and that after a while."""
    received = tables.received
    connection.execute(
        sa.update(received)
        .where(received.c.message_id.in_(message_ids))
        .values(waits=0, row="", signal=b"")
    )
    connection.execute(
        sa.delete(received).where(
            received.c.waits == 0, received.c.received_at < now - KNOWN_DAYS * DAY
        )
    )


def quarantine_counts(connection: sa.Connection) -> dict[str, int]:
    """How many items over HTTP were put aside, by reason in words, most frequent first."""
    counts: dict[str, int] = {}
    for (reasons,) in connection.execute(sa.select(tables.quarantine.c.reasons)):
        for words in json.loads(reasons).values():
            counts[words] = counts.get(words, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def _verdict(item: Item, known: Mapping[str, str]) -> Verdict:
    if isinstance(item, Silent):
        return Verdict(IGNORED, item.message_id, note=item.words)
    if isinstance(item, PutAside):
        return Verdict(QUARANTINED, item.message_id, item.reasons)
    earlier = known.get(item.message_id)
    if earlier is None:
        return Verdict(ACCEPTED, item.message_id, note=item.note)
    if earlier == item.content:
        return Verdict(DUPLICATE, item.message_id)
    return Verdict(QUARANTINED, item.message_id, {REUSED: _REUSED_WORDS})


def _keep_new(connection: sa.Connection, new: Sequence[Received], known_by: int) -> None:
    """Write the signals down, and add them to their customers."""
    if not new:
        return
    rows = [
        {
            "message_id": item.message_id,
            "content": item.content,
            "customer_id": item.customer_id,
            "received_at": int(item.signal.received_at[0]),
            "waits": 1,
            "row": json.dumps({k: v for k, v in item.row.items() if v}, ensure_ascii=False),
            "signal": pack(item.signal),
        }
        for item in new
    ]
    connection.execute(sa.insert(tables.received), rows)
    by_customer: dict[str, list[SignalColumns]] = {}
    for item in new:
        by_customer.setdefault(item.customer_id, []).append(item.signal)
    changed = []
    for customer_id, signals in by_customer.items():
        before = signals_of(connection, customer_id) or EMPTY
        changed.append((customer_id, joined(before, signals), int(signals[-1].received_at[0])))
    keep_signals(connection, changed)
    for customer_id, signals in by_customer.items():
        note_more(connection, customer_id, [s for s in signals if s.received_at[0] <= known_by])


def _known(change: ConsentChange, known_by: int) -> ConsentChange:
    """The change, as known before the home's present."""
    latest = known_by - 1
    return replace(
        change,
        occurred_at=min(change.occurred_at, latest),
        received_at=min(change.received_at, latest),
    )


def _stated(item: Received) -> list[TraitChange]:
    """What the item says of how the customer is contacted."""
    if item.row["event"] != TRAIT_EVENT:
        return []
    times = int(item.signal.occurred_at[0]), int(item.signal.received_at[0])
    return trait_changes(item.customer_id, item.row["properties"], *times)


def _set_aside(connection: sa.Connection, judged: Iterable[tuple[Item, Verdict]], now: int) -> None:
    rows = [
        {
            "recorded_at": now,
            "message_id": verdict.message_id,
            "reasons": json.dumps(dict(verdict.reasons), ensure_ascii=False),
            "item": (
                item.item
                if isinstance(item, PutAside)
                else json.dumps(dict(item.row), ensure_ascii=False)
                if isinstance(item, Received)
                else ""
            ),
        }
        for item, verdict in judged
        if verdict.status == QUARANTINED
    ]
    if not rows:
        return
    quarantine = tables.quarantine
    connection.execute(sa.insert(quarantine), rows)
    newest = sa.select(sa.func.max(quarantine.c.sequence) - QUARANTINE_ROWS).scalar_subquery()
    connection.execute(sa.delete(quarantine).where(quarantine.c.sequence <= newest))
