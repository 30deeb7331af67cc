"""The record of a test: written and read back whole, refused when it is not."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from features.home import Home
from models.evaluation import (
    CalibrationBin,
    DamagedEvaluation,
    Estimate,
    Evaluation,
    Gate,
    LiftTenth,
    ModelFigures,
    NoEvaluation,
    TargetEvaluation,
    load_evaluation,
    report_folder,
    save_evaluation,
)

FIGURES = ModelFigures(
    "recency", True, Estimate(0.7, 0.6, 0.8), Estimate(0.5, 0.4, 0.6), 0.2, 0.01, 1.1
)
TARGET = TargetEvaluation(
    target="churn_risk",
    question="Will this customer leave?",
    window_days=28,
    served_by="recency",
    rows=100,
    customers=50,
    positives=20,
    base_rate=0.2,
    snapshots=5,
    first_as_of=1,
    last_as_of=9,
    models=(FIGURES, replace(FIGURES, model="base_rate", auc=None, calibration_slope=None)),
    calibration=(CalibrationBin(0.1, 0.2, 100),),
    lift=(LiftTenth(1, 100, 0.2, 1.0, 1.0),),
)
EVALUATION = Evaluation(
    "ab" * 32,
    10,
    "cd" * 32,
    1,
    {"num_leaves": 7},
    (TARGET,),
    ("A note.",),
    (Gate("size", True, "Small."),),
)


def test_it_is_read_back_as_it_was(tmp_path: Path) -> None:
    save_evaluation(EVALUATION, tmp_path)
    assert load_evaluation(tmp_path) == EVALUATION


def test_its_place_is_named_by_the_bundle() -> None:
    folder = report_folder(Home(Path("home")), "sha256:abc")
    assert folder == Path("home/reports/bundles/abc")


def test_a_bundle_without_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoEvaluation, match="not evaluated; train again with `nextbest train`"):
        load_evaluation(tmp_path)


def test_an_untested_target_is_named() -> None:
    assert EVALUATION["churn_risk"] is TARGET
    with pytest.raises(NoEvaluation, match=r"no test of 'margin'; tested were churn_risk"):
        EVALUATION["margin"]


def without_bins(found: dict[str, object]) -> None:
    found["targets"][0].pop("calibration")  # type: ignore[index]


def with_a_word_for_a_table(found: dict[str, object]) -> None:
    found["targets"][0]["models"][0]["log_loss"] = "low"  # type: ignore[index]


def with_an_unknown_key(found: dict[str, object]) -> None:
    found["mood"] = "good"


def of_another_format(found: dict[str, object]) -> None:
    found["format"] = 99


DAMAGES = {
    without_bins: "'calibration'",
    with_a_word_for_a_table: "'low' where a table must be",
    with_an_unknown_key: "'mood'",
    of_another_format: "not of format 3",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_one_is_refused(damage, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = save_evaluation(EVALUATION, tmp_path)
    found = json.loads(path.read_text())
    damage(found)
    path.write_text(json.dumps(found))
    with pytest.raises(DamagedEvaluation, match=DAMAGES[damage]) as caught:
        load_evaluation(tmp_path)
    assert "train again with `nextbest train`" in str(caught.value)


def test_half_a_file_is_refused(tmp_path: Path) -> None:
    path = save_evaluation(EVALUATION, tmp_path)
    path.write_text(path.read_text()[:-30])
    with pytest.raises(DamagedEvaluation, match="no JSON"):
        load_evaluation(tmp_path)
