"""BG/NBD: how likely a customer is still there, from nothing but the times of their orders.

The peer that a model with labels and features has to beat; it serves nobody.
Source: Fader, Hardie and Lee (2005), "Counting your customers the easy way".
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln

from features.signals import DAY, Int64Array, SignalLog, code
from training.labels import ORDER

FloatArray = NDArray[np.float64]

_START: Final = np.zeros(4)  # all four parameters 1
_WIDEST: Final = 12.0  # of the logarithms: beyond e ** 12 nothing changes but the rounding


class TooFewPurchases(ValueError):
    """Histories in which nobody came back: four parameters cannot be told from them."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """What the model looks at, arrays of shape (n,), all in the same unit of time.

    Attributes
    ----------
    repeats : days with an order after the first one
    last : from the first order to the last one
    watched : from the first order to the moment of looking
    """

    repeats: FloatArray
    last: FloatArray
    watched: FloatArray


@dataclass(frozen=True, slots=True)
class BgNbd:
    """Purchases come at a gamma distributed rate; after each, a beta distributed chance to stop.

    `r` and `alpha` are shape and rate of the gamma, `a` and `b` those of the beta distribution.
    """

    r: float
    alpha: float
    a: float
    b: float
    log_likelihood: float

    def alive(self, seen: Purchases) -> FloatArray:
        """Probability of still being a customer, shape (n,)."""
        x = seen.repeats
        grown = np.log(self.alpha + seen.watched) - np.log(self.alpha + seen.last)
        odds = np.log(self.a) - np.log(self.b + np.maximum(x, 1) - 1) + (self.r + x) * grown
        return np.where(x > 0, 1.0 / (1.0 + np.exp(np.minimum(odds, 700.0))), 1.0)

    def silent(self, seen: Purchases, window: float) -> FloatArray:
        """Probability of no purchase in the next `window`, shape (n,).

        Who is alive buys with a rate that is gamma(r + x, alpha + watched); nobody leaves
        without a purchase.
        """
        rate = self.alpha + seen.watched
        none = (rate / (rate + window)) ** (self.r + seen.repeats)
        return np.asarray(1.0 - self.alive(seen) * (1.0 - none))


def fit_bg_nbd(seen: Purchases) -> BgNbd:
    """The four parameters of greatest likelihood.

    Raises
    ------
    TooFewPurchases
        If nobody bought again.
    """
    if not (seen.repeats > 0).any():
        raise TooFewPurchases(
            f"none of {len(seen.repeats):,} customers bought on a second day; the rate of buying "
            "needs some who did; wait for more orders"
        )
    bounds = [(-_WIDEST, _WIDEST)] * 4
    found = minimize(lambda logs: -_mean_log_likelihood(logs, seen), _START, bounds=bounds)
    r, alpha, a, b = np.exp(found.x).tolist()
    return BgNbd(r, alpha, a, b, log_likelihood=-float(found.fun) * len(seen.repeats))


def _mean_log_likelihood(logs: FloatArray, seen: Purchases) -> float:
    """Equation 6 of the paper, by customer; `logs` are the logarithms of r, alpha, a, b."""
    r, alpha, a, b = np.exp(logs)
    x = seen.repeats
    rate = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    stop = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    here = -(r + x) * np.log(alpha + seen.watched)
    again = np.maximum(x, 1)
    gone = np.log(a) - np.log(b + again - 1) - (r + x) * np.log(alpha + seen.last)
    either = np.where(x > 0, np.logaddexp(here, np.where(x > 0, gone, 0.0)), here)
    return float(np.mean(rate + stop + either))


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
