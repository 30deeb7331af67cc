"""Arbitration: what each allowed communication is worth for this customer, best first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import hypot, prod, sqrt
from typing import Final

from models.effects import NOTHING_MEASURED, CustomerEffects
from models.expectation import Expectation
from serving.catalog import Communication
from serving.fatigue import Worn
from serving.policy import Policy
from serving.records import NO_CONTACT, Candidate

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


# From here on a stated effect has less than a tenth of the say, and the basis reads "measured".
LITTLE_SAY: Final = 0.1


@dataclass(frozen=True, slots=True)
class Weighed:
    """A candidate, and what caution wants to know of it.

    Attributes
    ----------
    usual_net : float
        Its net worth if the measured part of its effect were what it is on average in this
        stage; the stated part is as it is for this customer.
    place : int or None
        Among the measured effects; None: never measured.
    lever : float
        What one unit of the measured effect adds to the net: weight times the share of the
        effect that is measured.
    """

    candidate: Candidate
    usual_net: float
    place: int | None
    lever: float


NOT_SENT: Final = Weighed(SILENCE, 0.0, None, 0.0)


def ranked(
    entries: Iterable[Communication],
    expectation: Expectation,
    worn: Worn,
    policy: Policy,
    measured: CustomerEffects = NOTHING_MEASURED,
) -> tuple[Candidate, ...]:
    """All candidates with silence among them, best first.

    A message that is owed (`comes_first`) stands before all others; then comes the best, then
    the others by net worth. At equal worth silence wins, then the name that comes first in the
    alphabet.

    Parameters
    ----------
    measured : CustomerEffects
        What was measured of communications, for this customer.
    """
    weighed = [weigh(one, expectation, worn, policy, measured) for one in entries]
    return in_order([NOT_SENT, *weighed], measured, policy.z)


def in_order(
    weighed: Sequence[Weighed], measured: CustomerEffects, z: float
) -> tuple[Candidate, ...]:
    """Candidates as `ranked` puts them; `NOT_SENT` must be among them."""
    best = best_of(weighed, measured, z).candidate.communication
    candidates = (one.candidate for one in weighed)
    return tuple(sorted(candidates, key=lambda one: (not comes_first(one), *_order(one, best))))


def best_of(weighed: Sequence[Weighed], measured: CustomerEffects, z: float) -> Weighed:
    """The best for this customer, as far as the evidence goes; `NOT_SENT` must be among them.

    Stated effects decide as they stand: they are the company's own judgement. Measured ones are
    taken at their mean in the customer's stage first, and whatever is best so is where we
    start. It is left only for what beats it by more than `z` standard errors of the difference;
    and whatever is chosen must be expected to do more good than silence.

    Source: in Hillstrom's experiment the greatest of several estimated effects lost money
    against the best mail for everybody, and leaving that mail only so never did.
    """
    start = min(weighed, key=lambda one: (-one.usual_net, *_ties(one.candidate)))
    if start.candidate.expected_net <= 0:
        start = next(one for one in weighed if one.candidate is SILENCE)
    better = [one for one in weighed if lower_bound(one, start, measured, z) > 0]
    return min(better or [start], key=lambda one: _order(one.candidate, ""))


def lower_bound(one: Weighed, start: Weighed, measured: CustomerEffects, z: float) -> float:
    """What `one` is better than `start` by, less `z` standard errors of what was measured."""
    gain = one.candidate.expected_net - start.candidate.expected_net
    variance = (
        _covariance(one, one, measured)
        + _covariance(start, start, measured)
        - 2.0 * _covariance(one, start, measured)
    )
    return gain - z * sqrt(max(0.0, variance))


def weigh(
    entry: Communication,
    expectation: Expectation,
    worn: Worn,
    policy: Policy,
    measured: CustomerEffects,
) -> Weighed:
    """One communication with its worth for this customer, as stated and as measured.

    Errors of the two parts are independent. What is stated is the less in doubt, the more was
    measured beside it.
    """
    stated = candidate(entry, expectation, worn, policy)
    place = measured.places.get(entry.name)
    if place is None:
        return Weighed(stated, stated.expected_net, None, 0.0)
    judged, trusted = shares(entry, measured)
    stated_error = (1.0 - trusted) * judged * stated.standard_error
    error = trusted * sqrt(max(0.0, float(measured.covariance[place, place])))
    effect, usual = (
        judged * stated.expected_effect + trusted * float(values[place])
        for values in (measured.values, measured.usual)
    )
    found = replace(
        stated,
        expected_effect=effect,
        standard_error=hypot(stated_error, error),
        expected_net=_net(effect, stated),
        effect_basis="mixed" if trusted < 1.0 - LITTLE_SAY else "measured",
        evidence=int(measured.evidence[place]),
    )
    return Weighed(found, _net(usual, stated), place, stated.weight * trusted)


def shares(entry: Communication, measured: CustomerEffects) -> tuple[float, float]:
    """How much of the stated effect counts, and how much of what was measured beyond it.

    ``effect = scale * stated + n / (w + n) * beyond``, where n decisions of evidence stand
    against a stated effect that is worth w of them, and `scale` is how much of all stated
    effects together came true. It is the mean of ``scale * stated`` with the weight w and of
    the measured effect, ``scale * stated + beyond``, with the weight n.
    """
    place = measured.places.get(entry.name)
    if place is None:
        return 1.0, 0.0
    evidence = int(measured.evidence[place])
    return measured.stated_scale, evidence / (entry.prior.weight + evidence)


def candidate(
    entry: Communication, expectation: Expectation, worn: Worn, policy: Policy
) -> Candidate:
    """One communication with its worth for this customer as the catalog states it, in money.

    ``effect = response * (share * of - opt_out * opt_out_cost)`` and
    ``net = effect * weight - cost - fatigue - novelty``. Fatigue is the price of marketing upon
    marketing, novelty that of the same again; a service message pays neither. The response, above
    0, is how the customer answers on this channel.
    """
    effect, error = stated_effect(entry, expectation, policy)
    weight = policy.weight(entry.name)
    fatigue, novelty, response = worn.of(entry)
    effect, error = response * effect, response * error
    return Candidate(
        communication=entry.name,
        name=entry.title,
        channel=entry.channel,
        message_class=entry.message_class,
        expected_effect=effect,
        standard_error=error,
        cost=entry.cost,
        fatigue=fatigue,
        expected_net=effect * weight - entry.cost - fatigue - novelty,
        effect_basis="assumed",
        evidence=0,
        weight=weight,
        novelty=novelty,
        response=response,
    )


def stated_effect(
    entry: Communication, expectation: Expectation, policy: Policy
) -> tuple[float, float]:
    """Effect that the catalog states for this customer, and its standard deviation; money."""
    base = prod(_factor(name, expectation) for name in entry.prior.of)
    effect = entry.prior.share * base - entry.prior.opt_out * policy.opt_out_cost
    return effect, entry.prior.share_sd * base


def comes_first(candidate: Candidate) -> bool:
    """Whether a message is owed: not marketing, and worth sending. No experiment touches it."""
    return candidate.message_class not in ("marketing", "none") and candidate.expected_net > 0


def _order(candidate: Candidate, best: str) -> tuple[bool, float, bool, str]:
    is_best = candidate.communication == best
    return (not is_best, -candidate.expected_net, *_ties(candidate))


def _ties(candidate: Candidate) -> tuple[bool, str]:
    return candidate.communication != NO_CONTACT, candidate.communication


def _net(effect: float, candidate: Candidate) -> float:
    less = candidate.cost + candidate.fatigue + candidate.novelty
    return effect * candidate.weight - less


def _covariance(one: Weighed, other: Weighed, measured: CustomerEffects) -> float:
    """Covariance of the measured parts of two net worths."""
    if one.place is None or other.place is None:
        return 0.0
    return one.lever * other.lever * float(measured.covariance[one.place, other.place])


def _factor(name: str, expectation: Expectation) -> float:
    """Value of one factor; eligibility has seen to it that it is known."""
    if name == "1":
        return 1.0
    if name == "usual_margin":
        return expectation.usual_margin
    value = expectation.value(name)
    return 0.0 if value is None else value
