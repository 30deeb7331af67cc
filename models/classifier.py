"""A yes-or-no model of any kind: predicts a probability and says what made it up.

Whatever serves has the same file, the same reasons and the same checks. Log-odds of each kind
add up over features; a calibration ``slope * log-odds + intercept`` with a positive slope
follows and keeps that sum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Final, cast

import numpy as np

from models.btyd import BgNbd, ParetoNbd
from models.forest import Forest
from models.logistic import Logistic, compressed
from models.model import DamagedModel, Direct, FloatArray, Model, WrongRows, logit, sigmoid
from models.rules import RECENCY_FEATURE, BaseRate, RecencyRule, recency_band, recency_column

__all__ = [
    "KINDS",
    "RECENCY_FEATURE",
    "BaseRate",
    "BgNbd",
    "Calibration",
    "Classifier",
    "DamagedModel",
    "Forest",
    "Logistic",
    "Model",
    "ParetoNbd",
    "RecencyRule",
    "WrongRows",
    "compressed",
    "logit",
    "recency_band",
    "recency_column",
    "sigmoid",
]

# A new kind is a line here; bundles are read by it.
KINDS: Final[Mapping[str, type[Model]]] = MappingProxyType(
    {kind.kind: kind for kind in (Forest, Logistic, RecencyRule, BgNbd, ParetoNbd, BaseRate)}
)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Monotone map of log-odds: ``slope * x + intercept``, slope > 0. Source: Platt (1999)."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True)
class Classifier:
    """A model, the names of its columns in order, and its calibration."""

    model: Model
    names: tuple[str, ...]
    calibration: Calibration = Calibration()

    @property
    def served_by(self) -> str:
        """Kind of the model, one of `models.expectation.SERVED_BY`."""
        return self.model.kind

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
        direct = _direct(self.model)
        if direct is not None:
            raw = direct.raw_log_odds(rows, self.names)
            line = self.calibration
            return np.asarray(line.slope * raw + line.intercept, dtype=np.float64)
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
        parts = self.model.contributions(rows, self.names) * self.calibration.slope
        parts[:, -1] += self.calibration.intercept
        return parts

    def _require_shape(self, rows: FloatArray) -> None:
        if rows.ndim != 2 or rows.shape[1] != len(self.names) or rows.dtype != np.float64:
            raise WrongRows(
                f"rows of shape {rows.shape} and type {rows.dtype}; must be float64 of shape "
                f"(n, {len(self.names)}), in the order of the model's feature names; "
                "compute them with the bundle's own feature set"
            )


def _direct(model: Model) -> Direct | None:
    """The model as one that knows its log-odds sooner, if it does."""
    return cast(Direct, model) if _is_direct(type(model)) else None


# Asked of a class once: to ask it of an object takes longer than adding up a forest's leaves.
@cache
def _is_direct(kind: type[Model]) -> bool:
    return hasattr(kind, "raw_log_odds")
