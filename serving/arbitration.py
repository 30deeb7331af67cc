"""Arbitration: what each allowed communication is worth for this customer, best first."""

from collections.abc import Iterable
from math import exp2, prod
from typing import Final

from features.signals import DAY
from models.expectation import Expectation
from serving.catalog import Communication
from serving.policy import Fatigue, Policy
from serving.records import NO_CONTACT, Candidate, Contact

SILENCE: Final = Candidate(
    communication=NO_CONTACT,
    name="No contact",
    channel="none",
    message_class="none",
    expected_effect=0.0,
    standard_error=0.0,
    cost=0.0,
    fatigue=0.0,
    expected_net=0.0,
    effect_basis="assumed",
    evidence=0,
)


def ranked(
    entries: Iterable[Communication], expectation: Expectation, fatigue: float, policy: Policy
) -> tuple[Candidate, ...]:
    """All candidates with silence among them, best first.

    A message that is owed (`comes_first`) stands before all others. Then the greater net worth;
    at equal worth silence wins, then the name that comes first in the alphabet.

    Stated effects decide as they stand: they are the company's own judgement. Where effects
    will be measured, this is the place of caution: start from the best single communication
    and leave it only where the lower bound of the improvement (`policy.z`) is above zero.
    """
    candidates = [SILENCE, *(candidate(entry, expectation, fatigue, policy) for entry in entries)]
    return tuple(sorted(candidates, key=_order))


def candidate(
    entry: Communication, expectation: Expectation, fatigue: float, policy: Policy
) -> Candidate:
    """One communication with its worth for this customer, in currency units.

    ``effect = share * of - opt_out * opt_out_cost``, ``net = effect * weight - cost - fatigue``.
    Fatigue is the price of marketing upon marketing; a service message does not pay it.
    """
    base = prod(_factor(name, expectation) for name in entry.prior.of)
    effect = entry.prior.share * base - entry.prior.opt_out * policy.opt_out_cost
    weight = policy.weight(entry.name)
    price = fatigue if entry.message_class == "marketing" else 0.0
    return Candidate(
        communication=entry.name,
        name=entry.title,
        channel=entry.channel,
        message_class=entry.message_class,
        expected_effect=effect,
        standard_error=entry.prior.share_sd * base,
        cost=entry.cost,
        fatigue=price,
        expected_net=effect * weight - entry.cost - price,
        effect_basis="assumed",
        evidence=0,
        weight=weight,
    )


def fatigue_price(contacts: Iterable[Contact], fatigue: Fatigue, as_of: int) -> float:
    """Price of one more message: ``price * sum of 2 ** (-age / half_life)`` over past contacts.

    A planned contact counts in full. Source: the recovering bandit of Yancey and Settles
    (2020), with a price in money in the place of a penalty in probability.
    """
    ages = (max(0, as_of - contact.at) / DAY for contact in contacts)
    return fatigue.price * sum(exp2(-age / fatigue.half_life_days) for age in ages)


def comes_first(candidate: Candidate) -> bool:
    """Whether a message is owed: not marketing, and worth sending. No experiment touches it."""
    return candidate.message_class not in ("marketing", "none") and candidate.expected_net > 0


def _order(candidate: Candidate) -> tuple[bool, float, bool, str]:
    return (
        not comes_first(candidate),
        -candidate.expected_net,
        candidate.communication != NO_CONTACT,
        candidate.communication,
    )


def _factor(name: str, expectation: Expectation) -> float:
    """Value of one factor; eligibility has seen to it that it is known."""
    if name == "1":
        return 1.0
    if name == "usual_margin":
        return expectation.usual_margin
    value = expectation.value(name)
    return 0.0 if value is None else value
