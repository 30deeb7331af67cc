"""The estimator: scikit-learn's own checks, and the same model as `train` would fit."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from models.classifier import sigmoid
from training.estimators import EXPECTED_FAILURES, GuardedClassifier
from training.forest import BoosterSettings, Growth, fit_forest
from training.parameters import InvalidParameter


@parametrize_with_checks(
    [GuardedClassifier(rounds=40)], expected_failed_checks=lambda estimator: EXPECTED_FAILURES
)
def test_scikit_learns_own_checks(estimator: BaseEstimator, check: object) -> None:
    check(estimator)  # type: ignore[operator]


def test_no_check_is_expected_to_fail() -> None:
    assert EXPECTED_FAILURES == {}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    found = pd.DataFrame(rng.normal(size=(600, 3)), columns=["recency", "orders", "noise"])
    found.loc[rng.random(600) < 0.2, "orders"] = np.nan
    return found


@pytest.fixture(scope="module")
def answers(frame: pd.DataFrame) -> np.ndarray:
    rng = np.random.default_rng(4)
    log_odds = 1.5 * frame["recency"].to_numpy() - np.nan_to_num(frame["orders"].to_numpy())
    return np.where(rng.random(600) < sigmoid(log_odds), "left", "at ease")


def test_it_is_the_forest_of_train(frame: pd.DataFrame, answers: np.ndarray) -> None:
    """The same text as training's own forest on the same rows, parameters and seed."""
    fitted = GuardedClassifier(random_state=7, directions=(1, -1, 0)).fit(frame, answers)
    seed = int(np.random.RandomState(7).randint(2**31 - 1))
    growth = Growth(BoosterSettings(), seed, (1, -1, 0))
    rows, yes = frame.to_numpy(), (answers == "left").astype(np.int8)
    ours = fit_forest(rows, yes, ("recency", "orders", "noise"), growth)
    assert fitted.classifier_.model == ours.model
    assert list(fitted.classes_) == ["at ease", "left"]
    probabilities = fitted.predict_proba(frame)[:, 1]
    np.testing.assert_array_equal(probabilities, fitted.classifier_.predict(rows))
    assert ((probabilities > 0.5) == (fitted.predict(frame) == "left")).all()


def test_contributions_add_up(frame: pd.DataFrame, answers: np.ndarray) -> None:
    fitted = GuardedClassifier(random_state=1).fit(frame, answers)
    np.testing.assert_allclose(
        sigmoid(fitted.contributions(frame).sum(axis=1)),
        fitted.predict_proba(frame)[:, 1],
        atol=1e-9,
    )


def test_columns_that_lightgbm_cannot_name_are_numbered(answers: np.ndarray) -> None:
    frame = pd.DataFrame(np.arange(1200.0).reshape(600, 2), columns=["a,b", "c"])
    fitted = GuardedClassifier().fit(frame, answers)
    assert fitted.classifier_.names == ("column_0", "column_1")


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a"] * 30, "y holds one class, .*'a'.*; there must be two; look for rows of the other"),
        (["a", "b", "c"] * 10, "Only binary classification is supported"),
    ],
)
def test_two_classes_are_needed(y: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        GuardedClassifier().fit(np.arange(60.0).reshape(30, 2), y)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rounds": 0}, "rounds=0: must be a whole number from 10 to 2000; choose one in there"),
        ({"rounds": 40.5}, r"rounds=40\.5: must be a whole number"),
        ({"rounds": "40"}, "rounds='40': must be a whole number"),
        ({"num_leaves": 5000}, "num_leaves=5000: must be a whole number from 2 to 63"),
        ({"learning_rate": np.nan}, r"learning_rate=nan: must be a number from 0\.005 to 0\.5"),
        ({"lambda_l2": np.inf}, "lambda_l2=inf: must be a number from 0 to 1000"),
        ({"lambda_l2": True}, "lambda_l2=True: must be a number"),
        ({"directions": (1,)}, r"directions=\(1,\); must be -1, 0 or 1 for each of 3 columns"),
        ({"directions": (7, 0, 0)}, r"directions=\(7, 0, 0\); must be"),
        ({"directions": (0.5, 0, 0)}, r"directions=\(0\.5, 0, 0\); must be"),
        ({"directions": "abc"}, r"directions=\('a', 'b', 'c'\); must be"),
    ],
)
def test_parameters_are_guarded_as_on_the_command_line(
    frame: pd.DataFrame, answers: np.ndarray, changed: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidParameter, match=words):
        GuardedClassifier(**changed).fit(frame, answers)  # type: ignore[arg-type]


def test_directions_may_be_an_array(frame: pd.DataFrame, answers: np.ndarray) -> None:
    one, other = (
        GuardedClassifier(rounds=40, random_state=1, directions=given).fit(frame, answers)
        for given in ((1, -1, 0), np.array([1, -1, 0]))
    )
    assert one.classifier_.model == other.classifier_.model
