"""What past messages cost the next one: each makes it dearer, and its own repetition more so.

Source of both: the recovering bandit of Yancey and Settles (2020), "A sleeping, recovering bandit
algorithm for optimizing recurring notifications", with prices in money in the place of penalties
in probability.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp2
from typing import Final

from features.signals import DAY
from serving.communication import Communication
from serving.policy import Fatigue
from serving.records import Contact


@dataclass(frozen=True, slots=True)
class Worn:
    """What past messages cost the next marketing message to a customer; currency units.

    Attributes
    ----------
    fatigue : float
        Whatever the message is.
    novelty : mapping of communication to float
        Beside that, of a message that the customer had before. One that is not named is new.
    response : mapping of channel to float
        Factor on stated effects, see `serving.responses`; 1 where it is not named.
    """

    fatigue: float = 0.0
    novelty: Mapping[str, float] = field(default_factory=dict)
    response: Mapping[str, float] = field(default_factory=dict)

    def of(self, entry: Communication) -> tuple[float, float, float]:
        """Fatigue and novelty price of a message and its response factor; what is owed has none."""
        if entry.message_class != "marketing":
            return 0.0, 0.0, 1.0
        return (
            self.fatigue,
            self.novelty.get(entry.name, 0.0),
            self.response.get(entry.channel, 1.0),
        )


FRESH: Final = Worn()


def worn_by(contacts: Iterable[Contact], fatigue: Fatigue, as_of: int) -> Worn:
    """What the past contacts of a customer cost the next message.

    ``price * sum of 2 ** (-age / half_life)`` over all of them; and for a communication that was
    sent before ``novelty_price * 2 ** (-age of the last one / novelty_half_life)``. A planned
    contact counts in full.

    Parameters
    ----------
    as_of : int
        Microseconds UTC.
    """
    total = 0.0
    last: dict[str, int] = {}
    for contact in contacts:
        age = max(0, as_of - contact.at)
        total += exp2(-age / DAY / fatigue.half_life_days)
        name = contact.communication
        if name and age < last.get(name, age + 1):
            last[name] = age
    if not fatigue.novelty_price:
        return Worn(fatigue.price * total)
    half_life = DAY * fatigue.novelty_half_life_days
    novelty = {name: fatigue.novelty_price * exp2(-age / half_life) for name, age in last.items()}
    return Worn(fatigue.price * total, novelty)
