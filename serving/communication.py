"""A communication: one entry of the catalog, as the engine sees it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Condition:
    """``feature op number``: the grammar of `where`. Nothing is ever evaluated as code.

    `unless`: stages in which it is not asked.
    """

    feature: str
    op: str
    number: float
    unless: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The condition as it is written in the file."""
        unless = f" unless {' or '.join(self.unless)}" if self.unless else ""
        return f"{self.feature} {self.op} {self.number:g}{unless}"

    def holds(self, value: float | None) -> bool:
        """Whether the value meets the condition; what is not known meets none."""
        if value is None or math.isnan(value):
            return False
        match self.op:
            case "<":
                return value < self.number
            case "<=":
                return value <= self.number
            case ">":
                return value > self.number
            case ">=":
                return value >= self.number
            case "==":
                return value == self.number
        return value != self.number


@dataclass(frozen=True, slots=True)
class Prior:
    """What the company believes a communication does, until evidence says better.

    Attributes
    ----------
    share : float
        Effect as a share of the product `of`; may be negative.
    share_sd : float
        Standard deviation of `share`: how sure the company is.
    of : tuple of str
        Factors: exactly one of `MONEY_FACTORS`, any of `PROBABILITY_FACTORS`.
    opt_out : float
        Probability that this message makes the customer opt out.
    weight : float
        How many decisions of evidence the belief is worth.
    source : str
        Where the numbers come from.
    reviewed : bool
        False: nobody stands behind the numbers, so the communication is never chosen.
    """

    share: float
    share_sd: float
    of: tuple[str, ...]
    opt_out: float
    weight: float
    source: str
    reviewed: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """When a communication's time comes, and how long it lasts. Microseconds.

    The time comes `delay` after the last of the events in `trigger` or, for a step of a
    sequence, after the step before it; it is over `within` later, and as soon as something of
    `cancel_on` happens.

    Attributes
    ----------
    trigger : tuple of str
        Names of events, keyed as in features: ``Survey Answered/nps``.
    after : str
        The step before; empty where events are waited for.
    """

    trigger: tuple[str, ...]
    after: str
    delay: int
    within: int
    cancel_on: tuple[str, ...]

    @property
    def occasions(self) -> tuple[str, ...]:
        """What it waits for: events, or the step before."""
        return self.trigger or (self.after,)


@dataclass(frozen=True, slots=True)
class Communication:
    """One entry of the catalog.

    Attributes
    ----------
    personal : bool
        False: the same content for everybody, so that a visitor may see it without consent.
    requires_flags : tuple of str
        At least one of them must be up; empty: none is needed.
    blocked_by_flags : tuple of str
        None of them may be up.
    window_days : int
        How long the communication is given to work; it is not repeated meanwhile.
    discount_pct : float
        Reduction offered, in percent; 0: none.
    capacity_per_week : int or None
        Places in any seven days, over all customers; None: as many as you like.
    sells : bool
        Whether it asks to buy: then it is silent for some days after an order.
    moment : Moment or None
        When its time comes; None: at any time.
    valid_from, valid_until : int or None
        First moment at which it may be sent, and the first at which it may not; microseconds UTC.
    terms : str
        Conditions of an offer, for whoever writes the message.
    approved : bool
        False: its words still wait for somebody's approval, so it is never chosen.
    human : bool
        A task for a person, not a message that a machine sends.
    rows : tuple of str
        What it shows of the articles that the product is built from; see `docs/catalog.md`.
    """

    name: str
    title: str
    channel: str
    message_class: str
    purpose: str
    personal: bool
    stages: tuple[str, ...]
    requires_flags: tuple[str, ...]
    blocked_by_flags: tuple[str, ...]
    where: tuple[Condition, ...]
    cost: float
    window_days: int
    discount_pct: float
    prior: Prior
    capacity_per_week: int | None = None
    sells: bool = True
    moment: Moment | None = None
    valid_from: int | None = None
    valid_until: int | None = None
    terms: str = ""
    approved: bool = True
    human: bool = False
    rows: tuple[str, ...] = ()

    @property
    def dated(self) -> bool:
        """Whether it is for a time only."""
        return self.valid_from is not None or self.valid_until is not None

    @property
    def needs_consent(self) -> bool:
        """Marketing to a person does; service, and content alike for all, do not."""
        return self.message_class == "marketing" and self.personal
