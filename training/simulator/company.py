"""A coffee roaster whose customers are invented, so that every truth about them is known.

`simulate_company` lives through the years day by day, for all people at once. What the shop
could have seen becomes signals; what only their maker knows (traits, moods, true effects)
becomes the truth, which is kept apart and which no model may read.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from features.signals import ANONYMOUS_PREFIX, DAY
from training.simulator.contacts import (
    feel,
    hear_people,
    part_ways,
    send_mails,
    use_app,
    welcome,
)
from training.simulator.effects import (
    COMMUNICATIONS,
    PilotRound,
    pilot_eligible,
    run_pilot,
    true_effects,
)
from training.simulator.orders import place_orders, run_club, visit
from training.simulator.people import Asked, Shop, draw_traits, new_lives
from training.simulator.signals import FILES, SignalBook

NAME: Final = "Kestrel Coffee Roasters (simulated)"
SHORTEST_DAYS: Final = 240  # a pilot of 168 days, ten quiet ones, and some time before


class CompanySizeError(ValueError):
    """The size asked for gives no company that anything could be learnt from."""


@dataclass(frozen=True, slots=True)
class CompanySize:
    """How many people, for how many days, until when.

    Attributes
    ----------
    people : int
        Visitors, prospects and customers together.
    days : int
    end : str
        Last midnight (UTC), as an ISO date: nothing is known from then on.

    Raises
    ------
    CompanySizeError
        If there are fewer than 50 people or 240 days, or `end` is no date.
    """

    people: int = 5000
    days: int = 730
    end: str = "2026-11-01"

    def __post_init__(self) -> None:
        if self.people < 50:
            raise CompanySizeError(
                f"people = {self.people}; a company needs at least 50, so that each kind of "
                "person occurs; ask for more"
            )
        if self.days < SHORTEST_DAYS:
            raise CompanySizeError(
                f"days = {self.days}; a company needs at least {SHORTEST_DAYS}: a pilot of 168 "
                "days, ten quiet ones and some time before; ask for more"
            )
        self.end_at()

    def end_at(self) -> int:
        """The last midnight in microseconds UTC.

        Raises
        ------
        CompanySizeError
            If `end` is no date.
        """
        try:
            midnight = datetime.strptime(self.end, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError as error:
            raise CompanySizeError(
                f"end = '{self.end}'; must be a date such as 2026-11-01; correct it"
            ) from error
        return int(midnight.timestamp()) * 1_000_000


@dataclass(frozen=True, slots=True)
class SimulatedCompany:
    """What was seen, and what is true.

    Attributes
    ----------
    name : str
    end : int
        Microseconds UTC; every signal arrived before it.
    signals : mapping of file name to pa.Table in the canonical columns
    people : pa.Table
        Truth: one row a person, traits, state and true effect of each communication at `end`.
    pilot : pa.Table
        Truth: one row a pilot decision, true effect of each communication at that moment.
    surveys : pa.Table
        Truth: one row a recommendation survey, how likely each answer was at that moment.
    """

    name: str
    end: int
    signals: dict[str, pa.Table]
    people: pa.Table
    pilot: pa.Table
    surveys: pa.Table


def simulate_company(rng: np.random.Generator, size: CompanySize | None = None) -> SimulatedCompany:
    """Simulate the demo company; the same generator state gives the same bytes."""
    size = size or CompanySize()
    end = size.end_at()
    shop = opened(rng, size)
    rounds: list[PilotRound] = []
    for day in range(size.days):
        shop.day = day
        one = live_a_day(shop)
        if one is not None:
            rounds.append(one)
    shop.day = size.days
    ids = ids_of(shop)
    signals = {name: shop.book.table(name, ids, end) for name in FILES}
    people, pilot = _people(shop, ids), _pilot(rounds, ids)
    return SimulatedCompany(NAME, end, signals, people, pilot, _surveys(shop.asked, ids))


def opened(rng: np.random.Generator, size: CompanySize) -> Shop:
    """The shop on its first morning: its people drawn, nobody known, nothing written."""
    traits = draw_traits(rng, size.people, size.days)
    start = size.end_at() - size.days * DAY
    return Shop(traits, new_lives(traits), SignalBook(), rng, start, size.days)


def ids_of(shop: Shop) -> pa.Array:
    """Under which id the shop knows each person, shape (n_people,)."""
    return pa.array(
        [
            f"{ANONYMOUS_PREFIX}v-{number:05d}" if visitor else f"C-{10_000 + number}"
            for number, visitor in enumerate(shop.traits.visitor.tolist())
        ]
    )


def write_company(company: SimulatedCompany, folder: Path, truth: Path | None = None) -> list[Path]:
    """Write the signals as Parquet files below `folder`, the truth into a folder of its own.

    Parameters
    ----------
    company : SimulatedCompany
    folder : Path
        Made if need be, and so is `truth`.
    truth : Path, optional
        `folder`/truth if not given.

    Returns
    -------
    list of Path
        The files of signals, and only these: the truth is nobody's input.
    """
    folder.mkdir(parents=True, exist_ok=True)
    hidden = truth if truth is not None else folder / "truth"
    hidden.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, table in company.signals.items():
        path = folder / f"{name}.parquet"
        pq.write_table(table, path, compression="zstd")
        paths.append(path)
    pq.write_table(company.people, hidden / "people.parquet", compression="zstd")
    pq.write_table(company.pilot, hidden / "pilot.parquet", compression="zstd")
    pq.write_table(company.surveys, hidden / "surveys.parquet", compression="zstd")
    return paths


def live_a_day(
    shop: Shop, decide: Callable[[Shop], PilotRound | None] = run_pilot
) -> PilotRound | None:
    """Let everybody live through one day.

    Parameters
    ----------
    decide : callable
        Chooses and sends the day's communications: by the lot of the pilot, or by an engine.
    """
    welcome(shop)
    feel(shop)
    one = decide(shop)
    place_orders(shop)
    visit(shop)
    run_club(shop)
    send_mails(shop)
    use_app(shop)
    hear_people(shop)
    part_ways(shop)
    return one


def _people(shop: Shop, ids: pa.Array) -> pa.Table:
    """Truth about each person at the end."""
    columns: dict[str, pa.Array] = {"customer_id": ids}
    for record in (shop.traits, shop.lives):
        prefix = "" if record is shop.traits else "end_"
        for one in fields(record):
            columns[f"{prefix}{one.name}"] = pa.array(getattr(record, one.name), from_pandas=True)
    effects, eligible = true_effects(shop), pilot_eligible(shop)
    for index, name in enumerate(COMMUNICATIONS):
        columns[f"effect_{name}"] = pa.array(effects.value[:, index])
        columns[f"eligible_{name}"] = pa.array(eligible[:, index])
    return pa.table(columns)


def _pilot(rounds: list[PilotRound], ids: pa.Array) -> pa.Table:
    """Truth about each decision of the pilot."""
    names = ("no_contact", *COMMUNICATIONS)
    who = np.concatenate([one.who for one in rounds])
    chosen = np.concatenate([one.chosen for one in rounds])
    columns = {
        "customer_id": ids.take(pa.array(who)),
        "decided_at": pa.array(np.concatenate([one.at for one in rounds])).cast(pa.timestamp("us")),
        "communication": pa.array([names[one + 1] for one in chosen.tolist()]),
        "selection_probability": pa.array(np.concatenate([one.probability for one in rounds])),
    }
    value = np.concatenate([one.value for one in rounds])
    eligible = np.concatenate([one.eligible for one in rounds])
    for index, name in enumerate(COMMUNICATIONS):
        columns[f"effect_{name}"] = pa.array(value[:, index])
        columns[f"eligible_{name}"] = pa.array(eligible[:, index])
    return pa.table(columns)


def _surveys(rounds: list[Asked], ids: pa.Array) -> pa.Table:
    """Truth about each recommendation survey."""
    at = pa.array(np.concatenate([one.at for one in rounds]))
    return pa.table(
        {
            "customer_id": ids.take(pa.array(np.concatenate([one.who for one in rounds]))),
            "asked_at": at.cast(pa.timestamp("us")),
            "answer_probability": pa.array(np.concatenate([one.answers for one in rounds])),
            "promoter_probability": pa.array(np.concatenate([one.promotes for one in rounds])),
            "detractor_probability": pa.array(np.concatenate([one.detracts for one in rounds])),
        }
    )
