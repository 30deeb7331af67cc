"""Whether communications were really drawn by lot: the contrast before anything was sent.

A message cannot change what a customer did before it. Where those who got it had already brought
more money than chance allows, they were picked, and what they brought afterwards tells of the
picking, not of the message.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from features.signals import Int64Array

FloatArray = NDArray[np.float64]

# One sound log in a thousand is refused, and asked for anew at the next training.
LEVEL: Final = 1e-3
# Fewer who got a message say nothing about how they were picked.
FEWEST_SENT: Final = 20

REMEDY: Final = (
    "start a uniform slice: set uniform_share = 0.05 in policy.toml and let the engine decide for "
    "a few weeks; it then chooses by lot for that share and logs the probabilities"
)


class NotRandomised(ValueError):
    """Decisions that were not drawn by lot: no effect may be learned from them."""


@dataclass(frozen=True, slots=True)
class Placebo:
    """The contrast between those who got a message and those who could have, money a customer.

    Attributes
    ----------
    before, before_error : float
        In the time before the decision, with its standard error; clustered by customer.
    after : float
        In the time after it.
    chance : float
        How likely so large a difference before is where a lottery chose.
    """

    before: float
    before_error: float
    after: float
    chance: float


def placebo(
    drawn: Int64Array,
    probabilities: FloatArray,
    before: FloatArray,
    after: FloatArray,
    customer: Int64Array,
) -> Placebo:
    """Look at the time before with the very contrast that effects are learned from.

    With a lottery, ``(1[drawn = k] - p_k) * before`` has mean zero for each communication k. All
    of them are tested together (Wald), with customers as clusters.

    Parameters
    ----------
    drawn : ndarray of int64, shape (n,)
        0: no contact, else the number of the communication.
    probabilities : ndarray of float64, shape (n, k + 1)
        What each was drawn with. Where nobody wrote them down: the shares that were sent.
    before, after : ndarray of float64, shape (n,)
        Reward in windows of the same length before and after the decision; NaN: not known.
    customer : ndarray of int64, shape (n,)

    Raises
    ------
    NotRandomised
        If the chance is below `LEVEL`.
    """
    known = ~np.isnan(before) & ~np.isnan(after)
    drawn, probabilities, customer = drawn[known], probabilities[known], customer[known]
    before, after = before[known], after[known]
    apart = _contrast(drawn, probabilities)
    # A communication that was hardly sent has no bell curve yet.
    apart = apart[:, [int((drawn == 1 + k).sum()) >= FEWEST_SENT for k in range(apart.shape[1])]]
    if not len(drawn) or not apart.shape[1]:
        return Placebo(0.0, 0.0, 0.0, 1.0)
    _, place = np.unique(customer, return_inverse=True)
    # Any constant may be taken off: the mean makes the test sharper.
    sums = _by_customer(apart * (before - before.mean())[:, None], place)
    found, spread = sums.sum(axis=0), sums.T @ sums
    wald = float(found @ np.linalg.pinv(spread) @ found)
    chance = float(chi2.sf(wald, np.linalg.matrix_rank(spread)))
    any_sent = apart.sum(axis=1)
    scale = max(float(np.sum(any_sent**2)), 1e-12)
    moved = _by_customer((any_sent * (before - before.mean()))[:, None], place)[:, 0]
    result = Placebo(
        before=float(moved.sum()) / scale,
        before_error=float(np.sqrt(np.sum(moved**2))) / scale,
        after=float(any_sent @ (after - after.mean())) / scale,
        chance=chance,
    )
    if chance < LEVEL:
        raise NotRandomised(
            f"those who got a message brought {result.after:+.2f} a customer afterwards, but "
            f"{result.before:+.2f} (standard error {result.before_error:.2f}) already in the same "
            "time BEFORE it: they were picked, not drawn by lot, and no effect can be learned from "
            f"them; {REMEDY}"
        )
    return result


def _contrast(drawn: Int64Array, probabilities: FloatArray) -> FloatArray:
    """1[drawn = k] - p_k, shape (n, k)."""
    got = drawn[:, None] == np.arange(1, probabilities.shape[1])
    return np.asarray(got - probabilities[:, 1:])


def _by_customer(rows: FloatArray, place: Int64Array) -> FloatArray:
    sums = np.zeros((int(place.max()) + 1, rows.shape[1]))
    np.add.at(sums, place, rows)
    return sums
