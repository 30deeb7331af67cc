"""The crisis switch: what is paused, since when and why. Nothing of it is ever erased."""

import json
from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from serving import tables
from serving.plain_text import unseen
from serving.records import ANY, CHANNELS, CLASSES, FLAGS, NO_CONTACT, STAGES, Pause

ALLOWED: Final = ("transactional", "crisis")
LONGEST_REASON: Final = 200  # characters; it stands in every refusal

_ON: Final = (
    sa.select(*(tables.pauses.c[name] for name in Pause.__slots__))
    .where(tables.pauses.c.ended_at.is_(None))
    .order_by(tables.pauses.c.number)
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
    found = []
    for row in connection.execute(_ON):
        number, reason, since, channel, stage, flag, allow = row
        found.append(Pause(number, reason, since, channel, stage, flag, tuple(json.loads(allow))))
    return tuple(found)


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


def turn_off(connection: sa.Connection, number: int | None, now: int) -> tuple[Pause, ...]:
    """Turn one pause off, or all of them; those that were.

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
    return ending
