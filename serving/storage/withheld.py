"""What a pause held back: for a person to look at, while it is on and when it is over."""

from dataclasses import dataclass, replace
from typing import Final

import sqlalchemy as sa

from features.signals import MINUTE
from serving.contact_policy import PAUSED, turned_off
from serving.records import NO_CONTACT, Pause
from serving.refusals import TOGETHER
from serving.storage import tables
from serving.storage.pauses import every_pause

_D: Final = tables.decisions
_STILL_ON: Final = 2**62
# Decisions are numbered in the order in which they were written; clocks of two servers may differ.
_CLOCKS: Final = 5 * MINUTE
_RECORDED: Final = (
    sa.select(_D.c.recorded_at)
    .where(_D.c.sequence >= sa.bindparam("number"))
    .order_by(_D.c.sequence)
    .limit(1)
)
_NEWEST_SILENCES: Final = (
    sa.select(_D.c.sequence, _D.c.customer_id, _D.c.refusals)
    .where(
        _D.c.sequence >= sa.bindparam("first_number"),
        _D.c.communication == NO_CONTACT,
        _D.c.fallback == 0,
        _D.c.arm != "holdout",  # they would have heard no marketing anyway
        _D.c.recorded_at >= sa.bindparam("since"),
        _D.c.recorded_at < sa.bindparam("until"),
        sa.func.instr(_D.c.refusals, f'"{PAUSED}"') > 0,  # ten times as fast as LIKE
    )
    .order_by(_D.c.sequence.desc())
    .limit(sa.bindparam("newest"))
    .cte("silences")
)
NAMED: Final = 5  # customers that a line names; programs get them all
NO_LIMIT: Final = -1  # as SQLite says it


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a look goes, and which customers it names.

    Attributes
    ----------
    first, most : int
        The first customer that is named, from 0 on, and how many.
    newest : int
        So many of the newest decisions to say nothing are looked at.
    """

    first: int = 0
    most: int = NO_LIMIT
    newest: int = NO_LIMIT


EVERYTHING: Final = Reach()


@dataclass(frozen=True, slots=True)
class Withheld:
    """Decisions to say nothing in which pauses alone stood in the way of some message.

    Attributes
    ----------
    decisions : int
    people : int
        How many customers they were about.
    customers : tuple of str
        Those of them that were asked for, each once, in the order of the first decision.
    complete : bool
        Whether all decisions were looked at, not the newest only.
    """

    decisions: int = 0
    people: int = 0
    customers: tuple[str, ...] = ()
    complete: bool = True

    def record(self) -> dict[str, int | list[str]]:
        """The same for programs."""
        return {
            "decisions": self.decisions,
            "people": self.people,
            "customers": list(self.customers),
            "complete": self.complete,
        }

    def words(self) -> str:
        """How many, and for whom."""
        named = ", ".join(self.customers[:NAMED])
        more = self.people - NAMED
        return f"{self.counted()}: {named}{f' and {more:,} more' if more > 0 else ''}"

    def counted(self) -> str:
        """How many."""
        decisions = f"{self.decisions:,} decision{'' if self.decisions == 1 else 's'}"
        people = f"{self.people:,} customer{'' if self.people == 1 else 's'}"
        least = "" if self.complete else "at least "
        return f"nothing but a pause kept {least}{people} from a message, in {decisions}"


def withheld_by(connection: sa.Connection, pause: Pause, reach: Reach = EVERYTHING) -> Withheld:
    """What a pause held back, alone or together with other pauses."""
    asked = {
        "first_number": _first_since(connection, pause.since - _CLOCKS),
        "since": pause.since,
        "until": _STILL_ON if pause.ended_at is None else pause.ended_at,
        "newest": reach.newest,
    }
    named = _named(connection, pause).limit(reach.most).offset(reach.first)
    rows = connection.execute(named, asked).all()
    if not rows and reach.first:
        return replace(withheld_by(connection, pause, replace(reach, first=0)), customers=())
    complete = reach.newest == NO_LIMIT or reach.newest > _seen(connection, asked)
    if not rows:
        return Withheld(complete=complete)
    _, decisions, people = rows[0]
    return Withheld(int(decisions), int(people), tuple(row[0] for row in rows), complete)


def _named(connection: sa.Connection, pause: Pause) -> sa.Select[str, int, int]:
    """Customers by their first decision, each with the counts of all decisions and customers.

    A refusal counts if it asks for nothing but pauses to be turned off, this one among them.
    """
    silences = _NEWEST_SILENCES
    refusal = sa.func.json_each(silences.c.refusals).table_valued("value")
    change = sa.func.json_extract(refusal.c.value, "$.change")
    left: sa.ColumnElement[str] = change
    for other in every_pause(connection):
        if _overlap(pause, other):
            left = sa.func.replace(left, turned_off(other), "")
    left = sa.func.replace(left, TOGETHER.format(these="", that=""), "")
    held = (
        sa.select(sa.literal(1))
        .select_from(refusal)
        .where(
            sa.func.json_extract(refusal.c.value, "$.rule") == PAUSED,
            sa.func.instr(change, turned_off(pause)) > 0,
            sa.func.trim(left, " ,") == "",
        )
        .correlate(silences)
        .exists()
    )
    of_each = (
        sa.select(
            silences.c.customer_id,
            sa.func.count().label("decisions"),
            sa.func.min(silences.c.sequence).label("first"),
        )
        .where(held)
        .group_by(silences.c.customer_id)
        .subquery()
    )
    return sa.select(
        of_each.c.customer_id,
        sa.func.sum(of_each.c.decisions).over(),
        sa.func.count().over(),
    ).order_by(of_each.c.first)


def _seen(connection: sa.Connection, asked: dict[str, int]) -> int:
    counted = sa.select(sa.func.count()).select_from(_NEWEST_SILENCES)
    return connection.scalar(counted, asked) or 0


def _overlap(one: Pause, other: Pause) -> bool:
    """Whether both were on at some time, so that one refusal may name both."""
    ends = (_STILL_ON if each.ended_at is None else each.ended_at for each in (one, other))
    return max(one.since, other.since) <= min(ends)


def _first_since(connection: sa.Connection, moment: int) -> int:
    """Number of the first decision written at a moment or later, by halving: there is no index."""
    low, high = 0, (connection.scalar(sa.select(sa.func.max(_D.c.sequence))) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        recorded = connection.scalar(_RECORDED, {"number": middle})
        if recorded is None or recorded >= moment:
            high = middle
        else:
            low = middle + 1
    return low
