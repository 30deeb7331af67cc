"""The crisis switch in words: what is paused, and whom pauses kept from a message."""

from dataclasses import dataclass
from typing import Final

from features.signals import DAY
from serving.answer import Json, time_text
from serving.contact_policy import told
from serving.pause_calls import listed
from serving.pause_calls import told as told_to_programs
from serving.records import Pause
from serving.store import Store
from serving.withheld import Withheld

LOOKED_AT_DAYS: Final = 7  # so long a pause under review is listed after its end


@dataclass(frozen=True, slots=True)
class Looked:
    """What is paused, what just ended, and what is under review, each with what it held back."""

    on: tuple[tuple[Pause, Withheld], ...]
    ended: tuple[tuple[Pause, Withheld], ...]
    reviewed: tuple[tuple[Pause, Withheld], ...]

    @classmethod
    def at(cls, store: Store, ended: tuple[Pause, ...]) -> "Looked":
        """As it stands now, after some pauses ended."""
        return cls(
            *(
                tuple((pause, store.withheld(pause)) for pause in pauses)
                for pauses in (store.pauses(), ended, store.reviewed(LOOKED_AT_DAYS * DAY))
            )
        )


def look_lines(looked: Looked) -> list[str]:
    """What a person reads."""
    found = []
    for pause, held in looked.on:
        still = " and ".join(pause.allow)
        found.append(f"paused ({pause.number}): {told(pause)}; {still} still leave")
        found += [f"  {held.words()}"] if held.decisions else []
    under_review = {pause.number for pause, _ in looked.reviewed}
    for pause, held in looked.ended:
        if held.decisions and pause.number not in under_review:
            found.append(f"let go ({pause.number}): {told(pause)}")
            found.append(f"  {held.words()}; what is not too late is decided anew")
    for pause, held in looked.reviewed:
        found.append(
            f"under review ({pause.number}): {told(pause)}; ended {time_text(pause.ended_at or 0)};"
            " what came due before is not sent by itself"
        )
        found += [f"  {held.words()}"] if held.decisions else []
    return found if looked.on else ["nothing is paused", *found]


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
    return told_to_programs(pause) | {"ended_at": at, "withheld": held.record()}
