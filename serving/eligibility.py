"""Eligibility: may we ever send this communication to a customer like this one?"""

from dataclasses import dataclass
from typing import Final

from models.expectation import Expectation
from serving.catalog import PROBABILITY_FACTORS, Catalog, Communication, Condition
from serving.records import Customer, Refusal


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller asks for besides: only these channels (empty: any), and not these."""

    channels: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


ANYTHING: Final = Wishes()


def eligible(
    customer: Customer,
    flags: tuple[str, ...],
    expectation: Expectation,
    catalog: Catalog,
    wishes: Wishes = ANYTHING,
) -> tuple[tuple[Communication, ...], tuple[Refusal, ...]]:
    """Communications that suit the customer, and refusals of all others.

    A refusal names the first rule that said no; its `change` lists everything that would have
    to be different, so that the list as a whole is the nearest way in.
    """
    suited, refused = [], []
    for entry in catalog.communications.values():
        obstacles = _obstacles(entry, customer, flags, expectation, wishes)
        if obstacles:
            changes = "; ".join(change for _, change in obstacles)
            refused.append(Refusal(entry.name, obstacles[0][0], changes))
        else:
            suited.append(entry)
    return tuple(suited), tuple(refused)


def _obstacles(
    entry: Communication,
    customer: Customer,
    flags: tuple[str, ...],
    expectation: Expectation,
    wishes: Wishes,
) -> list[tuple[str, str]]:
    """Pairs of rule and change; empty if the communication suits."""
    found = []
    if not entry.prior.reviewed:
        found.append(("not_reviewed", "state the source of its prior in catalog.toml"))
    if wishes.channels and entry.channel not in wishes.channels:
        found.append(("channel_not_asked", f"ask for channel {entry.channel}"))
    if entry.name in wishes.exclude:
        found.append(("excluded", "take it off the caller's list of exclusions"))
    if customer.anonymous and entry.personal:
        found.append(("visitor", "the visitor is identified"))
    if customer.stage not in entry.stages:
        found.append(("stage", f"stage is {_either(entry.stages)}, not {customer.stage}"))
    if entry.requires_flags and not set(entry.requires_flags) & set(flags):
        found.append(("flag_required", f"flag {_either(entry.requires_flags)} is up"))
    blocking = [flag for flag in entry.blocked_by_flags if flag in flags]
    if blocking:
        found.append(("flag_blocks", f"flag {_either(tuple(blocking))} is down"))
    for condition in entry.where:
        value = _known(condition, customer, expectation)
        if not condition.holds(value):
            found.append(("where", f"{condition.text} ({_seen(value)})"))
    for factor in entry.prior.of:
        if not _score_known(factor, expectation):
            found.append(("score_missing", f"{factor} is known{_why_not(factor, expectation)}"))
    return found


def _known(condition: Condition, customer: Customer, expectation: Expectation) -> float | None:
    """Value a condition speaks of: a feature's, else a score's."""
    if condition.feature in customer.features:
        return customer.features[condition.feature]
    return expectation.value(condition.feature)


def _seen(value: float | None) -> str:
    return "not known" if value is None or value != value else f"now {value:g}"


def _score_known(factor: str, expectation: Expectation) -> bool:
    if factor == "1":
        return True
    if factor == "usual_margin":
        return bool(expectation.scores)  # without scores nothing was estimated at all
    return expectation.value(factor) is not None


def _why_not(factor: str, expectation: Expectation) -> str:
    score = expectation.scores.get(factor)
    if score is not None and score.note:
        return f" ({score.note})"
    return " (no model gives it)" if factor in PROBABILITY_FACTORS else ""


def _either(words: tuple[str, ...]) -> str:
    return " or ".join(words)
