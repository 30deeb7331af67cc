"""Effects as a hierarchical regression on what was drawn by lot.

Let ``a`` be the communication drawn, ``p`` the probabilities it was drawn with, ``b(s)`` the
terms of the customer's state and ``m(s)`` the reward that such a customer brings on average under
the lottery. Then

    reward - m(s) = sum over k of (1[a = k] - p_k) * b(s)' theta_k + error,

and because the lottery is known, the error has mean zero given s whatever m is: m only takes
away noise. Source: Robinson (1988); Nie and Wager (2021), the R-learner, here with several
treatments and known probabilities. It is the doubly robust estimator with weights that spare the
rare choices: a drawn message of probability .05 counts as one row, not as twenty.

The coefficients are shrunk: to what all communications have in common, and all of that to
nothing, as strongly as the data themselves say (empirical Bayes, marginal likelihood).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Standard deviations that a coefficient may have before anything is seen, as multiples of the
# noise of one reward: from "there is nothing" to "half as large as the noise".
NOTHING: Final = 1e-4
SPREADS: Final = (NOTHING, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)
# A likelihood takes noise for an effect now and then, and for differences between customers more
# often. Where there is nothing, the logarithm of the ratio stayed below .5 in pilots of 20,000;
# where there is something, it was above 3. So effects at all must be exp(1) times as likely as
# none, and differences on top of them exp(2) times.
DOUBT: Final = (1.0, 2.0)
# What was shrunk to nothing is not known to be nothing. A message moves some hundredths of what
# orders vary by themselves (Hillstrom's mails: spend .03 of its noise): so far the error reaches.
LEAST: Final = (0.0, 0.04, 0.0, 0.01)
PASSES: Final = 2  # searches over each pair of spreads; a third changed none


@dataclass(frozen=True, slots=True)
class Lottery:
    """What was drawn and what came of it; n rows, k communications, d terms.

    Attributes
    ----------
    drawn : ndarray of int64, shape (n,)
        0: no contact; else the number of the communication, from 1.
    probabilities : ndarray of float64, shape (n, k + 1)
    terms : ndarray of float64, shape (n, d)
    excess : ndarray of float64, shape (n,)
        Reward less what was to be expected.
    noise : ndarray of float64, shape (n,)
        Standard deviation of `excess` that is expected of such a row, above 0.
    customer : ndarray of int64, shape (n,)
    """

    drawn: Int64Array
    probabilities: FloatArray
    terms: FloatArray
    excess: FloatArray
    noise: FloatArray
    customer: Int64Array


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Coefficients, shape (k, d), the covariance of their errors, and how far each was let go."""

    values: FloatArray
    covariance: FloatArray
    spreads: tuple[float, ...]


def fit_effects(lottery: Lottery, levels: int) -> Coefficients:
    """Coefficients of every communication on every term.

    Parameters
    ----------
    levels : int
        The first `levels` terms say how large an effect is; the others, how it differs between
        customers. The two are shrunk by themselves.
    """
    k, d = lottery.probabilities.shape[1] - 1, lottery.terms.shape[1]
    back, terms = _apart(lottery.terms / lottery.noise[:, None], levels)
    design = _design(lottery, terms)
    target = lottery.excess / lottery.noise
    gram, moment = design.T @ design, design.T @ target
    inflation = _inflation(design, target, gram, lottery.customer)
    spreads = _likeliest(gram / inflation, moment / inflation, k, levels, d)
    values = _shrunk(gram, moment, inflation, _prior(spreads, k, levels, d))[0]
    # Errors are those of an estimate that was let go further, see `LEAST`.
    wide = _prior([max(pair) for pair in zip(spreads, LEAST, strict=True)], k, levels, d)
    loose, inverse, precision = _shrunk(gram, moment, inflation, wide)
    errors = design * (target - design @ loose)[:, None]
    # Of the error of a shrunk coefficient one part is chance, the other what shrinking took
    # away; the prior says how much that is on average. Their sum is the posterior covariance
    # where rows are independent and the noise is as expected, and honest where they are not.
    meat = _clustered(errors, lottery.customer) + inflation**2 * precision
    covariance = inverse @ meat @ inverse
    maps = np.kron(np.eye(k), back)
    return Coefficients((maps @ values).reshape(k, d), maps @ covariance @ maps.T, spreads)


def _shrunk(
    gram: FloatArray, moment: FloatArray, inflation: float, prior: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Posterior mean, the inverse it came by, and the precision of the prior."""
    precision = np.linalg.inv(prior)
    inverse = np.linalg.inv(gram + inflation * precision)
    return inverse @ moment, inverse, precision


def _apart(terms: FloatArray, levels: int) -> tuple[FloatArray, FloatArray]:
    """Terms on one scale, the later ones cleared of the first; and the way back.

    Returns
    -------
    back : ndarray of float64, shape (d, d)
        ``terms @ back`` are the new ones, so ``back @ coefficients`` are those of the old.
    """
    d = terms.shape[1]
    back = np.eye(d)
    first = terms[:, :levels]
    share = np.linalg.lstsq(first, terms[:, levels:], rcond=1e-10)[0]
    back[:levels, levels:] = -share
    scale = np.sqrt(np.mean((terms @ back) ** 2, axis=0))
    back = back / np.where(scale > 1e-9, scale, np.inf)
    return back, terms @ back


def _design(lottery: Lottery, terms: FloatArray) -> FloatArray:
    """Rows of (1[a = k] - p_k) * terms, shape (n, k * d)."""
    apart = -lottery.probabilities[:, 1:].copy()
    sent = np.flatnonzero(lottery.drawn > 0)
    apart[sent, lottery.drawn[sent] - 1] += 1.0
    return (apart[:, :, None] * terms[:, None, :]).reshape(len(terms), -1)


def _clustered(errors: FloatArray, customer: Int64Array) -> FloatArray:
    """Sum over customers of the outer product of their summed rows."""
    people, place = np.unique(customer, return_inverse=True)
    sums = np.zeros((len(people), errors.shape[1]))
    np.add.at(sums, place, errors)
    factor = len(people) / max(1, len(people) - 1)
    return np.asarray(factor * sums.T @ sums)


def _inflation(
    design: FloatArray, target: FloatArray, gram: FloatArray, customer: Int64Array
) -> float:
    """Variance of the moments as it is, over what independent rows of unit noise would give."""
    meat = _clustered(design * target[:, None], customer)
    return float(max(0.1, np.trace(meat) / max(np.trace(gram), 1e-12)))


def _prior(spreads: Sequence[float], k: int, levels: int, d: int) -> FloatArray:
    """Covariance of the coefficients before anything is seen, shape (k * d, k * d)."""
    common_level, own_level, common_other, own_other = spreads
    shared = np.where(np.arange(d) < levels, common_level, common_other) ** 2
    own = np.where(np.arange(d) < levels, own_level, own_other) ** 2
    return np.kron(np.ones((k, k)), np.diag(shared)) + np.kron(np.eye(k), np.diag(own))


def _likeliest(
    gram: FloatArray, moment: FloatArray, k: int, levels: int, d: int
) -> tuple[float, float, float, float]:
    """Spreads of the greatest marginal likelihood, found one after the other.

    First how large effects are, on those terms alone, then how they differ.
    """
    first = np.flatnonzero(np.tile(np.arange(d) < levels, k))
    small, start = gram[np.ix_(first, first)], moment[first]
    found = [NOTHING, SPREADS[2], NOTHING, NOTHING]
    for which in (*(0, 1) * PASSES, *(2, 3) * PASSES):
        trials = [[*found[:which], spread, *found[which + 1 :]] for spread in SPREADS]
        values = [
            _evidence(small, start, _prior(trial, k, levels, levels))
            if which < 2
            else _evidence(gram, moment, _prior(trial, k, levels, d))
            for trial in trials
        ]
        found = trials[int(np.argmax(np.array(values) - [_doubt(trial) for trial in trials]))]
    return found[0], found[1], found[2], found[3]


def _doubt(spreads: Sequence[float]) -> float:
    """How much likelier than nothing the spreads must be, as a logarithm."""
    pairs = (spreads[:2], spreads[2:])
    return sum(doubt for doubt, pair in zip(DOUBT, pairs, strict=True) if max(pair) > NOTHING)


def _evidence(gram: FloatArray, moment: FloatArray, prior: FloatArray) -> float:
    """Log marginal likelihood of the moments, but for a constant."""
    inner = np.eye(len(gram)) + prior @ gram
    size = np.linalg.slogdet(inner)[1]
    return float(-0.5 * size + 0.5 * moment @ np.linalg.solve(inner, prior @ moment))
