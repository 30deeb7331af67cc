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
nothing, as strongly as the data themselves say (by marginal likelihood, averaged).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
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
# noise of one reward. A message that does something moves some hundredths of what orders vary by
# themselves; Hillstrom's mails moved spend by .03 of its noise, visits by .2.
NOTHING: Final = 1e-4
SPREADS: Final = (NOTHING, 0.01, 0.02, 0.04, 0.08, 0.16)
# Where something is found, smaller sizes are left out: they shrink what there is towards nothing,
# and that nothing was found has been ruled out already. In pilots of 20,000 of three companies
# they cost .05 of what is to be had.
SIZES: Final = (0.04, 0.08, 0.16, 0.32)
# There are many ways to differ, and a wrong one costs what the mean would have brought: before
# anything is seen, that they do not is held seven times as likely as all these ways together.
ALIKE: Final = 7.0
# What was shrunk to nothing is not known to be nothing: errors are those under such spreads.
NOT_KNOWN: Final = (0.0, 0.08, 0.0, 0.08)
# How far a row may speak, in standard deviations. For how large effects are: few large orders must
# not say it alone. For whether there are any, every row counts about alike: half of all orders
# are large ones, and at 1 nine in ten pilots of 20,000 tell, at 4 eight.
WILDEST: Final = 4.0
EVEN: Final = 1.0
LEAST_BELIEVED: Final = 0.02  # of the likeliest spreads: what is less likely is left out


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
    """Coefficients and the covariance of their errors.

    Attributes
    ----------
    values : ndarray of float64, shape (k, d)
    covariance : ndarray of float64, shape (k * d, k * d)
    differ : float
        How likely it is that effects differ between customers, from 0 to 1.
    """

    values: FloatArray
    covariance: FloatArray
    differ: float


def fit_effects(lottery: Lottery, levels: int) -> Coefficients:
    """Coefficients of every communication on every term.

    How far coefficients may lie from nothing, and from each other, is not known either. All that
    it may be is tried, and what each finds is averaged as the data speak for it; the likeliest
    alone would be too sure (in pilots of 20,000 it earned .73 of what was to be had, the average
    .79).

    Parameters
    ----------
    levels : int
        The first `levels` terms say how large an effect is; the others, how it differs between
        customers. The two are shrunk by themselves.
    """
    k, d = lottery.probabilities.shape[1] - 1, lottery.terms.shape[1]
    found = _moments(_balanced(lottery), levels)
    believed = _believed(found, k, levels, d)
    values: FloatArray = np.zeros(k * d)
    for spreads, likely in believed.items():
        values += likely * (_posterior(found, _prior(spreads, k, levels, d)) @ found.moment)
    # The error is that of an estimate under spreads that are not too narrow. One part of it is
    # chance, clustered by customer; the other is what shrinking took away, and the prior says
    # how much that is on average.
    likeliest = max(believed, key=lambda each: believed[each])
    wide = _prior([max(pair) for pair in zip(likeliest, NOT_KNOWN, strict=True)], k, levels, d)
    inverse = _posterior(found, wide)
    errors = found.design * (found.target - found.design @ (inverse @ found.moment))[:, None]
    meat = _clustered(errors, lottery.customer) / found.inflation**2 + np.linalg.inv(wide)
    maps = np.kron(np.eye(k), found.back)
    return Coefficients(
        values=np.asarray((maps @ values).reshape(k, d)),
        covariance=maps @ inverse @ meat @ inverse @ maps.T,
        differ=sum(likely for (*_, a, b), likely in believed.items() if max(a, b) > NOTHING),
    )


def odds_of_something(lottery: Lottery, levels: int) -> float:
    """How much likelier it is that messages do something than that none does, as a logarithm.

    The marginal likelihood of the rewards, averaged over how large effects may be, against that
    of no effect at all (a Bayes factor; Kass and Raftery, 1995).
    """
    k = lottery.probabilities.shape[1] - 1
    plain = replace(lottery, terms=lottery.terms[:, :levels], excess=_clipped(lottery, EVEN))
    found = _moments(plain, levels)
    sizes = [pair for pair in product(SPREADS, repeat=2) if max(pair) > NOTHING]
    evidence = [
        _evidence(found, _prior((*pair, NOTHING, NOTHING), k, levels, levels)) for pair in sizes
    ]
    return _log_mean(evidence)


@dataclass(frozen=True, slots=True)
class _Moments:
    """What the rows say, all in all, in units in which their noise is 1.

    Attributes
    ----------
    gram : ndarray of float64, shape (k * d, k * d)
    moment : ndarray of float64, shape (k * d,)
    back : ndarray of float64, shape (d, d)
        Makes coefficients of the terms out of those found here.
    design : ndarray of float64, shape (n, k * d)
    target : ndarray of float64, shape (n,)
    inflation : float
        What gram and moment were divided by: rows of one customer resemble each other, and noise
        is not quite what was expected, so that there is as much less to be learned.
    """

    gram: FloatArray
    moment: FloatArray
    back: FloatArray
    design: FloatArray
    target: FloatArray
    inflation: float


def _clipped(lottery: Lottery, wildest: float) -> FloatArray:
    most = wildest * lottery.noise
    return np.clip(lottery.excess, -most, most)


def _balanced(lottery: Lottery) -> Lottery:
    """Rows that weigh less the noisier they are, but not as little as their noise asks for.

    Dear customers' orders vary most, and theirs is the money that decides. Weights by the noise,
    and not by its square, stand between what tells most of customers and what tells most of money.
    """
    excess = _clipped(lottery, WILDEST)
    usual = max(float(np.sqrt(np.mean(excess**2))), 1e-12)
    return replace(lottery, excess=excess, noise=np.sqrt(lottery.noise * usual))


def _moments(lottery: Lottery, levels: int) -> _Moments:
    back, terms = _apart(lottery.terms / lottery.noise[:, None], levels)
    design = _design(lottery, terms)
    target = lottery.excess / lottery.noise
    gram, moment = design.T @ design, design.T @ target
    inflation = _inflation(design, target, gram, lottery.customer)
    return _Moments(gram / inflation, moment / inflation, back, design, target, inflation)


def _posterior(found: _Moments, prior: FloatArray) -> FloatArray:
    """The matrix that makes moments into coefficients, given what these may be."""
    return np.asarray(np.linalg.inv(found.gram + np.linalg.inv(prior)), dtype=np.float64)


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


def _believed(found: _Moments, k: int, levels: int, d: int) -> dict[Spreads, float]:
    """Spreads and how likely each is; the shares sum to 1.

    First how large effects are, on those terms alone; then how they differ, at the likeliest of
    these.
    """
    first = np.flatnonzero(np.tile(np.arange(d) < levels, k))
    small = replace(found, gram=found.gram[np.ix_(first, first)], moment=found.moment[first])
    sizes = {
        (a, b): _evidence(small, _prior((a, b, NOTHING, NOTHING), k, levels, levels))
        for a, b in product(SIZES, repeat=2)
    }
    differences = {(NOTHING, NOTHING): 0.0}
    if d > levels:
        top = max(sizes, key=lambda each: sizes[each])
        differences = {
            (a, b): _evidence(found, _prior((*top, a, b), k, levels, d))
            for a, b in product(SPREADS, repeat=2)
        }
        differences[NOTHING, NOTHING] += float(np.log(ALIKE * len(differences)))
    return _shares(
        {(*size, *pair): sizes[size] + differences[pair] for size in sizes for pair in differences}
    )


def _shares(evidence: Mapping[Spreads, float]) -> dict[Spreads, float]:
    """Shares in proportion to likelihoods, without what is next to impossible."""
    top = max(evidence.values())
    likely = {each: float(np.exp(said - top)) for each, said in evidence.items()}
    kept = {each: share for each, share in likely.items() if share >= LEAST_BELIEVED}
    whole = sum(kept.values())
    return {each: share / whole for each, share in kept.items()}


def _log_mean(logarithms: Sequence[float]) -> float:
    top = max(logarithms)
    return top + float(np.log(np.mean(np.exp(np.array(logarithms) - top))))


def _evidence(found: _Moments, prior: FloatArray) -> float:
    """Log marginal likelihood of the moments, less that of no effect at all."""
    inner = np.eye(len(found.gram)) + prior @ found.gram
    size = np.linalg.slogdet(inner)[1]
    return float(-0.5 * size + 0.5 * found.moment @ np.linalg.solve(inner, prior @ found.moment))
