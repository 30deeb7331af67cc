"""What values of each feature were seen in training: the ground that a model stands on."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# The outermost hundredths are left out: there a model has seen too few people to be asked about.
LOW_SHARE: Final = 0.01
HIGH_SHARE: Final = 0.99


@dataclass(frozen=True, slots=True)
class Ranges:
    """One number a feature in each, in the order of a row; None where nothing was seen.

    Attributes
    ----------
    low, high : tuple of float or None
        The 1st and the 99th percentile of the training rows that have a value.
    usual : tuple of float or None
        Their median.
    spread : tuple of float or None
        Standard deviation of what lies between `low` and `high`: one standardised step.
    """

    low: tuple[float | None, ...] = ()
    high: tuple[float | None, ...] = ()
    usual: tuple[float | None, ...] = ()
    spread: tuple[float | None, ...] = ()


def ranges_of(rows: FloatArray) -> Ranges:
    """Ranges of the columns of `rows`, shape (n, n_features); NaN where there is no value."""
    found = [_range(column[~np.isnan(column)]) for column in rows.T]
    return Ranges(*(tuple(each[place] for each in found) for place in range(4)))


def _range(values: FloatArray) -> tuple[float | None, float | None, float | None, float | None]:
    if not len(values):
        return None, None, None, None
    low, usual, high = np.quantile(values, (LOW_SHARE, 0.5, HIGH_SHARE), method="nearest")
    inside = values[(values >= low) & (values <= high)]
    return float(low), float(high), float(usual), float(np.std(inside))
