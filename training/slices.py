"""Parts of the customers: nobody's score may surely get worse because others' get better."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array
from models.evaluation import Gate
from models.model import FloatArray
from training.metrics import loss_difference

# How long somebody is a customer, what they are worth and how silent they are.
SLICED_BY: Final = ("days_since_first_order", "spend_365d", "days_since_last_activity")
# A slice of fewer rows is not looked at.
FEWEST_ROWS: Final = 500
# Worse by less, relative to the champion's loss, is let through. Of thirty slices of two equal
# models one is surely above 0 by chance. A judgement: twice the margin of the whole.
SLICE_MARGIN: Final = 0.02


def slices(rows: FloatArray, names: tuple[str, ...]) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Thirds of the rows by each feature of `SLICED_BY`, and those without a value, by name."""
    for name in SLICED_BY:
        values = rows[:, names.index(name)]
        known = ~np.isnan(values)
        if known.any():
            first, second = np.quantile(values[known], (1 / 3, 2 / 3))
            yield f"{name} up to {first:g}", known & (values <= first)
            yield (
                f"{name} above {first:g} up to {second:g}",
                known & (values > first) & (values <= second),
            )
            yield f"{name} above {second:g}", known & (values > second)
        yield f"no {name}", ~known


def slice_gate(
    target: str,
    parts: Iterator[tuple[str, NDArray[np.bool_]]],
    customers: Int64Array,
    losses: tuple[FloatArray, FloatArray],
    rng: np.random.Generator,
) -> Gate:
    """Whether no slice is surely worse off than with the champion.

    Parameters
    ----------
    customers : ndarray of int64, shape (n,)
    losses : two ndarrays of float64, shape (n,)
        The challenger's and the champion's.
    """
    found = [
        (where, int(mask.sum()), loss_difference(customers[mask], new[mask], old[mask], rng))
        for where, mask in parts
        if mask.sum() >= FEWEST_ROWS
        for new, old in [losses]
    ]
    name = f"{target}: slices"
    if not found:
        return Gate(name, True, f"none has {FEWEST_ROWS} rows")
    where, rows, loss = max(found, key=lambda each: each[2].low)
    worse = loss.low > SLICE_MARGIN
    return Gate(
        name,
        not worse,
        f"worst of {len(found)}: {where}, {rows:,} rows, log loss {100 * loss.difference:+.1f} % "
        f"({100 * loss.low:+.1f} to {100 * loss.high:+.1f} %); {'' if worse else 'not '}surely "
        f"higher by more than {100 * SLICE_MARGIN:g} %",
    )
