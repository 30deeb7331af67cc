"""The people of the demo company: what they are, and how they fare.

Traits never change and are never seen by a model; they and the lives are the truth that a
model can only guess from signals.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from features.signals import DAY, HOUR, SECOND, Int64Array
from training.simulator.signals import SignalBook

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Traits:
    """Hidden nature of each person, arrays of shape (n_people,).

    Attributes
    ----------
    arrives : day of the first contact with the shop, counted from the first day
    visitor : never tells who they are
    buyer : would buy sooner or later; the others stay prospects
    usual_gap : days between orders when all is well
    regularity : shape of the gamma distribution of gaps (1: at random, 6: like a clock)
    budget : usual order in cents
    price_sensitivity, warmth, mail_reader, skill, satisfaction : 0-1
    taste, taste_speed : angle in radians and radians a day; the shop's own taste lies near 0
    app_user, member : uses the app, collects points
    sleeping_dog : leaves when reminded that the shop exists
    """

    arrives: Floats
    visitor: Flags
    buyer: Flags
    usual_gap: Floats
    regularity: Floats
    budget: Floats
    price_sensitivity: Floats
    satisfaction: Floats
    taste: Floats
    taste_speed: Floats
    warmth: Floats
    mail_reader: Floats
    skill: Floats
    app_user: Flags
    member: Flags
    sleeping_dog: Flags


@dataclass(slots=True)
class Lives:
    """How each person fares today, arrays of shape (n_people,); changed in place day by day.

    Days count from the first day; NaN: never, or not yet.
    """

    known: Flags
    left: Flags
    ended: Flags
    objector: Flags
    mail_consent: Flags
    satisfaction: Floats
    pressure: Floats
    orders: Int64Array
    first_order: Floats
    last_order: Floats
    next_order: Floats
    extra_order: Floats
    discount_until: Floats
    next_survey: Floats
    club_ends: Floats
    club_leaving: Flags
    points: Int64Array


@dataclass(frozen=True, slots=True)
class Asked:
    """People asked on one day whether they would recommend the shop, arrays of shape (n,).

    Attributes
    ----------
    who : index of the person
    at : microseconds
    answers, promotes, detracts : probability of an answer, of a 9 or 10, and of a 0 to 6
    """

    who: Int64Array
    at: Int64Array
    answers: Floats
    promotes: Floats
    detracts: Floats


@dataclass(slots=True)
class Shop:
    """The demo company on one of its days: people, book and dice."""

    traits: Traits
    lives: Lives
    book: SignalBook
    rng: np.random.Generator
    start: int
    days: int
    day: int = 0
    asked: list[Asked] = field(default_factory=list)

    def moments(self, n: int) -> Int64Array:
        """Moments of today at which `n` people do something: mostly in the afternoon."""
        hours = np.clip(self.rng.normal(15.0, 4.0, n), 5.0, 23.5)
        return self.start + self.day * DAY + (hours * HOUR).astype(np.int64)

    def chosen(self, probability: Floats) -> Int64Array:
        """Indices of the people whom a chance of `probability`, shape (n_people,), hits."""
        return np.flatnonzero(self.rng.random(len(probability)) < probability)

    def later(self, at: Int64Array, days: Floats) -> Int64Array:
        """Moments that lie `days`, shape (n,), after `at`."""
        return at + np.round(days * (DAY // SECOND)).astype(np.int64) * SECOND

    def mismatch(self) -> Floats:
        """How far each person's taste is from the shop's today: 0 alike, 1 opposite."""
        angle = self.traits.taste + self.traits.taste_speed * self.day
        mismatch: Floats = (1.0 - np.cos(angle)) / 2.0
        return mismatch

    def usual_gap(self) -> Floats:
        """Mean days to the next order as things stand today, shape (n_people,)."""
        traits, lives = self.traits, self.lives
        gap: Floats = (
            traits.usual_gap
            * (0.75 + 0.7 * self.mismatch())
            * (1.25 - 0.4 * lives.satisfaction)
            * np.where(self.in_club(), 0.85, 1.0)
            * season(self.start + self.day * DAY)
        )
        return gap

    def in_club(self) -> Flags:
        """Whether each person has a running subscription."""
        return np.nan_to_num(self.lives.club_ends, nan=-1.0) > self.day

    def since_order(self) -> Floats:
        """Days since the last order, NaN without."""
        return self.day - self.lives.last_order

    def customers(self) -> Flags:
        """Who has bought and can still be reached as a customer."""
        return (self.lives.orders > 0) & ~self.lives.ended


def season(at: int) -> float:
    """Factor on the gaps between orders: people drink more coffee in winter."""
    year_share = (at / DAY % 365.25) / 365.25
    return 1.0 - 0.1 * float(np.cos(2 * np.pi * (year_share - 0.97)))


def leaving_hazard(shop: Shop) -> Floats:
    """Chance of leaving today: displeasure weighs most for those who watch the price."""
    unhappy = (1.0 - shop.lives.satisfaction) ** 2
    hazard: Floats = (
        0.0006
        + 0.012 * unhappy * (0.2 + 1.3 * shop.traits.price_sensitivity)
        + 0.004 * shop.mismatch() ** 2
    ) * np.where(shop.in_club(), 0.3, 1.0)
    return np.where(shop.customers(), hazard, 0.0)


def return_hazard(shop: Shop) -> Floats:
    """Chance that somebody who left comes back today by themselves."""
    lives = shop.lives
    away = lives.left & ~lives.ended & (lives.orders > 0)
    return np.where(away, 0.0018 * lives.satisfaction, 0.0)


def draw_traits(rng: np.random.Generator, people: int, days: int) -> Traits:
    """Draw the nature of `people`, of whom about a sixth stay visitors."""
    visitor = np.arange(people) >= round(people * 0.84)
    # A quarter came when the books were opened, the others spread over the years; a visitor is
    # forgotten after some months, so most of them are recent.
    spread = rng.random(people) * days
    opening = rng.random(people) * min(45.0, days / 4)
    recent = days - rng.random(people) ** 1.5 * min(240.0, days)
    arrives = np.where(rng.random(people) < 0.25, opening, spread)
    return Traits(
        arrives=np.where(visitor, recent, arrives),
        visitor=visitor,
        buyer=~visitor & (rng.random(people) < 0.86),
        usual_gap=np.clip(rng.lognormal(np.log(24.0), 0.5, people), 7.0, 90.0),
        regularity=rng.uniform(1.5, 6.0, people),
        budget=rng.lognormal(np.log(2600.0), 0.4, people),
        price_sensitivity=rng.beta(2.0, 2.0, people),
        satisfaction=rng.beta(5.0, 2.4, people),
        taste=rng.normal(0.0, 0.9, people),
        taste_speed=rng.normal(0.0, 0.8 / 365.0, people),
        warmth=rng.beta(2.0, 3.0, people),
        mail_reader=rng.beta(1.5, 2.5, people),
        skill=rng.random(people),
        app_user=~visitor & (rng.random(people) < 0.35),
        member=~visitor & (rng.random(people) < 0.55),
        sleeping_dog=~visitor & (rng.random(people) < 0.10),
    )


def new_lives(traits: Traits) -> Lives:
    """Lives before the first day: nobody is known, nobody has bought."""
    people = len(traits.arrives)

    def never() -> Floats:
        return np.full(people, np.nan)

    def no() -> Flags:
        return np.zeros(people, dtype=np.bool_)

    return Lives(
        known=no(),
        left=no(),
        ended=no(),
        objector=no(),
        mail_consent=no(),
        satisfaction=traits.satisfaction.copy(),
        pressure=np.zeros(people),
        orders=np.zeros(people, dtype=np.int64),
        first_order=never(),
        last_order=never(),
        next_order=never(),
        extra_order=never(),
        discount_until=never(),
        next_survey=never(),
        club_ends=never(),
        club_leaving=no(),
        points=np.zeros(people, dtype=np.int64),
    )
