"""The models page: can this version be trusted? It repeats what training wrote down."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from markupsafe import Markup

from features.home import Home
from models.bundle import Bundle, Measured
from models.evaluation import (
    CARD,
    DamagedEvaluation,
    NoEvaluation,
    TargetEvaluation,
    beeswarm_file,
    load_evaluation,
    report_folder,
)
from serving.answer import Json, time_text
from serving.console import words
from serving.console.charts import drawn_calibration, drawn_lift
from serving.console.looking import Looking
from serving.console.twins import Rows

BEESWARMS: Final = "/app/models/beeswarm"
VERDICTS: Final = {
    "beats": "clearly better than the best simple rule",
    "equals": "as good as the best simple rule",
    "loses": "worse than the best simple rule",
    "unclear": "not shown to be as good as the best simple rule",
    "untested": "not tested, for want of customers",
}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model in the table of a target; all but `serves` as text."""

    model: str
    auc: str
    log_loss: str
    brier: str
    error: str
    slope: str
    serves: bool


@dataclass(frozen=True, slots=True)
class TargetShown:
    """One score: the question, the models that were tried, and two pictures."""

    name: str
    title: str
    question: str
    window_days: int
    served_by: str
    base_rate: str
    verdict: str
    rows: int
    positives: int
    models: tuple[ModelRow, ...]
    tested: TargetEvaluation | None
    calibration: Markup
    lift: Markup
    beeswarm: str


@dataclass(frozen=True, slots=True)
class ModelsPage:
    """All that the models page says; without a bundle, only `note`."""

    bundle: str
    as_of: str
    note: str
    targets: tuple[TargetShown, ...]
    notes: tuple[str, ...]
    measured: tuple[Measured, ...]
    card: bool

    def record(self) -> dict[str, Json]:
        """The JSON twin."""
        return {
            "bundle": self.bundle,
            "as_of": self.as_of,
            "note": self.note,
            "notes": list(self.notes),
            "metrics": [dict(zip(COLUMNS, cells(one), strict=True)) for one in self.measured],
            "targets": [
                {
                    "target": target.name,
                    "question": target.question,
                    "served_by": target.served_by,
                    "calibration": [
                        {"said": one.mean_predicted, "came": one.observed, "rows": one.rows}
                        for one in (target.tested.calibration if target.tested else ())
                    ],
                    "lift": [
                        {"tenth": one.tenth, "observed": one.observed, "rows": one.rows}
                        for one in (target.tested.lift if target.tested else ())
                    ],
                    "against_declared": [
                        asdict(one) for one in (target.tested.against if target.tested else ())
                    ],
                }
                for target in self.targets
            ],
        }

    def rows(self) -> Rows:
        """The CSV twin: a model a row."""
        return Rows(COLUMNS, tuple(cells(one) for one in self.measured))


COLUMNS: Final = (
    "target",
    "model",
    "rows",
    "positives",
    "auc",
    "log_loss",
    "brier",
    "calibration_error",
    "calibration_slope",
    "serves",
)


def cells(one: Measured) -> tuple[str | float | int | None, ...]:
    """One measured model, in the order of `COLUMNS`."""
    return (
        one.target,
        one.model,
        one.rows,
        one.positives,
        one.auc,
        one.log_loss,
        one.brier,
        one.calibration_error,
        one.calibration_slope,
        one.serves,
    )


def models_page(looking: Looking, home: Home) -> ModelsPage:
    """The page of the bundle in service."""
    bundle = looking.engine.bundle
    if bundle is None:
        return ModelsPage("", "", looking.note, (), (), (), card=False)
    folder = report_folder(home, bundle.sha256)
    tested: dict[str, TargetEvaluation] = {}
    note = ""
    try:
        tested = {one.target: one for one in load_evaluation(folder).targets}
    except NoEvaluation:
        note = "No pictures were kept of this bundle's test; `nextbest train` makes them."
    except DamagedEvaluation:
        note = "The pictures of this bundle's test cannot be read; train again to have them."
    return ModelsPage(
        bundle=bundle.sha256,
        as_of=time_text(bundle.as_of),
        note=note,
        targets=tuple(
            target_shown(name, bundle, tested.get(name), folder) for name in bundle.classifiers
        ),
        notes=bundle.notes,
        measured=bundle.metrics,
        card=(folder / CARD).exists(),
    )


def target_shown(
    name: str, bundle: Bundle, tested: TargetEvaluation | None, folder: Path
) -> TargetShown:
    """One score of a bundle, with what its test said if that was kept."""
    target, title = bundle.targets[name], words.SCORES.get(name, words.plain(name))
    mine = [one for one in bundle.metrics if one.target == name]
    best = next((one for one in mine if one.verdict), None)
    verdict = "" if best is None else VERDICTS.get(best.verdict, best.verdict)
    calibration = lift = Markup()
    if tested is not None and tested.calibration:
        points = [(one.mean_predicted, one.observed, one.rows) for one in tested.calibration]
        calibration = drawn_calibration(points, f"{title}: said and came true")
    if tested is not None and tested.lift:
        tenths = [(one.tenth, one.observed) for one in tested.lift]
        lift = drawn_lift(tenths, tested.base_rate, f"{title}: share of yes by tenth of the scores")
    has_picture = (folder / beeswarm_file(name)).exists()
    return TargetShown(
        name=name,
        title=title,
        question=target.question,
        window_days=target.window_days,
        served_by=words.MODELS.get(bundle.classifiers[name].served_by, ""),
        base_rate=words.percent(bundle.base_rates[name]),
        verdict=verdict,
        rows=mine[0].rows if mine else 0,
        positives=mine[0].positives if mine else 0,
        models=tuple(model_row(one, tested) for one in mine),
        tested=tested,
        calibration=calibration,
        lift=lift,
        beeswarm=f"{BEESWARMS}/{bundle.sha256}/{name}.svg" if has_picture else "",
    )


def model_row(one: Measured, tested: TargetEvaluation | None) -> ModelRow:
    """One model in words and numbers, with intervals where the test kept them."""
    figures = {each.model: each for each in tested.models} if tested else {}
    mine = figures.get(one.model)
    auc, loss = digits(one.auc), digits(one.log_loss)
    if mine is not None and mine.auc is not None:
        auc = f"{auc} ({mine.auc.low:.3f} to {mine.auc.high:.3f})"
    if mine is not None:
        loss = f"{loss} ({mine.log_loss.low:.3f} to {mine.log_loss.high:.3f})"
    return ModelRow(
        words.MODELS.get(one.model, one.model),
        auc,
        loss,
        digits(one.brier),
        digits(one.calibration_error),
        digits(one.calibration_slope, 2),
        one.serves,
    )


def digits(value: float | None, places: int = 3) -> str:
    """A measure, or a dash where there is none."""
    return "\N{EN DASH}" if value is None else f"{value:.{places}f}"


def picture(looking: Looking, home: Home, sha: str, target: str) -> bytes | None:
    """The beeswarm of a target of the bundle in service; None for anything else.

    Both names must be ones of the bundle, so that no path can be asked for.
    """
    bundle = looking.engine.bundle
    if bundle is None or sha != bundle.sha256 or target not in bundle.classifiers:
        return None
    file = report_folder(home, bundle.sha256) / beeswarm_file(target)
    return file.read_bytes() if file.exists() else None


def card(looking: Looking, home: Home, sha: str) -> bytes | None:
    """The model card of the bundle in service; None for anything else."""
    bundle = looking.engine.bundle
    if bundle is None or sha != bundle.sha256:
        return None
    file = report_folder(home, bundle.sha256) / CARD
    return file.read_bytes() if file.exists() else None
