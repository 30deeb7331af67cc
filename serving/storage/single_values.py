"""Single values of the store, each by its name: its version, the data's end."""

from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from serving.storage import tables

_VALUE: Final = sa.select(tables.meta.c.value).where(tables.meta.c.key == sa.bindparam("wanted"))
_NEW: Final = insert(tables.meta)
_KEEP: Final = _NEW.on_conflict_do_update(
    index_elements=["key"], set_={"value": _NEW.excluded.value}
)


def value_of(connection: sa.Connection, key: str) -> str | None:
    """The value of that name; None if there is none."""
    found = connection.scalar(_VALUE, {"wanted": key})
    return None if found is None else str(found)


def keep_value(connection: sa.Connection, key: str, value: str) -> None:
    """Keep a value under its name, in place of the one before."""
    connection.execute(_KEEP, {"key": key, "value": value})
