"""The policy: what the company allows itself, as `policy.toml` states it."""

import datetime as dt
import hashlib
import math
import re
import zoneinfo
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from features.consent import PURPOSES
from features.intake.checks import PAID_EVENTS
from features.signals import KNOWN_EVENTS
from serving.records import ANY, CHANNELS, CLASSES
from serving.toml_table import Table, did_you_mean, read_toml

SHIPPED: Final = Path(__file__).with_name("policy.toml")
PERSON: Final = "person"
HOUSEHOLD: Final = "household"

_KEYS: Final = (
    "currency",
    "margin_rate",
    "horizon_days",
    "valid_hours",
    "reconsider_days",
    "epsilon",
    "uniform_share",
    "holdout_share",
    "salt",
    "z",
    "opt_out_cost",
    "max_discount_pct",
    "caps",
    "quiet_hours",
    "cool_off",
    "fatigue",
    "responses",
    "flags",
    "budget",
    "weights",
    "outcome_values",
    "consent",
)


class InvalidPolicy(ValueError):
    """A mistake in `policy.toml`."""


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` contacts in any `days` days. `channel` and `message_class` may be "any".

    `per`: whose contacts are counted, the person's or those of the whole household.
    """

    channel: str
    message_class: str
    days: int
    most: int
    per: str = PERSON


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The part of the day in which nothing is sent on these channels.

    From `start` until just before `end`, by the customer's own clock; it may run over midnight.
    `time_zone` is the company's, for customers whose own is not known.
    """

    start: dt.time
    end: dt.time
    time_zone: str
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CoolOff:
    """For how many days marketing is silent after something; 0: not at all.

    Attributes
    ----------
    after_complaint_days : float
        After a ticket was resolved.
    after_opt_out_days : float
        On the other channels, after the customer turned one off.
    after_order_days : float
        After an order; only what sells.
    """

    after_complaint_days: float = 0.0
    after_opt_out_days: float = 0.0
    after_order_days: float = 0.0


@dataclass(frozen=True, slots=True)
class Fatigue:
    """What past contacts cost the next one; see `serving.fatigue`.

    Each makes it dearer by `price`, halved every `half_life_days`. The same communication again
    is dearer by `novelty_price` besides, halved for every `novelty_half_life_days` since the last.
    """

    price: float
    half_life_days: float
    novelty_price: float = 0.0
    novelty_half_life_days: float = 15.0


@dataclass(frozen=True, slots=True)
class Responses:
    """How often everybody answers a message, by channel; see `serving.responses`.

    Attributes
    ----------
    rates : mapping of channel to float
        Share of messages that are answered, above 0.
    weight : float
        How many contacts of one's own that counts as.
    """

    rates: Mapping[str, float]
    weight: float


@dataclass(frozen=True, slots=True)
class Budget:
    """What marketing may cost, in currency units; None: as much as it is worth.

    Attributes
    ----------
    per_run : float or None
        In one run for everybody.
    per_week : float or None
        In any seven days, whatever made the decisions.
    """

    per_run: float | None = None
    per_week: float | None = None

    def left(self, spent_in_week: float) -> float | None:
        """What a run may spend: the smaller rest of the two; None: there is no budget."""
        week = None if self.per_week is None else max(0.0, self.per_week - spent_in_week)
        return min((rest for rest in (self.per_run, week) if rest is not None), default=None)


@dataclass(frozen=True, slots=True)
class FlagRules:
    """Where a flag goes up; days, except where named otherwise.

    `high_value_times`: how many times the average customer's margin makes a high value.
    `advocate_likelihood`: from which promoter_likelihood on an advocate is one unasked.
    """

    cart_days: float
    transit_days: float
    renewal_days: float
    advocate_days: float
    detractor_days: float
    researching_views: float
    high_value_times: float
    advocate_likelihood: float = 0.5


@dataclass(frozen=True, slots=True)
class Policy:
    """All of `policy.toml`; the shipped file explains each number."""

    currency: str
    margin_rate: float
    horizon_days: int
    valid_hours: int
    reconsider_days: int
    epsilon: float
    uniform_share: float
    holdout_share: float
    salt: str
    z: float
    opt_out_cost: float
    max_discount_pct: float
    caps: tuple[Cap, ...]
    quiet_hours: tuple[QuietHours, ...]
    cool_off: CoolOff
    fatigue: Fatigue
    flags: FlagRules
    weights: Mapping[str, float]
    assumed_consents: frozenset[tuple[str, str]]
    sha256: str
    outcome_values: Mapping[str, float] = field(default_factory=dict)  # of one event, in money
    budget: Budget = Budget()
    responses: Responses | None = None

    @property
    def counts_households(self) -> bool:
        """Whether any cap is for the household."""
        return any(cap.per == HOUSEHOLD for cap in self.caps)

    def weight(self, communication: str) -> float:
        """The company's lever on a communication; 1 unless stated. Never negative."""
        return self.weights.get(communication, 1.0)


def load_policy(path: Path, communications: Collection[str] | None = None) -> Policy:
    """Read a policy and check every number of it.

    Parameters
    ----------
    path : Path
    communications : collection of str, optional
        Names in the catalog: what weights may speak of. Without it their names go unchecked.

    Raises
    ------
    InvalidPolicy
        With the key, the value seen and what is allowed.
    """
    file, content = read_toml(path, InvalidPolicy)
    file.allow(*_KEYS)
    currency = file.text("currency")
    if not re.fullmatch(r"[A-Z]{3}", currency):
        raise file.wrong(f"currency '{currency}'; must be three capitals, such as EUR")
    uniform, holdout = file.number("uniform_share", 0, 1), file.number("holdout_share", 0, 1)
    if uniform + holdout >= 1:
        raise file.wrong(
            f"uniform_share {uniform:g} + holdout_share {holdout:g}; together they must stay "
            "below 1, or nobody is left for the policy itself; lower one of them"
        )
    return Policy(
        currency=currency,
        margin_rate=file.number("margin_rate", 0, 1),
        horizon_days=file.whole("horizon_days", 1, 365),
        valid_hours=file.whole("valid_hours", 1, 24 * 28),
        reconsider_days=file.whole("reconsider_days", 1, 365),
        epsilon=file.number("epsilon", 0, 1),
        uniform_share=uniform,
        holdout_share=holdout,
        salt=file.text("salt"),
        z=file.number("z", 0, 5),
        opt_out_cost=file.number("opt_out_cost", 0, math.inf),
        max_discount_pct=file.number("max_discount_pct", 0, 100),
        caps=tuple(_cap(table) for table in file.tables("caps")),
        quiet_hours=_all_quiet_hours(file),
        cool_off=_cool_off(file.table("cool_off")) if file.has("cool_off") else CoolOff(),
        fatigue=_fatigue(file.table("fatigue")),
        flags=_flag_rules(file.table("flags")),
        weights=_weights(file.table("weights"), communications),
        assumed_consents=_assumed(file.table("consent")),
        sha256=f"sha256:{hashlib.sha256(content).hexdigest()}",
        outcome_values=_values(file.table("outcome_values")) if file.has("outcome_values") else {},
        budget=_budget(file.table("budget")) if file.has("budget") else Budget(),
        responses=_responses(file.table("responses")) if file.has("responses") else None,
    )


def _cap(table: Table) -> Cap:
    table.allow("channel", "class", "days", "most", "per")
    return Cap(
        channel=table.one_of("channel", (ANY, *CHANNELS)),
        message_class=table.one_of("class", (ANY, *CLASSES)),
        days=table.whole("days", 1, 365),
        most=table.whole("most", 0, 1000),
        per=table.one_of("per", (PERSON, HOUSEHOLD)) if table.has("per") else PERSON,
    )


def _all_quiet_hours(file: Table) -> tuple[QuietHours, ...]:
    """One table for all its channels, or several, each channel in one at most."""
    several = isinstance(file.values.get("quiet_hours"), list)
    tables = file.tables("quiet_hours") if several else [file.table("quiet_hours")]
    found = tuple(_quiet_hours(table) for table in tables)
    named = [channel for hours in found for channel in hours.channels]
    for channel in named:
        if named.count(channel) > 1:
            raise file.wrong(
                f"quiet_hours name the channel '{channel}' {named.count(channel)} times; a channel "
                "has one night; take it out of all but one"
            )
    return found


def _cool_off(table: Table) -> CoolOff:
    table.allow(*CoolOff.__slots__)
    return CoolOff(**{key: table.number(key, 0, 365) for key in table.values})


def _quiet_hours(table: Table) -> QuietHours:
    table.allow("start", "end", "time_zone", "channels")
    zone = table.text("time_zone")
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as trouble:
        raise table.wrong(
            f"time_zone '{zone}' is not known; write one like 'Europe/Berlin' or 'UTC'"
        ) from trouble
    return QuietHours(
        start=_time_of_day(table, "start"),
        end=_time_of_day(table, "end"),
        time_zone=zone,
        channels=table.some_of("channels", CHANNELS),
    )


def _time_of_day(table: Table, key: str) -> dt.time:
    text = table.text(key)
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise table.wrong(f"{key} '{text}'; must be a time from 00:00 to 23:59, such as '21:30'")
    return dt.time.fromisoformat(text)


def _fatigue(table: Table) -> Fatigue:
    table.allow(*Fatigue.__slots__)
    found = Fatigue(table.number("price", 0, math.inf), table.number("half_life_days", 0.1, 365))
    if table.has("novelty_price"):  # policies written before it had none
        found = replace(found, novelty_price=table.number("novelty_price", 0, math.inf))
    if table.has("novelty_half_life_days"):
        days = table.number("novelty_half_life_days", 0.1, 365)
        found = replace(found, novelty_half_life_days=days)
    return found


def _responses(table: Table) -> Responses:
    table.allow("weight", *CHANNELS)
    # A rate of one in a thousand is the least that a few contacts can say anything about.
    rates = {name: table.number(name, 0.001, 1) for name in CHANNELS if table.has(name)}
    if not rates:
        raise table.wrong("it names no channel; write one like email = 0.25, or take the table out")
    return Responses(rates, table.number("weight", 1, 1000))


def _budget(table: Table) -> Budget:
    table.allow(*Budget.__slots__)
    if not table.values:
        raise table.wrong("it is empty; write per_run or per_week, or take the table out")
    return Budget(**{key: table.number(key, 0, math.inf) for key in table.values})


def _flag_rules(table: Table) -> FlagRules:
    *needed, likelihood = FlagRules.__slots__
    table.allow(*needed, likelihood)
    rules = FlagRules(**{key: table.number(key, 0, 3650) for key in needed})
    if not table.has(likelihood):  # policies written before this flag looked at a score
        return rules
    return replace(rules, advocate_likelihood=table.number(likelihood, 0, 1))


def _weights(table: Table, communications: Collection[str] | None) -> Mapping[str, float]:
    for name in table.values:
        if communications is not None and name not in communications:
            remedy = did_you_mean(name, communications)
            raise table.wrong(
                f"communication '{name}' is not in the catalog"
                f"{remedy or '; remove the line, or add it to the catalog'}"
            )
    # Above zero, so that a weight can never change the sign of an effect; at most 10, because
    # whoever needs more has a prior that is wrong and should mend that.
    return {name: table.number(name, 0.01, 10) for name in table.values}


def _values(table: Table) -> Mapping[str, float]:
    for name in table.values:
        if name in PAID_EVENTS:
            raise table.wrong(f"'{name}' counts by its own amount; remove the line")
        table.known("event", name, tuple(sorted(KNOWN_EVENTS)))
    return {name: table.number(name, -math.inf, math.inf) for name in table.values}


def _assumed(table: Table) -> frozenset[tuple[str, str]]:
    table.allow("assume")
    pairs = set()
    for text in table.texts("assume"):
        channel, colon, purpose = text.partition(":")
        if not colon:
            raise table.wrong(f"assume '{text}'; must read 'channel:purpose': 'email:marketing'")
        table.known("assume: channel", channel, CHANNELS)
        table.known("assume: purpose", purpose, PURPOSES)
        pairs.add((channel, purpose))
    return frozenset(pairs)


def memory_days(policy: Policy, longest_window_days: int) -> int:
    """How many days of contacts a decision must look back upon.

    The longest of all cap windows, all windows of the communications, and the time after which
    a contact adds less than a hundredth of the prices of fatigue and novelty (seven half-lives:
    1/128).
    """
    caps = (cap.days for cap in policy.caps)
    fatigue = policy.fatigue
    slowest = fatigue.half_life_days
    if fatigue.novelty_price:
        slowest = max(slowest, fatigue.novelty_half_life_days)
    return max(longest_window_days, math.ceil(7 * slowest), *caps)
