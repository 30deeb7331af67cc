"""Contributions to a score, grouped and said in plain words.

A reason states a fact that the model looked at, in a sentence of `models.reason_texts`. Two kinds
of facts are never said, and their points go to all other signals: what a sensitive feature shows,
and what pulls against the direction that everybody expects. A reader would take the latter for
advice, and it is more often an accident of the training rows; `training.directions` shows it to
those who can look into it.
"""

from collections.abc import Iterable, Mapping
from math import isnan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import Feature, FeatureSet
from models.classifier import Classifier, sigmoid
from models.expectation import Reason, Score
from models.reason_texts import ReasonTexts, sentence

FloatArray = NDArray[np.float64]

# More than four reasons are not likely to help a reader (commentary to Regulation B, 12 CFR
# 1002.9): three named ones and the rest.
NAMED_AT_MOST: Final = 3
SLIGHT: Final = 0.05  # smaller shares of all contributions are folded into the rest
REST_CODE: Final = "OTHER"


def reasons(
    score: Score,
    classifier: Classifier,
    row: FloatArray,
    features: FeatureSet,
    texts: ReasonTexts,
    usual: tuple[float | None, ...] = (),
) -> tuple[Reason, ...]:
    """At most four reasons why a probability reads as it does, strongest first.

    ``100 * starting_point`` plus the points of all reasons is ``100 * score.value``. A group's
    points are its log-odds times the mean slope of the sigmoid on the straight way from the
    starting point to the score, so they keep its sign and depend on no order. The last
    reason, code ``OTHER``, holds all groups that are not named.
    Source: Aumann and Shapley (1974), for a function of a sum.

    Parameters
    ----------
    score : Score
        With a value.
    row : ndarray of float64, shape (n_features,)
    usual : tuple of float or None
        Median of each feature in training, where known; see `against_direction`.

    Raises
    ------
    ValueError
        If the score has no value.
    """
    if score.value is None:
        raise ValueError(f"{score.name} has no value ({score.note}); explain only what has one")
    parts = classifier.contributions(row[np.newaxis])[0]
    start, parts = float(parts[-1]), parts[:-1]
    by_group: dict[str, float] = {}
    for feature, part in zip(features.features, parts, strict=True):
        by_group[feature.group] = by_group.get(feature.group, 0.0) + float(part)
    values = dict(zip(features.names, row.tolist(), strict=True))
    middle = dict(zip(features.names, usual, strict=False))
    sayable = [
        (feature, float(part))
        for feature, part in zip(features.features, parts, strict=True)
        if not feature.sensitive
        and not against_direction(
            feature, score.name, values[feature.name], middle.get(feature.name), float(part)
        )
    ]
    slope = _mean_slope(start, start + float(parts.sum()))
    reached, said = _probability(start), []
    for group in _named_groups(by_group):
        leading = _leading(group, by_group[group], sayable)
        if leading is not None:
            step = slope * by_group[group]
            reached += step
            said.append(
                _reason(group.upper(), score.name, step, sentence(leading, values, features, texts))
            )
    rest = score.value - reached
    if abs(rest) > 1e-12:  # less than that is the rounding of the sum, no signal
        said.append(_reason(REST_CODE, score.name, rest, texts.rest if said else texts.nothing))
    return tuple(said)


def against_direction(
    feature: Feature, score: str, value: float, usual: float | None, part: float
) -> bool:
    """Whether what a feature adds to a score goes against what everybody expects of it.

    More orders than usual that raise the risk of churn do, for example. Nothing is expected
    where no direction is declared, no value is there, or the value is the usual one.

    Parameters
    ----------
    usual : float or None
        Median of the feature in training; None where it is not known.
    part : float
        Log-odds that the feature adds.
    """
    expected = feature.direction.get(score, 0)
    if usual is None or isnan(value):
        return False
    return part * expected * (value - usual) < 0


def starting_point(classifier: Classifier, row: FloatArray) -> float:
    """Probability that the model starts from, before it looks at any feature.

    The prediction at the mean log-odds of the training rows: it lies below the base rate where
    few customers with high risks make up most of it.

    Parameters
    ----------
    row : ndarray of float64, shape (n_features,)
    """
    return _probability(float(classifier.contributions(row[np.newaxis])[0, -1]))


def _probability(log_odds: float) -> float:
    return float(sigmoid(np.array([log_odds]))[0])


def _mean_slope(start: float, end: float) -> float:
    """Mean slope of the sigmoid between two log-odds."""
    # Nearer than this, the difference of two sigmoids is rounding; the slope there is the same.
    if abs(end - start) < 1e-6:
        p = _probability((start + end) / 2)
        return p * (1 - p)
    return (_probability(end) - _probability(start)) / (end - start)


def _named_groups(by_group: Mapping[str, float]) -> tuple[str, ...]:
    """Groups worth a sentence, strongest first, one of the other direction among them."""
    total = sum(abs(part) for part in by_group.values())
    ranked = sorted(by_group, key=lambda group: (-abs(by_group[group]), group))
    slight = [group for group in ranked if abs(by_group[group]) >= SLIGHT * total > 0]
    named = slight[:NAMED_AT_MOST]
    if named and len({by_group[group] > 0 for group in named}) == 1:
        other = [group for group in slight if (by_group[group] > 0) != (by_group[named[0]] > 0)]
        if other:
            named = [*named[: NAMED_AT_MOST - 1], other[0]]
    return tuple(named)


def _leading(group: str, total: float, sayable: Iterable[tuple[Feature, float]]) -> Feature | None:
    """The feature to speak of: the strongest of those that pull the way their group does."""
    pulling = [
        (abs(part), feature)
        for feature, part in sayable
        if feature.group == group and part * total > 0
    ]
    return max(pulling, key=lambda pair: pair[0])[1] if pulling else None


def _reason(code: str, score: str, step: float, text: str) -> Reason:
    return Reason(code, score, 100 * step, "raises" if step >= 0 else "lowers", text)
