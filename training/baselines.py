"""The models to beat, and the one for money: all rules one can do by hand.

They are not only for comparison: where LightGBM is not shown to be as good, the best of them
serves, in the same bundle and with the same reasons.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from features.signals import Int64Array
from models.classifier import (
    RECENCY_FEATURE,
    BaseRate,
    Classifier,
    Logistic,
    RecencyRule,
    compressed,
    logit,
    recency_band,
)
from models.margin import MarginModel, watched_days
from models.margin_kinds import LAST_ORDER_FEATURE, SPEND_FEATURE, column
from models.model import feature_column

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]

# Bands hold a tenth of the rows each: fine enough for a curve, and never thinner than that.
RECENCY_LEVELS: Final = tuple(level / 10 for level in range(1, 10))
# Each band counts as if it had seen so many customers more who behave like everyone.
BAND_PRIOR: Final = 20.0
# Days of watching that everyone's margin weighs, tried in turn; the best on training rows is
# kept. From "believe the customer alone" to "a year of everyone".
PRIOR_DAYS: Final = (0.0, 7.0, 14.0, 28.0, 56.0, 112.0, 224.0, 365.0)


def base_rate(
    answers: Int8Array, names: tuple[str, ...], weights: FloatArray | None = None
) -> Classifier:
    """The share of yes for everyone.

    Half a yes and half a no are added (Jeffreys), so that "never seen" is not "impossible".
    """
    return Classifier(BaseRate(logit(smoothed_rate(answers, weights))), names)


def smoothed_rate(answers: Int8Array, weights: FloatArray | None = None) -> float:
    """Share of yes with half a yes and half a no added; strictly between 0 and 1."""
    weights = np.ones(len(answers)) if weights is None else weights
    return (float(weights @ answers) + 0.5) / (float(weights.sum()) + 1.0)


@dataclass(frozen=True, slots=True)
class Look:
    """What a rule looks at: a feature, and where its bands begin; of a tenth each if empty."""

    feature: str
    edges: tuple[float, ...] = ()


def best_rule(
    rows: FloatArray,
    answers: Int8Array,
    people: Int64Array,
    names: tuple[str, ...],
    looks: tuple[Look, ...],
    weights: FloatArray | None = None,
) -> Classifier:
    """The rule of several looks that tells most of people it has not seen.

    Parameters
    ----------
    people : ndarray of int64, shape (n,)
        Whose row it is. Each half of them is told by what the other half did.
    """
    if len(looks) == 1:
        return recency_rule(rows, answers, names, weights, looks[0])
    weights = np.ones(len(answers)) if weights is None else weights
    half = people % 2 == 0
    losses = np.zeros(len(looks))
    for place, look in enumerate(looks):
        for told in (half, ~half):
            if not told.any() or told.all():
                continue
            rule = recency_rule(rows[~told], answers[~told], names, weights[~told], look)
            said = np.clip(rule.predict(rows[told]), 1e-12, 1 - 1e-12)
            right = np.where(answers[told] == 1, said, 1 - said)
            losses[place] -= float(weights[told] @ np.log(right))
    return recency_rule(rows, answers, names, weights, looks[int(np.argmin(losses))])


def recency_rule(
    rows: FloatArray,
    answers: Int8Array,
    names: tuple[str, ...],
    weights: FloatArray | None = None,
    look: Look | None = None,
) -> Classifier:
    """The share of yes by how long ago the last order was.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features)
    answers : ndarray of int8, shape (n,)
    weights : ndarray of float64, shape (n,), optional
        What each row counts, about 1 on average.
    look : Look, optional
        Another feature than the days since the last order, or other bands than of a tenth each.
    """
    weights = np.ones(len(answers)) if weights is None else weights
    look = look or Look(RECENCY_FEATURE)
    days = rows[:, feature_column(names, look.feature)]
    edges = look.edges or _edges(days)
    bands = recency_band(days, edges)
    everyone = smoothed_rate(answers, weights)
    counts = np.bincount(bands, weights=weights, minlength=len(edges) + 2)
    yes = np.bincount(bands, weights=weights * answers, minlength=len(edges) + 2)
    shares = (yes + BAND_PRIOR * everyone) / (counts + BAND_PRIOR)
    log_odds = [logit(float(share)) for share in shares]
    rule = RecencyRule(edges, tuple(log_odds[:-1]), log_odds[-1], logit(everyone), look.feature)
    return Classifier(rule, names)


def logistic(
    rows: FloatArray,
    answers: Int8Array,
    names: tuple[str, ...],
    weights: FloatArray | None = None,
) -> Classifier:
    """Logistic regression on compressed, standardised features and what is missing.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features)
    answers : ndarray of int8, shape (n,)
        Both answers must occur.
    weights : ndarray of float64, shape (n,), optional
        What each row counts, about 1 on average.
    """
    absent = np.isnan(rows)
    small = compressed(rows)
    present = np.maximum((~absent).sum(axis=0), 1)
    mean = np.where(absent, 0.0, small).sum(axis=0) / present
    spread = np.sqrt(np.where(absent, 0.0, (small - mean) ** 2).sum(axis=0) / present)
    scale = np.where(spread > 1e-12, spread, 1.0)  # a constant feature tells nothing: any scale
    center = absent.mean(axis=0)
    standard = np.where(absent, 0.0, (small - mean) / scale)
    design = np.hstack([standard, absent - center])
    # C = 0.1: a penalty of ten on standardised columns, so that windows of one event, nearly
    # copies of each other, share their weight instead of fighting over it. Below 20,000 rows it
    # is stronger: on 2,000 answers to surveys 0.1 had a calibration slope of .75, 0.01 one of 1.
    strength = 0.1 * min(1.0, len(answers) / 20_000)
    # Newton's steps on so few columns are five times quicker than the default solver's.
    model = LogisticRegression(C=strength, solver="newton-cholesky")
    # What never changed tells nothing; left out, which halves the columns and more than that
    # the time.
    changed = np.concatenate([spread > 1e-12, (center > 0) & (center < 1)])
    found, n = np.zeros(len(changed)), len(names)
    intercept = logit(smoothed_rate(answers, weights))  # where nothing changed at all
    if changed.any():
        fitted = model.fit(design[:, changed], answers, weights)
        found[changed], intercept = fitted.coef_[0], float(fitted.intercept_[0])
    said = Logistic(
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        coefficient=tuple(found[:n].tolist()),
        missing=tuple(found[n:].tolist()),
        center=tuple(center.tolist()),
        intercept=intercept,
    )
    return Classifier(said, names)


def margin_model(
    rows: FloatArray,
    takings: FloatArray,
    names: tuple[str, ...],
    margin_rate: float,
    horizon_days: int,
) -> MarginModel:
    """Fit the margin: everyone's pace, how much it weighs, and the factor of each recency band.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features)
    takings : ndarray of float64, shape (n,)
        Orders less refunds over the horizon after each row, NaN where not known yet.
    margin_rate : float
        Share of takings that is margin.

    Notes
    -----
    `prior_days` is the one of `PRIOR_DAYS` with the smallest squared error on these rows: one
    number chosen among eight from thousands of rows, so its choice needs no rows of its own.
    """
    watched = watched_days(rows, names)
    spend = np.nan_to_num(column(rows, names, SPEND_FEATURE))
    everyone = margin_rate * float(spend.sum()) / max(float(watched.sum()), 1.0)
    known = ~np.isnan(takings)
    realised = margin_rate * takings[known]
    if not known.any():
        return MarginModel(
            margin_rate, horizon_days, PRIOR_DAYS[4], max(everyone, 0.0), (), (), 1.0, 0.0
        )
    best: tuple[float, MarginModel] | None = None
    days = column(rows[known], names, LAST_ORDER_FEATURE)
    edges = _edges(days)
    for prior_days in PRIOR_DAYS:
        pace = MarginModel(
            margin_rate, horizon_days, prior_days, max(everyone, 0.0), (), (), 1.0, 0.0
        )
        usual = pace.usual(rows[known], names)
        factors = _ratios(recency_band(days, edges), realised, usual, len(edges) + 2)
        model = MarginModel(
            margin_rate,
            horizon_days,
            prior_days,
            max(everyone, 0.0),
            edges,
            tuple(factors[:-1]),
            factors[-1],
            float(realised.mean()),
        )
        error = float(np.mean((model.expected(rows[known], names) - realised) ** 2))
        if best is None or error < best[0]:
            best = (error, model)
    return best[1] if best else model


def _ratios(
    bands: NDArray[np.int64], realised: FloatArray, usual: FloatArray, n_bands: int
) -> list[float]:
    """Realised over usual margin by band, drawn to that of all by `BAND_PRIOR` customers."""
    all_of_it = float(realised.sum()) / max(float(usual.sum()), 1e-9)
    typical = float(usual.mean())
    above = np.bincount(bands, weights=realised, minlength=n_bands)
    below = np.bincount(bands, weights=usual, minlength=n_bands)
    ratios = (above + BAND_PRIOR * typical * all_of_it) / np.maximum(
        below + BAND_PRIOR * typical, 1e-9
    )
    return [max(float(ratio), 0.0) for ratio in ratios]  # refunds may outweigh orders in a band


def _edges(days: FloatArray) -> tuple[float, ...]:
    """Whole days at which a new band of about a tenth of the rows begins."""
    present = days[~np.isnan(days)]
    if not len(present):
        return ()
    levels = np.ceil(np.quantile(present, RECENCY_LEVELS))
    return tuple(float(edge) for edge in np.unique(levels) if edge > present.min())
