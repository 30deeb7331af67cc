"""How far the margin that comes may lie from the expected one."""

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.model import DamagedModel

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Intervals:
    """Multiples of the expected margin between which a share of all customers will be.

    Customers are banded by expected margin, since what is little and what is much both scale
    with it, but not by the same factors: who hardly buys any more mostly buys nothing.

    Attributes
    ----------
    share : float
        How many of a hundred, by hundred, are meant to be inside.
    edges : tuple of float
        Expected margins at which a new band begins, ascending; currency units.
    low, high : tuple of float
        Ends of the interval by band, one more than `edges`, as multiples of the expected margin.
    least : float
        An expected margin below this counts as this much, so that a multiple of nothing is
        something.
    """

    share: float
    edges: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    least: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or not self.least > 0:
            raise DamagedModel(
                f"intervals of share {self.share:g} above {self.least:g}; must be a share between "
                "0 and 1, and money above 0"
            )
        if not len(self.low) == len(self.high) == len(self.edges) + 1:
            raise DamagedModel(
                f"{len(self.edges)} edges of bands, {len(self.low)} low and {len(self.high)} high "
                "ends; must be one more end than edges"
            )
        if list(self.edges) != sorted(self.edges):
            raise DamagedModel("edges of bands that do not ascend; must ascend")
        if any(low > high for low, high in zip(self.low, self.high, strict=True)):
            raise DamagedModel("an interval that ends before it begins; must be low, then high")

    def around(self, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Low and high ends around expected margins of shape (n,); the margin is between them."""
        band = np.searchsorted(np.asarray(self.edges), expected, side="right")
        scale = np.maximum(expected, self.least)
        low, high = np.asarray(self.low)[band] * scale, np.asarray(self.high)[band] * scale
        return np.minimum(low, expected), np.maximum(high, expected)

    def around_one(self, expected: float) -> tuple[float, float]:
        """The same of a single margin, without the arrays; to the last bit."""
        band, scale = bisect_right(self.edges, expected), max(expected, self.least)
        return min(self.low[band] * scale, expected), max(self.high[band] * scale, expected)
