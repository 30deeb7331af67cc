"""An index of moments: which customers had which event when, so that the due ones are found.

It holds when each event last happened to each customer and nothing else, whatever the catalog
says. Whether a moment has come is then decided from the signals themselves; so the index may
name too many customers, but must never miss one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.signals import SignalColumns, code
from serving.catalog import Catalog, Communication
from serving.records import NO_CONTACT
from serving.storage import tables
from serving.storage.pauses import HELD_SILENCE

_M: Final = tables.moments
_D: Final = tables.decisions
_FORGET: Final = sa.delete(_M).where(_M.c.customer_id == sa.bindparam("customer"))
_NOTE: Final = insert(_M).on_conflict_do_update(
    index_elements=["customer_id", "event"],
    # An event that comes late must not hide a later one.
    set_={
        "at": sa.func.max(_M.c.at, sa.text("excluded.at")),
        "heard_at": sa.func.max(_M.c.heard_at, sa.text("excluded.heard_at")),
    },
)
_ENDED: Final = sa.select(sa.func.max(_M.c.heard_at)).where(
    _M.c.customer_id == sa.bindparam("customer"),
    _M.c.event.in_(sa.bindparam("events", expanding=True)),
)
# The last decision about an occasion: what was said, and until when it need not be asked again.
_LAST: Final = (
    sa.select(_D.c.id, _D.c.as_of, _D.c.communication, _D.c.reconsider_at)
    .where(
        _D.c.customer_id == sa.bindparam("customer"),
        _D.c.scope == sa.bindparam("scope"),
        _D.c.fallback == 0,
        ~HELD_SILENCE,
    )
    .order_by(_D.c.as_of.desc(), _D.c.sequence.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class LastSaid:
    """The last decision about an occasion; times in microseconds UTC."""

    decision_id: str
    as_of: int
    communication: str
    reconsider_at: int

    @property
    def is_silence(self) -> bool:
        """Whether it was to say nothing."""
        return self.communication == NO_CONTACT


def note_all(connection: sa.Connection, customers: Iterable[tuple[str, SignalColumns]]) -> None:
    """Note the moments of customers whose signals were all replaced."""
    for customer_id, signals in customers:
        connection.execute(_FORGET, {"customer": customer_id})
        note_more(connection, customer_id, [signals])


def note_more(
    connection: sa.Connection, customer_id: str, signals: Iterable[SignalColumns]
) -> None:
    """Note the moments of some more signals of a customer."""
    last: dict[int, tuple[int, int]] = {}
    for part in signals:
        columns = (part.event.tolist(), part.occurred_at.tolist(), part.received_at.tolist())
        for event, at, heard_at in zip(*columns, strict=True):
            before = last.get(event, (at, heard_at))
            last[event] = (max(at, before[0]), max(heard_at, before[1]))
    rows = [
        {"customer_id": customer_id, "event": event, "at": at, "heard_at": heard_at}
        for event, (at, heard_at) in last.items()
    ]
    if rows:
        connection.execute(_NOTE, rows)


def due_customers(
    connection: sa.Connection, catalog: Catalog, as_of: int, after: str, limit: int
) -> list[str]:
    """Customers whose moment may have come, ascending, beginning after an id.

    Those of a sequence are found by any step that was sent, or whose trigger happened, within
    the time that the whole sequence lasts.
    """
    wanted = [w for entry in catalog.communications.values() for w in _searches(entry, catalog)]
    if not wanted:
        return []
    found = sa.union(
        *(
            sa.select(column).where(
                key.in_(keys), at > as_of - longest, at <= as_of - soonest, column > after
            )
            for column, key, at, keys, soonest, longest in (
                (_M.c.customer_id, _M.c.event, _M.c.at, [code(n) for n in names], soon, long)
                if of_events
                else (_D.c.customer_id, _D.c.communication, _D.c.as_of, list(names), soon, long)
                for of_events, names, soon, long in wanted
            )
        )
    ).subquery()
    query = sa.select(found.c.customer_id).order_by(found.c.customer_id).limit(limit)
    return list(connection.scalars(query))


def ended_at(connection: sa.Connection, customer_id: str, catalog: Catalog) -> int:
    """When it was last heard of something that ends a moment of the catalog; 0 if never."""
    asked = {"customer": customer_id, "events": [code(name) for name in catalog.endings]}
    return int(connection.scalar(_ENDED, asked) or 0)


def last_said(connection: sa.Connection, customer_id: str, scope: str) -> LastSaid | None:
    """The last decision of a scope about a customer; None if there was none."""
    row = connection.execute(_LAST, {"customer": customer_id, "scope": scope}).one_or_none()
    return None if row is None else LastSaid(*row)


_Search = tuple[bool, Sequence[str], int, int]  # of events?, names, soonest and longest ago


def _searches(entry: Communication, catalog: Catalog) -> list[_Search]:
    """Where to look for customers whose time for this entry may have come."""
    moment = entry.moment
    if moment is None:
        return []
    if not moment.after:
        return [(True, moment.trigger, moment.delay, moment.delay + moment.within)]
    found: list[_Search] = []
    longest, step = moment.delay + moment.within, catalog.communications.get(moment.after)
    while step is not None:
        found.append((False, (step.name,), 0, longest))
        before = step.moment
        if before is None:
            break
        longest += before.delay + before.within
        if not before.after:
            # Sent by somebody else, or skipped: its trigger tells that it began.
            found.append((True, before.trigger, 0, longest))
            break
        step = catalog.communications.get(before.after)
    return found
