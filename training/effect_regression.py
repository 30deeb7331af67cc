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
nothing, as strongly as the data themselves say (empirical Bayes, by marginal likelihood).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import Int64Array

FloatArray = NDArray[np.float64]
# Of how large effects are: what all communications share, and each one's own; then the same of
# how they differ between customers.
Pair = tuple[float, float]
Spreads = tuple[float, float, float, float]

# Standard deviations that a coefficient may have before anything is seen, as multiples of the
# noise of one reward: from "there is nothing" to "a third of the noise".
NOTHING: Final = 1e-4
SPREADS: Final = (NOTHING, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
# A communication's own spreads are nothing, or at least these: for how large effects are (a
# message that does something moves some hundredths of what orders vary by themselves; Hillstrom's
# mails moved spend by .03 of its noise, visits by .2) and for how they differ.
LEAST: Final = (0.08, 0.02)
# How much likelier than "nothing" something must be, as a logarithm. To hold that messages do
# nothing, when they do, costs a shop all they bring; to send in vain costs some cents. So the data
# must speak for it, twenty to one: they did in 14 of 14 pilots of 20,000 without any effect, and
# in 1 of 14 with the demo company's. Differences between customers are doubted instead, since
# there are so many ways to differ, and a wrong one costs what the mean would have brought.
DOUBT: Final = (-3.0, 2.0)
# What was shrunk to nothing is not known to be nothing: errors are those under such spreads.
NOT_KNOWN: Final = (0.0, 0.08, 0.0, 0.04)


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
    spreads: Spreads

    @property
    def nothing(self) -> bool:
        """Whether the data do not speak for any effect."""
        return max(self.spreads) <= NOTHING

    @property
    def alike(self) -> bool:
        """Whether they do not speak for differences between customers."""
        return max(self.spreads[2:]) <= NOTHING


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
    values = _posterior(gram, inflation, _prior(spreads, k, levels, d))[0] @ moment
    # The error is that of an estimate under spreads that are not too narrow. One part of it is
    # chance, clustered by customer; the other is what shrinking took away, and the prior says
    # how much that is on average. Together they are the posterior covariance where rows are
    # independent and the noise is as expected, and stay honest where they are not.
    wide = _prior([max(pair) for pair in zip(spreads, NOT_KNOWN, strict=True)], k, levels, d)
    inverse, precision = _posterior(gram, inflation, wide)
    errors = design * (target - design @ (inverse @ moment))[:, None]
    meat = _clustered(errors, lottery.customer) + inflation**2 * precision
    covariance = inverse @ meat @ inverse
    maps = np.kron(np.eye(k), back)
    return Coefficients(
        values=(maps @ values).reshape(k, d),
        covariance=maps @ covariance @ maps.T,
        spreads=spreads,
    )


def _posterior(
    gram: FloatArray, inflation: float, prior: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """The matrix that makes moments into coefficients, and the precision of the prior."""
    precision: FloatArray = np.asarray(np.linalg.inv(prior), dtype=np.float64)
    inverse: FloatArray = np.asarray(np.linalg.inv(gram + inflation * precision), dtype=np.float64)
    return inverse, precision


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
    sums = _by_customer(errors, customer)
    factor = len(sums) / max(1, len(sums) - 1)
    return np.asarray(factor * sums.T @ sums)


def _by_customer(rows: FloatArray, customer: Int64Array) -> FloatArray:
    people, place = np.unique(customer, return_inverse=True)
    sums = np.zeros((len(people), rows.shape[1]))
    np.add.at(sums, place, rows)
    return sums


def _inflation(
    design: FloatArray, target: FloatArray, gram: FloatArray, customer: Int64Array
) -> float:
    """Variance of the moments as it is, over what independent rows of unit noise would give.

    The median over coefficients: a term with a long tail must not speak for all.
    """
    moments = _by_customer(design * target[:, None], customer)
    usual = np.diag(gram)
    ratios = np.sum(moments**2, axis=0)[usual > 0] / usual[usual > 0]
    return float(max(0.1, np.median(ratios))) if len(ratios) else 1.0


def _prior(spreads: Sequence[float], k: int, levels: int, d: int) -> FloatArray:
    """Covariance of the coefficients before anything is seen, shape (k * d, k * d)."""
    common_level, own_level, common_other, own_other = spreads
    shared = np.where(np.arange(d) < levels, common_level, common_other) ** 2
    own = np.where(np.arange(d) < levels, own_level, own_other) ** 2
    return np.kron(np.ones((k, k)), np.diag(shared)) + np.kron(np.eye(k), np.diag(own))


def _likeliest(gram: FloatArray, moment: FloatArray, k: int, levels: int, d: int) -> Spreads:
    """Spreads of the greatest marginal likelihood.

    First how large effects are, on those terms alone; then how they differ.
    """
    first = np.flatnonzero(np.tile(np.arange(d) < levels, k))
    small, start = gram[np.ix_(first, first)], moment[first]
    size = _best_pair(
        lambda pair: _evidence(small, start, _prior((*pair, NOTHING, NOTHING), k, levels, levels)),
        0,
    )
    if d == levels or max(size) == NOTHING:
        return (*size, NOTHING, NOTHING)
    other = _best_pair(
        lambda pair: _evidence(gram, moment, _prior((*size, *pair), k, levels, d)), 1
    )
    return (*size, *other)


def _best_pair(evidence: Callable[[Pair], float], which: int) -> Pair:
    """The likeliest pair of spreads; `which` of `LEAST` and `DOUBT` is meant."""
    nothing = (NOTHING, NOTHING)
    pairs = [(shared, own) for shared in SPREADS for own in SPREADS if own >= LEAST[which]]
    best = max(pairs, key=evidence)
    return best if evidence(best) - DOUBT[which] > evidence(nothing) else nothing


def _evidence(gram: FloatArray, moment: FloatArray, prior: FloatArray) -> float:
    """Log marginal likelihood of the moments, but for a constant."""
    inner = np.eye(len(gram)) + prior @ gram
    size = np.linalg.slogdet(inner)[1]
    return float(-0.5 * size + 0.5 * moment @ np.linalg.solve(inner, prior @ moment))
