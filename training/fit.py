"""Training: from the signal log to a bundle, and what is known about how good it is."""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from features.algebra import FeatureSet
from features.signals import DAY, Int64Array, SignalLog
from models.bundle import Bundle, Golden, Measured, with_golden_rows
from models.classifier import Classifier
from models.targets import PROMOTION, Target, Targets
from training.baselines import smoothed_rate
from training.candidates import FitSettings, candidates
from training.clocks import clocks
from training.contest import Rows, choice, measured
from training.dataset import (
    Schedule,
    ScheduleRules,
    TrainingTable,
    beginning,
    data_end,
    schedule,
    training_table,
)
from training.forest import BoosterSettings, Growth, directions
from training.margins import MarginSettings, fit_margin, margin_rows
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
        If there are no signals, or none that puts an identified customer at risk.
    """
    # Threads of linear algebra add up in an order of their own, so that their number would show
    # in the last digits; and on busy cores they wait for each other: ten times slower was seen.
    with threadpool_limits(limits=1):
        return _trained(log, features, settings, as_of)


def _trained(
    log: SignalLog, features: FeatureSet, settings: TrainSettings, as_of: int
) -> TrainingResult:
    end = data_end(log, as_of)
    first = beginning(log, end, settings.targets)
    plan = schedule(first, end, settings.targets.longest_window_days, settings.schedule)
    rng = np.random.default_rng(settings.seed)
    table = training_table(log, features, settings.targets, plan, end, settings.schedule.most_rows)
    notes = [*plan.notes, *table.notes, *_dates(plan)]
    fitted: dict[str, _Fitted] = {}
    absent: dict[str, str] = {}
    beside: list[Measured] = []
    for target in settings.targets.targets:
        if target.outcome == PROMOTION:
            asked = _surveyed(log, features, target, first, end)
        else:
            asked = _snapshots(log, features, target, table, first)
        if not len(asked.learned):
            absent[target.name] = _no_rows(target, table, plan, asked.notes)
            notes.append(f"{target.name}: left out, since {absent[target.name]}.")
            continue
        found = _fit_target(target, asked, features, settings, rng)
        fitted[target.name] = found
        notes.extend((*asked.notes, *found.notes))
        for other in target.beside():
            rows = _snapshots(log, features, other, table, first)
            figures, words = _beside(other, rows, features, settings)
            beside.extend(figures)
            notes.extend(words)
    worth, later = margin_rows(log, features, table, settings.horizon_days, first, end)
    margin = fit_margin(worth, later, _margin_settings(settings, features), rng)
    notes.append(margin.note)
    metrics = (*(each for one in fitted.values() for each in one.metrics), *beside)
    bundle = Bundle(
        as_of=as_of,
        feature_names=features.names,
        fingerprint=features.fingerprint,
        targets=settings.targets,
        classifiers={name: one.classifier for name, one in fitted.items()},
        base_rates={name: one.base_rate for name, one in fitted.items()},
        margin=margin.model,
        margins=margin.measured,
        metrics=metrics,
        notes=tuple(notes),
        golden=Golden((), {}),
        absent=absent,
    )
    tests = {name: one.tested for name, one in fitted.items()}
    return TrainingResult(with_golden_rows(bundle, worth.rows), metrics, tuple(notes), tests)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Rows of a question to learn from and to test on, and all customers; see `FitSettings`."""

    learned: Rows
    tested: Rows
    everyone: FloatArray
    notes: tuple[str, ...]


def _snapshots(
    log: SignalLog, features: FeatureSet, target: Target, table: TrainingTable, first: int
) -> _Asked:
    """Rows of a question asked at snapshots."""
    found = table.answers[target.name]
    answers, learns = found.values, ~table.test
    if table.test.any():
        # A window beside the one that serves may be longer: what it learns from ends before
        # the tests begin, too.
        closed = table.as_of + target.window_days * DAY <= table.as_of[table.test].min()
        learns = learns & closed
    none = np.zeros(len(features), dtype=bool)
    weights = np.ones(len(answers))
    rows = Rows(table.rows, answers, table.customers, table.as_of, weights, none)
    learned = rows.at((answers >= 0) & learns)
    if len(learned):
        stopped = clocks(log, features, learned.rows, learned.as_of, first)
        learned = replace(learned, clocks=stopped)
    last = table.as_of[~table.test].max() if (~table.test).any() else 0
    asked = int(np.sum(answers >= 0))
    note = (
        f"{target.name}: asked of {asked:,} rows; {found.not_at_risk:,} were not at risk, and of "
        f"{found.censored:,} the window of {target.window_days} days was not over: dropped, "
        "never a no."
    )
    tested = rows.at((answers >= 0) & table.test)
    return _Asked(learned, tested, table.rows[~table.test & (table.as_of == last)], (note,))


def _surveyed(log: SignalLog, features: FeatureSet, target: Target, first: int, end: int) -> _Asked:
    """Rows of a question asked by surveys."""
    found = promoter_rows(log, features, target, first, end)
    rows = Rows(
        found.rows, found.answers, found.customers, found.as_of, found.weights, found.clocks
    )
    learned = rows.at(~found.test & ~found.between)
    return _Asked(learned, rows.at(found.test), learned.rows, found.notes)


def _beside(
    target: Target, asked: _Asked, features: FeatureSet, settings: TrainSettings
) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """A window beside the one that serves: fitted and tested, but never in the bundle."""
    if not len(asked.learned):
        return (), (
            *asked.notes,
            f"{target.name}: no window of {target.window_days} days ends before the tests begin.",
        )
    # A draw of its own, so that the models that serve are the same with and without it.
    rng = np.random.default_rng((settings.seed, target.window_days))
    found = _fit_target(target, asked, features, settings, rng)
    metrics = tuple(replace(each, serves=False) for each in found.metrics)
    best = next(each for each in found.metrics if each.serves)
    words = f"{target.name}: beside the window that serves, {best.model} would serve this one"
    if best.auc is not None:
        words += f"; AUC {best.auc:.3f}, {best.positives:,} yes of {best.rows:,} test rows"
    return metrics, (*asked.notes, f"{words}.")


def _fit_target(
    target: Target,
    asked: _Asked,
    features: FeatureSet,
    settings: TrainSettings,
    rng: np.random.Generator,
) -> _Fitted:
    """Fit what the rows suffice for, test it, and choose what serves."""
    learned, tested = asked.learned, asked.tested
    growth = Growth(settings.booster, settings.seed, directions(features, target.score))
    fitting = FitSettings(target, growth, features, asked.everyone)
    models, notes = candidates(learned, features.names, fitting, rng)
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


def _margin_settings(settings: TrainSettings, features: FeatureSet) -> MarginSettings:
    growth = Growth(settings.booster, settings.seed)
    return MarginSettings(features.names, settings.margin_rate, settings.horizon_days, growth)


def _no_rows(target: Target, table: TrainingTable, plan: Schedule, said: tuple[str, ...]) -> str:
    """Why there is nothing to learn a target from."""
    if target.outcome == PROMOTION:
        return "; ".join(said)
    if not plan.train:
        return f"no window of {target.window_days} days has passed yet"
    had = (
        "a running subscription at"
        if target.of_subscribers
        else f"been at risk ({' or '.join(target.at_risk)} within {target.at_risk_days} days) at"
    )
    return (
        f"no customer had {had} any of "
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
