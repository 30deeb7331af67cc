import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.signals import ABSENT, DAY, SignalColumns, SignalLog, code
from models.bundle_files import load_bundle, write_bundle
from models.targets import load_targets
from training.dataset import NothingToLearn
from training.fit import TrainingResult, TrainSettings, train
from training.forest import BoosterSettings

START = 18_000 * DAY
DAYS = 400
END = START + DAYS * DAY
ORDER = "Order Completed"
SETTINGS = TrainSettings(load_targets(), 0.3, 28, booster=BoosterSettings(rounds=40))


def shop(people: int, seed: int, anonymous: bool = False) -> SignalLog:
    """Customers with paces of their own, a part of whom leave for good."""
    rng = np.random.default_rng(seed)
    names, starts, times = [], [0], []
    for number in range(people):
        gap = rng.choice([6.0, 12.0, 25.0])
        leaves = rng.exponential(900.0)
        steps = np.cumsum(np.maximum(rng.gamma(3.0, gap / 3, 300), 0.01))
        at = rng.uniform(0, 40) + steps
        mine = START + (at[at < min(DAYS, leaves)] * DAY).astype(np.int64)
        names.append(f"{'anon:' if anonymous else 'c'}{number:04}")
        times.append(mine)
        starts.append(starts[-1] + len(mine))
    occurred = np.concatenate(times)
    n = len(occurred)
    columns = SignalColumns(
        event=np.full(n, code(ORDER)),
        occurred_at=occurred,
        received_at=occurred.copy(),
        amount=rng.integers(500, 5000, n),
        value=np.full(n, ABSENT),
        category=np.zeros(n, dtype=np.int64),
    )
    return SignalLog(tuple(names), np.array(starts, dtype=np.int64), columns)


@pytest.fixture(scope="module")
def company() -> SignalLog:
    return shop(250, seed=1)


@pytest.fixture(scope="module")
def result(company: SignalLog) -> TrainingResult:
    return train(company, FEATURES, SETTINGS, END)


def test_every_model_is_measured_on_every_target(result: TrainingResult) -> None:
    found = [(each.target, each.model) for each in result.metrics]
    assert found == [
        (target, model)
        for target in ("churn_risk", "repurchase_likelihood")
        for model in ("base_rate", "recency", "bg_nbd", "pareto_nbd", "logistic", "lightgbm")
    ]
    for target in ("churn_risk", "repurchase_likelihood"):
        mine = [each for each in result.metrics if each.target == target]
        assert sum(each.serves for each in mine) == 1
        assert len({(each.rows, each.positives) for each in mine}) == 1
        served = next(each.model for each in mine if each.serves)
        assert result.bundle.classifiers[target].served_by == served
        assert result.bundle.metrics == result.metrics


def test_models_that_see_the_customers_pace_beat_rules(result: TrainingResult) -> None:
    by_model = {each.model: each for each in result.metrics if each.target == "churn_risk"}
    loss = {name: each.log_loss or 9.0 for name, each in by_model.items()}
    assert loss["lightgbm"] < loss["recency"] < loss["base_rate"]
    assert loss["logistic"] < loss["recency"]
    assert by_model["base_rate"].auc == 0.5
    assert by_model["lightgbm"].auc is not None
    assert by_model["lightgbm"].auc > 0.75
    served = next(each for each in by_model.values() if each.serves)
    assert served.calibration_error is not None
    assert served.calibration_error < 0.05


def test_the_bundle_can_be_written_and_loaded(result: TrainingResult, tmp_path: Path) -> None:
    sha = write_bundle(result.bundle, tmp_path)
    assert load_bundle(tmp_path / sha, FEATURES) == replace(result.bundle, sha256=sha)


AGAIN = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_fit import END, FEATURES, SETTINGS, shop, train, write_bundle
print(write_bundle(train(shop(250, seed=1), FEATURES, SETTINGS, END).bundle, Path({bundles!r})))
"""


def test_trained_again_every_byte_is_the_same(result: TrainingResult, tmp_path: Path) -> None:
    # In a fresh process, with other hashes of words and another number of threads.
    first = write_bundle(result.bundle, tmp_path)
    script = AGAIN.format(folder=str(Path(__file__).parent), bundles=str(tmp_path))
    others = {"PYTHONHASHSEED": "7", "OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | others | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.strip() == first
    assert [path.name for path in tmp_path.iterdir()] == [first]


def test_every_row_is_used_as_it_came(result: TrainingResult, company: SignalLog) -> None:
    # Nothing is drawn again: what is tested, and at what share of yes, is what happened.
    for name, tested in result.tested.items():
        pairs = list(zip(tested.customers.tolist(), tested.as_of.tolist(), strict=True))
        assert len(pairs) == len(set(pairs))
        assert set(tested.weights.tolist()) == {1.0}
        measured = next(each for each in result.metrics if each.target == name)
        assert (measured.rows, measured.positives) == (len(pairs), int(tested.answers.sum()))


def test_the_dates_are_said(result: TrainingResult) -> None:
    assert any(
        note.startswith("Trained on 13 snapshots, 2019-") and "tested on 5, " in note
        for note in result.notes
    )


def test_clocks_are_named_and_not_looked_at(result: TrainingResult, company: SignalLog) -> None:
    assert any("rise with the calendar" in note and "tenure_days" in note for note in result.notes)
    rows = feature_matrix(FEATURES, company, np.arange(250), np.full(250, END))
    moved = rows.copy()
    moved[:, FEATURES.names.index("tenure_days")] += 1000.0
    for model in result.bundle.classifiers.values():
        if model.served_by in ("lightgbm", "logistic"):
            assert model.predict(rows).tolist() == model.predict(moved).tolist()


def test_what_comes_later_changes_nothing(company: SignalLog, tmp_path: Path) -> None:
    as_of = START + 300 * DAY
    later = company.columns.received_at >= as_of
    assert later.any()
    columns = company.columns
    scrambled = replace(
        company,
        columns=replace(
            columns,
            amount=np.where(later, 99_999_999, columns.amount),
            event=np.where(later, code("Page Viewed"), columns.event),
        ),
    )
    small = replace(SETTINGS, booster=BoosterSettings(rounds=5))
    first = write_bundle(train(company, FEATURES, small, as_of).bundle, tmp_path)
    assert write_bundle(train(scrambled, FEATURES, small, as_of).bundle, tmp_path) == first


def test_few_rows_get_a_rule_and_the_reason(tmp_path: Path) -> None:
    found = train(shop(35, seed=3), FEATURES, SETTINGS, START + 160 * DAY)
    assert {model.served_by for model in found.bundle.classifiers.values()} <= {
        "recency",
        "base_rate",
    }
    assert any("400 rows with 40 of each are needed" in note for note in found.notes)
    write_bundle(found.bundle, tmp_path)


def test_one_customer_gets_a_bundle(tmp_path: Path) -> None:
    found = train(shop(1, seed=3), FEATURES, SETTINGS, END)
    assert {model.served_by for model in found.bundle.classifiers.values()} == {"base_rate"}
    assert any("1 customer to test on, at least 30 are needed" in note for note in found.notes)
    sha = write_bundle(found.bundle, tmp_path)
    assert load_bundle(tmp_path / sha, FEATURES).margin.horizon_days == 28


def test_one_class_gets_the_base_rate() -> None:
    log = shop(60, seed=4)
    # An order of everybody each day: nobody ever churns, all always order again.
    times = START + np.arange(300) * DAY + 5
    n = 60 * 300
    daily = SignalColumns(
        event=np.full(n, code(ORDER)),
        occurred_at=np.tile(times, 60),
        received_at=np.tile(times, 60),
        amount=np.full(n, 1000),
        value=np.full(n, ABSENT),
        category=np.zeros(n, dtype=np.int64),
    )
    found = train(
        SignalLog(log.customer_ids, np.arange(61) * 300, daily),
        FEATURES,
        SETTINGS,
        START + 300 * DAY,
    )
    churn = found.bundle.classifiers["churn_risk"]
    assert churn.served_by == "base_rate"
    assert 0 < churn.predict(np.zeros((1, len(FEATURES))))[0] < 0.002
    assert any("training rows say no; a model needs both" in note for note in found.notes)
    assert any("training rows say yes; a model needs both" in note for note in found.notes)


def test_a_history_shorter_than_its_window_has_a_margin_only(tmp_path: Path) -> None:
    found = train(shop(50, seed=5), FEATURES, SETTINGS, START + 30 * DAY)
    assert found.bundle.classifiers == {}
    assert any("churn_risk: left out, since no window of 28 days" in note for note in found.notes)
    assert found.bundle.margin.served_by == "base_rate"
    sha = write_bundle(found.bundle, tmp_path)
    row = feature_matrix(FEATURES, shop(50, 5), np.array([0]), np.array([END]))[0]
    expected = load_bundle(tmp_path / sha, FEATURES).expect(row, FEATURES, None)
    assert [name for name in expected.scores if expected.value(name) is not None] == [
        "expected_margin"
    ]
    assert expected.scores["churn_risk"].served_by == "none"
    assert expected.scores["churn_risk"].note == ("no model: no window of 28 days has passed yet")
    assert expected.scores["promoter_likelihood"].note == (
        "no model: nobody has answered a recommendation survey (Survey Answered of the kind nps) "
        "yet"
    )
    assert expected.usual_margin > 0


def test_visitors_alone_are_nothing_to_learn_from() -> None:
    with pytest.raises(NothingToLearn, match="no 'Order Completed' among"):
        train(shop(20, seed=6, anonymous=True), FEATURES, SETTINGS, END)
