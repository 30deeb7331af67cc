"""What a pause held back: for a person to look at, while it is on and when it is over."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from serving import tables
from serving.contact_policy import PAUSED, turned_off
from serving.pauses import every_pause
from serving.records import NO_CONTACT, Pause
from serving.refusals import TOGETHER

_D: Final = tables.decisions
_SILENCES: Final = (
    sa.select(_D.c.customer_id, _D.c.refusals)
    .where(
        _D.c.communication == NO_CONTACT,
        _D.c.fallback == 0,
        _D.c.arm != "holdout",  # they would have heard no marketing anyway
        _D.c.recorded_at >= sa.bindparam("since"),
        _D.c.recorded_at < sa.bindparam("until"),
        _D.c.refusals.contains(f'"{PAUSED}"'),
    )
    .order_by(_D.c.sequence)
)
_STILL_ON: Final = 2**62
NAMED: Final = 5  # customers that a line names; programs get them all


@dataclass(frozen=True, slots=True)
class Withheld:
    """Decisions to say nothing in which pauses alone stood in the way of some message.

    Attributes
    ----------
    decisions : int
    customers : tuple of str
        Whom they were about, each once, in the order of the first decision.
    """

    decisions: int = 0
    customers: tuple[str, ...] = ()

    def record(self) -> dict[str, int | list[str]]:
        """The same for programs."""
        return {"decisions": self.decisions, "customers": list(self.customers)}

    def words(self) -> str:
        """How many, and for whom."""
        named = ", ".join(self.customers[:NAMED])
        more = len(self.customers) - NAMED
        decisions = f"{self.decisions:,} decision{'' if self.decisions == 1 else 's'}"
        people = f"{len(self.customers):,} customer{'' if len(self.customers) == 1 else 's'}"
        return (
            f"nothing but a pause kept {people} from a message, in {decisions}: "
            f"{named}{f' and {more:,} more' if more > 0 else ''}"
        )


def withheld_by(connection: sa.Connection, pause: Pause) -> Withheld:
    """What a pause held back, alone or together with other pauses."""
    until = _STILL_ON if pause.ended_at is None else pause.ended_at
    own = turned_off(pause)
    all_words = [turned_off(each) for each in every_pause(connection)]
    decisions = 0
    customers: dict[str, None] = {}
    for row in connection.execute(_SILENCES, {"since": pause.since, "until": until}):
        changes = (each["change"] for each in json.loads(row.refusals) if each["rule"] == PAUSED)
        if any(own in change and _says_only(change, all_words) for change in changes):
            decisions += 1
            customers[row.customer_id] = None
    return Withheld(decisions, tuple(customers))


def _says_only(change: str, words: Iterable[str]) -> bool:
    """Whether a change asks for nothing but pauses to be turned off."""
    for each in words:
        change = change.replace(each, "")
    return not change.replace(TOGETHER.format(these="", that=""), "").strip(" ,")
