"""The training matrix is what `train` used: fitted again, it gives the very same model."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from models.classifier import Forest
from models.targets import InvalidTargets, load_targets
from serving.policy import load_policy
from training.dataset import NothingToLearn
from training.fit import TrainingResult, TrainSettings, train
from training.forest import BoosterSettings, Growth, directions, fit_forest
from training.matrix import CLOCKS, FACTS, training_matrix, write_matrix
from training.row_file import WrongFile

Trained = tuple[Home, int]
SCORES = ("churn_risk", "repurchase_likelihood", "promoter_likelihood")


@pytest.fixture(scope="module")
def result(trained: Trained) -> TrainingResult:
    """A training of the home, with all that its test kept."""
    home, as_of = trained
    policy = load_policy(home.policy)
    settings = TrainSettings(load_targets(home.targets), policy.margin_rate, policy.horizon_days)
    return train(History(home.signals).load(received_before=as_of), FEATURES, settings, as_of)


@pytest.mark.parametrize("score", SCORES)
def test_the_tested_rows_are_those_of_train(
    trained: Trained, result: TrainingResult, score: str
) -> None:
    home, as_of = trained
    frame = training_matrix(home, score, as_of)
    ids = np.array(History(home.signals).load(received_before=as_of).customer_ids)
    tested, expected = frame[frame["split"] == "test"], result.tested[score]
    np.testing.assert_array_equal(tested[list(FEATURES.names)].to_numpy(), expected.rows)
    np.testing.assert_array_equal(tested["answer"], expected.answers)
    np.testing.assert_array_equal(tested["weight"], expected.weights)
    np.testing.assert_array_equal(tested["customer_id"], ids[expected.customers])
    moments = tested["as_of"].dt.tz_localize(None).to_numpy().astype("datetime64[us]")
    np.testing.assert_array_equal(moments.astype(np.int64), expected.as_of)


@pytest.mark.parametrize("score", SCORES[:2])  # too few answered surveys for a forest
def test_a_forest_grown_on_the_matrix_is_the_one_of_train(
    trained: Trained, result: TrainingResult, score: str
) -> None:
    """On the test rows its log-odds and training's lie on one line, the calibration."""
    home, as_of = trained
    frame = training_matrix(home, score, as_of)
    learned = frame[frame["split"] == "train"]
    rows = learned[list(FEATURES.names)].to_numpy(copy=True)
    rows[:, [FEATURES.names.index(name) for name in frame.attrs[CLOCKS]]] = 0.0
    growth = Growth(BoosterSettings(), 1, directions(FEATURES, score))
    answers, weights = learned["answer"].to_numpy(), learned["weight"].to_numpy()
    ours = fit_forest(rows, answers, FEATURES.names, growth, weights)
    probability = result.tested[score].predictions["lightgbm"]
    theirs = np.log(probability / (1 - probability))
    mine = ours.log_odds(result.tested[score].rows)
    slope, start = np.polyfit(mine, theirs, 1)
    assert slope > 0
    np.testing.assert_allclose(slope * mine + start, theirs, atol=1e-9)
    served = result.bundle.classifiers[score].model
    if isinstance(served, Forest):
        assert served == ours.model


def test_the_columns_have_names_and_types(trained: Trained) -> None:
    home, as_of = trained
    frame = training_matrix(home, "churn_risk", as_of)
    assert tuple(frame.columns) == (*FACTS, *FEATURES.names)
    assert str(frame["as_of"].dtype) == "datetime64[us, UTC]"
    assert frame["answer"].dtype == np.int8
    assert set(frame["split"]) == {"train", "test"}
    assert set(frame["answer"]) == {0, 1}
    assert (frame[list(FEATURES.names)].dtypes == np.float64).all()


def test_test_rows_lie_a_window_after_training_rows(trained: Trained) -> None:
    home, as_of = trained
    window = load_targets(home.targets)["churn_risk"].window_days
    frame = training_matrix(home, "churn_risk", as_of)
    last = frame.loc[frame["split"] == "train", "as_of"].max()
    assert frame.loc[frame["split"] == "test", "as_of"].min() >= last + pd.Timedelta(days=window)


@pytest.mark.parametrize("ending", [".parquet", ".csv"])
def test_a_file_holds_the_same(trained: Trained, tmp_path: Path, ending: str) -> None:
    home, as_of = trained
    out = tmp_path / f"matrix{ending}"
    rows, features = write_matrix(home, "churn_risk", as_of, out)
    frame = training_matrix(home, "churn_risk", as_of)
    again = pd.read_parquet(out) if ending == ".parquet" else pd.read_csv(out)
    assert (rows, features) == (len(frame), len(FEATURES))
    names = ["answer", "weight", *FEATURES.names]
    np.testing.assert_array_equal(again[names].to_numpy(float), frame[names].to_numpy(float))


def test_what_cannot_be_given_is_named(trained: Trained, tmp_path: Path) -> None:
    home, as_of = trained
    with pytest.raises(InvalidTargets, match="no target 'churn'; targets are churn_risk"):
        training_matrix(home, "churn", as_of)
    with pytest.raises(WrongFile, match=r"matrix\.xlsx: ends in '\.xlsx'"):
        write_matrix(home, "churn_risk", as_of, tmp_path / "matrix.xlsx")
    with pytest.raises(NothingToLearn):
        training_matrix(home, "churn_risk", 1)
