"""Exploration: how likely each candidate is to be chosen, exactly, and the choice itself."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from features.signals import DAY
from models.expectation import Expectation
from serving.arbitration import comes_first
from serving.policy import Policy
from serving.records import NO_CONTACT, Candidate


class InvalidDraw(ValueError):
    """A number that is no draw from [0, 1)."""


@dataclass(frozen=True, slots=True)
class Arm:
    """Which of `ARMS` a customer belongs to, and the share of customers who do."""

    name: str
    share: float


def arm_of(customer_id: str, policy: Policy, as_of: int) -> Arm:
    """The customer's arm, by salted hash: the same on every machine and after every restart.

    The holdout is for good. The uniform arm is drawn anew each horizon, so that no one is left
    to chance for long; it is drawn among those outside the holdout.
    """
    if share_point(policy.salt, "holdout", customer_id) < policy.holdout_share:
        return Arm("holdout", policy.holdout_share)
    period = as_of // (policy.horizon_days * DAY)
    among_the_rest = policy.uniform_share / (1 - policy.holdout_share)
    if share_point(policy.salt, f"uniform {period}", customer_id) < among_the_rest:
        return Arm("uniform", policy.uniform_share)
    return Arm("policy", 1 - policy.holdout_share - policy.uniform_share)


def selection_probabilities(
    ranked: tuple[Candidate, ...], arm: Arm, epsilon: float
) -> Mapping[str, float]:
    """P(chosen | arm) of every candidate; sums to 1.

    A message that is owed is certain in every arm. Otherwise the holdout hears nothing, the
    uniform arm gives each candidate the same chance, and the policy arm takes the best except
    in `epsilon` of cases, where each candidate, the best included, has the same chance.

    Parameters
    ----------
    ranked : tuple of Candidate
        The allowed set, best first, silence included.
    """
    names = [candidate.communication for candidate in ranked]
    best = names[0]
    if comes_first(ranked[0]):
        return _certain(best, names)
    if arm.name == "holdout":
        return _certain(NO_CONTACT, names)
    share = 1 / len(names)
    if arm.name == "uniform":
        return dict.fromkeys(names, share)
    return {name: epsilon * share + (1 - epsilon) * (name == best) for name in names}


def epsilon_for(expectation: Expectation, policy: Policy) -> float:
    """How often to try another than the best with this customer.

    ``epsilon * min(1, average margin / this customer's margin)``: with somebody worth four
    times the average, a quarter as often, so that trying never risks more than it does with
    an average customer. Without a margin, `epsilon` itself.
    """
    margin = expectation.scores.get("expected_margin")
    if margin is None or margin.value is None or margin.value <= margin.base_rate:
        return policy.epsilon
    return policy.epsilon * max(0.0, margin.base_rate) / margin.value


def choose(probabilities: Mapping[str, float], uniform: float) -> str:
    """The candidate on whose stretch of [0, 1) a uniform number falls.

    The stretches lie in order of name, so that the same number gives the same choice whatever
    the order of the candidates.

    Raises
    ------
    InvalidDraw
        If `uniform` is outside [0, 1).
    """
    if not 0 <= uniform < 1:
        raise InvalidDraw(f"uniform number {uniform!r}; must be at least 0 and below 1")
    reached = 0.0
    possible = sorted(name for name, probability in probabilities.items() if probability > 0)
    for name in possible:
        reached += probabilities[name]
        if uniform < reached:
            return name
    return possible[-1]  # rounding left the sum a hair below 1


def _certain(chosen: str, names: list[str]) -> dict[str, float]:
    return {name: float(name == chosen) for name in names}


def share_point(salt: str, purpose: str, customer_id: str) -> float:
    """A point of [0, 1) that belongs to the customer, different for each purpose."""
    digest = hashlib.sha256(f"{salt}\n{purpose}\n{customer_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
