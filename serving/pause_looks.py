"""A look at the crisis switch: what is paused or under review, and whom pauses kept from what."""

from dataclasses import dataclass
from typing import Final

from features.signals import DAY
from serving.answer import Json, time_text
from serving.pause_calls import listed, told
from serving.records import Pause
from serving.store import Store
from serving.withheld import EVERYTHING, Reach, Withheld

LOOKED_AT_DAYS: Final = 7  # so long a pause under review is listed after its end


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


def look_record(looked: Looked) -> dict[str, Json]:
    """What a program reads."""
    on = listed(tuple(pause for pause, _ in looked.on))
    return on | {
        "withheld": {str(pause.number): held.record() for pause, held in looked.on},
        "ended": [_ended(pause, held) for pause, held in looked.ended],
        "under_review": [_ended(pause, held) for pause, held in looked.reviewed],
    }


def _ended(pause: Pause, held: Withheld) -> dict[str, Json]:
    at = time_text(pause.ended_at or 0)
    return told(pause) | {"ended_at": at, "withheld": held.record()}
