"""Training: from the signal log to a bundle, and what is known about how good it is."""

from dataclasses import dataclass, field, replace
from typing import Final

import lightgbm
import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.signals import DAY, Int64Array, SignalLog, is_anonymous
from models.bundle import Bundle, Golden, Measured, with_golden_rows
from models.classifier import Calibration, Classifier, Forest, sigmoid
from models.targets import PROMOTION, Target, Targets
from training.baselines import base_rate, logistic, margin_model, recency_rule, smoothed_rate
from training.clocks import clocks
from training.contest import Rows, choice, measured
from training.dataset import (
    Schedule,
    ScheduleRules,
    TrainingTable,
    data_end,
    first_order,
    schedule,
    training_table,
)
from training.labels import takings_after
from training.metrics import OneClass, fitted_line, log_loss
from training.promoters import promoter_rows

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]

# Ten bands of ten rows: less, and a curve over recency is drawn from noise.
FEWEST_FOR_RULE: Final = 100


@dataclass(frozen=True, slots=True)
class BoosterSettings:
    """LightGBM, guarded: small trees, large leaves, strong penalty.

    On Complete Journey twice the features, tuning and weekly rows added nothing to settings
    like these (AUC .857 for .858), and they give less away about single customers.
    """

    rounds: int = 180  # with steps of .05 as good as 300 of .03, in 60 % of the time
    learning_rate: float = 0.05
    num_leaves: int = 15
    most_in_leaf: int = 100  # `min_data_in_leaf` where rows are plenty; see `leaf_size`
    lambda_l2: float = 10.0
    feature_fraction: float = 0.5
    max_bin: int = 127  # half of LightGBM's own: as good here, and a third quicker
    folds: int = 2  # for the predictions that calibration is fitted on


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """What training needs to know beside the signals.

    Attributes
    ----------
    margin_rate : float
        Share of takings that is margin, from policy.toml.
    horizon_days : int
        Days over which margin is expected, from policy.toml.
    seed : int
        Of the folds, the resampling and LightGBM.
    """

    targets: Targets
    margin_rate: float
    horizon_days: int
    schedule: ScheduleRules = field(default_factory=ScheduleRules)
    booster: BoosterSettings = field(default_factory=BoosterSettings)
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Tested:
    """The test of one target, row by row.

    Attributes
    ----------
    rows : ndarray of float64, shape (n, n_features)
    answers : ndarray of int8, shape (n,)
        1: yes, 0: no.
    customers, as_of : ndarray of int64, shape (n,)
        Index into the log, and moment.
    weights : ndarray of float64, shape (n,)
        What each row counts, about 1 on average.
    predictions : dict of model kind to ndarray of float64, shape (n,)
    """

    rows: FloatArray
    answers: Int8Array
    customers: Int64Array
    as_of: Int64Array
    weights: FloatArray
    predictions: dict[str, FloatArray]


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A bundle not yet written, its metrics, and in words what to know about it.

    `tested` holds the test of each target that has a model, by the name of its score.
    """

    bundle: Bundle
    metrics: tuple[Measured, ...]
    notes: tuple[str, ...]
    tested: dict[str, Tested]


@dataclass(frozen=True, slots=True)
class _Fitted:
    classifier: Classifier
    base_rate: float
    metrics: tuple[Measured, ...]
    notes: tuple[str, ...]
    tested: Tested


def train(
    log: SignalLog, features: FeatureSet, settings: TrainSettings, as_of: int
) -> TrainingResult:
    """Fit every target and the margin on what was received before `as_of`.

    The models that serve are the very ones that were tested: nothing is fitted again on the
    test snapshots afterwards.

    Parameters
    ----------
    log : SignalLog
        May hold later signals; they are not looked at.
    as_of : int
        Microseconds UTC.

    Raises
    ------
    NothingToLearn
        If there are no signals, or no order of an identified customer.
    """
    end = data_end(log, as_of)
    first = first_order(log, end)
    plan = schedule(first, end, settings.targets.longest_window_days, settings.schedule)
    rng = np.random.default_rng(settings.seed)
    table = training_table(log, features, settings.targets, plan, end, settings.schedule.most_rows)
    notes = [*plan.notes, *table.notes, *_dates(plan)]
    fitted: dict[str, _Fitted] = {}
    absent: dict[str, str] = {}
    for target in settings.targets.targets:
        if target.outcome == PROMOTION:
            learned, tested, said = _surveyed(log, features, target, first, end)
        else:
            learned, tested, said = _snapshots(log, features, target, table, first)
        if not len(learned):
            absent[target.name] = _no_rows(target, table, plan, said)
            notes.append(f"{target.name}: left out, since {absent[target.name]}.")
            continue
        found = _fit_target(target, learned, tested, features.names, settings, rng)
        fitted[target.name] = found
        notes.extend((*said, *found.notes))
    margin_rows, takings = _margin_rows(log, features, table, settings.horizon_days, end)
    metrics = tuple(each for one in fitted.values() for each in one.metrics)
    bundle = Bundle(
        as_of=as_of,
        feature_names=features.names,
        fingerprint=features.fingerprint,
        targets=settings.targets,
        classifiers={name: one.classifier for name, one in fitted.items()},
        base_rates={name: one.base_rate for name, one in fitted.items()},
        margin=margin_model(
            margin_rows, takings, features.names, settings.margin_rate, settings.horizon_days
        ),
        metrics=metrics,
        notes=tuple(notes),
        golden=Golden((), {}),
        absent=absent,
    )
    tests = {name: one.tested for name, one in fitted.items()}
    return TrainingResult(with_golden_rows(bundle, margin_rows), metrics, tuple(notes), tests)


def _snapshots(
    log: SignalLog, features: FeatureSet, target: Target, table: TrainingTable, first: int
) -> tuple[Rows, Rows, tuple[str, ...]]:
    """Rows of a question asked at snapshots: to learn from, to test on; and no note."""
    answers = table.answers[target.name].values
    none = np.zeros(len(features), dtype=bool)
    weights = np.ones(len(answers))
    rows = Rows(table.rows, answers, table.customers, table.as_of, weights, none)
    learned = rows.at((answers >= 0) & ~table.test)
    if len(learned):
        stopped = clocks(log, features, learned.rows, learned.as_of, first)
        learned = replace(learned, clocks=stopped)
    return learned, rows.at((answers >= 0) & table.test), ()


def _surveyed(
    log: SignalLog, features: FeatureSet, target: Target, first: int, end: int
) -> tuple[Rows, Rows, tuple[str, ...]]:
    """Rows of a question asked by surveys: to learn from, to test on; and notes."""
    found = promoter_rows(log, features, target, first, end)
    rows = Rows(
        found.rows, found.answers, found.customers, found.as_of, found.weights, found.clocks
    )
    return rows.at(~found.test & ~found.between), rows.at(found.test), found.notes


def fit_forest(
    rows: FloatArray,
    answers: Int8Array,
    names: tuple[str, ...],
    settings: TrainSettings,
    weights: FloatArray | None = None,
) -> Classifier:
    """LightGBM on these rows, not calibrated.

    Parameters
    ----------
    rows : ndarray of float64, shape (n, n_features)
    answers : ndarray of int8, shape (n,)
    weights : ndarray of float64, shape (n,), optional
        What each row counts, about 1 on average.
    """
    booster = settings.booster
    parameters = {
        "objective": "binary",
        "learning_rate": booster.learning_rate,
        "num_leaves": booster.num_leaves,
        "min_data_in_leaf": leaf_size(len(answers), booster.most_in_leaf),
        "lambda_l2": booster.lambda_l2,
        "feature_fraction": booster.feature_fraction,
        "max_bin": booster.max_bin,
        "seed": settings.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    dataset = lightgbm.Dataset(
        rows, label=answers, weight=weights, feature_name=list(names), params=parameters
    )
    forest = lightgbm.train(
        parameters, dataset, num_boost_round=rounds(len(answers), booster.rounds)
    )
    return Classifier(Forest(forest.model_to_string()), names)


def leaf_size(n_rows: int, most: int) -> int:
    """Smallest leaf: a hundredth of the rows, at least 20, at most `most`."""
    return min(most, max(20, n_rows // 100))


def rounds(n_rows: int, most: int) -> int:
    """Trees to grow: one for each 55 rows, at least 40, at most `most`.

    On 2,000 answers to surveys 180 trees had a calibration slope of .6, 40 one of 1.
    """
    return min(most, max(40, n_rows // 55))


def _fit_target(
    target: Target,
    learned: Rows,
    tested: Rows,
    names: tuple[str, ...],
    settings: TrainSettings,
    rng: np.random.Generator,
) -> _Fitted:
    """Fit what the rows suffice for, test it, and choose what serves."""
    models, notes = _candidates(target, learned, names, settings, rng)
    found = {
        kind: model.predict(tested.rows) if len(tested) else np.empty(0)
        for kind, model in models.items()
    }
    serving, said = choice(target, found, tested, rng)
    metrics = tuple(
        measured(target.name, kind, tested, found[kind], serving, said.word) for kind in models
    )
    rate = smoothed_rate(learned.answers, learned.weights)
    test = Tested(
        tested.rows, tested.answers, tested.customers, tested.as_of, tested.weights, found
    )
    return _Fitted(models[serving], rate, metrics, (*notes, said.sentence), test)


def _candidates(
    target: Target,
    learned: Rows,
    names: tuple[str, ...],
    settings: TrainSettings,
    rng: np.random.Generator,
) -> tuple[dict[str, Classifier], list[str]]:
    models = {"base_rate": base_rate(learned.answers, names, learned.weights)}
    yes = int(np.sum(learned.answers == 1))
    no = len(learned) - yes
    if min(yes, no) == 0:
        answer = "yes" if yes else "no"
        return models, [
            f"{target.name}: all {len(learned):,} training rows say {answer}; a model needs both "
            "answers, so the base rate serves."
        ]
    if len(learned) >= FEWEST_FOR_RULE:
        models["recency"] = recency_rule(learned.rows, learned.answers, names, learned.weights)
    if len(learned) < target.minimum_rows or min(yes, no) < target.minimum_of_each:
        rule = "a rule by recency" if "recency" in models else "the base rate"
        return models, [
            f"{target.name}: {len(learned):,} training rows, {yes:,} yes and {no:,} no; "
            f"{target.minimum_rows:,} rows with {target.minimum_of_each:,} of each are needed "
            f"for more than {rule}."
        ]
    models["logistic"] = logistic(learned.steady(), learned.answers, names, learned.weights)
    forest = fit_forest(learned.steady(), learned.answers, names, settings, learned.weights)
    models["lightgbm"] = Classifier(
        forest.model, names, _calibration(learned, names, settings, rng)
    )
    stopped = [name for name, clock in zip(names, learned.clocks, strict=True) if clock]
    if not stopped:
        return models, []
    return models, [
        f"{target.name}: not looked at, since they rise with the calendar while the history is "
        f"young: {', '.join(stopped)}."
    ]


def _calibration(
    learned: Rows, names: tuple[str, ...], settings: TrainSettings, rng: np.random.Generator
) -> Calibration:
    """Platt's line on predictions for customers the forest had not seen.

    Kept only if, fitted on the earlier snapshots, it lowers the log loss of the later ones;
    else the forest's own log-odds stand. On a seasonal shop an unchecked calibrator raised the
    calibration error from .03 to .10.
    """
    people = np.unique(learned.customers)
    fold_of_person = rng.permutation(len(people)) % settings.booster.folds
    folds = fold_of_person[np.searchsorted(people, learned.customers)]
    log_odds = np.zeros(len(learned))
    for fold in range(settings.booster.folds):
        out = folds == fold
        inside = learned.at(~out)
        if not out.any() or len(np.unique(inside.answers)) < 2:
            return Calibration()
        forest = fit_forest(inside.steady(), inside.answers, names, settings, inside.weights)
        log_odds[out] = forest.log_odds(learned.rows[out])
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


def _margin_rows(
    log: SignalLog, features: FeatureSet, table: TrainingTable, horizon_days: int, end: int
) -> tuple[FloatArray, FloatArray]:
    """Training rows and their takings; without any, everyone as of the end, takings unknown."""
    learned = ~table.test
    if learned.any():
        takings = takings_after(
            log, table.customers[learned], table.as_of[learned], horizon_days, end
        )
        return table.rows[learned], takings
    people = np.array(
        [place for place, name in enumerate(log.customer_ids) if not is_anonymous(name)],
        dtype=np.int64,
    )
    moments = np.full(len(people), end, dtype=np.int64)
    return feature_matrix(features, log, people, moments), np.full(len(people), np.nan)


def _no_rows(target: Target, table: TrainingTable, plan: Schedule, said: tuple[str, ...]) -> str:
    """Why there is nothing to learn a target from."""
    if target.outcome == PROMOTION:
        return "; ".join(said)
    if not plan.train:
        return f"no window of {target.window_days} days has passed yet"
    return (
        f"no customer had ordered within {target.at_risk_days} days before any of "
        f"{len(plan.train)} snapshots ({table.answers[target.name].not_at_risk:,} rows not asked)"
    )


def _dates(plan: Schedule) -> tuple[str, ...]:
    if not plan.train:
        return ()
    text = (
        f"Trained on {len(plan.train)} snapshots, {_day(plan.train[0])} to {_day(plan.train[-1])}"
    )
    if plan.test:
        text += f"; tested on {len(plan.test)}, {_day(plan.test[0])} to {_day(plan.test[-1])}"
    return (f"{text}.",)


def _day(moment: int) -> str:
    return str(np.datetime64(moment // DAY, "D"))
