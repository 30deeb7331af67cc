"""Two ways to expect a margin that have to beat the rule: a forest, and orders times their worth.

Each says what its parts add in money, so that a sum of reasons is the margin itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from models.btyd import ORDER_FACTS, BgNbd, purchases_of
from models.forest import Forest
from models.model import DamagedModel, WrongRows

FloatArray = NDArray[np.float64]

SPEND_FEATURE: Final = "spend_365d"
ORDER_DAYS_FEATURE: Final = "order_days_365d"
LAST_ORDER_FEATURE: Final = "days_since_last_order"
# What `models.forest_text` must find in the head of the forest's text.
OBJECTIVE: Final = "tweedie"
# Beyond e ** 50 there is no money; a forged forest then answers something finite.
_LARGEST_LOGARITHM: Final = 50.0


@dataclass(frozen=True, slots=True)
class MarginForest:
    """Boosted trees whose leaves add up to the logarithm of the margin.

    Attributes
    ----------
    forest : Forest
        Its objective is `OBJECTIVE`.
    log_factor : float
        Added to the leaves, so that the margins of training add up to what came: such a forest
        learns from margins without their losses, and a short one has not yet come all the way.
    """

    kind: ClassVar[str] = "lightgbm"

    forest: Forest
    log_factor: float

    def expected(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Margin expected over the horizon, shape (n,), currency units, above 0."""
        leaves = self.forest.raw_log_odds(rows, names)
        return np.exp(np.minimum(leaves + self.log_factor, _LARGEST_LOGARITHM))

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """What each feature adds in money; the last column is the start; (n, n_features + 1).

        Shapley values of the logarithm, each times the logarithmic mean of start and margin.
        Source: Ang (2005), "The LMDI approach to decomposition analysis", equation 3.
        """
        parts = self.forest.contributions(rows, names)
        parts[:, -1] += self.log_factor
        parts = np.clip(parts, -_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)
        start, end = parts[:, -1], parts.sum(axis=1)
        parts[:, :-1] *= logarithmic_mean(np.exp(start), np.exp(end))[:, None]
        parts[:, -1] = np.exp(start)
        return parts


@dataclass(frozen=True, slots=True)
class PurchaseMargin:
    """Expected purchases times what one is worth: what there is without any feature to learn.

    The worth of a purchase is the customer's own mean of the last 365 days, drawn to everyone's
    as if they had bought `prior_orders` times more like everyone: the gamma-gamma model's mean.
    Source: Fader, Hardie and Lee (2005), "RFM and CLV: using iso-value curves".

    Attributes
    ----------
    model : BgNbd
        Its window is the horizon.
    worth : float
        Margin of a day with orders, of everyone.
    prior_orders : float
        How many days with orders everyone's worth weighs.
    margin_rate : float
        Share of an amount paid that is margin.
    """

    kind: ClassVar[str] = "bg_nbd"

    model: BgNbd
    worth: float
    prior_orders: float
    margin_rate: float

    def __post_init__(self) -> None:
        if not self.prior_orders > 0:
            raise DamagedModel(f"prior_orders = {self.prior_orders:g}; must be above 0")

    def expected(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """Margin expected over the horizon, shape (n,), currency units, never negative."""
        return np.asarray(self._orders(rows, names) * self._worth(rows, names))

    def expected_of_one(self, known: Mapping[str, float]) -> float:
        """The same of one customer whose features are known by name, to the last bit."""
        earned = self.margin_rate * zero_if_unknown(feature_of(known, SPEND_FEATURE))
        days = zero_if_unknown(feature_of(known, ORDER_DAYS_FEATURE))
        mean = (earned + self.prior_orders * self.worth) / (days + self.prior_orders)
        worth = max(mean, 0.0)
        ordered, first, silent = (feature_of(known, name) for name in ORDER_FACTS)
        if isnan(ordered) or isnan(first) or isnan(silent):
            return 0.0 * worth
        repeats, watched = max(ordered - 1.0, 0.0), max(first, 0.0)
        last = min(max(watched - silent, 0.0), watched) if repeats > 0 else 0.0
        window = self.model.window_days
        return self.model.expected_of_one(repeats, last, watched, window) * worth

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """What each feature adds in money; the last column is the start; (n, n_features + 1).

        The number of purchases is told under the last order, their worth under what was spent.
        """
        usual = self.model.expected(
            purchases_of(np.array([self.model.reference])), self.model.window_days
        )
        parts = np.zeros((len(rows), len(names) + 1))
        orders, worth = self._orders(rows, names), self._worth(rows, names)
        first, second = product_parts(orders, worth, float(usual[0]), self.worth)
        parts[:, names.index(LAST_ORDER_FEATURE)] = first
        parts[:, names.index(SPEND_FEATURE)] = second
        parts[:, -1] = float(usual[0]) * self.worth
        return parts

    def _orders(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        facts = np.stack([column(rows, names, name) for name in ORDER_FACTS], axis=1)
        known = ~np.isnan(facts).any(axis=1)
        found = np.zeros(len(rows))  # who never bought is not in the model
        if known.any():
            found[known] = self.model.expected(purchases_of(facts[known]), self.model.window_days)
        return found

    def _worth(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        earned = self.margin_rate * known_or_zero(column(rows, names, SPEND_FEATURE))
        days = known_or_zero(column(rows, names, ORDER_DAYS_FEATURE))
        mean = (earned + self.prior_orders * self.worth) / (days + self.prior_orders)
        return np.asarray(np.maximum(mean, 0.0))  # refunds may outweigh orders


def logarithmic_mean(one: FloatArray, other: FloatArray) -> FloatArray:
    """``(b - a) / (ln b - ln a)`` of positive numbers, and a where both are the same."""
    gap = np.log(other) - np.log(one)
    near = np.abs(gap) < 1e-9
    exact = (other - one) / np.where(near, 1.0, gap)
    return np.where(near, one, exact)


def product_parts(
    one: FloatArray, other: FloatArray, one_usual: float, other_usual: float
) -> tuple[FloatArray, FloatArray]:
    """Shapley values of the two factors of a product, against the product of the usual ones."""
    first = (one - one_usual) * (other + other_usual) / 2
    second = (other - other_usual) * (one + one_usual) / 2
    return first, second


def column(rows: FloatArray, names: tuple[str, ...], name: str) -> FloatArray:
    """One feature of all rows, shape (n,).

    Raises
    ------
    WrongRows
        If there is no such feature.
    """
    if name not in names:
        raise _without(name, len(names))
    return rows[:, names.index(name)]


def feature_of(known: Mapping[str, float], name: str) -> float:
    """One feature of one customer.

    Raises
    ------
    WrongRows
        If there is no such feature.
    """
    if name not in known:
        raise _without(name, len(known))
    return known[name]


def _without(name: str, given: int) -> WrongRows:
    return WrongRows(
        f"no feature '{name}' among the {given} given; "
        "the margin depends on it; put it back into the feature set"
    )


def known_or_zero(values: FloatArray) -> FloatArray:
    """The values, 0 where there is nothing to say; numpy's own way takes ten times as long."""
    return np.where(np.isnan(values), 0.0, values)


def zero_if_unknown(value: float) -> float:
    """The same of a single value."""
    return 0.0 if isnan(value) else value
