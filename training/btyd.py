"""BG/NBD and Pareto/NBD by maximum likelihood, from the times of purchases alone.

Customers with the same three facts are counted together, and the gradient is worked out beside
the likelihood, so that tens of thousands of customers take seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import gammaln, psi

from features.signals import DAY, Int64Array, SignalLog, code
from models.btyd import ORDER_FACTS, BgNbd, Btyd, Purchases, purchases_of
from models.model import FloatArray, feature_column
from models.power_integral import Powers, integral
from models.targets import ORDER, Target

_START: Final = np.zeros(4)  # all four parameters 1
_WIDEST: Final = 12.0  # of the logarithms: beyond e ** 12 nothing changes but the rounding
# Rows whose integrals are worked out at a time: some 10 MB each array.
_BLOCK: Final = 20_000
# Of the mean log likelihood and its gradient: four digits of every parameter on CDNOW need 1e-10.
_TOLERANCE: Final = {"ftol": 1e-14, "gtol": 1e-9, "maxiter": 1000, "maxfun": 2000}


class TooFewPurchases(ValueError):
    """Histories in which nobody came back: four parameters cannot be told from them."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """Four parameters, as the model's first four fields, and how likely they make the data."""

    parameters: tuple[float, float, float, float]
    log_likelihood: float


Kind = TypeVar("Kind", bound=Btyd)
Slopes = Callable[[FloatArray, Purchases, FloatArray], tuple[float, FloatArray]]


def fit_bg_nbd(seen: Purchases) -> Fitted:
    """r, alpha, a and b of greatest likelihood.

    Raises
    ------
    TooFewPurchases
        If nobody bought again.
    """
    return _fitted(_bg_nbd, seen)


def fit_pareto_nbd(seen: Purchases) -> Fitted:
    """r, alpha, s and beta of greatest likelihood.

    Raises
    ------
    TooFewPurchases
        If nobody bought again.
    """
    return _fitted(_pareto_nbd, seen)


def btyd_model(
    kind: type[Kind], everyone: FloatArray, names: tuple[str, ...], target: Target
) -> Kind:
    """The model that answers a target's question, learned without its answers.

    Parameters
    ----------
    kind : BgNbd or ParetoNbd
    everyone : ndarray of float64, shape (n, n_features)
        One row a customer, all at one moment; also of those who are long gone, since they tell
        how customers leave.

    Raises
    ------
    TooFewPurchases
        If nobody bought again.
    """
    columns = [feature_column(names, feature) for feature in ORDER_FACTS]
    facts = everyone[:, columns]
    facts = facts[~np.isnan(facts).any(axis=1)]
    # Whole days: what differs by hours alone is counted together.
    seen = purchases_of(np.ceil(facts))
    found = (fit_bg_nbd if kind is BgNbd else fit_pareto_nbd)(seen)
    reference = tuple(np.median(facts, axis=0).tolist())
    return kind(
        *found.parameters,
        window_days=float(target.window_days),
        outcome=target.outcome,
        features=ORDER_FACTS,
        reference=reference,
    )


def purchases(log: SignalLog, customers: Int64Array, as_of: Int64Array) -> Purchases:
    """Order days known at each moment, in days.

    Parameters
    ----------
    customers, as_of : ndarray of int64, shape (n,)
        Index into the log, and moment; each must have ordered before.
    """
    columns = log.columns
    order = columns.event == code(ORDER)
    repeats, last, watched = (np.zeros(len(customers)) for _ in range(3))
    for place, (one, moment) in enumerate(zip(customers, as_of, strict=True)):
        mine = slice(int(log.starts[one]), int(log.starts[one + 1]))
        known = order[mine] & (columns.occurred_at[mine] < moment)
        known &= columns.received_at[mine] < moment
        days = np.unique(columns.occurred_at[mine][known] // DAY)
        repeats[place] = len(days) - 1
        last[place] = days[-1] - days[0]
        watched[place] = moment / DAY - days[0]
    return Purchases(repeats, last, watched)


def _fitted(slopes: Slopes, seen: Purchases) -> Fitted:
    if not (seen.repeats > 0).any():
        raise TooFewPurchases(
            f"none of {len(seen.repeats):,} customers bought on a second day; the rate of buying "
            "needs some who did; wait for more orders"
        )
    alike, counts = np.unique(np.column_stack(seen), axis=0, return_counts=True)
    different, share = Purchases(*alike.T), counts / counts.sum()
    bounds = [(-_WIDEST, _WIDEST)] * 4
    found = minimize(
        slopes, _START, (different, share), "L-BFGS-B", True, bounds=bounds, options=_TOLERANCE
    )
    first, second, third, fourth = np.exp(found.x).tolist()
    total = -float(found.fun) * len(seen.repeats)
    return Fitted((first, second, third, fourth), total)


def _bg_nbd(logs: FloatArray, seen: Purchases, share: FloatArray) -> tuple[float, FloatArray]:
    """Less the mean log likelihood, equation 6 of the paper, and its slopes in the logarithms."""
    r, alpha, a, b = np.exp(logs)
    x, last, watched = seen
    m = r + x
    again = np.maximum(x, 1.0)
    here = -m * np.log(alpha + watched)
    gone = np.log(a) - np.log(b + again - 1.0) - m * np.log(alpha + last)
    gone = np.where(x > 0, gone, -np.inf)
    either = np.logaddexp(here, gone)
    alive = np.exp(here - either)
    dead = 1.0 - alive
    total = gammaln(m) - gammaln(r) + r * np.log(alpha) + either
    total += gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    beta = psi(a + b) - psi(a + b + x)
    slopes = (
        psi(m) - psi(r) + np.log(alpha)
        - alive * np.log(alpha + watched) - dead * np.log(alpha + last),
        r / alpha - m * (alive / (alpha + watched) + dead / (alpha + last)),
        beta + dead / a,
        beta + psi(b + x) - psi(b) - dead / (b + again - 1.0),
    )  # fmt: skip
    by_log = [
        float(share @ slope) * value for slope, value in zip(slopes, (r, alpha, a, b), strict=True)
    ]
    return -float(share @ total), -np.array(by_log)


def _pareto_nbd(logs: FloatArray, seen: Purchases, share: FloatArray) -> tuple[float, FloatArray]:
    """Less the mean log likelihood and its slopes in the logarithms; see `models.btyd`."""
    total, slopes = 0.0, np.zeros(4)
    for start in range(0, len(share), _BLOCK):
        block = slice(start, start + _BLOCK)
        part = Purchases(*(each[block] for each in seen))
        value, slope = _pareto_nbd_block(np.exp(logs), part, share[block])
        total, slopes = total + value, slopes + slope
    return total, slopes


def _pareto_nbd_block(
    values: FloatArray, seen: Purchases, share: FloatArray
) -> tuple[float, FloatArray]:
    r, alpha, s, beta = values
    x, last, watched = seen
    m = r + x
    same = np.ones(len(x))
    left, nodes = integral(Powers(alpha * same, m, beta * same, (s + 1) * same), last, watched)
    left += np.log(s)
    stayed = -m * np.log(alpha + watched) - s * np.log(beta + watched)
    silent = np.logaddexp(stayed, left)
    alive = np.exp(stayed - silent)
    dead = 1.0 - alive
    total = gammaln(m) - gammaln(r) + r * np.log(alpha) + s * np.log(beta) + silent

    def mean(of: FloatArray) -> FloatArray:
        return np.asarray((nodes.share * of).sum(axis=1))

    bought, stopped = alpha + nodes.t, beta + nodes.t
    slopes = (
        psi(m) - psi(r) + np.log(alpha)
        - alive * np.log(alpha + watched) - dead * mean(np.log(bought)),
        r / alpha - m * (alive / (alpha + watched) + dead * mean(1.0 / bought)),
        np.log(beta) - alive * np.log(beta + watched) + dead * (1.0 / s - mean(np.log(stopped))),
        s / beta - alive * s / (beta + watched) - dead * (s + 1) * mean(1.0 / stopped),
    )  # fmt: skip
    by_log = [float(share @ slope) * value for slope, value in zip(slopes, values, strict=True)]
    return -float(share @ total), -np.array(by_log)
