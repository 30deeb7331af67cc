"""Leaf sums have the bits of LightGBM's own prediction."""

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.forest_text import check_forest
from models.tree_sums import leaf_sums, trees_of

NAMES = tuple(f"feature_{place}" for place in range(6))


def grown(seed: int, rounds: int = 25, **parameters: object) -> lightgbm.Booster:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(600, len(NAMES))).round(1)
    rows[rng.random(rows.shape) < 0.15] = np.nan
    rows[:, 5] = np.round(np.nan_to_num(rows[:, 5]))  # never missing
    answers = (np.nan_to_num(rows[:, 0]) * np.nan_to_num(rows[:, 1]) + rng.normal(size=600)) > 0
    settings = {
        "objective": "binary",
        "num_threads": 1,
        "verbosity": -1,
        "min_data_in_leaf": 10,
        "deterministic": True,
    } | parameters
    data = lightgbm.Dataset(rows, label=answers, feature_name=list(NAMES))
    return lightgbm.train(settings, data, num_boost_round=rounds)


def hostile_rows(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(300, len(NAMES))).round(1)
    odd = np.array([np.nan, 0.0, -0.0, 1e-36, -1e-36, np.inf, -np.inf, 1e300, 5e-324])
    where = rng.random(rows.shape) < 0.4
    rows[where] = rng.choice(odd, where.sum())
    return rows


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"use_missing": False},
        {"num_leaves": 2},
        {"boosting": "dart"},
        {"monotone_constraints": [1, -1, 0, 0, 0, 0]},
        {"min_data_in_leaf": 590},  # no tree has a split
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_bits_are_lightgbms(seed: int, parameters: dict[str, object]) -> None:
    booster = grown(seed, **parameters)
    text = booster.model_to_string()
    check_forest(text, NAMES)
    rows = hostile_rows(seed)
    assert leaf_sums(text, rows).tolist() == booster.predict(rows, raw_score=True).tolist()


BOOSTER = grown(3)
TEXT = BOOSTER.model_to_string()


@given(st.lists(st.floats(allow_nan=True), min_size=len(NAMES), max_size=len(NAMES)))
def test_any_row_has_lightgbms_bits(values: list[float]) -> None:
    row = np.array([values])
    assert leaf_sums(TEXT, row).tolist() == BOOSTER.predict(row, raw_score=True).tolist()


def test_each_threshold_itself_goes_left() -> None:
    trees = trees_of(TEXT)
    rows = np.tile(np.nan, (2 * len(trees.threshold), len(NAMES)))
    for place, (feature, edge) in enumerate(zip(trees.feature, trees.threshold, strict=True)):
        rows[2 * place, feature] = edge
        rows[2 * place + 1, feature] = np.nextafter(edge, np.inf)
    assert leaf_sums(TEXT, rows).tolist() == BOOSTER.predict(rows, raw_score=True).tolist()


def test_columns_in_another_memory_order_make_no_difference() -> None:
    rows = hostile_rows(4)
    assert leaf_sums(TEXT, np.asfortranarray(rows)).tolist() == leaf_sums(TEXT, rows).tolist()
