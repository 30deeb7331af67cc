"""What a test said of a bundle: the numbers behind every picture and table of its models.

Training writes it beside the bundle's other reports; pages and cards read it and compute nothing.
It is no part of the bundle: nothing in it can change a score.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Final, TypeVar

from features.home import Home, write_whole

FORMAT: Final = 3  # of the file; raise it when an older reader would misread it
FILE: Final = "evaluation.json"
CARD: Final = "card.html"

Record = TypeVar("Record")


class DamagedEvaluation(ValueError):
    """An evaluation file that cannot be what training wrote."""


class NoEvaluation(LookupError):
    """A bundle of which no evaluation was kept."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One condition of a promotion: its name, whether it holds, and its numbers in words."""

    name: str
    passed: bool
    says: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measure, and its 95 % interval when whole customers are drawn again."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ModelFigures:
    """How one model did on the test rows of one target.

    Attributes
    ----------
    model : str
        ``lightgbm``, ``logistic``, ``recency``, ``base_rate``.
    serves : bool
        Whether it is the one in the bundle.
    auc : Estimate or None
        None where the test held one answer only.
    log_loss : Estimate
        Mean of -log of the probability given to what happened; lower is better.
    brier, calibration_error : float
        Lower is better.
    calibration_slope : float or None
        1 for a calibrated model; None where it has no meaning.
    """

    model: str
    serves: bool
    auc: Estimate | None
    log_loss: Estimate
    brier: float
    calibration_error: float
    calibration_slope: float | None


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """A tenth of the test rows, by predicted probability: what was said, what came."""

    mean_predicted: float
    observed: float
    rows: int


@dataclass(frozen=True, slots=True)
class LiftTenth:
    """A tenth of the test rows, the highest scores first.

    Attributes
    ----------
    tenth : int
        1: the highest scores, 10: the lowest.
    observed : float
        Share of yes in this tenth.
    lift : float
        `observed` by the share of yes in all rows; 1 is no better than chance.
    captured : float
        Share of all yes found in this tenth and those above it.
    """

    tenth: int
    rows: int
    observed: float
    lift: float
    captured: float


@dataclass(frozen=True, slots=True)
class AgainstDeclared:
    """A feature that moves a score, on average, against its declared direction.

    Attributes
    ----------
    declared : int
        +1: everybody expects the score to rise with the feature; -1: to fall.
    average : float
        Rank correlation of the feature with what it adds to the log-odds.
    share : float
        Of all that features add to the score, either way.
    """

    feature: str
    label: str
    declared: int
    average: float
    share: float


@dataclass(frozen=True, slots=True)
class TargetEvaluation:
    """The test of one target: its models, and two curves of the one that serves.

    Attributes
    ----------
    target : str
        Name of the score.
    question : str
        In words, as in targets.toml.
    served_by : str
    rows, customers, positives : int
        Test rows, whose they are, and how many answers were yes.
    base_rate : float
        Share of yes among all; of promoters, weighted to all who were asked, as every figure is.
    snapshots : int
        Moments at which the test looked, from `first_as_of` to `last_as_of` (microseconds UTC).
    against : tuple of AgainstDeclared
        Features of the model that serves; the weightiest first.
    """

    target: str
    question: str
    window_days: int
    served_by: str
    rows: int
    customers: int
    positives: int
    base_rate: float
    snapshots: int
    first_as_of: int
    last_as_of: int
    models: tuple[ModelFigures, ...]
    calibration: tuple[CalibrationBin, ...]
    lift: tuple[LiftTenth, ...]
    against: tuple[AgainstDeclared, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All targets of one bundle that had something to be tested on.

    Attributes
    ----------
    bundle : str
        Its sha256.
    as_of : int
        Microseconds UTC; nothing received later was used.
    data_digest : str
        sha256 over the signals that were read.
    changed : mapping of str to float
        Guarded parameters that were set away from their defaults.
    gates : tuple of Gate
        What could be said of the bundle by itself, with no champion beside it.
    """

    bundle: str
    as_of: int
    data_digest: str
    seed: int
    changed: Mapping[str, float]
    targets: tuple[TargetEvaluation, ...]
    notes: tuple[str, ...]
    gates: tuple[Gate, ...] = ()

    def __getitem__(self, name: str) -> TargetEvaluation:
        for target in self.targets:
            if target.target == name:
                return target
        named = ", ".join(target.target for target in self.targets) or "none"
        raise NoEvaluation(f"bundle {self.bundle[:12]}: no test of '{name}'; tested were {named}")


def report_folder(home: Home, sha: str) -> Path:
    """Where the evaluation, the pictures and the card of a bundle lie."""
    return home.reports / "bundles" / sha.removeprefix("sha256:")


def beeswarm_file(target: str) -> str:
    """Name of the picture of what moved a target's score, in the report folder."""
    return f"beeswarm-{target}.svg"


def save_evaluation(evaluation: Evaluation, folder: Path) -> Path:
    """Write it into a report folder; the file it became."""
    text = json.dumps(
        {"format": FORMAT, **asdict(evaluation)}, allow_nan=False, ensure_ascii=False, indent=1
    )
    write_whole(folder / FILE, text.encode() + b"\n")
    return folder / FILE


def load_evaluation(folder: Path) -> Evaluation:
    """Read the evaluation of a report folder.

    Raises
    ------
    NoEvaluation
        If there is none.
    DamagedEvaluation
        If it is not what `save_evaluation` wrote, or of another format.
    """
    path = folder / FILE
    again = "train again with `nextbest train`"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NoEvaluation(f"{path}: this bundle was not evaluated; {again}") from error
    except ValueError as error:
        raise DamagedEvaluation(f"{path}: no JSON ({error}); {again}") from error
    if not isinstance(found, dict) or found.pop("format", None) != FORMAT:
        raise DamagedEvaluation(f"{path}: not of format {FORMAT}, the one read here; {again}")
    try:
        targets = tuple(_target(each) for each in found.pop("targets"))
        gates = tuple(_record(Gate, each) for each in found.pop("gates"))
        return _record(Evaluation, found | {"targets": targets, "gates": gates})
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedEvaluation(f"{path}: {error}; {again}") from error


def _target(found: dict[str, object]) -> TargetEvaluation:
    table = dict(found)
    for key, record in (
        ("models", _figures),
        ("calibration", lambda each: _record(CalibrationBin, each)),
        ("lift", lambda each: _record(LiftTenth, each)),
        ("against", lambda each: _record(AgainstDeclared, each)),
    ):
        table[key] = tuple(record(each) for each in table[key])  # type: ignore[attr-defined]
    return _record(TargetEvaluation, table)


def _figures(found: dict[str, object]) -> ModelFigures:
    table = found | {"log_loss": _record(Estimate, _table(found["log_loss"]))}
    if found["auc"] is not None:
        table["auc"] = _record(Estimate, _table(found["auc"]))
    return _record(ModelFigures, table)


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} where a table must be")
    return value


def _record(record: type[Record], table: dict[str, object]) -> Record:
    """A frozen record from a JSON table; lists become tuples."""
    expected = {field.name for field in fields(record)}  # type: ignore[arg-type]
    if set(table) != expected:
        raise TypeError(f"{record.__name__} has {sorted(table)}; must have {sorted(expected)}")
    return record(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})
