"""Rows to try a bundle on: as varied as customers are, and no customer among them."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

GOLDEN_ROWS: Final = 64
# How many of them are explained too. Shapley values visit every leaf of a forest whatever the
# row, so that few rows show a change in any leaf; thresholds need rows on both sides.
EXPLAINED_ROWS: Final = 8
_LEVELS: Final = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
_DIGITS: Final = 6  # significant ones that a golden value keeps: shorter files, nobody's value
_ANY_SEED: Final = 64  # the same rows again from the same table; no other number would be worse


def golden_rows(rows: FloatArray) -> FloatArray:
    """Rows made of the quantiles of each feature by itself.

    The first seven go from low to high in all features at once, the eighth knows nothing. In
    the others each feature takes evenly spaced quantiles, missing as often as it is in `rows`,
    in an order of its own: a Latin hypercube. Source: McKay, Beckman and Conover (1979).

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features), n > 0
        NaN where there is no value.

    Returns
    -------
    ndarray of float64, shape (GOLDEN_ROWS, n_features)
    """
    rng = np.random.default_rng(_ANY_SEED)
    together = np.array([_quantiles(column, np.array(_LEVELS)) for column in rows.T]).T
    nothing_known = np.where(np.isnan(rows).any(axis=0), np.nan, 0.0)
    n_mixed = GOLDEN_ROWS - len(together) - 1
    mixed = np.array([rng.permutation(_spread(column, n_mixed)) for column in rows.T]).T
    return np.vstack([together, nothing_known, mixed])


def _spread(column: FloatArray, n: int) -> FloatArray:
    """Evenly spaced quantiles, shape (n,), with the column's own share of NaN."""
    n_missing = round(n * float(np.isnan(column).mean()))
    known = n - n_missing
    levels = (np.arange(known) + 0.5) / max(known, 1)
    return np.concatenate([_quantiles(column, levels), np.full(n_missing, np.nan)])


def _quantiles(column: FloatArray, levels: FloatArray) -> FloatArray:
    """Quantiles of the values there are, shape (n_levels,), rounded; NaN without any."""
    present = column[~np.isnan(column)]
    if not len(present):
        return np.full(len(levels), np.nan)
    found = np.quantile(present, levels)
    return np.array([float(f"{value:.{_DIGITS}g}") for value in found])
