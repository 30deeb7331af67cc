"""Gates of the data: whether a bundle learned from values like those it will be asked about."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.signals import DAY, SignalLog
from models.bundle import Bundle
from models.evaluation import Gate
from models.model import FloatArray
from models.targets import PROMOTION
from training.asked import laid_out
from training.dataset import NothingToLearn, ScheduleRules, TrainingTable

# A quarter of a year: assortment, prices and people have changed.
OLDEST_DAYS: Final = 90
# Rows to compute again: enough for a distance of .1 on a thousand customers.
MOST_ROWS: Final = 20_000
# Golden rows keep some 56 quantiles of a feature: as far as two of them may it be off.
SKETCH: Final = 0.04
# Times 1 / sqrt(customers): what chance alone exceeds in one of 100 bundles of 93 features.
# Source: Kolmogorov's distribution, 2 exp(-2 c^2) = .01 / 93.
CHANCE: Final = 2.2
# Share of customers far out of the range of training: more, and it is another unit. Far is by
# once the width of that range, which the age of customers of a young company stays within.
MOST_OUTSIDE: Final = 0.5
PEOPLE_NOW: Final = 2_000


def data_gates(
    bundle: Bundle, champion: Bundle, log: SignalLog, features: FeatureSet, end: int
) -> Iterator[Gate]:
    """Every gate on what a bundle has learned from.

    Parameters
    ----------
    log : SignalLog
        What is known now.
    end : int
        End of the data, microseconds UTC.
    """
    # Nobody knows more than there is, for whatever moment a bundle was made.
    yield age_gate(min(bundle.as_of, end), min(champion.as_of, end), end)
    try:
        table = laid_out(
            log, features, bundle.targets, ScheduleRules(most_rows=MOST_ROWS), bundle.as_of
        ).table
    except NothingToLearn as error:
        yield Gate("data: training rows", False, f"cannot be computed again: {error}")
        return
    yield training_rows_gate(bundle, table)
    yield present_gate(bundle, present_rows(log, features, end))


def age_gate(as_of: int, champion: int, end: int) -> Gate:
    """Whether a bundle knows the last months, and no less than the champion."""
    days, behind = (end - as_of) // DAY, (champion - as_of) // DAY
    return Gate(
        "data: age",
        days <= OLDEST_DAYS and behind <= 0,
        f"knows what was received until {max(days, 0)} days before the end of the data, at most "
        f"{OLDEST_DAYS} may be; {_compared(behind)}",
    )


def _compared(behind: int) -> str:
    if behind > 0:
        return f"{behind} days less than the champion"
    return "no less than the champion"


def training_rows_gate(bundle: Bundle, table: TrainingTable) -> Gate:
    """Whether the values a bundle learned from are those that its moments give from the signals.

    A feature that was constant then, in another unit, in another column, that held the answer or
    tomorrow's signals, or of some customers only has another distribution than the same feature
    computed again. No season comes between: the moments are the same. The measure is
    Kolmogorov's distance, missing values taken as the lowest, since it needs no bins.
    """
    again = table.rows if table.test.all() else table.rows[~table.test]
    if not len(again):
        asked = [each for each in bundle.classifiers if bundle.targets[each].outcome != PROMOTION]
        says = f"scores that need some: {', '.join(asked) or 'none'}"
        return Gate("data: training rows", not asked, f"no snapshot to compute again; {says}")
    people = len(np.unique(table.customers))
    allowed = SKETCH + CHANCE / np.sqrt(people)
    far = distances(golden_sketch(bundle), again)
    worst = int(np.argmax(far))
    wrong = [bundle.feature_names[place] for place in np.argsort(-far) if far[place] > allowed]
    named = f"; {len(wrong)} features differ: {', '.join(wrong[:5])}" if wrong else ""
    return Gate(
        "data: training rows",
        not wrong,
        f"{len(again):,} rows of {people:,} customers computed again from the signals; most "
        f"distant is {bundle.feature_names[worst]} by {far[worst]:.2f}, at most {allowed:.2f} "
        f"may be{named}",
    )


def golden_sketch(bundle: Bundle) -> FloatArray:
    """Evenly spaced quantiles of each feature in training, missing as often as there.

    Golden rows hold them; the first eight rows are others. See `models.golden_rows`.
    """
    rows = np.array(bundle.golden.rows, dtype=np.float64)
    return rows[8:]


def distances(one: FloatArray, other: FloatArray) -> FloatArray:
    """Kolmogorov's distance of each column, NaN taken as the lowest value; shape (n_features,)."""
    return np.array([_distance(*columns) for columns in zip(one.T, other.T, strict=True)])


def _distance(one: FloatArray, other: FloatArray) -> float:
    known = np.sort(one[~np.isnan(one)])
    # Golden values keep six digits: a value is at or below a mark if it is but for the next ones.
    marks = np.concatenate([[-np.inf], known + 1e-5 * np.abs(known)])
    return float(np.max(np.abs(_shares(one, marks) - _shares(other, marks))))


def _shares(values: FloatArray, marks: FloatArray) -> FloatArray:
    """Share of values at or below each mark, missing ones below all."""
    known = np.sort(values[~np.isnan(values)])
    missing = len(values) - len(known)
    return np.asarray((missing + np.searchsorted(known, marks, side="right")) / len(values))


def present_rows(log: SignalLog, features: FeatureSet, end: int) -> FloatArray:
    """Features as of the end of the data, of identified customers evenly spread over the log."""
    known = np.flatnonzero(log.identified())
    people = known[:: max(1, len(known) // PEOPLE_NOW)]
    return feature_matrix(features, log, people, np.full(len(people), end, dtype=np.int64))


def present_gate(bundle: Bundle, rows: FloatArray) -> Gate:
    """Whether the customers of now have values like those that were learned from.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features)
        Features of customers now.
    """
    if not bundle.ranges.low:
        return Gate("data: present values", False, "the bundle does not say what it has seen")
    low, high = (
        np.array(side, dtype=np.float64) for side in (bundle.ranges.low, bundle.ranges.high)
    )
    width = high - low
    outside = np.mean((rows < low - width) | (rows > high + width), axis=0)
    wrong = [
        bundle.feature_names[place]
        for place in np.argsort(-outside)
        if outside[place] > MOST_OUTSIDE
    ]
    worst = int(np.argmax(outside))
    named = f"; {len(wrong)} features are: {', '.join(wrong[:5])}" if wrong else ""
    return Gate(
        "data: present values",
        not wrong,
        f"of {len(rows):,} customers now {100 * outside[worst]:.0f} % lie far outside the range of "
        f"training in {bundle.feature_names[worst]}, the most; at most {100 * MOST_OUTSIDE:.0f} % "
        f"may be{named}",
    )
