"""Traits as customers stated them, and the households that they make."""

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from features.traits import HOUSEHOLD_ID, TraitChange
from serving.storage import tables

# A "household" of more people is a placeholder, such as 0 or unknown, or a firm: its members do
# not share a letter box, and one contact with each must not silence all others.
LARGEST: Final = 20

_STATED: Final = (
    sa.select(tables.traits.c.name, tables.traits.c.value)
    .where(
        tables.traits.c.customer_id == sa.bindparam("customer"),
        tables.traits.c.occurred_at < sa.bindparam("until"),
        tables.traits.c.received_at < sa.bindparam("until"),
    )
    .order_by(tables.traits.c.occurred_at, tables.traits.c.received_at, tables.traits.c.id)
)
_later = tables.traits.alias("later")
_MEMBERS: Final = (
    sa.select(tables.traits.c.customer_id)
    .distinct()
    .where(
        tables.traits.c.name == HOUSEHOLD_ID,
        tables.traits.c.value == sa.bindparam("household"),
        tables.traits.c.occurred_at < sa.bindparam("until"),
        tables.traits.c.received_at < sa.bindparam("until"),
        # Whoever has moved out since is no member.
        ~sa.exists().where(
            _later.c.customer_id == tables.traits.c.customer_id,
            _later.c.name == HOUSEHOLD_ID,
            _later.c.occurred_at < sa.bindparam("until"),
            _later.c.received_at < sa.bindparam("until"),
            sa.tuple_(_later.c.occurred_at, _later.c.received_at, _later.c.id)
            > sa.tuple_(
                tables.traits.c.occurred_at, tables.traits.c.received_at, tables.traits.c.id
            ),
        ),
    )
    .order_by(tables.traits.c.customer_id)
    .limit(LARGEST + 1)
)
_KEEP: Final = insert(tables.traits).on_conflict_do_nothing()


def keep_traits(connection: sa.Connection, changes: Sequence[TraitChange], now: int) -> None:
    """Keep what was stated; the same statement twice is kept once."""
    rows = [
        {
            "customer_id": change.customer_id,
            "name": change.name,
            "value": change.value,
            "occurred_at": change.occurred_at,
            "received_at": change.received_at,
            "recorded_at": now,
        }
        for change in changes
    ]
    if rows:
        connection.execute(_KEEP, rows)


def traits_of(connection: sa.Connection, customer_id: str, as_of: int) -> Mapping[str, str]:
    """What the customer had last stated before a moment; what was taken back is absent."""
    stated = connection.execute(_STATED, {"customer": customer_id, "until": as_of})
    last = {str(name): str(value) for name, value in stated}
    return {name: value for name, value in last.items() if value}


def others_at_home(
    connection: sa.Connection, customer_id: str, traits: Mapping[str, str], as_of: int
) -> tuple[str, ...]:
    """The other members of the customer's household at a moment, ascending."""
    household = traits.get(HOUSEHOLD_ID)
    if household is None:
        return ()
    members = tuple(connection.scalars(_MEMBERS, {"household": household, "until": as_of}).all())
    if len(members) > LARGEST:
        return ()
    return tuple(member for member in members if member != customer_id)
