"""What a training came to, as a table for people and as a record for programs."""

from collections.abc import Iterator
from dataclasses import asdict

from models.bundle import Bundle, Measured

HEADER = (
    f"{'target':<22} {'model':<10} {'rows':>7} {'yes':>7} {'AUC':>6} {'log loss':>8} "
    f"{'Brier':>6} {'ECE':>6} {'slope':>6}"
)


def result_lines(bundle: Bundle) -> list[str]:
    """The metrics on the test snapshots, a line per target and model, then the notes."""
    table = [HEADER, *(_line(measured) for measured in bundle.metrics)] if bundle.metrics else []
    return [*table, *bundle.notes, f"bundle {bundle.sha256[:12]} is in service"]


def result_record(bundle: Bundle) -> dict[str, object]:
    """The same for programs."""
    return {
        "bundle": f"sha256:{bundle.sha256}",
        "served_by": {name: found.served_by for name, found in bundle.classifiers.items()},
        "metrics": [asdict(measured) for measured in bundle.metrics],
        "notes": list(bundle.notes),
    }


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
