"""Ranges: percentiles of what there is, and steps that outliers do not stretch."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from features.definitions import FEATURES
from models.bundle import Bundle
from models.bundle_files import DamagedBundle, load_bundle, write_bundle
from models.ranges import Ranges, ranges_of

nan = float("nan")


def test_ranges_leave_the_outermost_hundredths_out() -> None:
    column = np.concatenate((np.arange(1.0, 100.0), [1e9, nan, nan]))
    found = ranges_of(column[:, np.newaxis])
    inside = np.arange(2.0, 100.0)
    assert found == Ranges((2.0,), (99.0,), (51.0,), (float(np.std(inside)),))


def test_a_feature_without_values_has_no_range() -> None:
    assert ranges_of(np.full((3, 1), nan)) == Ranges((None,), (None,), (None,), (None,))


def test_ranges_come_back_from_a_bundle(bundle: Bundle, tmp_path: Path) -> None:
    name = write_bundle(bundle, tmp_path)
    again = load_bundle(tmp_path / name, FEATURES)
    assert again.ranges == bundle.ranges
    assert len(again.ranges.low) == len(FEATURES)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ([1.0], "its ranges are not one number, or none, for"),
        (["x"] * len(FEATURES), "low: 'x'; must be of type float"),
    ],
)
def test_ranges_that_fit_no_feature_set_are_refused(
    bundle: Bundle, tmp_path: Path, wrong: list[object], words: str
) -> None:
    folder = tmp_path / write_bundle(bundle, tmp_path)
    table = json.loads((folder / "ranges.json").read_text())
    raw = json.dumps({**table, "low": wrong}).encode()
    (folder / "ranges.json").write_bytes(raw)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["ranges.json"] = hashlib.sha256(raw).hexdigest()
    signed = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(signed)
    folder = folder.rename(tmp_path / hashlib.sha256(signed).hexdigest())
    with pytest.raises(DamagedBundle, match=words):
        load_bundle(folder, FEATURES)
