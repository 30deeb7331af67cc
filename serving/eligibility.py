"""Eligibility: whether we may ever send a communication to a customer like this one."""

import datetime as dt
from collections.abc import Iterator
from math import ceil, isnan, nan
from typing import Final

from features.signals import DAY
from models.expectation import ODDS_RATIOS, Expectation
from models.language import joined, phrase
from serving.catalog import Catalog, Communication, Condition, Standing, Standings, Where
from serving.moments import obstacles_of_moment
from serving.records import Customer
from serving.refusals import Obstacle, Obstacles, decisive

# Features that move by themselves if nothing happens, so that waiting alone meets a condition.
A_DAY_MORE: Final = ("days_since_", "tenure_days")
A_DAY_LESS: Final = ("subscription_days_left",)


def eligible(
    customer: Customer, flags: tuple[str, ...], expectation: Expectation, catalog: Catalog
) -> tuple[tuple[Communication, ...], Obstacles]:
    """Communications that suit the customer, and the decisive obstacles of all others.

    `why_unsuited` tells everything that keeps one of the others from it.
    """
    standings = _standings(catalog, (customer.stage, flags, customer.anonymous))
    suited, unsuited = [], {**standings.closed}
    for standing in standings.open:
        found = decisive(_obstacles(standing, customer, expectation))
        if found:
            unsuited[standing.entry.name] = found
        else:
            suited.append(standing.entry)
    return tuple(suited), unsuited


def why_unsuited(
    name: str,
    customer: Customer,
    flags: tuple[str, ...],
    expectation: Expectation,
    catalog: Catalog,
) -> tuple[Obstacle, ...]:
    """Everything that keeps a communication of the catalog from suiting a customer."""
    standings = _standings(catalog, (customer.stage, flags, customer.anonymous))
    return tuple(_obstacles(standings.by_name[name], customer, expectation))


def obstacles_of(
    entry: Communication, customer: Customer, flags: tuple[str, ...], expectation: Expectation
) -> tuple[Obstacle, ...]:
    """The same of an entry that no catalog need hold."""
    standing = _standing_of(entry, (customer.stage, flags, customer.anonymous))
    return tuple(_obstacles(standing, customer, expectation))


def _obstacles(
    standing: Standing, customer: Customer, expectation: Expectation
) -> Iterator[Obstacle]:
    """What the catalog lacks, then dates, stage and flags, the moment, and the numbers."""
    entry = standing.entry
    yield from standing.lacking
    if entry.dated:
        yield from out_of_dates(entry, customer.as_of)
    yield from standing.journey
    if entry.moment is not None:
        yield from obstacles_of_moment(entry, customer.last_at, customer.as_of)
    yield from unmet(entry, customer, expectation)
    for factor in entry.prior.of:
        if not _score_known(factor, expectation):
            yield _score_missing(factor, expectation)


def unmet(entry: Communication, customer: Customer, expectation: Expectation) -> Iterator[Obstacle]:
    """The conditions on features and scores that an entry asks for and that do not hold."""
    for condition in entry.where:
        if customer.stage in condition.unless:
            continue
        value = _known(condition, customer, expectation)
        if not condition.holds(value):
            yield _unmet(condition, value, customer)


def _standings(catalog: Catalog, where: Where) -> Standings:
    """What stage and flags say of every entry; worked out once for each combination."""
    found = catalog.standing.get(where)
    if found is None:
        entries = catalog.communications
        by_name = {name: _standing_of(entry, where) for name, entry in entries.items()}
        closed = {name: _closing(standing) for name, standing in by_name.items()}
        found = catalog.standing[where] = Standings(
            by_name=by_name,
            closed={name: obstacles for name, obstacles in closed.items() if obstacles},
            open=tuple(standing for name, standing in by_name.items() if not closed[name]),
        )
    return found


def _closing(standing: Standing) -> tuple[Obstacle, ...]:
    """The decisive obstacles where they hold for all such customers, at all times."""
    if standing.lacking:
        return decisive(standing.lacking)
    # The dates of an entry are asked before its stage.
    return () if standing.entry.dated else decisive(standing.journey)


def _standing_of(entry: Communication, where: Where) -> Standing:
    return Standing(entry, tuple(unready(entry)), tuple(_obstacles_of_journey(entry, where)))


def _obstacles_of_journey(entry: Communication, where: Where) -> Iterator[Obstacle]:
    stage, flags, anonymous = where
    if anonymous and entry.personal:
        yield Obstacle("visitor", phrase("the visitor is known by name"))
    if stage not in entry.stages:
        wanted = _either(entry.stages)
        yield Obstacle(
            "stage", phrase("stage is {wanted}, not {stage}", wanted=wanted, stage=stage)
        )
    if entry.requires_flags and not set(entry.requires_flags) & set(flags):
        wanted = _either(entry.requires_flags)
        yield Obstacle("flag_required", phrase("flag {flag} is up", flag=wanted))
    for flag in entry.blocked_by_flags:
        if flag in flags:
            yield Obstacle("flag_blocks", phrase("flag {flag} is down", flag=flag))


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


def out_of_dates(entry: Communication, as_of: int) -> Iterator[Obstacle]:
    """What of its first and its last day is in the way at a moment."""
    if entry.valid_from is not None and as_of < entry.valid_from:
        yield Obstacle("dates", phrase("it is {day}", day=_day(entry.valid_from)), entry.valid_from)
    if entry.valid_until is not None and as_of >= entry.valid_until:
        last = _day(entry.valid_until - 1)
        yield Obstacle("dates", phrase("valid_until in catalog.toml is later than {day}", day=last))


def _unmet(condition: Condition, value: float | None, customer: Customer) -> Obstacle:
    def words() -> str:
        return phrase("{condition} ({seen})", condition=condition.text, seen=_seen(value))

    until = _met_at(condition, value, customer)
    return Obstacle("where", words) if until is None else Obstacle("where", words, until)


def _score_missing(factor: str, expectation: Expectation) -> Obstacle:
    def words() -> str:
        return phrase("{score} is known ({why})", score=factor, why=_why_not(factor, expectation))

    return Obstacle("score_missing", words)


def _met_at(condition: Condition, value: float | None, customer: Customer) -> int | None:
    """When an unmet condition will hold if nothing happens; None if waiting does not help."""
    if value is None or isnan(value):
        return None
    speed = _speed(condition.feature, customer)
    towards = (speed > 0 and condition.op in (">", ">=")) or (
        speed < 0 and condition.op in ("<", "<=")
    )
    if not towards:
        return None
    strictly = condition.op in ("<", ">")
    return customer.as_of + ceil((condition.number - value) / speed * DAY) + strictly


def _speed(feature: str, customer: Customer) -> float:
    """By how much a feature changes in a day in which nothing happens; 0: not by itself."""
    if feature.startswith(A_DAY_MORE):
        return 1.0
    if feature in A_DAY_LESS:
        return -1.0
    gap = customer.features.get("usual_gap_days", nan)
    return 1.0 / gap if feature == "lateness" and gap > 0 else 0.0


def _known(condition: Condition, customer: Customer, expectation: Expectation) -> float | None:
    """Value a condition speaks of: a feature's, a score's, or a score's against everybody's."""
    name = condition.feature
    if name in customer.features:
        return customer.features[name]
    score = ODDS_RATIOS.get(name)
    return expectation.value(name) if score is None else expectation.odds_ratio(score)


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
