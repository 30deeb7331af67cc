import numpy as np
from numpy.typing import NDArray

from models.bundle import Bundle, explanations, predictions
from models.golden_rows import GOLDEN_ROWS, golden_rows

FloatArray = NDArray[np.float64]


def test_each_feature_keeps_its_quantiles_and_its_share_of_the_missing() -> None:
    rng = np.random.default_rng(5)
    rows = np.column_stack([rng.normal(0, 1, 5000), rng.gamma(1, 9, 5000), np.zeros(5000)])
    rows[:2500, 1] = np.nan
    found = golden_rows(rows)
    assert found.shape == (GOLDEN_ROWS, 3)
    mixed = found[8:]
    assert np.isnan(mixed).sum(axis=0).tolist() == [0, 28, 0]
    for column in (0, 1):
        known = np.sort(mixed[:, column][~np.isnan(mixed[:, column])])
        levels = (np.arange(len(known)) + 0.5) / len(known)
        expected = np.nanquantile(rows[:, column], levels)
        assert np.allclose(known, expected, rtol=1e-5)  # six digits are kept
    assert np.array_equal(found, golden_rows(rows), equal_nan=True)


def test_features_are_mixed_independently() -> None:
    ramp = np.linspace(0, 1, 1000)
    mixed = golden_rows(np.column_stack([ramp, ramp]))[8:]
    assert abs(np.asarray(np.corrcoef(mixed.T))[0, 1]) < 0.4


def test_a_column_without_any_value_stays_without() -> None:
    found = golden_rows(np.full((3, 1), np.nan))
    assert np.isnan(found).all()


def test_golden_rows_fall_on_both_sides_of_most_splits(bundle: Bundle, rows: FloatArray) -> None:
    golden = np.array(bundle.golden.rows, dtype=np.float64)
    text = bundle.classifiers["churn_risk"].model.text  # type: ignore[attr-defined]
    features, thresholds = (
        np.array([float(word) for line in text.split("\n") if line.startswith(key) for word in
                  line.removeprefix(key).split()])
        for key in ("split_feature=", "threshold=")
    )  # fmt: skip
    at = golden[:, features.astype(int)]
    both = (at <= thresholds).any(axis=0) & (at > thresholds).any(axis=0)
    assert both.mean() > 0.9


def test_an_explanation_shows_a_change_in_any_contribution(
    bundle: Bundle, rows: FloatArray
) -> None:
    model = bundle.classifiers["churn_risk"]
    parts = model.contributions(rows[:4])
    by_hand = [sum((place + 1) * part for place, part in enumerate(row)) for row in parts]
    assert np.allclose(explanations(bundle, rows[:4])["churn_risk"], by_hand)


def test_predictions_cover_every_score_and_both_margins(bundle: Bundle, rows: FloatArray) -> None:
    found = predictions(bundle, rows[:5])
    assert {"churn_risk", "repurchase_likelihood", "expected_margin", "usual_margin"} <= set(found)
    assert all(len(values) == 5 for values in found.values())
