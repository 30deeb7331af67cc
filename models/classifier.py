"""A yes-or-no model in text: predicts a probability and says what made it up.

Four kinds share one record, so that whatever serves has the same file, the same reasons and
the same checks: a boosted forest (LightGBM), a logistic regression, a rule by the time since
the last order, and the base rate. Log-odds of each add up over features; a calibration
``slope * log-odds + intercept`` with a positive slope follows and keeps that sum.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from lightgbm import Booster

FloatArray = NDArray[np.float64]

RECENCY_FEATURE: Final = "days_since_last_order"


class DamagedModel(ValueError):
    """A model file that cannot be what training wrote."""


class WrongRows(ValueError):
    """Rows that do not have the features a model was trained on."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Monotone map of log-odds: ``slope * x + intercept``, slope > 0. Source: Platt (1999)."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True)
class Forest:
    """Boosted trees as LightGBM's own text."""

    text: str


@dataclass(frozen=True, slots=True)
class Logistic:
    """Logistic regression on standardised ``sign(x) log(1 + |x|)``, each of shape (n_features,).

    A missing value counts as the mean and adds `missing` instead; `center` is the share of
    missing values in training, so that a typical row has log-odds `intercept`.
    """

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficient: tuple[float, ...]
    missing: tuple[float, ...]
    center: tuple[float, ...]
    intercept: float


@dataclass(frozen=True, slots=True)
class RecencyRule:
    """Log-odds by how long ago the last order was.

    Band `i` holds ``edges[i - 1] <= days < edges[i]``; `log_odds` has one more entry than
    `edges`. `unknown` is for customers without an order, `base` for all together.
    """

    edges: tuple[float, ...]
    log_odds: tuple[float, ...]
    unknown: float
    base: float


@dataclass(frozen=True, slots=True)
class BaseRate:
    """The same log-odds for everyone."""

    log_odds: float


Model = Forest | Logistic | RecencyRule | BaseRate
KINDS: Final[dict[type[Model], str]] = {
    Forest: "lightgbm",
    Logistic: "logistic",
    RecencyRule: "recency",
    BaseRate: "base_rate",
}


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model, the names of its columns in order, and its calibration."""

    model: Model
    names: tuple[str, ...]
    calibration: Calibration = Calibration()

    @property
    def served_by(self) -> str:
        """Kind of the model, one of `models.expectation.SERVED_BY`."""
        return KINDS[type(self.model)]

    def predict(self, rows: FloatArray) -> FloatArray:
        """Probability of a yes.

        Parameters
        ----------
        rows : ndarray of float64, shape (n, n_features)
            Columns in the order of `names`; NaN where there is no value.

        Returns
        -------
        ndarray of float64, shape (n,)

        Raises
        ------
        WrongRows
            If the rows have another shape or type.
        """
        return sigmoid(self.log_odds(rows))

    def log_odds(self, rows: FloatArray) -> FloatArray:
        """Log-odds of a yes, calibrated, shape (n,).

        Raises
        ------
        WrongRows
            If the rows have another shape or type.
        """
        self._require_shape(rows)
        if isinstance(self.model, Forest):
            raw = _booster(self.model.text).predict(rows, raw_score=True, num_threads=1)
            line = self.calibration
            return np.asarray(line.slope * np.asarray(raw) + line.intercept, dtype=np.float64)
        return np.asarray(self.contributions(rows).sum(axis=1))

    def contributions(self, rows: FloatArray) -> FloatArray:
        """What each feature adds to the log-odds; the last column is the starting point.

        Returns
        -------
        ndarray of float64, shape (n, n_features + 1)
            ``sigmoid(sum of a row)`` is the prediction.

        Raises
        ------
        WrongRows
            If the rows have another shape or type.
        """
        self._require_shape(rows)
        parts = _contributions(self.model, self.names, rows) * self.calibration.slope
        parts[:, -1] += self.calibration.intercept
        return parts

    def _require_shape(self, rows: FloatArray) -> None:
        if rows.ndim != 2 or rows.shape[1] != len(self.names) or rows.dtype != np.float64:
            raise WrongRows(
                f"rows of shape {rows.shape} and type {rows.dtype}; must be float64 of shape "
                f"(n, {len(self.names)}), in the order of the model's feature names; "
                "compute them with the bundle's own feature set"
            )


def sigmoid(log_odds: FloatArray) -> FloatArray:
    """Probability of log-odds, without overflow at either end."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1.0 + small)


def logit(probability: float) -> float:
    """Log-odds of a probability strictly between 0 and 1."""
    return math.log(probability / (1.0 - probability))


def compressed(rows: FloatArray) -> FloatArray:
    """``sign(x) log(1 + |x|)``: tames the long tails of counts and money, keeps the sign."""
    return np.sign(rows) * np.log1p(np.abs(rows))


def recency_band(days: FloatArray, edges: tuple[float, ...]) -> NDArray[np.int64]:
    """Band of each number of days; ``len(edges) + 1`` where there was no order.

    Parameters
    ----------
    days : ndarray of float64, shape (n,)
    edges : ascending days at which a new band begins
    """
    bands = np.searchsorted(np.asarray(edges), days, side="right")
    return np.where(np.isnan(days), len(edges) + 1, bands).astype(np.int64)


def recency_column(names: tuple[str, ...]) -> int:
    """Place of the feature that rules look at.

    Raises
    ------
    WrongRows
        If the feature set lacks it.
    """
    if RECENCY_FEATURE not in names:
        raise WrongRows(
            f"no feature '{RECENCY_FEATURE}' among the {len(names)} given; "
            "who is at risk depends on it; put it back into the feature set"
        )
    return names.index(RECENCY_FEATURE)


def _contributions(model: Model, names: tuple[str, ...], rows: FloatArray) -> FloatArray:
    if isinstance(model, Forest):
        booster = _booster(model.text)
        return np.array(booster.predict(rows, pred_contrib=True, num_threads=1), dtype=np.float64)
    parts = np.zeros((len(rows), len(names) + 1))
    if isinstance(model, Logistic):
        standard = (compressed(rows) - np.asarray(model.mean)) / np.asarray(model.scale)
        absent = np.isnan(rows)
        parts[:, :-1] = np.where(absent, 0.0, standard) * np.asarray(model.coefficient)
        parts[:, :-1] += (absent - np.asarray(model.center)) * np.asarray(model.missing)
        parts[:, -1] = model.intercept
    elif isinstance(model, RecencyRule):
        column = recency_column(names)
        by_band = np.array([*model.log_odds, model.unknown])
        parts[:, column] = by_band[recency_band(rows[:, column], model.edges)] - model.base
        parts[:, -1] = model.base
    else:
        parts[:, -1] = model.log_odds
    return parts


# A service holds one bundle, or two for the moment in which one takes over from the other.
@lru_cache(maxsize=16)
def _booster(text: str) -> "Booster":
    # lightgbm takes a second to import where pandas is installed: only when it is needed.
    from lightgbm import Booster

    return Booster(model_str=text)
