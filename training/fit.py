"""Training: from the signal log to a bundle, and what is known about how good it is."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from features.algebra import FeatureSet
from features.signals import Int64Array, SignalLog, date_of
from models.bundle import Bundle, Golden, Measured, with_golden_rows
from models.classifier import Classifier
from models.targets import PROMOTION, Target, Targets
from training.asked import Asked, LaidOut, asked, laid_out
from training.baselines import smoothed_rate
from training.candidates import FitSettings, candidates
from training.contest import choice, measured
from training.dataset import Schedule, ScheduleRules, TrainingTable
from training.forest import BoosterSettings, Growth, directions
from training.margins import MarginSettings, fit_margin, margin_rows
from training.outsized_orders import outsized_order

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
    with one_thread():
        history = laid_out(log, features, settings.targets, settings.schedule, as_of)
        return train_on(history, settings, as_of)


def one_thread() -> AbstractContextManager[object]:
    """Linear algebra on one thread while the block runs.

    Several add up in an order of their own, so that their number would show in the last digits;
    and on busy cores they wait for each other: ten times slower was seen.
    """
    limits: AbstractContextManager[object] = threadpool_limits(limits=1)
    return limits


def train_on(history: LaidOut, settings: TrainSettings, as_of: int) -> TrainingResult:
    """Fit every target and the margin on a history that is laid out already."""
    log, features, plan, table = history.log, history.features, history.plan, history.table
    rng = np.random.default_rng(settings.seed)
    notes = [*plan.notes, *table.notes, *_dates(plan)]
    fitted: dict[str, _Fitted] = {}
    absent: dict[str, str] = {}
    beside: list[Measured] = []
    for target in settings.targets.targets:
        rows = asked(history, target)
        if not len(rows.learned):
            absent[target.name] = _no_rows(target, table, plan, rows.notes)
            notes.append(f"{target.name}: left out, since {absent[target.name]}.")
            continue
        found = _fit_target(target, rows, features, settings, rng)
        fitted[target.name] = found
        notes.extend((*rows.notes, *found.notes))
        for other in target.beside():
            figures, words = _beside(other, asked(history, other), features, settings)
            beside.extend(figures)
            notes.extend(words)
    first, end = history.first, history.end
    worth, later = margin_rows(log, features, table, settings.horizon_days, first, end)
    margin = fit_margin(worth, later, _margin_settings(settings, features), rng)
    notes.append(margin.note)
    outsized = outsized_order(log)
    if outsized is not None:
        notes.append(f"expected_margin: {outsized.words()}")
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


def _beside(
    target: Target, rows: Asked, features: FeatureSet, settings: TrainSettings
) -> tuple[tuple[Measured, ...], tuple[str, ...]]:
    """A window beside the one that serves: fitted and tested, but never in the bundle."""
    if not len(rows.learned):
        return (), (
            *rows.notes,
            f"{target.name}: no window of {target.window_days} days ends before the tests begin.",
        )
    # A draw of its own, so that the models that serve are the same with and without it.
    rng = np.random.default_rng((settings.seed, target.window_days))
    found = _fit_target(target, rows, features, settings, rng)
    metrics = tuple(replace(each, serves=False) for each in found.metrics)
    best = next(each for each in found.metrics if each.serves)
    words = f"{target.name}: beside the window that serves, {best.model} would serve this one"
    if best.auc is not None:
        words += f"; AUC {best.auc:.3f}, {best.positives:,} yes of {best.rows:,} test rows"
    return metrics, (*rows.notes, f"{words}.")


def _fit_target(
    target: Target,
    rows: Asked,
    features: FeatureSet,
    settings: TrainSettings,
    rng: np.random.Generator,
) -> _Fitted:
    """Fit what the rows suffice for, test it, and choose what serves."""
    learned, tested = rows.learned, rows.tested
    growth = Growth(settings.booster, settings.seed, directions(features, target.score))
    fitting = FitSettings(target, growth, features, rows.everyone)
    models, notes = candidates(learned, features.names, fitting, rng)
    found = {
        kind: model.classifier.predict(tested.rows) if len(tested) else np.empty(0)
        for kind, model in models.items()
    }
    serving, said = choice(target, found, tested, rng)
    metrics = tuple(
        replace(
            measured(target.name, kind, tested, found[kind], serving, said.word),
            membership=model.membership,
        )
        for kind, model in models.items()
    )
    rate = smoothed_rate(learned.answers, learned.weights)
    test = Tested(
        tested.rows, tested.answers, tested.customers, tested.as_of, tested.weights, found
    )
    return _Fitted(models[serving].classifier, rate, metrics, (*notes, said.sentence), test)


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
    trained, tested = plan.train, plan.test
    text = f"Trained on {len(trained)} snapshots, {date_of(trained[0])} to {date_of(trained[-1])}"
    if tested:
        text += f"; tested on {len(tested)}, {date_of(tested[0])} to {date_of(tested[-1])}"
    return (f"{text}.",)
