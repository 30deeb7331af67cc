"""Eligibility: whether we may ever send a communication to a customer like this one."""

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from math import ceil, isnan
from typing import Final

from features.signals import DAY
from models.expectation import Expectation
from models.language import joined, phrase
from serving.catalog import Catalog, Communication, Condition
from serving.moments import obstacles_of_moment
from serving.records import Customer, Refusal
from serving.refusals import Obstacle, refusal_of

# Features that grow, or fall, by one a day if nothing happens: waiting alone meets a condition.
GROWING: Final = ("days_since_", "tenure_days")
FALLING: Final = ("subscription_days_left",)


def eligible(
    customer: Customer, flags: tuple[str, ...], expectation: Expectation, catalog: Catalog
) -> tuple[tuple[Communication, ...], tuple[Refusal, ...]]:
    """Communications that suit the customer, and refusals of all others.

    A refusal names the first rule that said no; its `change` lists everything that would have
    to be different, so that the whole list is the nearest way in.
    """
    suited, refused = [], []
    for entry in catalog.communications.values():
        refusal = refusal_of(entry.name, obstacles_of(entry, customer, flags, expectation))
        if refusal is None:
            suited.append(entry)
        else:
            refused.append(refusal)
    return tuple(suited), tuple(refused)


def obstacles_of(
    entry: Communication, customer: Customer, flags: tuple[str, ...], expectation: Expectation
) -> list[Obstacle]:
    """Everything that keeps a communication from suiting a customer.

    Most entries have no dates, no moment and no conditions; what they do not have is not asked.
    """
    found = list(unready(entry))
    if entry.dated:
        found += _obstacles_of_dates(entry, customer.as_of)
    if customer.anonymous and entry.personal:
        found.append(_STRANGER)
    if customer.stage not in entry.stages:
        found.append(_other_stage(entry.stages, customer.stage))
    if entry.requires_flags and not any(flag in flags for flag in entry.requires_flags):
        found.append(_flag_down(entry.requires_flags))
    if flags:
        found += [_flag_up(flag) for flag in entry.blocked_by_flags if flag in flags]
    if entry.moment is not None:
        found += obstacles_of_moment(entry, customer.last_at, customer.as_of)
    for condition in entry.where:
        value = _known(condition, customer, expectation)
        if not condition.holds(value):
            found.append(_unmet(condition, value, customer.as_of))
    for factor in entry.prior.of:
        if not _score_known(factor, expectation):
            found.append(_score_missing(factor, expectation))
    return found


def unready(entry: Communication) -> Iterator[Obstacle]:
    """What an entry lacks in the catalog itself, whoever the customer."""
    if not entry.prior.source:
        yield Obstacle("not_reviewed", phrase("its prior in catalog.toml states a source"))
    elif not entry.prior.reviewed:
        change = phrase("its prior in catalog.toml is marked reviewed = true")
        yield Obstacle("not_reviewed", change)
    if not entry.approved:
        change = phrase("its words in catalog.toml are marked approved = true")
        yield Obstacle("not_approved", change)
    if entry.discount_pct > 0 and not entry.terms:
        change = phrase("its terms in catalog.toml are stated: it makes an offer")
        yield Obstacle("no_terms", change)


def _obstacles_of_dates(entry: Communication, as_of: int) -> Iterator[Obstacle]:
    if entry.valid_from is not None and as_of < entry.valid_from:
        yield Obstacle("dates", phrase("it is {day}", day=_day(entry.valid_from)), entry.valid_from)
    if entry.valid_until is not None and as_of >= entry.valid_until:
        last = _day(entry.valid_until - 1)
        yield Obstacle("dates", phrase("valid_until in catalog.toml is later than {day}", day=last))


_STRANGER: Final = Obstacle("visitor", phrase("the visitor is known by name"))


# Made once: every decision needs dozens of them, and wording is most of what they cost.
@lru_cache(maxsize=1024)
def _other_stage(wanted: tuple[str, ...], stage: str) -> Obstacle:
    change = phrase("stage is {wanted}, not {stage}", wanted=_either(wanted), stage=stage)
    return Obstacle("stage", change)


@lru_cache(maxsize=1024)
def _flag_down(wanted: tuple[str, ...]) -> Obstacle:
    return Obstacle("flag_required", phrase("flag {flag} is up", flag=_either(wanted)))


@lru_cache(maxsize=64)
def _flag_up(flag: str) -> Obstacle:
    return Obstacle("flag_blocks", phrase("flag {flag} is down", flag=flag))


def _unmet(condition: Condition, value: float | None, as_of: int) -> Obstacle:
    def words() -> str:
        return phrase("{condition} ({seen})", condition=condition.text, seen=_seen(value))

    until = _met_at(condition, value, as_of)
    return Obstacle("where", words) if until is None else Obstacle("where", words, until)


def _score_missing(factor: str, expectation: Expectation) -> Obstacle:
    def words() -> str:
        return phrase("{score} is known ({why})", score=factor, why=_why_not(factor, expectation))

    return Obstacle("score_missing", words)


def _met_at(condition: Condition, value: float | None, as_of: int) -> int | None:
    """When an unmet condition will hold if nothing happens; None if waiting does not help."""
    if value is None or isnan(value):
        return None
    grows = condition.feature.startswith(GROWING) and condition.op in (">", ">=")
    falls = condition.feature in FALLING and condition.op in ("<", "<=")
    if not (grows or falls):
        return None
    strictly = condition.op in ("<", ">")
    return as_of + ceil(abs(condition.number - value) * DAY) + strictly


def _known(condition: Condition, customer: Customer, expectation: Expectation) -> float | None:
    """Value a condition speaks of: a feature's, else a score's."""
    if condition.feature in customer.features:
        return customer.features[condition.feature]
    return expectation.value(condition.feature)


def _seen(value: float | None) -> str:
    if value is None or isnan(value):
        return phrase("not known")
    return phrase("now {value}", value=f"{value:g}")


def _score_known(factor: str, expectation: Expectation) -> bool:
    if factor == "1":
        return True
    if factor == "usual_margin":
        return bool(expectation.scores)  # without scores nothing was estimated at all
    return expectation.value(factor) is not None


def _why_not(factor: str, expectation: Expectation) -> str:
    score = expectation.scores.get(factor)
    if score is not None and score.note:
        return score.note
    if expectation.scores:
        return phrase("no model gives it")
    return phrase("this customer is not scored")


def _day(at: int) -> str:
    return str(dt.date(1970, 1, 1) + dt.timedelta(days=at // DAY))


def _either(words: tuple[str, ...]) -> str:
    return joined("{these} or {that}", words)
