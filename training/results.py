"""What a training came to, as a table for people and as a record for programs."""

from collections.abc import Iterator
from dataclasses import asdict

from models.bundle import Measured
from training.retrain import Retrained

HEADER = (
    f"{'target':<22} {'model':<10} {'rows':>7} {'yes':>7} {'AUC':>6} {'log loss':>8} "
    f"{'Brier':>6} {'ECE':>6} {'slope':>6}"
)


def result_lines(retrained: Retrained) -> list[str]:
    """The metrics on the test snapshots, a line per target and model, the notes, what is next."""
    bundle = retrained.bundle
    table = [HEADER, *(_line(measured) for measured in bundle.metrics)] if bundle.metrics else []
    return [*table, *bundle.notes, *_place(retrained)]


def result_record(retrained: Retrained) -> dict[str, object]:
    """The same for programs."""
    bundle = retrained.bundle
    return {
        "bundle": f"sha256:{bundle.sha256}",
        "champion": f"sha256:{retrained.champion}",
        "serves": retrained.serves,
        "served_by": {name: found.served_by for name, found in bundle.classifiers.items()},
        "changed": dict(retrained.evaluation.changed),
        "data_digest": retrained.evaluation.data_digest,
        "metrics": [asdict(measured) for measured in bundle.metrics],
        "notes": list(bundle.notes),
    }


def _place(retrained: Retrained) -> Iterator[str]:
    changed = retrained.evaluation.changed
    if changed:
        yield f"Set: {', '.join(f'{name}={value:g}' for name, value in changed.items())}."
    name = retrained.bundle.sha256[:12]
    if retrained.serves:
        yield f"bundle {name} is in service"
    else:
        yield (
            f"bundle {name} is the challenger; bundle {retrained.champion[:12]} stays in service: "
            "compare them with `nextbest evaluate`, then `nextbest promote`"
        )


def _line(measured: Measured) -> str:
    return f"{measured.target:<22} {measured.model:<10} " + " ".join(_cells(measured))


def _cells(measured: Measured) -> Iterator[str]:
    yield f"{measured.rows:>7,}"
    yield f"{measured.positives:>7,}"
    for value, width in (
        (measured.auc, 6),
        (measured.log_loss, 8),
        (measured.brier, 6),
        (measured.calibration_error, 6),
        (measured.calibration_slope, 6),
    ):
        yield f"{'-' if value is None else f'{value:.4f}':>{width}}"
    if measured.serves:
        yield "serves"
