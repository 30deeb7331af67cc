"""What the test of a training said, in numbers: beside baselines, calibrated or not, and lift."""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from features.definitions import FEATURES
from features.signals import SignalLog
from models.bundle import Measured
from models.evaluation import (
    CalibrationBin,
    Estimate,
    Evaluation,
    LiftTenth,
    ModelFigures,
    TargetEvaluation,
)
from models.targets import Target
from training.bundle_gates import bundle_gates
from training.directions import against_declared
from training.fit import Tested, TrainingResult, TrainSettings
from training.gates import Gate, slope_gate
from training.metrics import (
    BINS,
    Interval,
    auc_interval,
    brier,
    calibration_error,
    has_slope,
    log_odds_of,
    losses,
    mean_interval,
    slope_interval,
)
from training.parameters import changes

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]


def evaluation_of(
    result: TrainingResult, sha: str, log: SignalLog, settings: TrainSettings
) -> Evaluation:
    """The record of a training's test, to be kept beside the bundle it became.

    Parameters
    ----------
    sha : str
        Of the bundle.
    log : SignalLog
        What was trained on.
    """
    bundle = result.bundle
    rng = np.random.default_rng(settings.seed)
    return Evaluation(
        bundle=sha,
        as_of=bundle.as_of,
        data_digest=data_digest(log),
        seed=settings.seed,
        changed=changes(settings.booster),
        targets=tuple(
            _target_evaluation(bundle.targets[name], tested, result, rng)
            for name, tested in result.tested.items()
            if len(tested.answers)
        ),
        notes=bundle.notes,
        gates=(*bundle_gates(bundle, FEATURES), *_slopes(result)),
    )


def _slopes(result: TrainingResult) -> Iterator[Gate]:
    """Gates of the calibration, where the test has both answers and the model is no constant."""
    for name, tested in result.tested.items():
        served_by = result.bundle.classifiers[name].served_by
        log_odds = log_odds_of(tested.predictions[served_by])
        if has_slope(tested.answers, log_odds):
            yield slope_gate(
                name, slope_interval(tested.customers, tested.answers, log_odds, tested.weights)
            )


def data_digest(log: SignalLog) -> str:
    """Sha256 over every signal of a log: equal for equal signals, whatever files they were in."""
    digest = hashlib.sha256()
    digest.update("\n".join(log.customer_ids).encode())
    digest.update(log.starts.astype("<i8").tobytes())
    for column in log.columns.columns():
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()


def calibration_bins(tested: Tested, probabilities: FloatArray) -> tuple[CalibrationBin, ...]:
    """Tenths of the rows by probability, lowest first: the mean said and the share that came.

    The same tenths as `training.metrics.calibration_error`, whose value is their mean gap.
    """
    order = np.argsort(probabilities, kind="stable")
    return tuple(
        CalibrationBin(
            _mean(probabilities[some], tested.weights[some]),
            _mean(tested.answers[some], tested.weights[some]),
            len(some),
        )
        for some in np.array_split(order, BINS)
        if len(some)
    )


def lift_tenths(tested: Tested, probabilities: FloatArray) -> tuple[LiftTenth, ...]:
    """Tenths of the rows by probability, highest first. Empty where no answer is yes."""
    if not tested.answers.any():
        return ()
    order = np.argsort(-probabilities, kind="stable")
    return tuple(_tenths(tested.answers[order], tested.weights[order]))


def _tenths(answers: Int8Array, weights: FloatArray) -> Iterator[LiftTenth]:
    base, found = _mean(answers, weights), 0.0
    total = float(np.sum(answers * weights))
    for place, some in enumerate(np.array_split(np.arange(len(answers)), BINS), start=1):
        if len(some):
            observed = _mean(answers[some], weights[some])
            found += float(np.sum(answers[some] * weights[some]))
            yield LiftTenth(place, len(some), observed, observed / base, found / total)


def _mean(values: FloatArray | Int8Array, weights: FloatArray) -> float:
    return float(np.average(values, weights=weights))


def _target_evaluation(
    target: Target, tested: Tested, result: TrainingResult, rng: np.random.Generator
) -> TargetEvaluation:
    served = result.bundle.classifiers[target.name].served_by
    return TargetEvaluation(
        target=target.name,
        question=target.question,
        window_days=target.window_days,
        served_by=served,
        rows=len(tested.answers),
        customers=len(np.unique(tested.customers)),
        positives=int(np.sum(tested.answers == 1)),
        base_rate=_mean(tested.answers, tested.weights),
        snapshots=len(np.unique(tested.as_of)),
        first_as_of=int(tested.as_of.min()),
        last_as_of=int(tested.as_of.max()),
        models=tuple(
            _figures(measured, tested, rng)
            for measured in result.metrics
            if measured.target == target.name
        ),
        calibration=calibration_bins(tested, tested.predictions[served]),
        lift=lift_tenths(tested, tested.predictions[served]),
        against=against_declared(
            result.bundle.classifiers[target.name], target.score, tested.rows, FEATURES
        ),
    )


def _figures(measured: Measured, tested: Tested, rng: np.random.Generator) -> ModelFigures:
    scores, answers, weights = tested.predictions[measured.model], tested.answers, tested.weights
    both = 0 < int(np.sum(answers == 1)) < len(answers)
    area = auc_interval(tested.customers, answers, scores, rng, weights) if both else None
    return ModelFigures(
        model=measured.model,
        serves=measured.serves,
        auc=None if area is None else _estimate(area),
        log_loss=_estimate(mean_interval(tested.customers, losses(answers, scores), rng, weights)),
        brier=brier(answers, scores, weights),
        calibration_error=calibration_error(answers, scores, weights),
        calibration_slope=measured.calibration_slope,
    )


def _estimate(found: Interval) -> Estimate:
    return Estimate(found.difference, found.low, found.high)
