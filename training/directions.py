"""Features whose average direction contradicts the declared one: for those who can look into it.

A model may have learned that more orders raise the risk of churn. It can be right, of these rows;
more often siblings share a signal between them, or the rows are few. Marketers are not told such
reasons (`models.explain`); whoever trains should know of them.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from models.classifier import Classifier
from models.evaluation import AgainstDeclared

FloatArray = NDArray[np.float64]

# Contributions take a millisecond a row; the sign of a correlation needs no more rows.
MOST_ROWS: Final = 1000
SLIGHTEST: Final = 0.001  # of all contributions; below, a feature does not matter either way


def against_declared(
    classifier: Classifier, score: str, rows: FloatArray, features: FeatureSet
) -> tuple[AgainstDeclared, ...]:
    """Features that move a score against their declared direction, the weightiest first.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features)

    Notes
    -----
    The average direction is Spearman's rank correlation between the values of a feature and what
    it adds to the log-odds, over the rows that have a value.
    """
    some = rows[:: max(1, len(rows) // MOST_ROWS)]
    if not len(some):
        return ()
    parts = classifier.contributions(some)[:, :-1]
    weight = np.abs(parts).sum(axis=0)
    total = float(weight.sum())
    found = []
    for place, feature in enumerate(features.features):
        declared = feature.direction.get(score, 0)
        share = float(weight[place]) / total if total else 0.0
        if declared and share >= SLIGHTEST:
            known = ~np.isnan(some[:, place])
            average = rank_correlation(some[known, place], parts[known, place])
            if average * declared < 0:
                found.append(AgainstDeclared(feature.name, feature.label, declared, average, share))
    return tuple(sorted(found, key=lambda each: (-each.share, each.feature)))


def rank_correlation(first: FloatArray, second: FloatArray) -> float:
    """Spearman's rank correlation of two columns of shape (n,); 0 where one does not vary.

    Source: Spearman (1904): Pearson's correlation of ranks, ties at their mean rank.
    """
    if len(first) < 2:
        return 0.0
    ranks = _ranks(first), _ranks(second)
    one, other = (each - each.mean() for each in ranks)
    spread = float(np.sqrt((one**2).sum() * (other**2).sum()))
    return float((one * other).sum()) / spread if spread else 0.0


def _ranks(values: FloatArray) -> FloatArray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2.0)[inverse]
