"""Training: from the signal log to a bundle, and what is known about how good it is."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.signals import DAY, Int64Array, SignalLog, is_anonymous
from models.bundle import Bundle, Golden, Measured, with_golden_rows
from models.classifier import Classifier
from models.targets import PROMOTION, Target, Targets
from training.baselines import margin_model, smoothed_rate
from training.candidates import FitSettings, candidates
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
from training.forest import BoosterSettings, Growth, directions
from training.labels import takings_after
from training.promoters import promoter_rows

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]


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
        found = _fit_target(target, learned, tested, features, settings, rng)
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


def _fit_target(
    target: Target,
    learned: Rows,
    tested: Rows,
    features: FeatureSet,
    settings: TrainSettings,
    rng: np.random.Generator,
) -> _Fitted:
    """Fit what the rows suffice for, test it, and choose what serves."""
    growth = Growth(settings.booster, settings.seed, directions(features, target.name))
    models, notes = candidates(learned, features.names, FitSettings(target, growth), rng)
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
