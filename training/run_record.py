"""What is written down of a training: tags, parameters and metrics by name."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from features.home import Home
from features.signals import date_of
from models.bundle import EXPECTED_MARGIN, Bundle
from models.evaluation import Evaluation, ModelFigures, TargetEvaluation
from training.server import ROOT

if TYPE_CHECKING:
    from training.retrain import Retrained


def tags_of(home: Home, evaluation: Evaluation, bundle: Bundle) -> dict[str, str]:
    """From what, by what and when it was made."""
    about = home.about()
    return {
        "bundle": bundle.sha256,
        "data": about.name,
        "simulated": str(about.simulated).lower(),
        "data_digest": evaluation.data_digest,
        "feature_fingerprint": bundle.fingerprint,
        "as_of": date_of(bundle.as_of),
        "git_commit": git_commit(ROOT),
    }


def parameters_of(retrained: "Retrained") -> dict[str, object]:
    """With what settings all models were fitted."""
    return {
        "seed": retrained.evaluation.seed,
        "features": len(retrained.bundle.feature_names),
        **asdict(retrained.booster),
    }


def score_parameters(bundle: Bundle, score: str) -> dict[str, object]:
    """What a score asks, and which model answers with what calibration."""
    classifier = bundle.classifiers[score]
    question = {name: value for name, value in asdict(bundle.targets[score]).items()}
    return question | {
        "served_by": classifier.served_by,
        "base_rate": bundle.base_rates[score],
        "calibration_slope": classifier.calibration.slope,
        "calibration_intercept": classifier.calibration.intercept,
    }


def metrics_of(target: TargetEvaluation) -> dict[str, float]:
    """Metrics by name: ``test.auc`` of the one that serves, ``logistic.test.auc`` of others."""
    found: dict[str, float] = {
        "test.rows": target.rows,
        "test.customers": target.customers,
        "test.positives": target.positives,
    }
    if target.lift:
        found["test.lift_at_10"] = target.lift[0].lift
        found["test.captured_at_10"] = target.lift[0].captured
    for figures in target.models:
        start = "" if figures.serves else f"{figures.model}."
        found |= {f"{start}test.{name}": value for name, value in _figures(figures)}
    return found


def margin_metrics(bundle: Bundle) -> dict[str, float]:
    """Metrics of the margin by name, as `metrics_of` has those of the scores."""
    found: dict[str, float] = {}
    for each in bundle.margins:
        start = f"{EXPECTED_MARGIN}.{'' if each.serves else f'{each.model}.'}test."
        found[f"{start}absolute_error"] = each.absolute_error
        found[f"{start}root_square_error"] = each.root_square_error
        found[f"{start}bias"] = each.bias
        if each.coverage is not None and each.width is not None:
            found[f"{start}inside_interval"] = each.coverage
            found[f"{start}interval_width"] = each.width
    return found


def _figures(figures: ModelFigures) -> Iterator[tuple[str, float]]:
    for name, estimate in (("auc", figures.auc), ("log_loss", figures.log_loss)):
        if estimate is not None:
            yield name, estimate.value
            yield f"{name}.low", estimate.low
            yield f"{name}.high", estimate.high
    yield "brier", figures.brier
    yield "ece", figures.calibration_error
    if figures.calibration_slope is not None:
        yield "calibration_slope", figures.calibration_slope


def git_commit(root: Path) -> str:
    """Commit of the program, ``+changes`` where files differ from it; empty without git."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return ""
    commit, changes = (
        subprocess.run([git, "-C", str(root), *words], capture_output=True, text=True, check=False)
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
    )
    return commit.stdout.strip() + ("+changes" if changes.stdout.strip() else "")
