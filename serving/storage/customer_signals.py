"""Every customer's raw signals, packed: what the next decision about them looks at."""

from collections.abc import Iterable
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.signals import SignalColumns, pack, unpack
from serving.storage import tables

_CUSTOMERS: Final = tables.customers.c
_SIGNALS: Final = sa.select(_CUSTOMERS.signals).where(
    _CUSTOMERS.customer_id == sa.bindparam("customer")
)
_IDS: Final = sa.select(_CUSTOMERS.customer_id).order_by(_CUSTOMERS.customer_id)
_NEW: Final = insert(tables.customers)
_KEEP: Final = _NEW.on_conflict_do_update(
    index_elements=["customer_id"],
    set_={"signals": _NEW.excluded.signals, "written_at": _NEW.excluded.written_at},
)


def keep_signals(
    connection: sa.Connection, customers: Iterable[tuple[str, SignalColumns, int]]
) -> None:
    """Keep customers' signals, each with when they were written, in place of what was kept."""
    rows = [
        {"customer_id": customer_id, "signals": pack(signals), "written_at": written_at}
        for customer_id, signals, written_at in customers
    ]
    connection.execute(_KEEP, rows)


def signals_of(connection: sa.Connection, customer_id: str) -> SignalColumns | None:
    """One customer's signals in time order; None if nobody has ever heard of them."""
    packed = connection.scalar(_SIGNALS, {"customer": customer_id})
    return None if packed is None else unpack(packed)


def customer_ids(connection: sa.Connection) -> tuple[str, ...]:
    """All known customers, ascending."""
    return tuple(connection.scalars(_IDS))


def customer_ids_like(connection: sa.Connection, start: str, limit: int) -> tuple[str, ...]:
    """The first known customers, ascending, whose id begins with `start`."""
    begins = _CUSTOMERS.customer_id.startswith(start, autoescape=True)
    return tuple(connection.scalars(_IDS.where(begins).limit(limit)))
