"""How far off an expected margin may be: conformal bands, without assuming any distribution."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from features.signals import Int64Array
from models.margin_interval import Intervals

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SHARE: Final = 0.9  # of customers, inside their interval
MOST_BANDS: Final = 10
# Of a band: with fewer, the twentieth customer from the end is a matter of luck.
CUSTOMERS_PER_BAND: Final = 50
LEAST_EXPECTED: Final = 0.01  # of the mean margin; see `Intervals.least`


def unseen_predictions(
    customers: Int64Array, foretell: Callable[[BoolArray], FloatArray | None], rng: Generator
) -> FloatArray | None:
    """Predictions for each half of the customers by what was learned from the other half.

    Parameters
    ----------
    customers : ndarray of int64, shape (n,)
    foretell : function of a mask of shape (n,)
        Learns from the rows outside the mask and predicts those inside, shape (n_inside,); None
        if what is outside does not suffice.

    Returns
    -------
    ndarray of float64, shape (n,), or None
    """
    people = np.unique(customers)
    half = (rng.permutation(len(people)) % 2 == 0)[np.searchsorted(people, customers)]
    found = np.zeros(len(customers))
    for inside in (half, ~half):
        said = foretell(inside)
        if said is None:
            return None
        found[inside] = said
    return found


def conformal_intervals(
    expected: FloatArray, margin: FloatArray, customers: Int64Array
) -> Intervals | None:
    """Bands of the expected margin, and the multiples of it that hold `SHARE` of what came.

    As the rows of one customer are alike, a band counts as many as it has customers, not rows,
    where the ends are moved out for what a finite sample may miss. None for too few customers.

    Parameters
    ----------
    expected : ndarray of float64, shape (n,)
        Each foretold by a model that had not seen the customer.
    margin : ndarray of float64, shape (n,)
    customers : ndarray of int64, shape (n,)

    Notes
    -----
    On Complete Journey and on the demo company two quantile forests, conformed (CQR), had an
    interval score within 2 % of this, and would have to be stored, checked and asked.

    Source: Lei and others (2018), "Distribution-free predictive inference for regression"; by
    bands of the expected value: Boström and Johansson (2020), "Mondrian conformal regressors".
    """
    n_bands = min(MOST_BANDS, len(np.unique(customers)) // CUSTOMERS_PER_BAND)
    if n_bands == 0:
        return None
    least = max(LEAST_EXPECTED * float(np.mean(np.abs(margin))), 1e-6)
    levels = np.arange(1, n_bands) / n_bands
    # Values that occur, each once, the smallest left out: then no band is empty.
    edges = np.unique(np.quantile(expected, levels, method="higher"))
    edges = edges[edges > expected.min()]
    band = np.searchsorted(edges, expected, side="right")
    multiples = margin / np.maximum(expected, least)
    ends = [
        ends_of(multiples[band == each], len(np.unique(customers[band == each])))
        for each in range(len(edges) + 1)
    ]
    low, high = zip(*ends, strict=True)
    return Intervals(SHARE, tuple(edges.tolist()), low, high, least)


def ends_of(values: FloatArray, customers: int) -> tuple[float, float]:
    """Ends that hold `SHARE` of the values: as much beyond either, unless nothing lies below.

    Where many margins are the same smallest one, mostly 0, none is below it, and the upper end
    has all that may be outside.

    Parameters
    ----------
    values : ndarray of float64, shape (n,), n > 0
    customers : int
        Whose they are.
    """
    tail = (1 - SHARE) / 2
    wider = (customers + 1) / max(customers, 1)
    low = float(np.quantile(values, max(1 - (1 - tail) * wider, 0.0), method="lower"))
    below = float(np.mean(values < low))
    high = float(np.quantile(values, min((SHARE + below) * wider, 1.0), method="higher"))
    return low, max(high, low)
