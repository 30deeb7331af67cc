import math
import re
import subprocess
import sys

import lightgbm
import numpy as np
import pytest
from numpy.typing import NDArray

from features.definitions import FEATURES
from models.classifier import (
    BaseRate,
    Classifier,
    Forest,
    WrongRows,
    logit,
    recency_band,
    recency_column,
    sigmoid,
)

FloatArray = NDArray[np.float64]
WIDTH = len(FEATURES)


@pytest.mark.parametrize("kind", ["forest", "regression", "rule", "base"])
def test_contributions_add_up_to_the_prediction(
    kind: str, rows: FloatArray, request: pytest.FixtureRequest
) -> None:
    names = request.getfixturevalue("rule").names
    model = Classifier(BaseRate(-1.3), names) if kind == "base" else request.getfixturevalue(kind)
    parts, predicted = model.contributions(rows), model.predict(rows)
    assert parts.shape == (len(rows), rows.shape[1] + 1)
    log_odds = np.log(predicted / (1 - predicted))
    np.testing.assert_allclose(parts.sum(axis=1), log_odds, atol=1e-9)
    np.testing.assert_allclose(model.log_odds(rows), log_odds, atol=1e-9)


def test_a_forest_predicts_what_lightgbm_does(forest: Classifier, rows: FloatArray) -> None:
    assert isinstance(forest.model, Forest)
    booster = lightgbm.Booster(model_str=forest.model.text)
    plain = booster.predict(rows, num_threads=1)
    expected = [1 / (1 + math.exp(-(1.2 * math.log(p / (1 - p)) - 0.1))) for p in plain]
    np.testing.assert_allclose(forest.predict(rows), expected, rtol=1e-12)


# What shap asks of matplotlib when it is imported.
@pytest.mark.filterwarnings("ignore:The set_:PendingDeprecationWarning")
def test_contributions_are_those_of_shap(forest: Classifier, rows: FloatArray) -> None:
    # The shap package walks the same trees in code of its own.
    import shap

    assert isinstance(forest.model, Forest)
    booster = lightgbm.Booster(model_str=forest.model.text)
    explainer = shap.TreeExplainer(booster)
    oracle = explainer(rows)
    slope, intercept = forest.calibration.slope, forest.calibration.intercept
    found = forest.contributions(rows)
    np.testing.assert_allclose(found[:, :-1], slope * oracle.values, rtol=0, atol=1e-12)
    np.testing.assert_allclose(
        found[:, -1], slope * oracle.base_values + intercept, rtol=0, atol=1e-12
    )
    assert np.abs(found[:, :-1]).max() > 0.1


def test_a_logistic_regression_by_hand(regression: Classifier, rows: FloatArray) -> None:
    model, row = regression.model, rows[5]
    log_odds = -1.0
    for place, value in enumerate(row.tolist()):
        missing = math.isnan(value)
        if not missing:
            log_odds += model.coefficient[place] * (math.log(1 + value) - 2.0) / 1.5  # type: ignore[union-attr]
        log_odds += model.missing[place] * (missing - 0.2)  # type: ignore[union-attr]
    expected = 1 / (1 + math.exp(-log_odds))
    assert regression.predict(row[np.newaxis])[0] == pytest.approx(expected, rel=1e-12)


def test_one_row_is_predicted_as_in_a_crowd(forest: Classifier, rows: FloatArray) -> None:
    together = forest.predict(rows)
    alone = [forest.predict(rows[place : place + 1])[0] for place in range(20)]
    assert together[:20].tolist() == alone


def test_bands_begin_at_their_edges() -> None:
    days = np.array([0.0, 4.999, 5.0, 9.0, 10.0, 400.0, np.nan])
    assert recency_band(days, (5.0, 10.0)).tolist() == [0, 0, 1, 1, 2, 2, 3]


def test_the_rule_reads_its_band(rule: Classifier) -> None:
    rows = np.zeros((4, len(rule.names)))
    rows[:, recency_column(rule.names)] = [1.0, 7.0, 30.0, np.nan]
    expected = [1 / (1 + math.exp(-log_odds)) for log_odds in (-2.0, -1.0, 0.5, 1.0)]
    np.testing.assert_allclose(rule.predict(rows), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 3)), np.zeros(WIDTH), np.zeros((1, WIDTH), dtype=np.float32)]
)
def test_rows_of_another_shape_or_type_are_refused(rule: Classifier, rows: FloatArray) -> None:
    words = f"rows of shape {rows.shape} and type {rows.dtype}; must be float64 of shape (n, "
    with pytest.raises(WrongRows, match=re.escape(words)):
        rule.predict(rows)


def test_a_feature_set_without_recency_is_refused() -> None:
    with pytest.raises(WrongRows, match="no feature 'days_since_last_order' among the 2 given"):
        recency_column(("a", "b"))


def test_sigmoid_does_not_overflow() -> None:
    assert sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]
    assert float(sigmoid(np.array([logit(0.2)]))[0]) == pytest.approx(0.2, rel=1e-15)


def test_lightgbm_is_imported_only_by_those_who_need_it() -> None:
    program = "import sys, models.bundle; print('lightgbm' in sys.modules, 'pandas' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "False"]
