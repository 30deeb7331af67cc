"""A bundle's files: one folder of text and JSON, written whole, checked before it is believed.

The manifest lists the sha256 of every other file and the folder is named by the sha256 of the
manifest, so a name stands for exactly one content. No pickle: loading runs no code of the file.
"""

import hashlib
import json
import math
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Final, TypeVar, cast

import numpy as np

from features.algebra import FeatureSet
from features.home import write_whole
from models.bundle import Bundle, Golden, Measured, predictions
from models.classifier import KINDS, Calibration, Classifier, DamagedModel, Forest, WrongRows
from models.effects import from_tables as effects_from_tables
from models.effects import tables as effects_tables
from models.forest_text import check_forest
from models.margin import MarginModel
from models.ranges import Ranges
from models.targets import InvalidTargets, tables, targets_from_tables

Record = TypeVar("Record")

FORMAT: Final = 3  # of the folder; raise it when an older reader would misread it
GOLDEN_TOLERANCE: Final = 1e-9
EFFECTS: Final = "effects.json"


class DamagedBundle(ValueError):
    """A bundle that is not, byte for byte, what training wrote, or that fits no longer."""


def write_bundle(bundle: Bundle, bundles: Path) -> str:
    """Write a bundle below the folder `bundles`; its name there, a sha256, is the result.

    Written beside its place and moved there in one step; writing it again changes nothing,
    unless what lies there was damaged meanwhile: then it is replaced.
    """
    contents = {name: text.encode() for name, text in _contents(bundle).items()}
    manifest = _json(
        {
            "format": FORMAT,
            "as_of": bundle.as_of,
            "fingerprint": bundle.fingerprint,
            "feature_names": bundle.feature_names,
            "files": {name: _sha256(content) for name, content in sorted(contents.items())},
        }
    ).encode()
    name = _sha256(manifest)
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


def load_bundle(folder: Path, features: FeatureSet) -> Bundle:
    """Read a bundle, checking all that can be checked before it may serve.

    Raises
    ------
    DamagedBundle
        If the manifest is missing or of another format; a file is missing, changed or
        unknown; the feature set differs from the one it was trained with; a model's text is
        not whole; or a golden row is predicted differently.
    """
    manifest, contents = _checked_files(folder)
    where = f"bundle {folder.name[:12]}"
    if manifest.get("fingerprint") != features.fingerprint:
        raise DamagedBundle(
            f"{where}: was trained with the features {str(manifest.get('fingerprint'))[:12]}; this "
            f"program computes {features.fingerprint[:12]}; train again with `nextbest train`"
        )
    try:
        bundle = _bundle(manifest, contents, folder.name)
        if bundle.feature_names != features.names:
            raise DamagedModel("its feature names are not those of the feature set")
        _check_golden(bundle)
    except (KeyError, TypeError, DamagedModel, InvalidTargets, WrongRows, ValueError) as error:
        raise DamagedBundle(
            f"{where}: {error}; it is not what training wrote; train again with `nextbest train`"
        ) from error
    return bundle


def _contents(bundle: Bundle) -> dict[str, str]:
    """Text of each file but the manifest, by name."""
    contents = {
        "targets.json": _json(tables(bundle.targets)),
        "margin.json": _json(asdict(bundle.margin)),
        "golden.json": _json(asdict(bundle.golden)),
        "ranges.json": _json(asdict(bundle.ranges)),
        "report.json": _json(
            {
                "metrics": [asdict(each) for each in bundle.metrics],
                "notes": bundle.notes,
                "absent": dict(bundle.absent),
            }
        ),
    }
    if bundle.effects is not None:
        contents[EFFECTS] = _json(effects_tables(bundle.effects))
    for name, classifier in bundle.classifiers.items():
        model = asdict(classifier.model)
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


def _checked_files(folder: Path) -> tuple[dict[str, object], dict[str, bytes]]:
    """Manifest and contents, each file exactly as its checksum says."""
    where = f"bundle {folder.name[:12]}"
    again = "train again with `nextbest train`"
    if not (folder / "manifest.json").is_file():
        raise DamagedBundle(f"{where}: no manifest.json in {folder}; {again}")
    raw = (folder / "manifest.json").read_bytes()
    if _sha256(raw) != folder.name:
        raise DamagedBundle(
            f"{where}: its manifest has the checksum {_sha256(raw)[:12]}; must be the folder's "
            f"name; {again}"
        )
    try:
        manifest = json.loads(raw)
        form, listed = manifest["format"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedBundle(f"{where}: its manifest cannot be read ({error!r}); {again}") from error
    if form != FORMAT:
        raise DamagedBundle(f"{where}: format {form}; this program reads {FORMAT}; {again}")
    found = {path.name for path in folder.iterdir()} - {"manifest.json"}
    for name in sorted(found - set(listed)):
        raise DamagedBundle(f"{where}: unknown file '{name}'; the manifest lists all; {again}")
    contents = {}
    for name, checksum in listed.items():
        if name not in found:
            raise DamagedBundle(f"{where}: file '{name}' is missing; {again}")
        contents[name] = (folder / name).read_bytes()
        if _sha256(contents[name]) != checksum:
            raise DamagedBundle(f"{where}: file '{name}' was changed after training; {again}")
    return manifest, contents


def _bundle(manifest: dict[str, object], contents: dict[str, bytes], sha256: str) -> Bundle:
    names = tuple(cast(list[str], manifest["feature_names"]))
    targets = targets_from_tables(json.loads(contents["targets.json"]), "targets.json")
    classifiers, base_rates = {}, {}
    for name in targets.names:
        if f"{name}.json" in contents:
            found = json.loads(contents[f"{name}.json"])
            text = contents.get(f"{name}.lgb")
            classifiers[name] = _classifier(found, text, names)
            base_rates[name] = float(found["base_rate"])
    golden = json.loads(contents["golden.json"])
    report = json.loads(contents["report.json"])
    return Bundle(
        as_of=int(cast(int, manifest["as_of"])),
        feature_names=names,
        fingerprint=str(manifest["fingerprint"]),
        targets=targets,
        classifiers=classifiers,
        base_rates=base_rates,
        margin=_record(MarginModel, json.loads(contents["margin.json"])),
        metrics=tuple(_record(Measured, each) for each in report["metrics"]),
        notes=tuple(report["notes"]),
        golden=Golden(
            tuple(tuple(row) for row in golden["rows"]),
            {name: tuple(values) for name, values in golden["predictions"].items()},
        ),
        absent={str(name): str(why) for name, why in report["absent"].items()},
        ranges=_ranges(json.loads(contents["ranges.json"]), len(names)),
        sha256=sha256,
        effects=effects_from_tables(json.loads(contents[EFFECTS])) if EFFECTS in contents else None,
    )


def _classifier(
    found: dict[str, dict[str, object]], text: bytes | None, names: tuple[str, ...]
) -> Classifier:
    kind = str(found["kind"])
    if kind not in KINDS:
        raise DamagedModel(f"kind '{kind}'; kinds are {', '.join(KINDS)}")
    table = dict(found["model"])
    if text is not None:
        table["text"] = text.decode()
        check_forest(text.decode(), names)
    return Classifier(
        _record(KINDS[kind], table), names, _record(Calibration, found["calibration"])
    )


def _ranges(table: dict[str, object], n_features: int) -> Ranges:
    ranges = _record(Ranges, table)
    for each in (ranges.low, ranges.high, ranges.usual, ranges.spread):
        if len(each) not in (0, n_features) or not all(_is_number(value) for value in each):
            raise DamagedModel(f"its ranges are not one number, or none, for {n_features} features")
    return ranges


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, float | int) and math.isfinite(value))


def _record(record: type[Record], table: dict[str, object]) -> Record:
    """A frozen record from a JSON table; lists become tuples."""
    expected = {field.name for field in fields(record)}  # type: ignore[arg-type]
    if set(table) != expected:
        raise DamagedModel(f"{record.__name__} has {sorted(table)}; must have {sorted(expected)}")
    return record(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})


def _check_golden(bundle: Bundle) -> None:
    rows = np.array(bundle.golden.rows, dtype=np.float64)
    now = predictions(bundle, rows)
    if set(now) != set(bundle.golden.predictions):
        raise DamagedModel("its golden predictions speak of other scores than its models")
    for name, then in bundle.golden.predictions.items():
        gap = float(np.max(np.abs(np.array(then) - np.array(now[name]))))
        if not gap <= GOLDEN_TOLERANCE:
            raise DamagedModel(
                f"{name} of a golden row differs by {gap:.2g}; at most {GOLDEN_TOLERANCE} may be"
            )


def _json(value: object) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
