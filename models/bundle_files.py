"""A bundle's files: one folder of text and JSON, written whole, checked before it is believed.

The manifest lists the sha256 of every other file and the folder is named by the sha256 of the
manifest, so a name stands for exactly one content. No pickle: loading runs no code of the file.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from features.algebra import FeatureSet
from features.home import write_whole
from models.bundle import (
    Bundle,
    Golden,
    MarginMeasured,
    Measured,
    explanations,
    predictions,
    with_golden_answers,
)
from models.bundle_folder import AGAIN, FORMAT, DamagedBundle, Manifest, checked_files, sha256
from models.classifier import KINDS, Calibration, Classifier, DamagedModel, Forest
from models.effects import from_tables as effects_from_tables
from models.effects import tables as effects_tables
from models.forest_text import check_forest
from models.golden_rows import EXPLAINED_ROWS, GOLDEN_ROWS
from models.margin import MarginModel
from models.margin_kinds import OBJECTIVE
from models.ranges import Ranges
from models.strict_json import record, strict_json, table
from models.targets import tables, targets_from_tables

__all__ = ["FORMAT", "DamagedBundle", "load_bundle", "read_bundle", "write_bundle"]

# Probabilities and money, between machines too: their last digits differ by 1e-15.
GOLDEN_TOLERANCE: Final = 1e-9
# Of a calibration; the demo company's lie between 0.9 and 1.2.
STEEPEST: Final = 100.0
EFFECTS: Final = "effects.json"
MARGIN_FOREST: Final = "margin.lgb"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What stands in the file of one score; a forest's text lies beside it."""

    kind: str
    model: Mapping[str, object]
    calibration: Calibration
    base_rate: float


@dataclass(frozen=True, slots=True)
class Report:
    """What stands in `report.json`."""

    metrics: tuple[Measured, ...]
    margins: tuple[MarginMeasured, ...]
    notes: tuple[str, ...]
    absent: Mapping[str, str]


def write_bundle(bundle: Bundle, bundles: Path) -> str:
    """Write a bundle below the folder `bundles`; its name there, a sha256, is the result.

    Its golden rows get the answers of the bundle as it is now.

    Written beside its place and moved there in one step; writing it again changes nothing,
    unless what lies there was damaged meanwhile: then it is replaced.
    """
    bundle = with_golden_answers(bundle)
    contents = {name: text.encode() for name, text in _contents(bundle).items()}
    manifest = _json(
        {
            "format": FORMAT,
            "as_of": bundle.as_of,
            "fingerprint": bundle.fingerprint,
            "feature_names": bundle.feature_names,
            "files": {name: sha256(content) for name, content in sorted(contents.items())},
        }
    ).encode()
    name = sha256(manifest)
    files = contents | {"manifest.json": manifest}
    if _holds(bundles / name, files):
        return name
    beside = bundles / f".{name}.{os.getpid()}.part"
    for file, content in files.items():
        write_whole(beside / file, content)
    if (bundles / name).exists():
        shutil.rmtree(bundles / name)
    try:
        beside.rename(bundles / name)
    except OSError:
        if not (bundles / name).exists():
            raise
        shutil.rmtree(beside)  # another process wrote the same content first
    return name


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    """Whether a folder holds exactly these files."""
    return {path.name for path in folder.glob("*")} == set(files) and all(
        (folder / name).read_bytes() == content for name, content in files.items()
    )


def load_bundle(
    folder: Path, features: FeatureSet, trial: Callable[[Path], None] | None = None
) -> Bundle:
    """Read a bundle that this program can serve.

    Parameters
    ----------
    trial : callable or None
        What a bundle with a forest must pass before LightGBM reads it in this process:
        `models.bundle_trial.try_in_child`, where this process must not be lost.

    Raises
    ------
    DamagedBundle
        See `read_bundle`; also if the feature set differs from the one it was trained with.
    """
    manifest, contents = checked_files(folder)
    where = f"bundle {folder.name[:12]}"
    if manifest.fingerprint != features.fingerprint:
        raise DamagedBundle(
            f"{where}: was trained with the features {manifest.fingerprint[:12]!a}; this "
            f"program computes {features.fingerprint[:12]}; {AGAIN}"
        )
    if manifest.feature_names != features.names:
        raise DamagedBundle(f"{where}: its feature names are not those of its features; {AGAIN}")
    return _checked(folder, manifest, contents, trial)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle, checking all that can be checked but the feature set.

    Raises
    ------
    DamagedBundle
        If a file is missing, changed, unknown, or not as training writes it; or a golden row
        is predicted or explained differently.
    """
    return _checked(folder, *checked_files(folder))


def _checked(
    folder: Path,
    manifest: Manifest,
    contents: dict[str, bytes],
    trial: Callable[[Path], None] | None = None,
) -> Bundle:
    where = f"bundle {folder.name[:12]}"
    try:
        bundle = _bundle(manifest, contents, folder.name)
        if trial is not None and any(name.endswith(".lgb") for name in contents):
            trial(folder)
        # A forged number may overflow; the comparison below then fails in words.
        with np.errstate(all="ignore"):
            _check_golden(bundle)
    except DamagedBundle:
        raise
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise DamagedBundle(f"{where}: {error}; it is not what training wrote; {AGAIN}") from error
    return bundle


def _contents(bundle: Bundle) -> dict[str, str]:
    """Text of each file but the manifest, by name."""
    contents = {
        "targets.json": _json(tables(bundle.targets)),
        "golden.json": _json(asdict(bundle.golden)),
        "ranges.json": _json(asdict(bundle.ranges)),
        "report.json": _json(
            {
                "metrics": [asdict(each) for each in bundle.metrics],
                "margins": [asdict(each) for each in bundle.margins],
                "notes": bundle.notes,
                "absent": dict(bundle.absent),
            }
        ),
    }
    contents |= _margin_contents(bundle.margin)
    if bundle.effects is not None:
        contents[EFFECTS] = _json(effects_tables(bundle.effects))
    for name, classifier in bundle.classifiers.items():
        model = asdict(classifier.model)  # each kind is a dataclass
        if isinstance(classifier.model, Forest):
            contents[f"{name}.lgb"] = model.pop("text")
        contents[f"{name}.json"] = _json(
            {
                "kind": classifier.served_by,
                "model": model,
                "calibration": asdict(classifier.calibration),
                "base_rate": bundle.base_rates[name],
            }
        )
    return contents


def _bundle(manifest: Manifest, contents: Mapping[str, bytes], sha256: str) -> Bundle:
    """The bundle of its files: all of them, and nothing else."""
    found = {
        name: strict_json(content, name)
        for name, content in contents.items()
        if name.endswith(".json")
    }
    names = manifest.feature_names
    targets = targets_from_tables(table(found["targets.json"], "targets.json"), "targets.json")
    models = {
        name: record(ModelFile, found[f"{name}.json"], f"{name}.json")
        for name in targets.names
        if f"{name}.json" in found
    }
    classifiers = {
        name: _classifier(name, model, contents.get(f"{name}.lgb"), names)
        for name, model in models.items()
    }
    known = {"targets.json", "margin.json", "golden.json", "ranges.json", "report.json", EFFECTS}
    known |= {f"{name}.json" for name in models}
    margin = _margin(found["margin.json"], contents.get(MARGIN_FOREST), names)
    known |= {MARGIN_FOREST} if margin.forest is not None else set()
    known |= {f"{name}.lgb" for name, model in models.items() if model.kind == Forest.kind}
    for name in contents:
        if name not in known:
            raise DamagedModel(f"file '{name}' belongs to no model")
    report = record(Report, found["report.json"], "report.json")
    effects = table(found[EFFECTS], EFFECTS) if EFFECTS in found else None
    return Bundle(
        as_of=manifest.as_of,
        feature_names=names,
        fingerprint=manifest.fingerprint,
        targets=targets,
        classifiers=classifiers,
        base_rates={name: model.base_rate for name, model in models.items()},
        margin=margin,
        metrics=report.metrics,
        margins=report.margins,
        notes=report.notes,
        golden=record(Golden, found["golden.json"], "golden.json"),
        absent=report.absent,
        ranges=_ranges(found["ranges.json"], len(names)),
        sha256=sha256,
        effects=None if effects is None else effects_from_tables(effects),
    )


def _classifier(
    name: str, file: ModelFile, text: bytes | None, names: tuple[str, ...]
) -> Classifier:
    where = f"{name}.json"
    if file.kind not in KINDS:
        raise DamagedModel(f"kind {file.kind!a:.40}; kinds are {', '.join(KINDS)}")
    if not 0 <= file.base_rate <= 1:
        raise DamagedModel(f"{where}: base_rate {file.base_rate:g}; must be a share")
    if not 0 < file.calibration.slope <= STEEPEST:
        raise DamagedModel(
            f"{where}: slope {file.calibration.slope:g}; must be above 0 and at most {STEEPEST:g}"
        )
    parts = dict(file.model)
    if file.kind == Forest.kind:
        if text is None:
            raise DamagedModel(f"file '{name}.lgb' is missing")
        whole = text.decode("ascii")
        check_forest(whole, names)
        parts["text"] = whole
    return Classifier(record(KINDS[file.kind], parts, where), names, file.calibration)


def _margin_contents(margin: MarginModel) -> dict[str, str]:
    """Text of the files of the margin, by name: numbers, and a forest if it has one."""
    found, contents = asdict(margin), {}
    if margin.forest is not None:
        contents[MARGIN_FOREST] = found["forest"]["forest"].pop("text")
    return contents | {"margin.json": _json(found)}


def _margin(value: object, text: bytes | None, names: tuple[str, ...]) -> MarginModel:
    where = "margin.json"
    found = table(value, where)
    if found.get("forest") is not None:
        if text is None:
            raise DamagedModel(f"file '{MARGIN_FOREST}' is missing")
        whole = text.decode("ascii")
        check_forest(whole, names, OBJECTIVE)
        forest = table(found["forest"], where)
        trees = table(forest.get("forest"), where) | {"text": whole}
        found = found | {"forest": forest | {"forest": trees}}
    return record(MarginModel, found, where)


def _ranges(value: object, n_features: int) -> Ranges:
    ranges = record(Ranges, value, "ranges.json")
    for each in (ranges.low, ranges.high, ranges.usual, ranges.spread):
        if len(each) not in (0, n_features):
            raise DamagedModel(f"its ranges are not one number, or none, for {n_features} features")
    for low, high in zip(ranges.low, ranges.high, strict=True):
        if low is not None and high is not None and low > high:
            raise DamagedModel(f"ranges.json: from {low:g} to {high:g}; must be upwards")
    for spread in ranges.spread:
        if spread is not None and spread < 0:
            raise DamagedModel(f"ranges.json: spread {spread:g}; must not be negative")
    return ranges


def _check_golden(bundle: Bundle) -> None:
    golden, width = bundle.golden, len(bundle.feature_names)
    if len(golden.rows) != GOLDEN_ROWS or any(len(row) != width for row in golden.rows):
        raise DamagedModel(f"its golden rows are not {GOLDEN_ROWS} of {width} features")
    rows = np.array(golden.rows, dtype=np.float64)
    _require_same("predictions", golden.predictions, predictions(bundle, rows))
    explained = explanations(bundle, rows[:EXPLAINED_ROWS])
    _require_same("explanations", golden.explanations, explained)


def _require_same(
    what: str, then: Mapping[str, tuple[float, ...]], now: Mapping[str, tuple[float, ...]]
) -> None:
    if set(now) != set(then):
        raise DamagedModel(f"its golden {what} speak of other scores than its models")
    for name, values in then.items():
        if len(values) != len(now[name]):
            raise DamagedModel(f"its golden {what} of {name} are not one for each row")
        gaps = np.abs(np.array(values) - np.array(now[name]))
        # Money and sums of parts may be large: their last digits then are.
        allowed = GOLDEN_TOLERANCE * np.maximum(1.0, np.abs(np.array(values)))
        if not (gaps <= allowed).all():
            raise DamagedModel(
                f"golden {what} of {name} differ by {np.max(gaps):.2g}; "
                f"at most {GOLDEN_TOLERANCE} may be"
            )


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=1) + "\n"
