"""What the test of a training said, in numbers: beside baselines, calibrated or not, and lift."""

import hashlib
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from features.signals import SignalLog
from models.evaluation import (
    CalibrationBin,
    Estimate,
    Evaluation,
    LiftTenth,
    ModelFigures,
    TargetEvaluation,
)
from models.targets import Target
from training.fit import Tested, TrainingResult, TrainSettings
from training.metrics import BINS, Interval, auc_interval, losses, mean_interval
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
    )


def data_digest(log: SignalLog) -> str:
    """Sha256 over every signal of a log: equal for equal signals, whatever files they were in."""
    digest = hashlib.sha256()
    digest.update("\n".join(log.customer_ids).encode())
    digest.update(log.starts.astype("<i8").tobytes())
    for column in log.columns.columns():
        digest.update(column.astype("<i8").tobytes())
    return digest.hexdigest()


def calibration_bins(
    answers: Int8Array, probabilities: FloatArray, weights: FloatArray | None = None
) -> tuple[CalibrationBin, ...]:
    """Tenths of the rows by probability, lowest first: the mean said and the share that came.

    The same tenths as `training.metrics.calibration_error`, whose value is their mean gap.
    """
    order = np.argsort(probabilities, kind="stable")
    weights = np.ones(len(answers)) if weights is None else weights
    return tuple(
        CalibrationBin(
            float(np.average(probabilities[some], weights=weights[some])),
            float(np.average(answers[some], weights=weights[some])),
            len(some),
        )
        for some in np.array_split(order, BINS)
        if len(some)
    )


def lift_tenths(answers: Int8Array, probabilities: FloatArray) -> tuple[LiftTenth, ...]:
    """Tenths of the rows by probability, highest first. Empty where no answer is yes."""
    total = int(np.sum(answers))
    if not total:
        return ()
    order = np.argsort(-probabilities, kind="stable")
    return tuple(_tenths(answers[order], total))


def _tenths(sorted_answers: Int8Array, total: int) -> Iterator[LiftTenth]:
    base, found = total / len(sorted_answers), 0
    for place, some in enumerate(np.array_split(sorted_answers, BINS), start=1):
        if len(some):
            observed = float(np.mean(some))
            found += int(np.sum(some))
            yield LiftTenth(place, len(some), observed, observed / base, found / total)


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
        snapshots=len(np.unique(tested.as_of)),
        first_as_of=int(tested.as_of.min()),
        last_as_of=int(tested.as_of.max()),
        models=tuple(
            _figures(target.name, kind, tested, result, rng) for kind in tested.predictions
        ),
        calibration=calibration_bins(tested.answers, tested.predictions[served], tested.weights),
        lift=lift_tenths(tested.answers, tested.predictions[served]),
    )


def _figures(
    target: str, kind: str, tested: Tested, result: TrainingResult, rng: np.random.Generator
) -> ModelFigures:
    measured = next(each for each in result.metrics if (each.target, each.model) == (target, kind))
    scores, answers = tested.predictions[kind], tested.answers
    loss = mean_interval(tested.customers, losses(answers, scores), rng, tested.weights)
    return ModelFigures(
        model=kind,
        serves=measured.serves,
        auc=_auc(tested, scores, rng) if measured.auc is not None else None,
        log_loss=_estimate(loss),
        brier=float(measured.brier or 0.0),
        calibration_error=float(measured.calibration_error or 0.0),
        calibration_slope=measured.calibration_slope,
    )


def _auc(tested: Tested, scores: FloatArray, rng: np.random.Generator) -> Estimate:
    found = auc_interval(tested.customers, tested.answers, scores, rng, tested.weights)
    return _estimate(found)


def _estimate(found: Interval) -> Estimate:
    return Estimate(found.difference, found.low, found.high)
