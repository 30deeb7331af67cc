"""The one integral behind Pareto/NBD, without a hypergeometric function.

``I = integral from low to high of (a + t) ** -m * (b + t) ** -q dt`` is a difference of two
Gaussian hypergeometric functions 2F1. Their series converge slowly where a and b are far apart,
and their difference loses its digits where they are equal. The integrand itself is positive, and
with ``u = log(min(a, b) + t)`` its logarithm is concave: one peak, and tails no heavier than
exponential ones. So it is cut where it has fallen by `DROP`, on either side of the peak, and
each side is summed by Gauss-Legendre nodes.
"""

from typing import Final, NamedTuple

import numpy as np

from models.model import FloatArray

# e ** -40 is below the last digit of a double.
DROP: Final = 40.0
# Over a fall of e ** -40 this rule of Gauss is right to 1e-12.
NODES, WEIGHTS = (array.astype(np.float64) for array in np.polynomial.legendre.leggauss(24))
# Newton's steps towards the cut. They come from outside, so that fewer would only cut later.
_STEPS: Final = 5


class Powers(NamedTuple):
    """``(a + t) ** -m * (b + t) ** -q``; each a number or an ndarray of shape (n,)."""

    a: FloatArray
    m: FloatArray
    b: FloatArray
    q: FloatArray


class Nodes(NamedTuple):
    """Where the integrand is looked at, and what each look weighs; each of shape (n, n_nodes).

    Attributes
    ----------
    t : the nodes
    share : parts of the integral, which add up to 1
    """

    t: FloatArray
    share: FloatArray


def log_integral(powers: Powers, low: FloatArray, high: FloatArray) -> FloatArray:
    """Logarithm of the integral; minus infinity where `high` is not above `low`.

    Parameters
    ----------
    powers : Powers
        a, b > 0.
    low, high : ndarray of float64, shape (n,)
        Not below 0.

    Returns
    -------
    ndarray of float64, shape (n,)
    """
    return integral(powers, low, high)[0]


def integral(powers: Powers, low: FloatArray, high: FloatArray) -> tuple[FloatArray, Nodes]:
    """Logarithm of the integral, and the nodes it was summed over.

    A derivative of the logarithm with regard to a parameter is the mean of the integrand's,
    weighted by `Nodes.share`.
    """
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    a, m, b, q = np.broadcast_arrays(*powers, low)[:4]
    near, far = np.minimum(a, b), np.maximum(a, b)
    own, other = np.where(a <= b, m, q), np.where(a <= b, q, m)  # exponents of near and far
    gap = far - near
    start, stop = np.log(near + low), np.log(near + np.maximum(high, low))
    peak = np.clip(_peak(own, other, gap), start, stop)
    top = _height(peak, own, other, gap)
    first = _cut(start, peak, top, (own, other, gap))
    last = _cut(stop, peak, top, (own, other, gap))
    u = np.concatenate([_spread(first, peak), _spread(peak, last)], axis=1)
    step = np.concatenate(
        [0.5 * (peak - first)[:, None] * WEIGHTS, 0.5 * (last - peak)[:, None] * WEIGHTS], axis=1
    )
    parts = step * np.exp(_height(u, own[:, None], other[:, None], gap[:, None]) - top[:, None])
    total = parts.sum(axis=1)
    empty = total <= 0
    share = parts / np.where(empty, 1.0, total)[:, None]
    found = np.where(empty, -np.inf, np.log(np.where(empty, 1.0, total)) + top)
    return found, Nodes(np.exp(u) - near[:, None], share)


def _height(u: FloatArray, own: FloatArray, other: FloatArray, gap: FloatArray) -> FloatArray:
    """Logarithm of the integrand in u, with the ``e ** u`` of dt."""
    return (1.0 - own) * u - other * np.log(gap + np.exp(u))


def _peak(own: FloatArray, other: FloatArray, gap: FloatArray) -> FloatArray:
    """Where the height is greatest; plus or minus infinity where it only rises or falls."""
    rise, fall = 1.0 - own, own + other - 1.0
    inside = (rise > 0) & (fall > 0) & (gap > 0)
    ratio = np.where(inside, gap * rise, 1.0) / np.where(inside, fall, 1.0)
    only = np.where((fall > 0) & ((rise <= 0) | (gap <= 0)), -np.inf, np.inf)
    return np.where(inside, np.log(ratio), only)


def _cut(
    end: FloatArray,
    peak: FloatArray,
    top: FloatArray,
    shape: tuple[FloatArray, FloatArray, FloatArray],
) -> FloatArray:
    """The end, or a place between it and the peak beyond which less than e ** -DROP lies."""
    own, other, gap = shape
    u = end
    for _ in range(_STEPS):
        below = _height(u, own, other, gap) - (top - DROP)
        grown = np.exp(u)
        slope = (1.0 - own) - other * grown / (gap + grown)
        steep = (below < 0) & (slope != 0)
        u = np.where(steep, u - below / np.where(steep, slope, 1.0), u)
    between = (np.minimum(end, peak), np.maximum(end, peak))
    return np.clip(u, *between)


def _spread(start: FloatArray, stop: FloatArray) -> FloatArray:
    """Nodes of Gauss between two ends, shape (n, n_nodes)."""
    middle, half = 0.5 * (start + stop), 0.5 * (stop - start)
    return middle[:, None] + half[:, None] * NODES
