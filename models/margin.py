"""What a customer is worth over the horizon: money, from their own past and all others'."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.classifier import WrongRows, recency_band

FloatArray = NDArray[np.float64]

SPEND_FEATURE: Final = "spend_365d"
FIRST_ORDER_FEATURE: Final = "days_since_first_order"
LAST_ORDER_FEATURE: Final = "days_since_last_order"
MEMORY_DAYS: Final = 365.0  # the window of SPEND_FEATURE


@dataclass(frozen=True, slots=True)
class MarginModel:
    """A customer's own margin per day, shrunk to everyone's, times how alive they look.

    Let `m` be the margin of the last 365 days and `t` the days since the first order, at most
    365. Then the usual margin over the horizon is

        horizon_days * (m + prior_days * everyone_per_day) / (t + prior_days),

    the posterior mean of a rate under a conjugate prior worth `prior_days` days of watching.
    The expected margin is the usual one times the factor of the customer's recency band: in
    training, realised margin of that band / usual margin of that band (a ratio estimator).

    Attributes
    ----------
    margin_rate : float
        Share of an amount paid that is margin.
    everyone_per_day : float
        Margin per day of all who ever ordered, in currency units.
    edges, factors, unknown_factor
        Bands of days since the last order (see `RecencyRule`); `factors` has one more entry
        than `edges`. Both empty: nothing was there to fit them on, and the factor is 1.
    base : float
        Mean margin realised over a horizon in training, all customers.
    """

    margin_rate: float
    horizon_days: int
    prior_days: float
    everyone_per_day: float
    edges: tuple[float, ...]
    factors: tuple[float, ...]
    unknown_factor: float
    base: float

    @property
    def served_by(self) -> str:
        """``recency`` if factors were fitted, else ``base_rate``."""
        return "recency" if self.factors else "base_rate"

    def usual(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Margin over the horizon at the customer's own pace, whatever the recent silence.

        Parameters
        ----------
        rows : ndarray of float64, shape (n, n_features)
        names : feature names, in the order of the columns

        Returns
        -------
        ndarray of float64, shape (n,)
            Currency units, never negative.

        Raises
        ------
        WrongRows
            If one of the three features it needs is not among `names`.
        """
        watched = watched_days(rows, names)
        earned = self.margin_rate * np.nan_to_num(column(rows, names, SPEND_FEATURE))
        known = earned + self.prior_days * self.everyone_per_day
        # Nobody to learn from and nothing seen: worth nothing that we know of.
        days = np.maximum(watched + self.prior_days, 1.0)
        return np.asarray(np.maximum(self.horizon_days * known / days, 0.0))

    def expected(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Margin expected over the horizon after `as_of`.

        Parameters and result as for `usual`.

        Raises
        ------
        WrongRows
            See `usual`.
        """
        usual = self.usual(rows, names)
        if not self.factors:
            return usual
        by_band = np.array([*self.factors, self.unknown_factor])
        days = column(rows, names, LAST_ORDER_FEATURE)
        return np.asarray(usual * by_band[recency_band(days, self.edges)])


def watched_days(rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """Days since the first order, at most 365; 0 for those who never ordered; shape (n,)."""
    days = column(rows, names, FIRST_ORDER_FEATURE)
    return np.asarray(np.clip(np.nan_to_num(days, nan=0.0), 0.0, MEMORY_DAYS))


def column(rows: FloatArray, names: tuple[str, ...], name: str) -> FloatArray:
    """One feature of all rows, shape (n,).

    Raises
    ------
    WrongRows
        If there is no such feature.
    """
    if name not in names:
        raise WrongRows(
            f"no feature '{name}' among the {len(names)} given; "
            "the margin depends on it; put it back into the feature set"
        )
    return rows[:, names.index(name)]
