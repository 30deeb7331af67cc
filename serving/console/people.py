"""A list of customers: who they are, and what each would hear now."""

from dataclasses import dataclass
from typing import Final

from models.bands import band
from serving.answer import Json
from serving.console import words
from serving.console.looking import Looking, Said, said_of
from serving.console.overview import value_of
from serving.console.twins import Rows

# Two dozen fit on a screen and take a tenth of a second to look at.
MOST_LISTED: Final = 24


@dataclass(frozen=True, slots=True)
class Listed:
    """One line: scores are None where they do not speak of this customer."""

    customer_id: str
    stage: str
    flags: tuple[str, ...]
    scores: tuple[tuple[str, float | None, str], ...]
    communication: str
    title: str
    net: str


@dataclass(frozen=True, slots=True)
class People:
    """The first customers whose id begins as asked; `more` if there are others.

    `scores` are those that the bundle in service has.
    """

    scores: tuple[str, ...]
    people: tuple[Listed, ...]
    more: bool

    def record(self) -> dict[str, Json]:
        """The JSON twin."""
        return {
            "more": self.more,
            "customers": [
                {
                    "customer_id": one.customer_id,
                    "stage": one.stage,
                    "flags": list(one.flags),
                    "communication": one.communication,
                    **{name: value for name, value, _ in one.scores},
                }
                for one in self.people
            ],
        }

    def rows(self) -> Rows:
        """The CSV twin."""
        return Rows(
            ("customer_id", "stage", "flags", "communication", *self.scores),
            tuple(
                (
                    one.customer_id,
                    one.stage,
                    ", ".join(one.flags),
                    one.communication,
                    *(value for _, value, _ in one.scores),
                )
                for one in self.people
            ),
        )


def listed(looking: Looking, start: str) -> People:
    """Customers whose id begins with `start`, with what each would hear now."""
    found = looking.store.customer_ids_like(start, MOST_LISTED + 1)
    quick = looking.without_reasons()
    bundle = looking.engine.bundle
    scores = tuple(name for name in words.SHARES if bundle and name in bundle.classifiers)
    lines = tuple(line(said_of(one, quick), scores, looking) for one in found[:MOST_LISTED])
    return People(scores, lines, len(found) > MOST_LISTED)


def line(answer: Said, names: tuple[str, ...], looking: Looking) -> Listed:
    """One answer as a line."""
    scores = []
    for name in names:
        value = value_of(answer, name)
        rate = answer["scores"][name]["base_rate"] if name in answer["scores"] else 0.0
        scores.append((name, value, "" if value is None else band(value, rate)))
    return Listed(
        answer["customer_id"],
        answer["stage"],
        tuple(answer["flags"]),
        tuple(scores),
        answer["communication"],
        looking.title(answer["communication"]),
        words.money(answer["expected_net"], answer["currency"]),
    )
