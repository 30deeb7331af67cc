"""Champion against challenger: who may replace whom, and what stands in the way."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from features.definitions import FEATURES
from features.home import Home
from models.bundle_files import DamagedBundle, load_bundle
from models.evaluation import load_evaluation, report_folder, save_evaluation
from serving.storage.store import Store
from training.comparison import Comparison
from training.evaluate import UnknownBundle, compare, named_bundle
from training.forest import BoosterSettings
from training.gates import (
    BEATS,
    EQUALS,
    LOSES,
    UNCLEAR,
    UNTESTED,
    calibration_gate,
    loss_gate,
    simple_gate,
)
from training.metrics import Interval
from training.narrator import Narrator
from training.promote import promote
from training.retrain import Recipe, retrain
from training.rollback import NothingBefore, roll_back

QUIET = Narrator(quiet=True)
TrainedHome = tuple[Home, int]


@pytest.fixture(scope="module")
def challenged(trained: TrainedHome, tmp_path_factory: pytest.TempPathFactory) -> TrainedHome:
    """A home with a champion and a challenger of another seed; nobody may change it."""
    home = Home(tmp_path_factory.mktemp("challenged") / "home")
    shutil.copytree(trained[0].path, home.path)
    found = retrain(home, trained[1], Recipe(seed=2, booster=BoosterSettings(rounds=40)), QUIET)
    assert not found.serves
    return home, trained[1]


@pytest.fixture
def challenged_copy(challenged: TrainedHome, tmp_path: Path) -> TrainedHome:
    shutil.copytree(challenged[0].path, tmp_path / "home")
    return Home(tmp_path / "home"), challenged[1]


def succession(home: Home) -> tuple[str | None, str | None]:
    with Store.open(home.store) as store:
        return store.champion(), store.challenger()


def test_the_first_bundle_serves_and_its_test_is_kept(trained: TrainedHome) -> None:
    champion, challenger = succession(trained[0])
    assert champion is not None
    assert challenger is None
    found = load_evaluation(report_folder(trained[0], champion))
    bundle = load_bundle(trained[0].bundles / champion, FEATURES)
    assert (found.bundle, found.as_of) == (champion, bundle.as_of)
    assert {each.target for each in found.targets} <= set(bundle.classifiers)
    for measured in bundle.metrics:
        (figures,) = [m for m in found[measured.target].models if m.model == measured.model]
        assert figures.serves == measured.serves
        assert figures.log_loss.value == pytest.approx(measured.log_loss)
        assert figures.calibration_error == pytest.approx(measured.calibration_error)
        assert figures.log_loss.low <= figures.log_loss.value <= figures.log_loss.high
        if figures.auc is not None:
            assert figures.auc.value == pytest.approx(measured.auc)
            assert figures.auc.low <= figures.auc.value <= figures.auc.high


def test_a_later_bundle_waits_as_the_challenger(
    trained: TrainedHome, challenged: TrainedHome
) -> None:
    champion, challenger = succession(challenged[0])
    assert champion == succession(trained[0])[0]
    assert challenger not in (None, champion)
    assert named_bundle(challenged[0], None) == challenger
    assert named_bundle(challenged[0], str(challenger)[:10]) == challenger


def test_training_the_same_again_challenges_nobody(trained_copy: TrainedHome) -> None:
    home, as_of = trained_copy
    before = succession(home)
    assert retrain(home, as_of, Recipe(), QUIET).serves
    assert succession(home) == before


def test_a_champion_that_cannot_serve_is_replaced_at_once(challenged_copy: TrainedHome) -> None:
    home, as_of = challenged_copy
    champion, challenger = succession(home)
    shutil.rmtree(home.bundles / str(champion))
    again = retrain(home, as_of, Recipe(seed=2, booster=BoosterSettings(rounds=40)), QUIET)
    assert again.serves
    assert succession(home) == (challenger, None)


def test_both_are_measured_on_the_same_later_rows(challenged: TrainedHome) -> None:
    home, as_of = challenged
    found = compare(home, named_bundle(home, None), as_of, QUIET)
    own = load_evaluation(report_folder(home, found.challenger))
    for contest in found.contests:
        test = own[contest.target]
        # Both were trained at this moment, so the comparison looks at the very test rows.
        assert (contest.rows, contest.customers) == (test.rows, test.customers)
        (figures,) = [each for each in test.models if each.serves]
        assert contest.challenger.log_loss == pytest.approx(figures.log_loss.value)
        change = contest.challenger.log_loss / contest.champion.log_loss - 1
        assert contest.loss.difference == pytest.approx(change)
    assert found.contests


def test_rows_that_one_was_trained_on_are_left_out(challenged_copy: TrainedHome) -> None:
    home, as_of = challenged_copy
    rows = {each.target: each.rows for each in full(challenged_copy).contests}
    champion, challenger = succession(home)
    evaluation = load_evaluation(report_folder(home, str(champion)))
    (home.reports / "bundles" / str(champion) / "evaluation.json").unlink()
    found = compare(home, str(challenger), as_of, QUIET)
    # What it was tested on is not known, so it may have seen everything up to its own moment.
    assert found.contests == ()
    assert not found.passed
    assert "no later rows that neither was trained on" in {gate.says for gate in found.gates}
    later = replace(
        evaluation,
        targets=tuple(replace(each, first_as_of=each.last_as_of) for each in evaluation.targets),
    )
    save_evaluation(later, report_folder(home, str(champion)))
    for contest in compare(home, str(challenger), as_of, QUIET).contests:
        assert (contest.snapshots, contest.rows < rows[contest.target]) == (1, True)


def full(home: TrainedHome) -> Comparison:
    return compare(home[0], named_bundle(home[0], None), home[1], QUIET)


def test_other_questions_are_not_compared(challenged_copy: TrainedHome) -> None:
    home, as_of = challenged_copy
    text = home.targets.read_text()
    home.targets.write_text(text.replace("window_days = 7\n", "window_days = 14\n"))
    retrain(home, as_of, Recipe(), QUIET)
    found = full(challenged_copy)
    assert "repurchase_likelihood" not in {each.target for each in found.contests}
    (gate,) = [each for each in found.gates if each.name.endswith("same question")]
    assert gate.passed
    assert gate.says.startswith("targets.toml asks something else now")


def test_a_no_keeps_the_champion_unless_forced(challenged_copy: TrainedHome) -> None:
    home, as_of = challenged_copy
    champion, challenger = succession(home)
    assert challenger is not None
    (report_folder(home, str(champion)) / "evaluation.json").unlink()  # nothing to compare on
    refused = promote(home, challenger, as_of, False, QUIET)
    assert (refused.promoted, refused.after) == (False, champion)
    assert succession(home) == (champion, challenger)
    forced = promote(home, challenger, as_of, True, QUIET)
    assert (forced.promoted, forced.forced, forced.before) == (True, True, champion)
    with Store.open(home.store) as store:
        assert store.champion_history()[-1].how == "forced"
    assert succession(home) == (challenger, None)
    assert roll_back(home) == (challenger, champion)
    with pytest.raises(NothingBefore, match="nothing to roll back to"):
        roll_back(home)


def test_a_yes_promotes(challenged_copy: TrainedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    home, as_of = challenged_copy
    _, challenger = succession(home)
    # 300 people are too few for an interval below one per cent; here any difference is as good.
    monkeypatch.setattr("training.gates.MARGIN", 10.0)
    monkeypatch.setattr("training.gates.CALIBRATION_MARGIN", 1.0)
    found = promote(home, str(challenger), as_of, True, QUIET)
    assert [gate for gate in found.comparison.gates if not gate.passed] == []
    assert (found.promoted, found.forced) == (True, False)
    with Store.open(home.store) as store:
        assert store.champion_history()[-1].how == "promoted"


def test_a_damaged_challenger_cannot_be_forced(challenged_copy: TrainedHome) -> None:
    home, as_of = challenged_copy
    champion, challenger = succession(home)
    (home.bundles / str(challenger) / "golden.json").write_text("{}")
    with pytest.raises(DamagedBundle, match="was changed after training"):
        promote(home, str(challenger), as_of, True, QUIET)
    assert succession(home) == (champion, challenger)


def test_a_name_must_stand_for_one_bundle(challenged: TrainedHome, trained: TrainedHome) -> None:
    home, as_of = challenged
    champion = str(succession(home)[0])
    for name in ("zzzz", champion[:3]):
        with pytest.raises(UnknownBundle, match=f"no bundle '{name}'.*{champion[:12]}"):
            named_bundle(home, name)
    with pytest.raises(UnknownBundle, match="is in service itself; name another"):
        compare(home, champion, as_of, QUIET)
    with pytest.raises(UnknownBundle, match="no challenger waits; make one with `nextbest train`"):
        named_bundle(trained[0], None)


@pytest.mark.parametrize(
    ("said", "passed", "words"),
    [
        (BEATS, True, "-1.0 % (-2.0 to -0.5 %) over 50 customers; surely lower"),
        (EQUALS, True, "surely not higher by more than 1 %"),
        (LOSES, False, "surely higher"),
        (UNCLEAR, False, "too few customers to tell"),
        (UNTESTED, False, "far too few customers to tell"),
    ],
)
def test_the_gate_of_the_loss(said: str, passed: bool, words: str) -> None:
    gate = loss_gate("churn_risk", said, Interval(-0.01, -0.02, -0.005), 50)
    assert (gate.name, gate.passed) == ("churn_risk: log loss", passed)
    assert gate.says.endswith(words)


def test_the_gate_of_the_calibration() -> None:
    for near in (Interval(0.01, 0.005, 0.02), Interval(0.03, -0.001, 0.06)):
        assert calibration_gate("churn_risk", 0.02, near).passed
    refused = calibration_gate("churn_risk", 0.02, Interval(0.03, 0.002, 0.06))
    assert not refused.passed
    assert refused.says == (
        "error 0.050 against 0.020, +0.030 (+0.002 to +0.060); surely larger by more than 0.01"
    )


def test_a_rule_that_cannot_be_tested_gives_way_to_the_newer_one() -> None:
    gate = simple_gate("promoter_likelihood", "base_rate", 21)
    assert gate.passed
    assert gate.says == (
        "21 customers to compare on are too few to tell; it is the base_rate rule, so the newer "
        "one is taken"
    )
