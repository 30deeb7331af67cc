"""Complete Journey: churn and repurchase of real households against peers."""

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
from lines import Line
from numpy.typing import NDArray
from scores.protocol import gain_in_auc, moment, snapshots

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import DAY, SignalLog
from features.sources.complete_journey import prepare_complete_journey
from models.btyd import ORDER_FACTS, BgNbd, ParetoNbd, Purchases
from models.classifier import recency_column, sigmoid
from models.targets import CHURN, REPURCHASE, load_targets
from training.baselines import logistic
from training.btyd import fit_bg_nbd, fit_pareto_nbd, purchases
from training.dataset import Schedule, training_table
from training.demo import SEED
from training.fit import Tested, TrainingResult, TrainSettings, train
from training.metrics import auc, auc_interval, calibration_error, losses, mean_interval

FloatArray = NDArray[np.float64]

NAME: Final = "complete-journey"
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
# Window and question of the churn that peers without labels are compared on.
BTYD_REST: Final = (28.0, "absence", ORDER_FACTS, (1.0, 0.0, 0.0))


def complete_journey() -> Iterator[Line]:
    """Real households: no purchase in 28 days, a purchase in 7."""
    days = [moment("2017-03-27") + 14 * DAY * step for step in range(13)]
    tests = [moment("2017-10-09") + 14 * DAY * step for step in range(5)]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        ingest(prepare_complete_journey(home.path / "files"), None, home, IntakeRules("USD"))
        log = History(home.signals).load()
    settings = TrainSettings(load_targets(), 0.3, 28, seed=SEED)
    as_of = moment("2018-01-01")
    plan = snapshots(log, settings, as_of)
    if plan != Schedule(tuple(days), tuple(tests)):
        sys.exit(f"the snapshots are {plan}; the protocol's are {days} and {tests}")
    result = train(log, FEATURES, settings, as_of)
    names = {CHURN: "churn, no order in 28 days", REPURCHASE: "repurchase within 7 days"}
    yield from _served(NAME, names[CHURN], result, CHURN, (0.852, 0.284, 0.012))
    yield from _against_btyd(log, result.tested[CHURN], names[CHURN])
    line = _against_logistic(NAME, names[CHURN], result, log, plan, CHURN)
    yield line
    yield from _served(NAME, names[REPURCHASE], result, REPURCHASE, (0.802,))
    line = _against_logistic(NAME, names[REPURCHASE], result, log, plan, REPURCHASE)
    yield replace(line, bar=-0.002)
    yield from _margin(result)


def _margin(result: TrainingResult) -> Iterator[Line]:
    """Expected margin of the households at risk: its error, and what its interval holds."""
    name = "margin in 28 days"
    by_kind = {each.model: each for each in result.bundle.margins}
    served, peer = next(each for each in by_kind.values() if each.serves), by_kind[BgNbd.kind]
    note = f"{served.model} serves; {served.rows:,} test rows; the mean, since money adds up; "
    yield Line(
        NAME, name, "mean absolute error", served.absolute_error, peer.absolute_error, False,
        peer="expectation of BG/NBD x margin an order", peer_value=peer.absolute_error,
        note=f"{note}root of the squared error {served.root_square_error:.3g} for "
        f"{peer.root_square_error:.3g}", holds=served.absolute_error < peer.absolute_error,
    )  # fmt: skip
    held = served.coverage
    yield Line(
        NAME, name, "share within the 90 % interval", held, None,
        note=f"{note}must lie between .87 and .93",
        holds=held is not None and 0.87 <= held <= 0.93,
    )  # fmt: skip


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
    gain = gain_in_auc(tested, tested.predictions["lightgbm"], scores)
    found = {key: getattr(model, key) for key in type(model).__slots__[:4]}
    return Line(
        NAME, name, f"AUC above {peer}", gain.difference, 0.0, True, gain.low,
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
    gain = gain_in_auc(tested, tested.predictions[served], peers[best])
    return Line(
        bench, name, "AUC above the best logistic regression", gain.difference, None, True,
        gain.low, gain.high, best, auc(tested.answers, peers[best]), "paired",
    )  # fmt: skip
