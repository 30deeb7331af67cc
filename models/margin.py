"""What a customer is worth over the horizon: money, from their own past and all others'."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.margin_interval import Intervals
from models.margin_kinds import (
    LAST_ORDER_FEATURE,
    SPEND_FEATURE,
    MarginForest,
    PurchaseMargin,
    column,
    feature_of,
    known_or_zero,
    product_parts,
    zero_if_unknown,
)
from models.model import DamagedModel
from models.rules import recency_band

FloatArray = NDArray[np.float64]

FIRST_ORDER_FEATURE: Final = "days_since_first_order"
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
    forest, purchases : MarginForest and PurchaseMargin, or None
        What expects the margin in place of the rule above, if it proved better; not both.
    intervals : Intervals or None
        None: too few customers to say how far off it may be.
    """

    margin_rate: float
    horizon_days: int
    prior_days: float
    everyone_per_day: float
    edges: tuple[float, ...]
    factors: tuple[float, ...]
    unknown_factor: float
    base: float
    forest: MarginForest | None = None
    purchases: PurchaseMargin | None = None
    intervals: Intervals | None = None

    def __post_init__(self) -> None:
        if self.factors and len(self.factors) != len(self.edges) + 1:
            raise DamagedModel(
                f"{len(self.factors)} factors for {len(self.edges)} edges of recency bands; "
                "must be one more"
            )
        if self.forest is not None and self.purchases is not None:
            raise DamagedModel("a margin by a forest and by purchases; must be one of them")

    @property
    def served_by(self) -> str:
        """Kind of the one in charge; of the rule, ``base_rate`` without factors."""
        better = self.forest or self.purchases
        if better is not None:
            return better.kind
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
        earned = self.margin_rate * known_or_zero(column(rows, names, SPEND_FEATURE))
        known = earned + self.prior_days * self.everyone_per_day
        # Nobody to learn from and nothing seen: worth nothing that we know of.
        days = np.maximum(watched + self.prior_days, 1.0)
        return np.asarray(np.maximum(self.horizon_days * known / days, 0.0))

    def expected(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Margin expected over the horizon after `as_of`: a mean, since money adds up.

        Parameters and result as for `usual`.

        Raises
        ------
        WrongRows
            See `usual`.
        """
        better = self.forest or self.purchases
        if better is not None:
            return better.expected(rows, names)
        usual = self.usual(rows, names)
        return np.asarray(usual * self._factors(rows, names)) if self.factors else usual

    def of_one(self, row: FloatArray, names: tuple[str, ...]) -> tuple[float, float]:
        """Expected and usual margin of one customer, as above to the last bit.

        Without arrays of one number, which cost numpy more than the arithmetic itself.

        Parameters
        ----------
        row : ndarray of float64, shape (n_features,)

        Raises
        ------
        WrongRows
            See `usual`.
        """
        known = dict(zip(names, row.tolist(), strict=True))
        usual = self._usual_of_one(known)
        if self.purchases is not None:
            return self.purchases.expected_of_one(known), usual
        if self.forest is not None:
            return float(self.forest.expected(row[np.newaxis], names)[0]), usual
        return usual * self._factor_of_one(known) if self.factors else usual, usual

    def _usual_of_one(self, known: Mapping[str, float]) -> float:
        first_order = zero_if_unknown(feature_of(known, FIRST_ORDER_FEATURE))
        watched = min(max(first_order, 0.0), MEMORY_DAYS)
        earned = self.margin_rate * zero_if_unknown(feature_of(known, SPEND_FEATURE))
        money = earned + self.prior_days * self.everyone_per_day
        days = max(watched + self.prior_days, 1.0)
        return max(self.horizon_days * money / days, 0.0)

    def _factor_of_one(self, known: Mapping[str, float]) -> float:
        silent = feature_of(known, LAST_ORDER_FEATURE)
        if isnan(silent):
            return self.unknown_factor
        return self.factors[bisect_right(self.edges, silent)]

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """What each feature adds to the expected margin, in money; the last column is the start.

        Of the rule: the pace is told under what was spent, the factor under the last order,
        against everyone's pace and the factor of all together.

        Returns
        -------
        ndarray of float64, shape (n, n_features + 1)
            The sum of a row is the expected margin.

        Raises
        ------
        WrongRows
            See `usual`.
        """
        better = self.forest or self.purchases
        if better is not None:
            return better.contributions(rows, names)
        pace = self.horizon_days * self.everyone_per_day
        usual, factors = self.usual(rows, names), self._factors(rows, names)
        alike = self.base / pace if self.factors and pace > 0 else 1.0
        parts = np.zeros((len(rows), len(names) + 1))
        first, second = product_parts(usual, factors, pace, alike)
        parts[:, names.index(SPEND_FEATURE)] = first
        parts[:, names.index(LAST_ORDER_FEATURE)] = second
        parts[:, -1] = pace * alike
        return parts

    def interval(self, expected: float) -> tuple[float, float] | None:
        """Between which a margin lies that is expected to be so much; None: not known."""
        if self.intervals is None:
            return None
        return self.intervals.around_one(expected)

    def _factors(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Factor of each row's recency band, shape (n,); 1 if none were fitted."""
        if not self.factors:
            return np.ones(len(rows))
        by_band = np.array([*self.factors, self.unknown_factor])
        return by_band[recency_band(column(rows, names, LAST_ORDER_FEATURE), self.edges)]


def watched_days(rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
    """Days since the first order, at most 365; 0 for those who never ordered; shape (n,)."""
    days = column(rows, names, FIRST_ORDER_FEATURE)
    return np.asarray(np.minimum(np.maximum(known_or_zero(days), 0.0), MEMORY_DAYS))
