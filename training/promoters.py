"""Promoters: learned from those who answered a survey, weighted so that they speak for all.

Who answers is not chance. A second small model says how likely each asked customer was to
answer; an answer counts by the inverse of that. What moves both the answer and the answering,
and leaves no trace in any signal, no weight can mend.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.signals import DAY, Int64Array, SignalLog
from models.at_risk import at_risk
from models.classifier import Classifier
from models.targets import Target
from training.baselines import logistic
from training.clocks import clocks
from training.metrics import auc
from training.surveys import Surveys, net_promoter_score, promoters, surveys

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]
BoolArray = NDArray[np.bool_]

# No answer speaks for more than twenty customers. Without a limit a handful of answers from
# people who hardly ever answer decides the mean; with one of 10, half of what is wrong stays.
LEAST_PROBABILITY: Final = 0.05
TEST_SHARE: Final = 0.25  # of the surveys, the newest
# Surveys with either outcome that a model of answering needs.
FEWEST_OF_EACH: Final = 100
HISTORY_DAYS: Final = 84  # after the first order; before it, windows of 84 days are cut


@dataclass(frozen=True, slots=True)
class NetPromoters:
    """The net promoter score of a company, -100 to 100, as answered and as weighted.

    Attributes
    ----------
    naive : float
        Of the answers as they came.
    weighted : float
        Each answer counted by the inverse probability of answering.
    effective : float
        Answers of equal weight that would be as precise. Source: Kish (1965).
    """

    naive: float
    weighted: float
    asked: int
    answered: int
    effective: float


@dataclass(frozen=True, slots=True)
class PromoterRows:
    """What a promoter model is fitted and tested on; answered surveys only.

    Attributes
    ----------
    rows : ndarray of float64, shape (n, n_features)
        As of the moment at which the survey was sent.
    answers : ndarray of int8, shape (n,)
        1: said 9 or 10.
    customers, as_of : ndarray of int64, shape (n,)
    weights : ndarray of float64, shape (n,)
        Mean 1.
    test : ndarray of bool, shape (n,)
        Surveys sent after the answers to all others were known.
    between : ndarray of bool, shape (n,)
        Surveys in the gap between the two, used by neither.
    clocks : ndarray of bool, shape (n_features,)
    net : NetPromoters or None
        None without answers.
    """

    rows: FloatArray
    answers: Int8Array
    customers: Int64Array
    as_of: Int64Array
    weights: FloatArray
    test: BoolArray
    between: BoolArray
    clocks: BoolArray
    net: NetPromoters | None
    notes: tuple[str, ...]


def promoter_rows(
    log: SignalLog, features: FeatureSet, target: Target, first: int, end: int
) -> PromoterRows:
    """Answered surveys of customers of whom the target speaks, with weights.

    Parameters
    ----------
    first, end : int
        The first order, and the end of the data; microseconds UTC.
    """
    found = surveys(log, target, end)
    young = found.as_of < first + HISTORY_DAYS * DAY
    found = found.at(~young)
    rows = feature_matrix(features, log, found.customers, found.as_of)
    asked_of = at_risk(target, rows, features)
    found, rows = found.at(asked_of), rows[asked_of]
    answered = found.answered
    if not answered.any():
        return _nothing(features, _no_answers(found, young))
    split = np.quantile(found.as_of, 1 - TEST_SHARE)
    before = found.as_of + target.window_days * DAY <= split
    stopped = np.zeros(len(features), dtype=bool)
    if before.any():
        stopped = clocks(log, features, rows[before], found.as_of[before], first)
        # That more customers have answered something before, as time passes, changes how often
        # an earlier answer is known, not what it means; and it tells most about the next one.
        stopped &= np.array([each.group != "feedback" for each in features.features])
    weights, said = _weights(target, found, rows, before, features.names, stopped)
    net = _net(found, weights)
    return PromoterRows(
        rows=rows[answered],
        answers=promoters(found.scores[answered]).astype(np.int8),
        customers=found.customers[answered],
        as_of=found.as_of[answered],
        weights=weights[answered] / float(weights[answered].mean()),
        test=(found.as_of >= split)[answered],
        between=(~before & (found.as_of < split))[answered],
        clocks=stopped,
        net=net,
        notes=(_net_in_words(target, net), *said),
    )


def _weights(
    target: Target,
    found: Surveys,
    rows: FloatArray,
    before: BoolArray,
    names: tuple[str, ...],
    stopped: BoolArray,
) -> tuple[FloatArray, tuple[str, ...]]:
    """Inverse probability of answering, shape (n,), and in words how good that model is."""
    learned = before & found.asked
    yes, no = (int(np.sum(learned & (found.answered == said))) for said in (True, False))
    if min(yes, no) < FEWEST_OF_EACH:
        return np.ones(len(found)), (
            f"{target.name}: of the surveys to learn from {yes:,} were answered and {no:,} were "
            f"not; {FEWEST_OF_EACH} of each are needed to say who answers, so all answers "
            "count alike: they speak for those who answer.",
        )
    steady = np.where(stopped, 0.0, rows)
    model = logistic(steady[learned], found.answered[learned].astype(np.int8), names)
    return 1.0 / np.maximum(model.predict(rows), LEAST_PROBABILITY), _how_good(
        target, found, rows, ~before & found.asked, model
    )


def _how_good(
    target: Target, found: Surveys, rows: FloatArray, tested: BoolArray, model: Classifier
) -> tuple[str, ...]:
    answered = found.answered[tested].astype(np.int8)
    if not 0 < answered.sum() < len(answered):
        return ()
    area = auc(answered, model.predict(rows[tested]))
    return (
        f"{target.name}: who answers is told by a logistic regression, AUC {area:.3f} on "
        f"{len(answered):,} later surveys; an answer counts for at most "
        f"{1 / LEAST_PROBABILITY:.0f} customers.",
    )


def _net(found: Surveys, weights: FloatArray) -> NetPromoters:
    answered = found.answered
    scores, mine = found.scores[answered], weights[answered]
    return NetPromoters(
        naive=net_promoter_score(scores),
        weighted=net_promoter_score(scores, mine),
        asked=len(found),
        answered=int(answered.sum()),
        effective=float(mine.sum() ** 2 / (mine**2).sum()),
    )


def _net_in_words(target: Target, net: NetPromoters) -> str:
    return (
        f"{target.name}: net promoter score {net.naive:+.1f} among the {net.answered:,} who "
        f"answered, {net.weighted:+.1f} weighted to all {net.asked:,} asked (as precise as "
        f"{net.effective:,.0f} equal answers)."
    )


def _no_answers(found: Surveys, young: BoolArray) -> str:
    if len(found):
        return f"none of {len(found):,} recommendation surveys was answered"
    if len(young):
        return (
            f"all {len(young):,} recommendation surveys are of the first {HISTORY_DAYS} days, or "
            "of people it is not asked about"
        )
    return "nobody has answered a recommendation survey (Survey Answered of the kind nps) yet"


def _nothing(features: FeatureSet, note: str) -> PromoterRows:
    no_rows, none = np.empty(0, dtype=np.int64), np.empty(0, dtype=bool)
    return PromoterRows(
        rows=np.empty((0, len(features))),
        answers=np.empty(0, dtype=np.int8),
        customers=no_rows,
        as_of=no_rows,
        weights=np.empty(0),
        test=none,
        between=none,
        clocks=np.zeros(len(features), dtype=bool),
        net=None,
        notes=(note,),
    )
