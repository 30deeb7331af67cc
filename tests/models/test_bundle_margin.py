from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.definitions import FEATURES
from models.bundle import Bundle, MarginMeasured, with_golden_rows
from models.bundle_files import DamagedBundle, load_bundle, write_bundle
from models.margin_interval import Intervals
from models.margin_kinds import MarginForest
from training.forest import BoosterSettings, Growth, fit_money_forest

FloatArray = np.ndarray
Signer = Callable[..., Path]


@pytest.fixture(scope="module")
def earning(bundle: Bundle, rows: FloatArray) -> Bundle:
    """The same bundle with a forest for the margin, and intervals."""
    money = np.nan_to_num(rows[:, 0]) % 7.0
    forest = fit_money_forest(rows, money, FEATURES.names, Growth(BoosterSettings(rounds=20), 1))
    margin = replace(
        bundle.margin,
        forest=MarginForest(forest, -0.2),
        intervals=Intervals(0.9, (1.0, 3.0), (0.0, 0.1, 0.2), (4.25, 3.0, 2.0), 0.05),
    )
    measured = MarginMeasured("lightgbm", 9, 1.5, 2.5, -0.1, 0.9, 7.0, True, "beats")
    return with_golden_rows(replace(bundle, margin=margin, margins=(measured,)), rows)


@pytest.fixture
def folder(earning: Bundle, tmp_path: Path) -> Path:
    return tmp_path / write_bundle(earning, tmp_path)


def test_a_margin_by_a_forest_comes_back_as_it_was(earning: Bundle, folder: Path) -> None:
    again = load_bundle(folder, FEATURES)
    assert again.margin == earning.margin
    assert again.margins == earning.margins
    assert "text" not in (folder / "margin.json").read_text()


def test_a_customer_gets_a_margin_with_its_ends(earning: Bundle, rows: FloatArray) -> None:
    score = earning.expect(rows[5], FEATURES, None).scores["expected_margin"]
    assert score.served_by == "lightgbm"
    assert score.value == pytest.approx(earning.margin.expected(rows[5:6], FEATURES.names)[0])
    assert (score.low, score.high) == earning.margin.interval(score.value or 0.0)
    assert earning.expect(rows[5], FEATURES, None).scores["churn_risk"].low is None


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("margin.lgb", "objective=tweedie", "objective=binary sigmoid:1", "must be tweedie"),
        ("margin.lgb", "\nleaf_value=", "\nleaf_value=9", "tree 0 is not where the head says"),
        ("margin.json", '"log_factor": -0.2', '"log_factor": -0.1', "of expected_margin differ by"),
        ("margin.json", "4.25,", "4.5,", "of high expected_margin differ by"),
        ("margin.json", '"share": 0.9', '"share": 1.9', "intervals of share 1.9"),
        ("margin.json", '"forest": {},', '"forest": {"x": 1},', "Forest has .*; must have"),
    ],
)
def test_a_forged_margin_is_refused(
    folder: Path, name: str, old: str, new: str, words: str, forged: Signer
) -> None:
    with pytest.raises(DamagedBundle, match=words):
        load_bundle(forged(folder, name, old, new), FEATURES)


def test_a_margin_without_its_forest_is_refused(folder: Path, signed_again: Signer) -> None:
    (folder / "margin.lgb").unlink()
    with pytest.raises(DamagedBundle, match=r"file 'margin\.lgb' is missing"):
        load_bundle(signed_again(folder), FEATURES)


def test_a_forest_that_no_margin_needs_is_refused(
    bundle: Bundle, folder: Path, tmp_path: Path, signed_again: Signer
) -> None:
    plain = tmp_path / "plain" / write_bundle(bundle, tmp_path / "plain")
    (plain / "margin.lgb").write_bytes((folder / "margin.lgb").read_bytes())
    with pytest.raises(DamagedBundle, match=r"file 'margin\.lgb' belongs to no model"):
        load_bundle(signed_again(plain), FEATURES)
