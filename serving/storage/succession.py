"""The succession of champions: which bundle served since when, and which one served before it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from serving.storage import tables

PROMOTED: Final = "promoted"  # the gates said yes, or it was the first
FORCED: Final = "forced"  # somebody promoted it although a gate said no
ROLLED_BACK: Final = "rolled_back"  # back to the one that served before
WAYS: Final = (PROMOTED, FORCED, ROLLED_BACK)

CHALLENGER: Final = "challenger"  # key in the table meta

_CHAMPION: Final = sa.select(tables.champion.c.sha256)
_CHALLENGER: Final = sa.select(tables.meta.c.value).where(tables.meta.c.key == CHALLENGER)
_HISTORY: Final = sa.select(
    tables.champions.c.sha256, tables.champions.c.changed_at, tables.champions.c.how
).order_by(tables.champions.c.sequence)


class UnknownWay(ValueError):
    """A bundle cannot come into service in this way."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of champion.

    Attributes
    ----------
    sha256 : str
        Hash of the bundle that came into service.
    changed_at : int
        Microseconds UTC.
    how : str
        One of `WAYS`.
    """

    sha256: str
    changed_at: int
    how: str


def champion_of(connection: sa.Connection) -> str | None:
    """Hash of the bundle in service; None if none has been chosen."""
    found = connection.scalar(_CHAMPION)
    return None if found is None else str(found)


def crown(connection: sa.Connection, change: Change) -> None:
    """Put a bundle into service and write down that it came.

    Raises
    ------
    UnknownWay
        If `how` is none of `WAYS`.
    """
    if change.how not in WAYS:
        raise UnknownWay(
            f"a bundle cannot come into service by '{change.how}'; ways are {', '.join(WAYS)}; "
            "name one of them"
        )
    values = {"sha256": change.sha256, "changed_at": change.changed_at}
    row = insert(tables.champion).values(place=1, **values)
    connection.execute(row.on_conflict_do_update(index_elements=["place"], set_=values))
    connection.execute(insert(tables.champions).values(**values, how=change.how))
    if challenger_of(connection) == change.sha256:
        name_challenger(connection, None)


def challenger_of(connection: sa.Connection) -> str | None:
    """Hash of the bundle that waits to be promoted; None if none does."""
    found = connection.scalar(_CHALLENGER)
    return None if found is None else str(found)


def name_challenger(connection: sa.Connection, sha: str | None) -> None:
    """Say which bundle waits to be promoted; None: none does."""
    connection.execute(sa.delete(tables.meta).where(tables.meta.c.key == CHALLENGER))
    if sha is not None:
        connection.execute(sa.insert(tables.meta).values(key=CHALLENGER, value=sha))


def history_of(connection: sa.Connection) -> tuple[Change, ...]:
    """Every change of champion, oldest first."""
    return tuple(Change(*row) for row in connection.execute(_HISTORY))


def predecessor(history: Sequence[Change]) -> str | None:
    """Hash of the bundle that a rollback returns to; None if there is none.

    A rollback takes the last champion off the pile: after two of them in a row the third last
    serves, and the two that were taken off do not come back by a further one.
    """
    pile: list[str] = []
    for change in history:
        if change.how == ROLLED_BACK and change.sha256 in pile:
            while pile[-1] != change.sha256:
                pile.pop()
        elif not pile or pile[-1] != change.sha256:
            pile.append(change.sha256)
    return pile[-2] if len(pile) > 1 else None
