"""A look at the crisis switch: what is paused or under review, and whom pauses kept from what."""

from dataclasses import dataclass
from typing import Final

from features.signals import DAY
from serving.answer import Json, time_text
from serving.records import Pause
from serving.storage.store import Store
from serving.storage.withheld import EVERYTHING, Reach, Withheld

LOOKED_AT_DAYS: Final = 7  # so long a pause under review is listed after its end
NAMED_AT_ONCE: Final = 100  # customers; a page that a person reads
# Each takes up to .5 ms to look into: with these, a pause costs a page a second at most.
NEWEST: Final = 2_000


@dataclass(frozen=True, slots=True)
class Looked:
    """What is paused, what just ended, and what is under review, each with what it held back."""

    on: tuple[tuple[Pause, Withheld], ...]
    ended: tuple[tuple[Pause, Withheld], ...]
    reviewed: tuple[tuple[Pause, Withheld], ...]

    @classmethod
    def at(cls, store: Store, ended: tuple[Pause, ...] = (), reach: Reach = EVERYTHING) -> "Looked":
        """As it stands now, after some pauses ended."""
        return cls(
            *(
                tuple((pause, store.withheld(pause, reach)) for pause in pauses)
                for pauses in (store.pauses(), ended, store.reviewed(LOOKED_AT_DAYS * DAY))
            )
        )


def bounded(first: int) -> Reach:
    """A look whose time is bounded, and which names some customers from the `first` on."""
    return Reach(first, NAMED_AT_ONCE, NEWEST)


def look_record(looked: Looked) -> dict[str, Json]:
    """What a program reads."""
    ended: list[Json] = [_ended(pause, held) for pause, held in looked.ended]
    return standing_record(looked) | {"ended": ended}


def standing_record(looked: Looked) -> dict[str, Json]:
    """The same without what just ended."""
    on = listed(tuple(pause for pause, _ in looked.on))
    return on | {
        "withheld": {str(pause.number): held.record() for pause, held in looked.on},
        "under_review": [_ended(pause, held) for pause, held in looked.reviewed],
    }


def _ended(pause: Pause, held: Withheld) -> dict[str, Json]:
    at = time_text(pause.ended_at or 0)
    return told(pause) | {"ended_at": at, "withheld": held.record()}


def listed(on: tuple[Pause, ...]) -> dict[str, Json]:
    """What is on, oldest first."""
    return {"pauses": [told(each) for each in on]}


def told(pause: Pause) -> dict[str, Json]:
    """One pause."""
    return {
        "number": pause.number,
        "reason": pause.reason,
        "since": time_text(pause.since),
        "channel": pause.channel,
        "stage": pause.stage,
        "flag": pause.flag,
        "allow": list(pause.allow),
    }
