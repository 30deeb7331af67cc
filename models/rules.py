"""Rules that one can work out by hand: a share for everyone, and shares by days of silence."""

from dataclasses import dataclass
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from models.model import DamagedModel, FloatArray, feature_column

RECENCY_FEATURE: Final = "days_since_last_order"


@dataclass(frozen=True, slots=True)
class BaseRate:
    """The same log-odds for everyone."""

    kind: ClassVar[str] = "base_rate"

    log_odds: float

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """See `models.model.Model`."""
        parts = np.zeros((len(rows), len(names) + 1))
        parts[:, -1] = self.log_odds
        return parts

    def raw_log_odds(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """See `models.model.Direct`."""
        return np.full(len(rows), self.log_odds)


@dataclass(frozen=True, slots=True)
class RecencyRule:
    """Log-odds by how long ago the last order was, or by another feature that tells of silence.

    Band `i` holds ``edges[i - 1] <= days < edges[i]``; `log_odds` has one more entry than
    `edges`. `unknown` is for customers without an order, `base` for all together; `feature` is
    the one that is looked at.
    """

    kind: ClassVar[str] = "recency"

    edges: tuple[float, ...]
    log_odds: tuple[float, ...]
    unknown: float
    base: float
    feature: str = RECENCY_FEATURE

    def __post_init__(self) -> None:
        if len(self.log_odds) != len(self.edges) + 1 or list(self.edges) != sorted(self.edges):
            raise DamagedModel(
                f"a rule with {len(self.log_odds)} bands and edges {self.edges[:9]}; must have "
                "ascending edges and one band more"
            )

    def contributions(self, rows: FloatArray, names: tuple[str, ...]) -> FloatArray:
        """See `models.model.Model`."""
        parts = np.zeros((len(rows), len(names) + 1))
        column = feature_column(names, self.feature)
        by_band = np.array([*self.log_odds, self.unknown])
        parts[:, column] = by_band[recency_band(rows[:, column], self.edges)] - self.base
        parts[:, -1] = self.base
        return parts


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
    return feature_column(names, RECENCY_FEATURE)
