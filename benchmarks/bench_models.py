"""How good the models are, against bars and peers: one JSON object a line on standard output.

``make bench-models`` runs all of it; names on the command line choose: complete-journey, demo,
airline. A missed bar prints ``"holds": false``; only what breaks ends with an error.

Intervals are 95 % and resample customers. What a bar is not stated for has ``"bar": null``.
"""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray
from watched import watched

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import DAY, SignalLog
from features.sources.complete_journey import prepare_complete_journey
from models.btyd import ORDER_FACTS, BgNbd, ParetoNbd, Purchases
from models.classifier import recency_column, sigmoid
from models.targets import CHURN, PROMOTER, REPURCHASE, Target, load_targets
from training.baselines import logistic
from training.btyd import fit_bg_nbd, fit_pareto_nbd, purchases
from training.dataset import Schedule, data_end, first_order, schedule, training_table
from training.demo import SEED
from training.fit import Tested, TrainingResult, TrainSettings, train
from training.forest import BoosterSettings, Growth, fit_forest
from training.metrics import (
    Interval,
    auc,
    auc_difference,
    auc_interval,
    calibration_error,
    fitted_line,
    losses,
    mean_interval,
)
from training.promoters import promoter_rows
from training.simulator.company import CompanySize, simulate_company, write_company
from training.surveys import surveys

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ROOT: Final = Path(__file__).resolve().parents[1]
AIRLINE: Final = ROOT.parent / "shared" / "data" / "nps_airline" / "survey.csv"
COMPLETE_JOURNEY, DEMO, AIRLINE_SURVEY, MAKE_DEMO = (
    "complete-journey",
    "demo",
    "airline",
    "make-demo",
)
GIBIBYTE: Final = 2**30
# Nine features of the plainest kind: what a regression by hand would look at.
NINE: Final = (
    "days_since_last_order",
    "orders_28d",
    "orders_84d",
    "spend_28d",
    "spend_84d",
    "usual_gap_days",
    "last_gap_days",
    "order_days_84d",
    "average_order_value_365d",
)
# Three times the people of the demo company, drawn by another seed: what more data of the same
# truth would teach about the same features.
# Window and question of the churn that peers without labels are compared on.
BTYD_REST: Final = (28.0, "absence", ORDER_FACTS, (1.0, 0.0, 0.0))
LARGER: Final = CompanySize(people=15_000)
LARGER_ROWS: Final = 400_000


@dataclass(frozen=True, slots=True)
class Line:
    """One figure beside its bar and its peer; `higher` says which side of the bar is good."""

    bench: str
    name: str
    figure: str
    value: float | None
    bar: float | None = None
    higher: bool = True
    low: float | None = None
    high: float | None = None
    peer: str | None = None
    peer_value: float | None = None
    note: str = ""
    holds: bool | None = None

    def text(self) -> str:
        """The line as JSON; `holds` is told from value and bar where nothing else told it."""
        found = asdict(self)
        del found["higher"]
        if self.holds is None and self.bar is not None and self.value is not None:
            found["holds"] = self.value >= self.bar if self.higher else self.value <= self.bar
        return json.dumps(
            {key: round(x, 4) if isinstance(x, float) else x for key, x in found.items()}
        )


def main(names: list[str]) -> None:
    """Print the lines of the named benches, all by default."""
    benches = {
        COMPLETE_JOURNEY: complete_journey,
        DEMO: demo,
        AIRLINE_SURVEY: airline,
    }
    for name in names or list(benches):
        if name not in benches:
            sys.exit(f"no bench '{name}'; there are {', '.join(benches)}; choose among them")
        for line in benches[name]():
            sys.stdout.write(line.text() + "\n")
            sys.stdout.flush()


# ---- Complete Journey ------------------------------------------------------------------------


def complete_journey() -> Iterator[Line]:
    """Real households: no purchase in 28 days, a purchase in 7."""
    days = [_at("2017-03-27") + 14 * DAY * step for step in range(13)]
    tests = [_at("2017-10-09") + 14 * DAY * step for step in range(5)]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        ingest(prepare_complete_journey(home.path / "files"), None, home, IntakeRules("USD"))
        log = History(home.signals).load()
    settings = TrainSettings(load_targets(), 0.3, 28, seed=SEED)
    as_of = _at("2018-01-01")
    plan = _plan(log, settings, as_of)
    if plan != Schedule(tuple(days), tuple(tests)):
        sys.exit(f"the snapshots are {plan}; the protocol's are {days} and {tests}")
    result = train(log, FEATURES, settings, as_of)
    names = {CHURN: "churn, no order in 28 days", REPURCHASE: "repurchase within 7 days"}
    yield from _served(COMPLETE_JOURNEY, names[CHURN], result, CHURN, (0.852, 0.284, 0.012))
    yield from _against_btyd(log, result.tested[CHURN], names[CHURN])
    line = _against_logistic(COMPLETE_JOURNEY, names[CHURN], result, log, plan, CHURN)
    yield line
    yield from _served(COMPLETE_JOURNEY, names[REPURCHASE], result, REPURCHASE, (0.802,))
    line = _against_logistic(COMPLETE_JOURNEY, names[REPURCHASE], result, log, plan, REPURCHASE)
    yield replace(line, bar=-0.002)


def _plan(log: SignalLog, settings: TrainSettings, as_of: int) -> Schedule:
    end = data_end(log, as_of)
    window = settings.targets.longest_window_days
    return schedule(first_order(log, end), end, window, settings.schedule)


def _served(
    bench: str, name: str, result: TrainingResult, target: str, bars: tuple[float, ...]
) -> Iterator[Line]:
    """AUC, log loss and calibration error of the model that serves, beside the recency rule."""
    tested, rng = result.tested[target], np.random.default_rng(1)
    served = result.bundle.classifiers[target].served_by
    scores = tested.predictions[served]
    measured = {each.model: each for each in result.metrics if each.target == target}
    rule = measured["recency"]
    found = auc_interval(tested.customers, tested.answers, scores, rng, tested.weights)
    note = f"{served} serves; {len(scores):,} test rows"
    bar = (*bars, *(None,) * (3 - len(bars)))
    yield Line(
        bench, name, "AUC", found.difference, bar[0], True, found.low, found.high,
        "recency rule", rule.auc, note,
    )  # fmt: skip
    loss = losses(tested.answers, scores)
    mean = mean_interval(tested.customers, loss, rng, tested.weights)
    yield Line(
        bench, name, "log loss", mean.difference, bar[1], False, mean.low, mean.high,
        "recency rule", rule.log_loss, note,
    )  # fmt: skip
    error = calibration_error(tested.answers, scores, tested.weights)
    yield Line(
        bench, name, "calibration error", error, bar[2], False,
        peer="recency rule", peer_value=rule.calibration_error, note=note,
    )  # fmt: skip


def _against_btyd(log: SignalLog, tested: Tested, name: str) -> Iterator[Line]:
    """AUC of LightGBM less that of each peer fitted without labels at the first test snapshot."""
    first = int(tested.as_of.min())
    people = np.arange(len(log), dtype=np.int64)
    moments = np.full(len(log), first)
    rows = feature_matrix(FEATURES, log, people, moments)
    bought = ~np.isnan(rows[:, recency_column(FEATURES.names)])
    history = purchases(log, people[bought], moments[bought])
    seen = purchases(log, tested.customers, tested.as_of)
    for peer, kind, fit in (
        ("BG/NBD", BgNbd, fit_bg_nbd),
        ("Pareto/NBD", ParetoNbd, fit_pareto_nbd),
    ):
        yield _against(peer, kind(*fit(history).parameters, *BTYD_REST), seen, tested, name)


def _against(
    peer: str, model: BgNbd | ParetoNbd, seen: Purchases, tested: Tested, name: str
) -> Line:
    scores = sigmoid(model.silence_log_odds(seen, model.window_days))
    gain = _gain(tested, tested.predictions["lightgbm"], scores)
    found = {key: getattr(model, key) for key in type(model).__slots__[:4]}
    return Line(
        COMPLETE_JOURNEY, name, f"AUC above {peer}", gain.difference, 0.0, True, gain.low,
        gain.high, peer, auc(tested.answers, scores),
        "paired, the lower bound must be above 0; "
        + " ".join(f"{key}={value:.4g}" for key, value in found.items()) + ", time in days",
        gain.low > 0,
    )  # fmt: skip


def _against_logistic(
    bench: str, name: str, result: TrainingResult, log: SignalLog, plan: Schedule, target: str
) -> Line:
    """AUC of what serves less that of the best logistic regression; best on the test itself."""
    tested = result.tested[target]
    end = plan.test[-1] + result.bundle.targets.longest_window_days * DAY
    table = training_table(log, FEATURES, result.bundle.targets, Schedule(plan.train, ()), end)
    asked = table.answers[target].values >= 0
    rows, answers = table.rows[asked], table.answers[target].values[asked]
    columns = [FEATURES.names.index(one) for one in NINE]
    nine = logistic(rows[:, columns], answers, NINE)
    peers = {
        f"logistic regression, {len(FEATURES)} features": tested.predictions["logistic"],
        "logistic regression, 9 features": nine.predict(
            np.ascontiguousarray(tested.rows[:, columns])
        ),
    }
    best = max(peers, key=lambda each: auc(tested.answers, peers[each]))
    served = result.bundle.classifiers[target].served_by
    gain = _gain(tested, tested.predictions[served], peers[best])
    return Line(
        bench, name, "AUC above the best logistic regression", gain.difference, None, True,
        gain.low, gain.high, best, auc(tested.answers, peers[best]), "paired",
    )  # fmt: skip


def _gain(tested: Tested, mine: FloatArray, peer: FloatArray) -> Interval:
    rng = np.random.default_rng(1)
    return auc_difference(tested.customers, tested.answers, mine, peer, rng, tested.weights)


# ---- the demo company ------------------------------------------------------------------------


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
        yield _net_promoters(home, log, settings.targets[PROMOTER], as_of)


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
        DEMO, target, "calibration slope", slope, None, True, low, high,
        note=f"{served} serves; {len(scores):,} test rows; must lie between .9 and 1.1",
        holds=0.9 <= slope <= 1.1,
    )  # fmt: skip
    gain = _gain(tested, scores, rule)
    area = auc(tested.answers, scores, tested.weights)
    rule_area = auc(tested.answers, rule, tested.weights)
    yield Line(
        DEMO, target, "AUC above the recency rule", gain.difference, 0.0, True, gain.low,
        gain.high, "recency rule", rule_area, "paired", gain.low > 0,
    )  # fmt: skip
    found = auc_interval(tested.customers, tested.answers, scores, rng, tested.weights)
    how = (
        "a model of the true probability of a 9 or 10 of all asked"
        if target == PROMOTER
        else "a model of what came"
    )
    yield Line(
        DEMO, target, "share of the attainable AUC", (area - 0.5) / (attainable - 0.5), None, True,
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
    plan, end = _plan(log, settings, as_of), data_end(log, as_of)
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


def _net_promoters(home: Home, log: SignalLog, target: Target, as_of: int) -> Line:
    """How far the net promoter score is off, as answered and as weighted, for all asked."""
    end = data_end(log, as_of)
    found = promoter_rows(log, FEATURES, target, first_order(log, end), end)
    promotes = _truth_of_surveys(home, log, "promoter_probability")
    detracts = _truth_of_surveys(home, log, "detractor_probability")
    since = int(found.as_of.min())
    truth = 100 * float(
        np.mean([promotes[pair] - detracts[pair] for pair in promotes if pair[1] >= since])
    )
    if found.net is None:
        return Line(DEMO, "net promoter score", "error", None, note="nobody answered", holds=False)
    naive = abs(found.net.naive - truth)
    return Line(
        DEMO, "net promoter score of all asked", "error of the weighted estimate",
        abs(found.net.weighted - truth), naive / 2, False,
        peer="error of the answers as they came", peer_value=naive,
        note=f"truth {truth:+.1f}, weighted {found.net.weighted:+.1f}, as answered "
        f"{found.net.naive:+.1f}; {found.net.answered:,} of {found.net.asked:,} answered; "
        "the bar is half the naive error",
    )  # fmt: skip


# ---- the airline's survey --------------------------------------------------------------------


def airline() -> Iterator[Line]:
    """A model-only benchmark: fields of the survey itself, so it says nothing of the product."""
    name = "promoter in March, learned in January and February"
    if not AIRLINE.exists():
        yield Line(
            AIRLINE_SURVEY, name, "AUC", None, 0.87,
            note=f"skipped: {AIRLINE.name} is not there; it may not be shipped",
        )  # fmt: skip
        return
    found = pd.read_csv(AIRLINE)
    found = found[found["Likelihood.to.recommend"].notna()]
    month = found["Flight.date"].str.split("/").str[0].astype(int).to_numpy()
    answers = (found["Likelihood.to.recommend"].to_numpy() >= 9).astype(np.int8)
    table = pd.DataFrame(dict(_airline_columns(found)))
    names = tuple(column.replace(".", "_") for column in table.columns)
    rows = table.to_numpy(dtype=np.float64)
    learned = month < 3
    model = fit_forest(rows[learned], answers[learned], names, Growth(BoosterSettings(), SEED))
    peer = logistic(rows[learned], answers[learned], names)
    tested, said = rows[~learned], answers[~learned]
    people = np.arange(len(said))  # one answer each
    area = auc_interval(people, said, model.predict(tested), np.random.default_rng(1))
    yield Line(
        AIRLINE_SURVEY, name, "AUC", area.difference, 0.87, True, area.low, area.high,
        "logistic regression", auc(said, peer.predict(tested)),
        f"{len(said):,} answers; model only: fields such as price sensitivity come from the "
        "survey itself, which no product has before it asks",
    )  # fmt: skip


def _airline_columns(found: pd.DataFrame) -> Iterator[tuple[str, FloatArray]]:
    """Numbers as they are; words of few kinds as a column for each kind."""
    left_out = {"Unnamed: 0", "Likelihood.to.recommend", "freeText", "Flight.date"}
    for column in found.columns:
        if column in left_out:
            continue
        if pd.api.types.is_numeric_dtype(found[column]):
            yield column, found[column].to_numpy(dtype=np.float64)
        elif found[column].nunique() <= 20:
            for kind in sorted(found[column].dropna().unique()):
                word = "".join(letter if letter.isalnum() else "_" for letter in kind)
                yield f"{column}_{word}", (found[column] == kind).to_numpy(dtype=np.float64)


def _at(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * 1_000_000


if __name__ == "__main__":
    main(sys.argv[1:])
