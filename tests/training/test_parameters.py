"""Guarded parameters: which there are, how far they go, and what a slip is told."""

from dataclasses import asdict

import lightgbm
import numpy as np
import pytest

from training.forest import BoosterSettings
from training.parameters import (
    LARGEST_SEED,
    RANGES,
    InvalidParameter,
    changed_settings,
    changes,
    require_seed,
)

USUAL = BoosterSettings()


def booster_text(seed: int) -> str:
    """What LightGBM writes down of a model and of the seed that it used."""
    rows = np.arange(40.0)
    settings = {"objective": "regression", "seed": seed, "verbosity": -1, "num_threads": 1}
    data = lightgbm.Dataset(rows[:, np.newaxis], rows)
    return str(lightgbm.train(settings, data, num_boost_round=1).model_to_string())


def test_every_setting_has_a_range_that_holds_its_default() -> None:
    assert set(RANGES) == set(asdict(USUAL))
    for name, value in asdict(USUAL).items():
        low, high = RANGES[name]
        assert low <= value <= high, name


def test_the_last_of_two_assignments_holds() -> None:
    found = changed_settings(USUAL, ["num_leaves=31", "learning_rate=.1", "lgbm.num_leaves=7"])
    assert changes(found) == {"num_leaves": 7, "learning_rate": 0.1}
    assert changes(changed_settings(USUAL, [])) == {}


REFUSED = {
    "num_leaves": "--set num_leaves: no value; must be NAME=NUMBER, such as num_leaves=31",
    "num_leafs=3": "no such parameter; did you mean 'num_leaves'?",
    "min_data_in_leaf=50": "did you mean 'most_in_leaf'?",
    "objective=2": "no such parameter; parameters are rounds, learning_rate,",
    "num_leaves=500": "--set num_leaves=500: must be a whole number from 2 to 63; choose one",
    "num_leaves=15.5": "must be a whole number from 2 to 63; correct it",
    "learning_rate=fast": "--set learning_rate=fast: must be a number from 0.005 to 0.5",
    "lambda_l2=nan": "must be a number from 0 to 1000; choose one in there",
}


@pytest.mark.parametrize("assignment", REFUSED)
def test_a_slip_is_told_what_is_right(assignment: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        changed_settings(USUAL, [assignment])
    assert REFUSED[assignment] in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**31, 10**23])
def test_a_seed_that_somebody_would_cut_is_refused(seed: int) -> None:
    with pytest.raises(InvalidParameter) as caught:
        require_seed(seed)
    assert f"seed {seed}: must be a whole number from 0 to 2147483647" in str(caught.value)


@pytest.mark.parametrize("seed", [0, LARGEST_SEED])
def test_the_smallest_and_the_largest_seed_are_used_as_they_are(seed: int) -> None:
    require_seed(seed)
    assert f"[seed: {seed}]" in booster_text(seed)


def test_a_larger_seed_would_be_used_as_another() -> None:
    assert f"[seed: {LARGEST_SEED + 1}]" not in booster_text(LARGEST_SEED + 1)
