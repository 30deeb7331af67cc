"""The crisis switch: what is paused, since when and why. Nothing of it is ever erased."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import sqlalchemy as sa

from features.signals import DAY
from serving.plain_text import unseen
from serving.records import ANY, CHANNELS, CLASSES, FLAGS, NO_CONTACT, STAGES, Pause
from serving.storage import tables

ALLOWED: Final = ("transactional", "crisis")
FOR_EVER: Final = 2**62  # no pause ends later
LONGEST_REASON: Final = 200  # characters; it stands in every refusal

# A moment lasts a year at most, and may come a year after its trigger: none is due any later.
REVIEWED_DAYS: Final = 366

_EVERY: Final = sa.select(*(tables.pauses.c[name] for name in Pause.__slots__)).order_by(
    tables.pauses.c.number
)
_OF_REVIEW: Final = tables.pauses.c.number.in_(sa.select(tables.reviews.c.pause))
# Those that are on, and those under review that ended after a moment: one question a decision.
_IN_FORCE: Final = _EVERY.where(
    tables.pauses.c.ended_at.is_(None)
    | (tables.pauses.c.ended_at > sa.bindparam("ended_after")) & _OF_REVIEW
)
# A silence that was decided while a pause was on, and the pause is over: it tells nothing any more.
HELD_SILENCE: Final = sa.and_(
    tables.decisions.c.communication == NO_CONTACT,
    sa.exists().where(
        tables.pauses.c.since <= tables.decisions.c.recorded_at,
        tables.pauses.c.ended_at >= tables.decisions.c.recorded_at,
    ),
)


class InvalidPause(ValueError):
    """A pause that would not do what it says."""


class UnknownPause(LookupError):
    """No such pause is on."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A pause as somebody asks for it; see `records.Pause`.

    Raises
    ------
    InvalidPause
        If a word is not of its closed list, or the reason is empty, too long, or holds what
        nobody sees.
    """

    reason: str
    channel: str = ANY
    stage: str = ANY
    flag: str = ANY
    allow: tuple[str, ...] = ALLOWED

    def __post_init__(self) -> None:
        if not 0 < len(self.reason.strip()) <= LONGEST_REASON:
            raise InvalidPause(
                f"the reason is {len(self.reason.strip())} characters long; must be 1 to "
                f"{LONGEST_REASON}: it stands in every refusal; say in a few words why"
            )
        hidden = unseen(self.reason)
        if hidden:
            raise InvalidPause(
                f"the reason holds {hidden}, which nobody sees; must be plain text: it stands in "
                "every refusal; leave that character out"
            )
        for name, word, known in (
            ("channel", self.channel, (ANY, *CHANNELS)),
            ("stage", self.stage, (ANY, *STAGES)),
            ("flag", self.flag, (ANY, *FLAGS)),
            *(("allow", word, CLASSES) for word in self.allow),
        ):
            if word not in known:
                raise InvalidPause(
                    f"{name} '{word}' is not known; must be one of {', '.join(known)}; "
                    "correct it, or leave it out"
                )


def pauses_on(connection: sa.Connection) -> tuple[Pause, ...]:
    """The parts of the switch that are on, oldest first."""
    return pauses_in_force(connection, FOR_EVER)[0]


def pauses_in_force(
    connection: sa.Connection, as_of: int
) -> tuple[tuple[Pause, ...], tuple[Pause, ...]]:
    """The parts that are on, and those under review whose moments may not be over at `as_of`."""
    asked = {"ended_after": as_of - REVIEWED_DAYS * DAY}
    found = [_pause(row) for row in connection.execute(_IN_FORCE, asked)]
    on = tuple(each for each in found if each.ended_at is None)
    return on, tuple(each for each in found if each.ended_at is not None)


def every_pause(connection: sa.Connection) -> tuple[Pause, ...]:
    """All parts that ever were on, oldest first."""
    return tuple(_pause(row) for row in connection.execute(_EVERY))


def _pause(row: Sequence[Any]) -> Pause:
    number, reason, since, channel, stage, flag, allow, ended_at = row
    allowed = tuple(json.loads(allow))
    return Pause(number, reason, since, channel, stage, flag, allowed, ended_at)


def turn_on(connection: sa.Connection, wanted: Wanted, now: int) -> Pause:
    """Hold back what is wanted, from the next decision on."""
    pause = {
        "reason": wanted.reason.strip(),
        "since": now,
        "channel": wanted.channel,
        "stage": wanted.stage,
        "flag": wanted.flag,
    }
    row = pause | {"allow": json.dumps(wanted.allow)}
    made = connection.execute(sa.insert(tables.pauses), row)
    (number,) = made.inserted_primary_key or (0,)
    return next(each for each in pauses_on(connection) if each.number == number)


def turn_off(
    connection: sa.Connection, number: int | None, now: int, review: bool = False
) -> tuple[Pause, ...]:
    """Turn one pause off, or all of them; those that were.

    Parameters
    ----------
    review : bool
        Whether a person looks at what they held back: then no message whose moment came before
        now, and which they held back, is sent by itself any more. Without it, what was held back
        is sent if its moment is not over.

    Raises
    ------
    UnknownPause
        If no pause of that number is on.
    """
    on = pauses_on(connection)
    ending = tuple(each for each in on if number in (None, each.number))
    if number is not None and not ending:
        listed = ", ".join(str(each.number) for each in on) or "none"
        raise UnknownPause(f"no pause {number} is on; those that are: {listed}; name one of them")
    pauses = tables.pauses
    connection.execute(
        sa.update(pauses)
        .where(pauses.c.number.in_([each.number for each in ending]))
        .values(ended_at=now)
    )
    if review and ending:
        rows = [{"pause": each.number} for each in ending]
        connection.execute(sa.insert(tables.reviews), rows)
    return tuple(replace(each, ended_at=now) for each in ending)
