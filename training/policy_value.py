"""What a policy would have earned, from decisions that another one made by lot.

With w = P(new policy chooses it) / P(it was chosen), r the reward, q an outcome model and c the
cost of a contact:

* inverse propensity (IPS): mean of w * r - sum_a pi(a) * c(a);
* self-normalised (SNIPS): sum(w * r) / sum(w) - mean of sum_a pi(a) * c(a);
* doubly robust (DR): mean of sum_a pi(a) * (q(a) - c(a)) + w * (r - q(chosen)).

Sources: Horvitz and Thompson (1952); Swaminathan and Joachims (2015), for SNIPS; Dudik,
Langford and Li (2011), for DR. Costs are known, so no estimate of them is needed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from features.counting import counted
from features.signals import Int64Array
from training.decision_log import LoggedDecisions

FloatArray = NDArray[np.float64]

# Below, an interval says more than it knows: a few rows carry the estimate.
FEWEST_EFFECTIVE: Final = 500
LARGEST_SHARE: Final = 0.05
# Four gaps are looked at in a check: at 95 % chance alone would cry out in one check of ten.
GAP_LEVEL: Final = 0.99
ROUNDING: Final = 1e-9  # currency units; two sums of the same numbers differ by less


class UnusableTarget(ValueError):
    """Probabilities of a policy that do not fit the logged decisions."""


class NothingInCommon(ValueError):
    """A policy that would have chosen nothing of what was chosen."""


class TooFewCustomers(ValueError):
    """An interval over customers needs at least two of them."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What is held against a policy's choices.

    Attributes
    ----------
    expected : ndarray of float64, shape (n, n_names)
        q: reward of each communication, from an outcome model that has not seen the customer.
    cost : ndarray of float64, shape (n_names,)
        Of a contact; 0 for no contact.
    """

    expected: FloatArray
    cost: FloatArray


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean per decision with its interval, customers being the units that vary.

    Attributes
    ----------
    value, standard_error : float
    rows, customers : int
    """

    value: float
    standard_error: float
    rows: int
    customers: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Two-sided interval, from Student's t with one degree of freedom less than customers."""
        reach = float(stdtrit(self.customers - 1, 0.5 + level / 2)) * self.standard_error
        return self.value - reach, self.value + reach

    def lower(self, level: float = 0.95) -> float:
        """Lower end of the two-sided interval."""
        return self.interval(level)[0]


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much of a policy the log can speak of.

    Attributes
    ----------
    rows : int
    effective : float
        Effective sample size, (sum w)^2 / sum w^2. Source: Kish (1965).
    largest_share : float
        max w / sum w.
    mean_weight : float
        Near 1 if the logged probabilities are right.
    """

    rows: int
    effective: float
    largest_share: float
    mean_weight: float

    def refusals(self) -> tuple[str, ...]:
        """Why nothing can be concluded, in words; empty where it can."""
        said = []
        if self.effective < FEWEST_EFFECTIVE:
            said.append(
                f"effective sample size {self.effective:,.0f} of {self.rows:,} decisions; at least "
                f"{FEWEST_EFFECTIVE} are needed; wait for more decisions, or raise uniform_share"
            )
        if self.largest_share > LARGEST_SHARE:
            said.append(
                f"one decision carries {100 * self.largest_share:.1f} % of the weight; at most "
                f"{100 * LARGEST_SHARE:g} % may; raise epsilon or uniform_share and wait"
            )
        return tuple(said)


def weights(log: LoggedDecisions, target: FloatArray) -> FloatArray:
    """Importance weight of each row, shape (n,).

    Parameters
    ----------
    target : ndarray of float64, shape (n, n_names)
        P(communication) under the policy in question, in each row's circumstances.

    Raises
    ------
    UnusableTarget
        If the shape is another, a row does not sum to 1, or something is negative.
    """
    if target.shape != log.probabilities.shape:
        raise UnusableTarget(
            f"probabilities of shape {target.shape}; must be {log.probabilities.shape}, one row a "
            "logged decision and one column a communication"
        )
    sums = target.sum(axis=1)
    if len(target) and (target.min() < 0 or np.max(np.abs(sums - 1.0)) > 1e-9):
        raise UnusableTarget(
            f"probabilities from {target.min():g}, rows summing to {sums.min():g} .. "
            f"{sums.max():g}; none may be below 0 and each row must sum to 1"
        )
    return np.asarray(target[np.arange(len(log)), log.chosen] / log.propensity)


def overlap(log: LoggedDecisions, target: FloatArray) -> Overlap:
    """How much of a policy the log can speak of."""
    w = weights(log, target)
    total, squares = float(w.sum()), float(np.sum(w**2))
    return Overlap(
        rows=len(log),
        effective=total**2 / squares if squares else 0.0,
        largest_share=float(w.max()) / total if total else 1.0,
        mean_weight=float(w.mean()) if len(log) else 0.0,
    )


def newly_untried(log: LoggedDecisions, new: FloatArray, current: FloatArray) -> float:
    """Share of decisions that a new policy moves to what the log could not have chosen there.

    What they would bring is the outcome model's guess alone. Where both policies choose the
    same, tried or not, their difference needs no evidence.
    """
    moved = np.where(log.probabilities > 0, 0.0, np.maximum(new - current, 0.0)).sum(axis=1)
    return float(moved.mean()) if len(log) else 0.0


def inverse_propensity(log: LoggedDecisions, target: FloatArray, worth: Worth) -> Estimate:
    """IPS: needs no model; varies most."""
    return clustered_mean(_inverse_scores(log, target, worth), log.customer)


def self_normalised(log: LoggedDecisions, target: FloatArray, worth: Worth) -> Estimate:
    """SNIPS: a weighted mean; its error by linearising the ratio (delta method).

    Raises
    ------
    NothingInCommon
        If the policy would have chosen nothing of what was chosen.
    """
    return clustered_mean(_normalised_scores(log, target, worth), log.customer)


def doubly_robust(log: LoggedDecisions, target: FloatArray, worth: Worth) -> Estimate:
    """DR: unbiased with the right probabilities, whatever the model; the one to decide by."""
    return clustered_mean(robust_scores(log, target, worth), log.customer)


def robust_scores(log: LoggedDecisions, target: FloatArray, worth: Worth) -> FloatArray:
    """What each row adds to the doubly robust mean, shape (n,).

    Two policies are compared row by row: their scores share most of the noise.
    """
    told = worth.expected[np.arange(len(log)), log.chosen]
    predicted = np.sum(target * (worth.expected - worth.cost), axis=1)
    return np.asarray(predicted + weights(log, target) * (log.reward - told))


def _inverse_scores(log: LoggedDecisions, target: FloatArray, worth: Worth) -> FloatArray:
    return np.asarray(weights(log, target) * log.reward - target @ worth.cost)


def _normalised_scores(log: LoggedDecisions, target: FloatArray, worth: Worth) -> FloatArray:
    w = weights(log, target)
    if not w.any():
        raise NothingInCommon(
            f"none of {len(log):,} logged choices has any probability under the policy; at least "
            "one must; let the uniform arm try first what the policy would choose"
        )
    mean = float(np.sum(w * log.reward) / w.sum())
    return np.asarray(mean + w * (log.reward - mean) / w.mean() - target @ worth.cost)


@dataclass(frozen=True, slots=True)
class Valued:
    """The value of one policy by three estimators: the first decides, the others stand beside it.

    Attributes
    ----------
    robust, inverse : Estimate
        DR and IPS.
    normalised : Estimate or None
        SNIPS; None where the policy has nothing in common with what was chosen.
    gaps : mapping of {"IPS", "SNIPS"} to Estimate
        What each is above DR, row by row on the same rows. With the right probabilities, and
        everything tried that the policy chooses, both are 0 but for chance.
    """

    robust: Estimate
    inverse: Estimate
    normalised: Estimate | None
    gaps: Mapping[str, Estimate]

    def disagreements(self) -> dict[str, Estimate]:
        """The gaps that are surely none of chance."""
        return {name: gap for name, gap in self.gaps.items() if _surely_not_zero(gap)}


def valued(log: LoggedDecisions, target: FloatArray, worth: Worth) -> Valued:
    """DR, IPS and SNIPS of one policy, and how far the others are from the first."""
    robust, inverse = robust_scores(log, target, worth), _inverse_scores(log, target, worth)
    scores = {"IPS": inverse}
    if weights(log, target).any():
        scores["SNIPS"] = _normalised_scores(log, target, worth)
    return Valued(
        doubly_robust(log, target, worth),
        inverse_propensity(log, target, worth),
        self_normalised(log, target, worth) if "SNIPS" in scores else None,
        {name: clustered_mean(one - robust, log.customer) for name, one in scores.items()},
    )


def _surely_not_zero(gap: Estimate) -> bool:
    low, high = gap.interval(GAP_LEVEL)
    return low > ROUNDING or high < -ROUNDING


def difference(
    log: LoggedDecisions, new: FloatArray, current: FloatArray, worth: Worth
) -> Estimate:
    """Doubly robust value of one policy less another's, on the same rows."""
    gained = robust_scores(log, new, worth) - robust_scores(log, current, worth)
    return clustered_mean(gained, log.customer)


def clustered_mean(values: FloatArray, customer: Int64Array) -> Estimate:
    """Mean over rows, its error from sums over customers, whose rows may go together.

    ``G / (G - 1) * sum_g (sum of g's residuals)^2 / n^2`` for G customers and n rows.
    Source: Cameron and Miller (2015), A practitioner's guide to cluster-robust inference.

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
    customer : ndarray of int64, shape (n,)

    Raises
    ------
    TooFewCustomers
        If there are fewer than two.
    """
    _, place = np.unique(customer, return_inverse=True)
    groups = int(place.max()) + 1 if len(place) else 0
    if groups < 2:
        raise TooFewCustomers(
            f"{counted(groups, 'customer')}; an interval needs at least two whose horizon is over; "
            "wait for more decisions"
        )
    mean = float(values.mean())
    sums = np.bincount(place, weights=values - mean)
    variance = groups / (groups - 1) * float(np.sum(sums**2)) / len(values) ** 2
    return Estimate(mean, float(np.sqrt(variance)), len(values), groups)


def to_one(log: LoggedDecisions, name: int) -> FloatArray:
    """The policy that sends one communication wherever it was allowed, else nothing.

    Returns
    -------
    ndarray of float64, shape (n, n_names)
    """
    allowed = log.probabilities[:, name] > 0
    target = np.zeros_like(log.probabilities)
    target[allowed, name] = 1.0
    target[~allowed, 0] = 1.0
    return target


def best_single(log: LoggedDecisions, worth: Worth, rng: np.random.Generator) -> FloatArray:
    """The policy that sends everybody the one communication that earned most with others.

    Customers are halved; which one is best is read from the other half, so that the choice
    does not flatter itself.

    Returns
    -------
    ndarray of float64, shape (n, n_names)
    """
    half = rng.integers(2, size=len(log.customer_ids))[log.customer]
    policies = [to_one(log, name) for name in range(len(log.names))]
    scores = np.column_stack([robust_scores(log, one, worth) for one in policies])
    target = policies[0].copy()
    for side in (0, 1):
        other, here = half != side, half == side
        if other.any():
            target[here] = policies[int(np.argmax(scores[other].mean(axis=0)))][here]
    return target
