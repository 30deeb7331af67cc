"""What training, comparing and promoting came to: tables for people, records for programs."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from models.bundle import EXPECTED_MARGIN, MarginMeasured, Measured
from models.evaluation import Gate
from training.comparison import Comparison, Contest
from training.promote import Promotion
from training.retrain import Retrained

HEADER = (
    f"{'target':<22} {'model':<10} {'rows':>7} {'yes':>7} {'AUC':>6} {'log loss':>8} "
    f"{'Brier':>6} {'ECE':>6} {'slope':>6}"
)


MARGIN_HEADER = (
    f"{'money':<22} {'model':<10} {'rows':>7} {'abs error':>9} {'rms error':>9} {'bias':>7} "
    f"{'inside':>7} {'width':>8}"
)


def result_lines(retrained: Retrained) -> list[str]:
    """The metrics on the test snapshots, a line per target and model, the notes, what is next."""
    bundle = retrained.bundle
    table = [HEADER, *(_line(measured) for measured in bundle.metrics)] if bundle.metrics else []
    if bundle.margins:
        table += [MARGIN_HEADER, *(_margin_line(measured) for measured in bundle.margins)]
    gates = gate_lines(retrained.evaluation.gates)
    return [*table, *bundle.notes, *gates, *_place(retrained)]


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
        "margins": [asdict(measured) for measured in bundle.margins],
        "gates": [asdict(gate) for gate in retrained.evaluation.gates],
        "notes": list(bundle.notes),
    }


def comparison_lines(comparison: Comparison) -> list[str]:
    """Champion and challenger side by side, then every gate, then what to do."""
    lines = [f"champion {comparison.champion[:12]}, challenger {comparison.challenger[:12]}"]
    if comparison.contests:
        lines.append(
            f"{'target':<22} {'measure':<18} {'champion':>9} {'challenger':>10}  difference"
        )
    for contest in comparison.contests:
        lines.extend(_contest_lines(contest))
    lines.extend(comparison.notes)
    return [*lines, *gate_lines(comparison.gates)]


def gate_lines(gates: Iterable[Gate]) -> list[str]:
    """Every gate with its answer and its numbers."""
    return [f"{'yes' if gate.passed else 'NO '}  {gate.name}: {gate.says}" for gate in gates]


def verdict_line(comparison: Comparison) -> str:
    """What the gates allow."""
    if comparison.passed:
        return "Every gate says yes: `nextbest promote` puts the challenger into service"
    return "A gate says no: the champion stays, unless you `nextbest promote --force`"


def comparison_record(comparison: Comparison) -> dict[str, object]:
    """The same for programs."""
    return {
        "champion": f"sha256:{comparison.champion}",
        "challenger": f"sha256:{comparison.challenger}",
        "passed": comparison.passed,
        "contests": [asdict(contest) for contest in comparison.contests],
        "gates": [asdict(gate) for gate in comparison.gates],
        "notes": list(comparison.notes),
    }


def promotion_lines(promotion: Promotion) -> list[str]:
    """The comparison, and what was done."""
    lines = comparison_lines(promotion.comparison)
    if not promotion.promoted:
        return [*lines, verdict_line(promotion.comparison)]
    how = ", forced although a gate said no" if promotion.forced else ""
    return [
        *lines,
        f"bundle {promotion.after[:12]} is in service{how}; "
        f"`nextbest rollback` returns to {promotion.before[:12]}",
    ]


def promotion_record(promotion: Promotion) -> dict[str, object]:
    """The same for programs."""
    return comparison_record(promotion.comparison) | {
        "promoted": promotion.promoted,
        "forced": promotion.forced,
    }


def _contest_lines(contest: Contest) -> Iterator[str]:
    old, new = contest.champion, contest.challenger
    where = (
        f"{contest.rows:,} rows of {contest.customers:,} customers at {contest.snapshots} snapshots"
    )
    if old.auc is not None and new.auc is not None and contest.auc is not None:
        gap = contest.auc
        yield _beside(contest.target, "AUC", old.auc, new.auc) + (
            f"  {gap.difference:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
        )
    gap = contest.loss
    yield _beside("", "log loss", old.log_loss, new.log_loss) + (
        f"  {100 * gap.difference:+.2f} % ({100 * gap.low:+.2f} to {100 * gap.high:+.2f} %)"
    )
    gap = contest.calibration
    yield _beside("", "calibration error", old.calibration_error, new.calibration_error) + (
        f"  {gap.difference:+.4f} ({gap.low:+.4f} to {gap.high:+.4f})"
    )
    yield f"{'':<22} {where}"


def _beside(target: str, measure: str, old: float, new: float) -> str:
    return f"{target:<22} {measure:<18} {old:>9.4f} {new:>10.4f}"


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


def _margin_line(measured: MarginMeasured) -> str:
    inside = "-" if measured.coverage is None else f"{measured.coverage:.1%}"
    width = "-" if measured.width is None else f"{measured.width:.2f}"
    line = (
        f"{EXPECTED_MARGIN:<22} {measured.model:<10} {measured.rows:>7,} "
        f"{measured.absolute_error:>9.2f} {measured.root_square_error:>9.2f} "
        f"{measured.bias:>+7.2f} {inside:>7} {width:>8}"
    )
    return f"{line} serves" if measured.serves else line


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
