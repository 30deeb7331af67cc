"""The calibration of a forest: a line through its log-odds, kept only where it wins later."""

from dataclasses import dataclass

import numpy as np

from models.classifier import Calibration, sigmoid
from models.model import FloatArray
from training.contest import Rows
from training.forest import Growth, fit_forest
from training.membership import attack_auc
from training.metrics import OneClass, fitted_line, log_loss


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """What forests grown like the one that serves say of customers they have not seen.

    Attributes
    ----------
    line : Calibration
    membership : float or None
        AUC of the attack on them, see `training.membership`; None where they could not be
        grown.
    """

    line: Calibration
    membership: float | None


def cross_fitted(
    learned: Rows,
    names: tuple[str, ...],
    growth: Growth,
    rng: np.random.Generator,
) -> CrossFitted:
    """Platt's line on predictions for customers a forest had not seen, and who is found out.

    The line is kept only if, fitted on the earlier snapshots, it lowers the log loss of the
    later ones; else the forest's own log-odds stand. On a seasonal shop an unchecked calibrator
    raised the calibration error from .03 to .10.
    """
    people = np.unique(learned.customers)
    fold_of_person = rng.permutation(len(people)) % growth.booster.folds
    folds = fold_of_person[np.searchsorted(people, learned.customers)]
    log_odds = np.zeros(len(learned))
    attacks = []
    for fold in range(growth.booster.folds):
        out = folds == fold
        inside = learned.at(~out)
        if not out.any() or len(np.unique(inside.answers)) < 2:
            return CrossFitted(Calibration(), None)
        forest = fit_forest(inside.steady(), inside.answers, names, growth, inside.weights)
        said = forest.log_odds(learned.rows)
        log_odds[out] = said[out]
        attacks.append(attack_auc(learned.answers, sigmoid(said), ~out))
    return CrossFitted(line_that_wins(learned, log_odds), float(np.mean(attacks)))


def line_that_wins(learned: Rows, log_odds: FloatArray) -> Calibration:
    """The line through log-odds of rows a model has not learned from, if it wins later.

    Parameters
    ----------
    log_odds : ndarray of float64, shape (n,)
    """
    later = learned.as_of > np.quantile(learned.as_of, 0.7)
    try:
        slope, intercept = fitted_line(
            learned.answers[~later], log_odds[~later], learned.weights[~later]
        )
        line = Calibration(*fitted_line(learned.answers, log_odds, learned.weights))
    except OneClass:
        return Calibration()
    if slope <= 0 or line.slope <= 0 or not later.any():
        return Calibration()
    answers, weights = learned.answers[later], learned.weights[later]
    plain = log_loss(answers, sigmoid(log_odds[later]), weights)
    mapped = log_loss(answers, sigmoid(slope * log_odds[later] + intercept), weights)
    return line if mapped < plain else Calibration()
