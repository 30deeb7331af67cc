"""The catalog: every communication the engine may choose, as `catalog.toml` states it."""

import hashlib
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from models.expectation import SCORES
from serving.records import CHANNELS, CLASSES, FLAGS, NO_CONTACT, STAGES
from serving.toml_table import Table, did_you_mean, read_toml

SHIPPED: Final = Path(__file__).with_name("catalog.toml")
PURPOSES: Final = ("marketing", "service", "research")

# An effect is money, so exactly one factor of a prior is money and the rest are probabilities.
# "1" stands for one unit of the currency: the effect is the same for everybody.
MONEY_FACTORS: Final = ("expected_margin", "usual_margin", "1")
PROBABILITY_FACTORS: Final = ("churn_risk", "repurchase_likelihood", "promoter_likelihood")

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CONDITION: Final = re.compile(r"\s*([a-z][a-z0-9_]*)\s*(<=|>=|==|!=|<|>)\s*(-?\d+(?:\.\d+)?)\s*")
_KEYS: Final = (
    "title",
    "channel",
    "class",
    "purpose",
    "personal",
    "stages",
    "requires_flags",
    "blocked_by_flags",
    "where",
    "cost",
    "window_days",
    "discount_pct",
    "prior",
)
_PRIOR_KEYS: Final = ("share", "share_sd", "of", "opt_out", "weight", "source", "reviewed")


class InvalidCatalog(ValueError):
    """A mistake in `catalog.toml`."""


@dataclass(frozen=True, slots=True)
class Condition:
    """``feature op number``: the whole grammar of `where`. Nothing is ever evaluated as code."""

    feature: str
    op: str
    number: float

    @property
    def text(self) -> str:
        """The condition as it is written in the file."""
        return f"{self.feature} {self.op} {self.number:g}"

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

    @property
    def needs_consent(self) -> bool:
        """Marketing to a person does; service, and content alike for all, do not."""
        return self.message_class == "marketing" and self.personal


@dataclass(frozen=True, slots=True)
class Catalog:
    """All communications by name, in the order of the file, and the file's hash."""

    communications: Mapping[str, Communication]
    sha256: str


def load_catalog(path: Path, feature_names: Collection[str]) -> Catalog:
    """Read a catalog and check every word of it.

    Parameters
    ----------
    path : Path
    feature_names : collection of str
        What `where` may speak of, beside the scores.

    Raises
    ------
    InvalidCatalog
        With the entry, the key, the value seen and what is allowed.
    """
    file, content = read_toml(path, InvalidCatalog)
    if not file.values:
        raise InvalidCatalog(
            f"{path.name}: holds no communication; add one, or copy the shipped catalog"
        )
    names = (*feature_names, *SCORES)
    entries = {name: _communication(file, name, names) for name in file.values}
    return Catalog(entries, f"sha256:{hashlib.sha256(content).hexdigest()}")


def _communication(file: Table, name: str, names: Collection[str]) -> Communication:
    if name == NO_CONTACT or not _NAME.fullmatch(name):
        raise file.wrong(
            f"communication '{name}': the name must be small letters, digits and _, "
            f"and not '{NO_CONTACT}', which is always there; rename it"
        )
    if not isinstance(file.values[name], dict):
        raise file.wrong(f"unknown key '{name}'; each communication is a table, such as [{name}]")
    entry = Table(f"{file.place}: communication '{name}'", file.table(name).values, file.error)
    entry.allow(*_KEYS)
    return Communication(
        name=name,
        title=entry.text("title"),
        channel=entry.one_of("channel", CHANNELS),
        message_class=entry.one_of("class", CLASSES),
        purpose=entry.one_of("purpose", PURPOSES),
        personal=entry.truth("personal") if entry.has("personal") else True,
        stages=_stages(entry),
        requires_flags=_flags(entry, "requires_flags"),
        blocked_by_flags=_flags(entry, "blocked_by_flags"),
        where=_conditions(entry, names),
        cost=entry.number("cost", 0, math.inf),
        window_days=entry.whole("window_days", 1, 365),
        discount_pct=entry.number("discount_pct", 0, 100) if entry.has("discount_pct") else 0.0,
        prior=_prior(entry),
    )


def _stages(entry: Table) -> tuple[str, ...]:
    stages = entry.some_of("stages", STAGES)
    if not stages:
        raise entry.wrong(f"stages is empty; name at least one of {', '.join(STAGES)}")
    if "visitor" in stages and entry.values.get("personal", True):
        raise entry.wrong(
            "stages names 'visitor', of whom nothing personal may be used; "
            "write personal = false, or take 'visitor' out"
        )
    return stages


def _flags(entry: Table, key: str) -> tuple[str, ...]:
    return entry.some_of(key, FLAGS) if entry.has(key) else ()


def _conditions(entry: Table, names: Collection[str]) -> tuple[Condition, ...]:
    if not entry.has("where"):
        return ()
    conditions = []
    for text in entry.texts("where"):
        parts = _CONDITION.fullmatch(text)
        if parts is None:
            raise entry.wrong(
                f"where '{text}'; must read 'feature op number' with one of "
                "< <= > >= == !=, such as 'days_since_last_order >= 30'"
            )
        feature, op, number = parts.groups()
        if feature not in names:
            hint = did_you_mean(feature, names) or "; `nextbest features` lists them all"
            raise entry.wrong(f"where '{text}': unknown feature '{feature}'{hint}")
        conditions.append(Condition(feature, op, float(number)))
    return tuple(conditions)


def _prior(entry: Table) -> Prior:
    prior = entry.table("prior")
    prior.allow(*_PRIOR_KEYS)
    source = prior.values.get("source", "")
    if not isinstance(source, str):
        raise prior.wrong(f"source {source!r}; must be a text in quotation marks")
    reviewed = prior.truth("reviewed") if prior.has("reviewed") else True
    return Prior(
        share=prior.number("share", -1000, 1000),
        share_sd=prior.number("share_sd", 0, 1000),
        of=_factors(prior),
        opt_out=prior.number("opt_out", 0, 1) if prior.has("opt_out") else 0.0,
        weight=prior.number("weight", 1, 1_000_000),
        source=source.strip(),
        reviewed=reviewed and bool(source.strip()),
    )


def _factors(prior: Table) -> tuple[str, ...]:
    """``"churn_risk * expected_margin"`` as a tuple of its factors."""
    allowed = (*PROBABILITY_FACTORS, *MONEY_FACTORS)
    factors = tuple(factor.strip() for factor in prior.text("of").split("*"))
    for factor in factors:
        prior.known("of", factor, allowed)
    money = [factor for factor in factors if factor in MONEY_FACTORS]
    if len(money) != 1 or len(set(factors)) != len(factors):
        raise prior.wrong(
            f"of '{prior.text('of')}'; must hold exactly one of {', '.join(MONEY_FACTORS)} "
            f"and each of {', '.join(PROBABILITY_FACTORS)} at most once"
        )
    return factors
