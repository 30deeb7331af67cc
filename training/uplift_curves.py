"""How well a score sorts people by what a message does to them.

People are sorted by score, highest first. With phi the share of all people taken from the top,
the gain per head is

    G(phi) = phi * (mean outcome of the treated - mean outcome of the others, among the top phi),

both means weighted by 1 / P(what was given). Sending to everybody gains G(1), sorting by chance
phi * G(1). The Qini coefficient is the area between the two,

    Q = integral over 0..1 of G(phi) - phi * G(1),

in units of the outcome per head: .0070 in a visit rate means that, averaged over all depths of
mailing, sorting brings .70 more visits per 100 people than chance does. It is not divided by the
best area that could be had, which nobody knows. Source: Radcliffe (2007), Using control groups to
target on predicted lift; with weights, so that any known probability of treatment will do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class UnusableTrial(ValueError):
    """Data of a trial that no curve can be drawn from."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A randomised comparison of one message with none.

    Attributes
    ----------
    customer : ndarray of int64, shape (n,)
        Rows of one customer are not independent.
    treated : ndarray of bool, shape (n,)
    outcome : ndarray of float64, shape (n,)
    probability : ndarray of float64, shape (n,)
        P(treated), strictly between 0 and 1.

    Raises
    ------
    UnusableTrial
        If the arrays differ in length, a probability is not inside (0, 1), an outcome is not
        known, or only one of the two was given.
    """

    customer: Int64Array
    treated: BoolArray
    outcome: FloatArray
    probability: FloatArray

    def __post_init__(self) -> None:
        lengths = {len(self.customer), len(self.treated), len(self.outcome), len(self.probability)}
        if len(lengths) != 1:
            raise UnusableTrial(
                f"columns of {sorted(lengths)} rows; all four must be equally long; "
                "give one value a row"
            )
        if not (self.treated.any() and not self.treated.all()):
            raise UnusableTrial(
                f"{int(self.treated.sum())} of {len(self.treated)} rows treated; both kinds are "
                "needed; keep some people without the message, by lot"
            )
        if not np.all((self.probability > 0) & (self.probability < 1)):
            raise UnusableTrial(
                f"probabilities of treatment from {self.probability.min():g} to "
                f"{self.probability.max():g}; must lie strictly between 0 and 1; leave out rows "
                "in which nothing was left to chance"
            )
        if np.isnan(self.outcome).any():
            raise UnusableTrial(
                f"{int(np.isnan(self.outcome).sum())} outcomes are not known (NaN); none may be; "
                "leave out rows whose horizon is not over"
            )


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure and the interval of its bootstrap over customers."""

    value: float
    low: float
    high: float


def gain_curve(trial: Trial, score: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Shares from the top and gain per head at each, from (0, 0) to the gain of everybody.

    People of equal score come together or not at all: between them the curve is straight.

    Returns
    -------
    (shares, gains) : ndarray of float64, shape (n_scores + 1,) each
    """
    return _curve(trial, _order_of(score), np.ones(len(score)))


def qini(trial: Trial, score: FloatArray) -> float:
    """Area between the gain curve and the straight line to its end."""
    return _area(*gain_curve(trial, score))


def uplift_at(trial: Trial, score: FloatArray, share: float) -> float:
    """Effect per head among the top `share` of people, by score.

    Raises
    ------
    UnusableTrial
        If `share` is not in (0, 1], or only one of the two was given there.
    """
    return _uplift(trial, _order_of(score), np.ones(len(score)), _checked(share))


def qini_interval(
    trial: Trial, score: FloatArray, rng: np.random.Generator, draws: int = 400
) -> Measure:
    """Qini coefficient with its 95 % interval, resampling customers."""
    order = _order_of(score)
    drawn = [_area(*_curve(trial, order, one)) for one in _resampled(trial, rng, draws)]
    return _measure(qini(trial, score), drawn)


def uplift_interval(
    trial: Trial, score: FloatArray, share: float, rng: np.random.Generator, draws: int = 400
) -> Measure:
    """Effect among the top `share` with its 95 % interval, resampling customers.

    Raises
    ------
    UnusableTrial
        As `uplift_at`.
    """
    order = _order_of(score)
    drawn = [_uplift(trial, order, one, _checked(share)) for one in _resampled(trial, rng, draws)]
    return _measure(uplift_at(trial, score, share), drawn)


@dataclass(frozen=True, slots=True)
class _Order:
    """Rows by falling score; `last` marks the last row of each group of equal scores."""

    rows: Int64Array
    last: Int64Array


def _order_of(score: FloatArray) -> _Order:
    rows = np.argsort(-score, kind="stable")
    falls = np.flatnonzero(np.diff(score[rows]) < 0)
    return _Order(rows.astype(np.int64), np.append(falls, len(rows) - 1).astype(np.int64))


def _curve(trial: Trial, order: _Order, times: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The curve where each row counts `times`."""
    count, parts = _sums(trial, order, times)
    taken = count[order.last]
    gains = np.zeros(len(taken))
    # At the very top there may be only treated people yet: no comparison, no gain.
    compared = (parts["treated"][order.last] > 0) & (parts["others"][order.last] > 0)
    at = order.last[compared]
    effect = parts["got"][at] / parts["treated"][at] - parts["had"][at] / parts["others"][at]
    gains[compared] = taken[compared] / count[-1] * effect
    return np.concatenate([[0.0], taken / count[-1]]), np.concatenate([[0.0], gains])


def _uplift(trial: Trial, order: _Order, times: FloatArray, share: float) -> float:
    count, parts = _sums(trial, order, times)
    # The whole group of equal scores that the share falls into.
    reach = int(np.searchsorted(count[order.last], share * count[-1] * (1 - 1e-12)))
    at = order.last[min(reach, len(order.last) - 1)]
    if not (parts["treated"][at] > 0 and parts["others"][at] > 0):
        raise UnusableTrial(
            f"only one kind of people among the top {100 * share:g} %; both are needed; "
            "take a larger share"
        )
    return float(parts["got"][at] / parts["treated"][at] - parts["had"][at] / parts["others"][at])


def _sums(
    trial: Trial, order: _Order, times: FloatArray
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Running sums from the top: people, and weights and weighted outcomes of both kinds."""
    rows = order.rows
    treated, outcome = trial.treated[rows], trial.outcome[rows]
    chance = np.where(treated, trial.probability[rows], 1 - trial.probability[rows])
    weight = times[rows] / chance
    yes, no = np.where(treated, weight, 0.0), np.where(treated, 0.0, weight)
    return np.cumsum(times[rows]), {
        "treated": np.cumsum(yes),
        "others": np.cumsum(no),
        "got": np.cumsum(yes * outcome),
        "had": np.cumsum(no * outcome),
    }


def _area(shares: FloatArray, gains: FloatArray) -> float:
    return float(np.trapezoid(gains - shares * gains[-1], shares))


def _resampled(trial: Trial, rng: np.random.Generator, draws: int) -> list[FloatArray]:
    _, place = np.unique(trial.customer, return_inverse=True)
    groups = int(place.max()) + 1
    found = []
    for _ in range(draws):
        times = np.bincount(rng.integers(groups, size=groups), minlength=groups)
        found.append(times[place].astype(np.float64))
    return found


def _measure(value: float, drawn: list[float]) -> Measure:
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Measure(value, float(low), float(high))


def _checked(share: float) -> float:
    if not 0 < share <= 1:
        raise UnusableTrial(f"share {share:g}; must be above 0 and at most 1; .3 is the top 30 %")
    return share
