"""The demo company: time and memory of `make demo`, and scores against the company's truth."""

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
import pyarrow.parquet as pq
from lines import Line
from numpy.typing import NDArray
from scores.protocol import gain_in_auc, snapshots
from watched import watched

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import SignalLog
from models.targets import CHURN, PROMOTER, REPURCHASE, Targets, load_targets
from training.dataset import beginning, data_end, training_table
from training.demo import SEED
from training.fit import Tested, TrainingResult, TrainSettings, train
from training.metrics import auc, auc_interval, fitted_line
from training.promoters import promoter_rows
from training.simulator.company import CompanySize, simulate_company, write_company
from training.surveys import surveys

FloatArray = NDArray[np.float64]

NAME, MAKE_DEMO = "demo", "make-demo"
ROOT: Final = Path(__file__).resolve().parents[2]
GIBIBYTE: Final = 2**30
# Three times the people of the demo company, drawn by another seed: what more data of the same
# truth would teach about the same features.
LARGER: Final = CompanySize(people=15_000)
LARGER_ROWS: Final = 400_000


def demo() -> Iterator[Line]:
    """`make demo` itself, then the three targets against the truth of its company."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        yield from _make_demo(home)
        log, as_of = History(home.signals).load(), History(home.signals).data_end()
        settings = TrainSettings(load_targets(home.targets), 0.3, 28, seed=SEED)
        result = train(log, FEATURES, settings, as_of)
        attainable = dict(_attainable(Path(folder) / "larger", settings, result))
        for target in (CHURN, REPURCHASE, PROMOTER):
            yield from _demo_target(result, target, attainable[target])
        yield _net_promoters(home, log, settings.targets, as_of)


def _make_demo(home: Home) -> Iterator[Line]:
    """Seconds of each step and the peak of memory, all packages installed and compiled."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = Path(sys.executable).with_name("nextbest")
    run = watched(
        [str(command), "demo", "--once", "--port", str(port), "--home", str(home.path)], ROOT
    )
    for what, seconds in run.steps:
        yield Line(MAKE_DEMO, what, "seconds", seconds, higher=False)
    yield Line(
        MAKE_DEMO, "the whole of it", "seconds", run.seconds, higher=False,
        note=f"on {os.cpu_count()} cores, whatever else runs on them",
    )  # fmt: skip
    yield Line(
        MAKE_DEMO, "the whole of it", "peak memory in GiB", run.peak_bytes / GIBIBYTE, 2.0, False,
        note="resident, all processes together, those of the service too",
    )  # fmt: skip


def _demo_target(result: TrainingResult, target: str, attainable: float) -> Iterator[Line]:
    tested, rng = result.tested[target], np.random.default_rng(1)
    served = result.bundle.classifiers[target].served_by
    scores, rule = tested.predictions[served], tested.predictions["recency"]
    slope = fitted_line(tested.answers, np.log(scores / (1 - scores)), tested.weights)[0]
    low, high = _slope_interval(tested, scores)
    yield Line(
        NAME, target, "calibration slope", slope, None, True, low, high,
        note=f"{served} serves; {len(scores):,} test rows; must lie between .9 and 1.1",
        holds=0.9 <= slope <= 1.1,
    )  # fmt: skip
    gain = gain_in_auc(tested, scores, rule)
    area = auc(tested.answers, scores, tested.weights)
    rule_area = auc(tested.answers, rule, tested.weights)
    yield Line(
        NAME, target, "AUC above the recency rule", gain.difference, 0.0, True, gain.low,
        gain.high, "recency rule", rule_area, "paired", gain.low > 0,
    )  # fmt: skip
    found = auc_interval(tested.customers, tested.answers, scores, rng, tested.weights)
    how = (
        "a model of the true probability of a 9 or 10 of all asked"
        if target == PROMOTER
        else "a model of what came"
    )
    yield Line(
        NAME, target, "share of the attainable AUC", (area - 0.5) / (attainable - 0.5), None, True,
        (found.low - 0.5) / (attainable - 0.5), (found.high - 0.5) / (attainable - 0.5),
        "truth given the features", attainable,
        f"(AUC - .5) / (attainable - .5); attainable: {how}, same features, learned from "
        f"{LARGER.people:,} other people of the same truth",
    )  # fmt: skip


def _slope_interval(tested: Tested, scores: FloatArray) -> tuple[float, float]:
    """95 % interval of the calibration slope, resampling customers."""
    rng, log_odds = np.random.default_rng(1), np.log(scores / (1 - scores))
    people, place = np.unique(tested.customers, return_inverse=True)
    drawn = []
    for _ in range(200):
        times = np.bincount(rng.integers(len(people), size=len(people)), minlength=len(people))
        weights = times[place] * tested.weights
        drawn.append(fitted_line(tested.answers, log_odds, weights)[0])
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def _attainable(
    folder: Path, settings: TrainSettings, result: TrainingResult
) -> Iterator[tuple[str, float]]:
    """AUC on the demo's test rows of models that learned from far more of the same truth."""
    home = Home(folder)
    company = simulate_company(np.random.default_rng(SEED + 1), LARGER)
    paths = write_company(company, home.path / "files", home.truth)
    del company
    ingest(paths, None, home, IntakeRules("EUR"))
    log, as_of = History(home.signals).load(), History(home.signals).data_end()
    plan, end = snapshots(log, settings, as_of), data_end(log, as_of)
    table = training_table(log, FEATURES, settings.targets, plan, end, LARGER_ROWS)
    for target in (CHURN, REPURCHASE):
        values = table.answers[target].values
        learned = values >= 0
        booster = _large_forest(table.rows[learned], values[learned].astype(np.float64))
        yield target, _area(booster, result.tested[target])
    asked = surveys(log, settings.targets[PROMOTER], end)
    asked = asked.at(asked.asked)
    rows = feature_matrix(FEATURES, log, asked.customers, asked.as_of)
    chance = _truth_of_surveys(home, log, "promoter_probability")
    truth = np.array(
        [chance[pair] for pair in zip(asked.customers.tolist(), asked.as_of.tolist(), strict=True)]
    )
    yield PROMOTER, _area(_large_forest(rows, truth), result.tested[PROMOTER])


def _large_forest(rows: FloatArray, truth: FloatArray) -> lightgbm.Booster:
    parameters = {
        "objective": "cross_entropy",
        "learning_rate": 0.05,
        "num_leaves": 31,
        "min_data_in_leaf": 200,
        "feature_fraction": 0.5,
        "seed": SEED,
        "verbosity": -1,
        "num_threads": 1,
    }
    return lightgbm.train(parameters, lightgbm.Dataset(rows, label=truth), num_boost_round=300)


def _area(booster: lightgbm.Booster, tested: Tested) -> float:
    return auc(tested.answers, np.asarray(booster.predict(tested.rows)), tested.weights)


def _truth_of_surveys(home: Home, log: SignalLog, column: str) -> dict[tuple[int, int], float]:
    """A true probability by customer and moment of sending."""
    truth = pq.read_table(home.truth / "surveys.parquet")
    places = {name: place for place, name in enumerate(log.customer_ids)}
    whom = [places[name] for name in truth["customer_id"].to_pylist()]
    at = truth["asked_at"].cast("int64").to_pylist()
    return dict(zip(zip(whom, at, strict=True), truth[column].to_pylist(), strict=True))


def _net_promoters(home: Home, log: SignalLog, targets: Targets, as_of: int) -> Line:
    """How far the net promoter score is off, as answered and as weighted, for all asked."""
    end = data_end(log, as_of)
    first = beginning(log, end, targets)
    found = promoter_rows(log, FEATURES, targets[PROMOTER], first, end)
    promotes = _truth_of_surveys(home, log, "promoter_probability")
    detracts = _truth_of_surveys(home, log, "detractor_probability")
    since = int(found.as_of.min())
    truth = 100 * float(
        np.mean([promotes[pair] - detracts[pair] for pair in promotes if pair[1] >= since])
    )
    if found.net is None:
        return Line(NAME, "net promoter score", "error", None, note="nobody answered", holds=False)
    naive = abs(found.net.naive - truth)
    return Line(
        NAME, "net promoter score of all asked", "error of the weighted estimate",
        abs(found.net.weighted - truth), naive / 2, False,
        peer="error of the answers as they came", peer_value=naive,
        note=f"truth {truth:+.1f}, weighted {found.net.weighted:+.1f}, as answered "
        f"{found.net.naive:+.1f}; {found.net.answered:,} of {found.net.asked:,} answered; "
        "the bar is half the naive error",
    )  # fmt: skip
