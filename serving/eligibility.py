"""Eligibility: whether we may ever send a communication to a customer like this one."""

from collections.abc import Iterator
from math import isnan

from models.expectation import Expectation
from serving.catalog import Catalog, Communication, Condition
from serving.records import Customer, Refusal


def eligible(
    customer: Customer, flags: tuple[str, ...], expectation: Expectation, catalog: Catalog
) -> tuple[tuple[Communication, ...], tuple[Refusal, ...]]:
    """Communications that suit the customer, and refusals of all others.

    A refusal names the first rule that said no; its `change` lists everything that would have
    to be different, so that the whole list is the nearest way in.
    """
    suited, refused = [], []
    for entry in catalog.communications.values():
        obstacles = [
            *_obstacles_of_entry(entry),
            *_obstacles_of_journey(entry, customer, flags),
            *_obstacles_of_numbers(entry, customer, expectation),
        ]
        if obstacles:
            changes = "; ".join(change for _, change in obstacles)
            refused.append(Refusal(entry.name, obstacles[0][0], changes))
        else:
            suited.append(entry)
    return tuple(suited), tuple(refused)


# Each of the three yields pairs: the rule that says no, and the change that it waits for.


def _obstacles_of_entry(entry: Communication) -> Iterator[tuple[str, str]]:
    if not entry.prior.source:
        yield "not_reviewed", "its prior in catalog.toml states a source"
    elif not entry.prior.reviewed:
        yield "not_reviewed", "its prior in catalog.toml is marked reviewed = true"


def _obstacles_of_journey(
    entry: Communication, customer: Customer, flags: tuple[str, ...]
) -> Iterator[tuple[str, str]]:
    if customer.anonymous and entry.personal:
        yield "visitor", "the visitor is known by name"
    if customer.stage not in entry.stages:
        yield "stage", f"stage is {_either(entry.stages)}, not {customer.stage}"
    if entry.requires_flags and not set(entry.requires_flags) & set(flags):
        yield "flag_required", f"flag {_either(entry.requires_flags)} is up"
    for flag in entry.blocked_by_flags:
        if flag in flags:
            yield "flag_blocks", f"flag {flag} is down"


def _obstacles_of_numbers(
    entry: Communication, customer: Customer, expectation: Expectation
) -> Iterator[tuple[str, str]]:
    for condition in entry.where:
        value = _known(condition, customer, expectation)
        if not condition.holds(value):
            yield "where", f"{condition.text} ({_seen(value)})"
    for factor in entry.prior.of:
        if not _score_known(factor, expectation):
            yield "score_missing", f"{factor} is known ({_why_not(factor, expectation)})"


def _known(condition: Condition, customer: Customer, expectation: Expectation) -> float | None:
    """Value a condition speaks of: a feature's, else a score's."""
    if condition.feature in customer.features:
        return customer.features[condition.feature]
    return expectation.value(condition.feature)


def _seen(value: float | None) -> str:
    return "not known" if value is None or isnan(value) else f"now {value:g}"


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
    return "no model gives it" if expectation.scores else "this customer is not scored"


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(words)
