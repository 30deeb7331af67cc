import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.definitions import FEATURES
from models.bundle import Bundle, predictions
from models.bundle_files import DamagedBundle, load_bundle, write_bundle
from models.classifier import WrongRows
from models.effects import STATE, EffectModels
from models.reason_texts import ReasonTexts

FloatArray = NDArray[np.float64]
WIDTH = len(FEATURES)
Signer = Callable[..., Path]


def test_a_bundle_comes_back_as_it_was(
    bundle: Bundle, folder: Path, rows: FloatArray, signed_again: Signer
) -> None:
    again = load_bundle(folder, FEATURES)
    assert again == replace(bundle, sha256=folder.name)
    assert predictions(again, rows) == predictions(bundle, rows)


def test_the_same_content_has_the_same_name(bundle: Bundle, folder: Path) -> None:
    assert write_bundle(bundle, folder.parent) == folder.name
    assert write_bundle(replace(bundle, notes=("Other.",)), folder.parent) != folder.name
    assert [path for path in folder.parent.iterdir() if path.name.startswith(".")] == []


def test_a_bundle_holds_text_and_json_only(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "churn_risk.json",
        "churn_risk.lgb",
        "golden.json",
        "manifest.json",
        "margin.json",
        "ranges.json",
        "report.json",
        "repurchase_likelihood.json",
        "targets.json",
    ]
    for path in folder.glob("*.json"):
        json.loads(path.read_text(encoding="utf-8"))


def test_no_golden_row_is_a_customer(bundle: Bundle, rows: FloatArray) -> None:
    golden = np.array(bundle.golden.rows, dtype=np.float64)
    same = (golden[:, np.newaxis] == rows) | (np.isnan(golden[:, np.newaxis]) & np.isnan(rows))
    assert not same.all(axis=2).any()


def test_expectations_of_a_customer_at_risk(
    bundle: Bundle, rows: FloatArray, texts: ReasonTexts
) -> None:
    row = rows[0].copy()
    row[0] = 56.0  # the very edge of the at-risk days counts
    found = bundle.expect(row, FEATURES, texts)
    churn = found.scores["churn_risk"]
    assert churn.value == bundle.classifiers["churn_risk"].predict(row[np.newaxis])[0]
    assert (churn.window_days, churn.base_rate, churn.served_by) == (28, 0.13, "lightgbm")
    assert found.scores["repurchase_likelihood"].served_by == "recency"
    margin = found.scores["expected_margin"]
    assert margin.value == pytest.approx(0.1 * found.usual_margin)
    assert {reason.score for reason in found.reasons} == {"churn_risk", "repurchase_likelihood"}
    assert replace(found, reasons=()) == bundle.expect(row, FEATURES, None)


@pytest.mark.parametrize(
    ("days", "note"),
    [
        (56.001, "not asked: no order in the last 56 days"),
        (float("nan"), "not asked: no order on record"),
    ],
)
def test_who_is_not_at_risk_has_no_probability(
    bundle: Bundle, rows: FloatArray, texts: ReasonTexts, days: float, note: str
) -> None:
    row = rows[0].copy()
    row[0] = days
    found = bundle.expect(row, FEATURES, texts)
    assert found.value("churn_risk") is None
    assert found.scores["churn_risk"].note == note
    assert found.reasons == ()
    assert found.value("expected_margin") is not None


def test_a_row_of_another_shape_is_refused(bundle: Bundle) -> None:
    with pytest.raises(WrongRows, match=rf"a row of shape \(1, {WIDTH}\); must be \({WIDTH},\)"):
        bundle.expect(np.zeros((1, WIDTH)), FEATURES, None)
    with pytest.raises(WrongRows, match=rf"must be float64 of shape \(n, {WIDTH}\)"):
        bundle.expect(np.zeros(3), FEATURES, None)


def test_a_missing_manifest_is_named(folder: Path) -> None:
    (folder / "manifest.json").unlink()
    with pytest.raises(DamagedBundle, match=r"no manifest\.json in .* train again with"):
        load_bundle(folder, FEATURES)


def test_a_changed_manifest_is_seen(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"format": 5', '"format": 5 '))
    with pytest.raises(DamagedBundle, match="must be the folder's name"):
        load_bundle(folder, FEATURES)


@pytest.mark.parametrize("name", ["churn_risk.lgb", "margin.json", "golden.json"])
def test_a_changed_file_is_seen(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedBundle, match=f"file '{name}' was changed after training"):
        load_bundle(folder, FEATURES)


def test_a_missing_and_an_unknown_file_are_named(folder: Path) -> None:
    (folder / "extra.json").write_text("{}")
    with pytest.raises(DamagedBundle, match=r"unknown file 'extra\.json'; the manifest lists all"):
        load_bundle(folder, FEATURES)
    (folder / "extra.json").unlink()
    (folder / "margin.json").unlink()
    with pytest.raises(DamagedBundle, match=r"file 'margin\.json' is missing"):
        load_bundle(folder, FEATURES)


def test_another_feature_set_is_refused(folder: Path) -> None:
    fewer = FeatureSet(FEATURES.features[:-1])
    with pytest.raises(DamagedBundle, match=f"this program computes {fewer.fingerprint[:12]}"):
        load_bundle(folder, fewer)


def test_another_format_is_refused(folder: Path, signed_again: Signer) -> None:
    with pytest.raises(DamagedBundle, match="format 1; this program reads 5"):
        load_bundle(signed_again(folder, format=1), FEATURES)


@pytest.mark.parametrize("files", [None, 5])
def test_a_manifest_without_files_is_refused(
    folder: Path, files: object, signed_again: Signer
) -> None:
    with pytest.raises(DamagedBundle, match="its manifest cannot be read"):
        load_bundle(signed_again(folder, files=files), FEATURES)


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (
            "repurchase_likelihood.json",
            "-2.0",
            "-2.5",
            "golden predictions of repurchase_likelihood differ by 0.04",
        ),
        (
            "margin.json",
            '"prior_days": 56.0',
            '"prior_days": 57.0',
            "golden predictions of expected_margin differ by",
        ),
        ("margin.json", '"base"', '"bass"', "MarginModel has .*; must have"),
        ("churn_risk.json", '"lightgbm"', '"joblib"', "kind 'joblib'; kinds are lightgbm, logist"),
        ("churn_risk.lgb", "num_leaves=", "num_leaves=9", "tree 0 is not where the head says"),
        ("targets.json", '"absence"', '"abstinence"', "outcome = 'abstinence'"),
        ("golden.json", '"churn_risk"', '"other"', "golden predictions speak of other scores"),
    ],
)
def test_a_forged_file_is_refused(
    folder: Path, name: str, old: str, new: str, words: str, forged: Signer
) -> None:
    with pytest.raises(DamagedBundle, match=words):
        load_bundle(forged(folder, name, old, new), FEATURES)


def test_forged_feature_names_are_refused(folder: Path, signed_again: Signer) -> None:
    names = [FEATURES.names[1], FEATURES.names[0], *FEATURES.names[2:]]
    with pytest.raises(DamagedBundle, match="feature names"):
        load_bundle(signed_again(folder, feature_names=names), FEATURES)


def test_a_bundle_that_was_moved_to_another_name_is_refused(folder: Path) -> None:
    moved = shutil.copytree(folder, folder.parent / ("0" * 64))
    with pytest.raises(DamagedBundle, match="must be the folder's name"):
        load_bundle(moved, FEATURES)


def test_parts_of_effects_that_nobody_knows_are_refused(
    bundle: Bundle, tmp_path: Path, forged: Signer
) -> None:
    one = EffectModels(
        names=("gift",),
        state=STATE,
        terms=((),),
        coefficients=np.array([[2.0]]),
        covariance=np.array([[0.5]]),
        evidence=np.array([100]),
        means={},
        mean=np.array([[2.0]]),
    )
    folder = tmp_path / write_bundle(replace(bundle, effects=one), tmp_path)
    assert load_bundle(folder, FEATURES).golden.predictions["effect of gift"] == (2.0,) * 64
    with pytest.raises(DamagedBundle, match=r"effects: parts \['coefficients', .*'x'\]; must be"):
        load_bundle(forged(folder, "effects.json", '"names"', '"x": 1, "names"'), FEATURES)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"low": [2.0], "high": [1.0]}, "ranges.json: from 2 to 1; must be upwards"),
        ({"spread": [-1.0]}, "ranges.json: spread -1; must not be negative"),
    ],
)
def test_ranges_that_no_training_finds_are_refused(
    folder: Path, signed_again: Signer, changed: dict[str, list[float]], words: str
) -> None:
    ranges = json.loads((folder / "ranges.json").read_text())
    for key, values in changed.items():
        ranges[key][: len(values)] = values
    (folder / "ranges.json").write_text(json.dumps(ranges))
    with pytest.raises(DamagedBundle, match=words):
        load_bundle(signed_again(folder), FEATURES)


@pytest.mark.parametrize("as_of", [-1, 2**63 - 1])
def test_a_moment_without_a_date_is_refused(folder: Path, signed_again: Signer, as_of: int) -> None:
    with pytest.raises(DamagedBundle, match=f"as_of {as_of}; must be microseconds from 1970 to"):
        load_bundle(signed_again(folder, as_of=as_of), FEATURES)
