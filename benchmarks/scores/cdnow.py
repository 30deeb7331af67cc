"""CDNOW: 23,570 customers who first bought in early 1997, followed until mid-1998.

The file lies in the wheel of `lifetimes`, which is not imported. It knows days, not hours.
"""

import tempfile
from collections.abc import Iterator
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lines import Line
from numpy.typing import NDArray
from scipy.stats import nbinom
from scores.protocol import moment

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import DAY, Int64Array, SignalLog, code
from models.btyd import ORDER_FACTS, ParetoNbd, Purchases
from models.classifier import sigmoid
from models.targets import REPURCHASE
from training.baselines import logistic
from training.btyd import fit_pareto_nbd, purchases
from training.demo import SEED
from training.forest import BoosterSettings, Growth, directions, fit_forest
from training.metrics import auc, auc_difference, auc_interval, brier, mean_interval

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]

NAME: Final = "cdnow"
QUARTER: Final = 91  # days: 13 weeks
LEARNED: Final = ("1997-05-01", "1997-06-01", "1997-07-01")  # the last window ends on the test day
TESTED: Final = "1997-09-30"
# The 39 weeks of the papers end with September; the next 39 with June.
HALF, END = "1997-10-01", "1998-07-01"
WEEKS: Final = 39.0


def cdnow() -> Iterator[Line]:
    """Any purchase within 13 weeks, and how many in 39."""
    log = _log()
    yield from _any_purchase(log)
    yield from _how_many(log)


def _any_purchase(log: SignalLog) -> Iterator[Line]:
    name = "any purchase within 13 weeks"
    learned = [_rows(log, moment(day)) for day in LEARNED]
    rows = np.vstack([each for each, _ in learned])
    answers = np.concatenate([said for _, said in learned])
    tested, said = _rows(log, moment(TESTED))
    growth = Growth(BoosterSettings(), SEED, directions(FEATURES, REPURCHASE))
    forest = fit_forest(rows, answers, FEATURES.names, growth).predict(tested)
    line = logistic(rows, answers, FEATURES.names).predict(tested)
    people, rng = np.arange(len(said)), np.random.default_rng(1)
    area = auc_interval(people, said, forest, rng)
    btyd = 1.0 - _silence(log)
    note = f"lightgbm; {len(said):,} customers, {said.mean():.1%} bought"
    yield Line(
        NAME, name, "AUC", area.difference, 0.772, True, area.low, area.high,
        "Pareto/NBD", auc(said, btyd), note,
    )  # fmt: skip
    yield Line(
        NAME, name, "Brier score", brier(said, forest), 0.117, False,
        peer="Pareto/NBD", peer_value=brier(said, btyd), note=note,
    )  # fmt: skip
    gain = auc_difference(people, said, forest, line, rng)
    yield Line(
        NAME, name, "AUC above logistic regression", gain.difference, -0.003, True, gain.low,
        gain.high, "logistic regression", auc(said, line), "paired",
    )  # fmt: skip


def _how_many(log: SignalLog) -> Iterator[Line]:
    """Purchases of the second 39 weeks, from the first 39 alone.

    Of all numbers the median has the least absolute error, and most of these customers never buy
    again; so the median of the predictive distribution stands beside its mean. That distribution
    is taken as negative binomial: its mean is Pareto/NBD's expectation, its shape that of the
    posterior of the rate, r + x.
    """
    half, end = moment(HALF), moment(END)
    seen = _in_weeks(log, half)
    found = fit_pareto_nbd(seen)
    model = ParetoNbd(*found.parameters, WEEKS * 7, "absence", ORDER_FACTS, (1.0, 0.0, 0.0))
    mean = model.expected(seen, WEEKS)
    shape = model.r + seen.repeats
    median = nbinom.median(shape, shape / (shape + np.maximum(mean, 1e-9)))
    came = _days_with_orders(log, half, end)
    people, rng = np.arange(len(came)), np.random.default_rng(1)
    error = mean_interval(people, np.abs(came - median), rng)
    yield Line(
        NAME, "purchases in the second 39 weeks", "mean absolute error", error.difference, 0.794,
        False, error.low, error.high, "mean of Pareto/NBD", float(np.abs(came - mean).mean()),
        "median of Pareto/NBD's predictive distribution; the mean is better for sums: "
        f"{mean.sum():,.0f} and {median.sum():,.0f} of {came.sum():,} purchases; "
        f"nobody buys again: {came.mean():.3f}",
    )  # fmt: skip


def _log() -> SignalLog:
    """Its orders as signals, through the same door as anybody's."""
    package = find_spec("lifetimes")
    if package is None or not package.submodule_search_locations:
        raise LookupError("lifetimes is not installed; its wheel holds CDNOW; run `make install`")
    path = Path(package.submodule_search_locations[0]) / "datasets" / "CDNOW_master.txt"
    lines = [line.split() for line in path.read_text().splitlines()[1:] if line.strip()]
    table = pa.table(
        {
            "message_id": [f"order-{place}" for place in range(len(lines))],
            "customer_id": [f"C{customer}" for customer, *_ in lines],
            "event": ["Order Completed"] * len(lines),
            "occurred_at": [datetime.strptime(line[1], "%Y%m%d") for line in lines],
            "amount": [line[3] for line in lines],
            "currency": ["USD"] * len(lines),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        home, orders = Home(Path(folder) / "home"), Path(folder) / "orders.parquet"
        pq.write_table(table, orders)
        ingest([orders], None, home, IntakeRules("USD"))
        return History(home.signals).load()


def _rows(log: SignalLog, as_of: int) -> tuple[FloatArray, Int8Array]:
    """Features of everybody at a moment, and whether they bought in the 13 weeks after it."""
    people = np.arange(len(log), dtype=np.int64)
    rows = feature_matrix(FEATURES, log, people, np.full(len(log), as_of))
    bought = _days_with_orders(log, as_of, as_of + QUARTER * DAY) > 0
    return rows, bought.astype(np.int8)


def _silence(log: SignalLog) -> FloatArray:
    """Pareto/NBD's probability of no purchase in the 13 weeks after the test day."""
    seen = _in_weeks(log, moment(TESTED))
    rest = (float(QUARTER), "absence", ORDER_FACTS, (1.0, 0.0, 0.0))
    model = ParetoNbd(*fit_pareto_nbd(seen).parameters, *rest)
    return sigmoid(model.silence_log_odds(seen, QUARTER / 7))


def _in_weeks(log: SignalLog, as_of: int) -> Purchases:
    """What Pareto/NBD looks at, in weeks, in which its search starts from sensible values."""
    everyone = np.arange(len(log), dtype=np.int64)
    days = purchases(log, everyone, np.full(len(log), as_of))
    return Purchases(days.repeats, days.last / 7, days.watched / 7)


def _days_with_orders(log: SignalLog, start: int, end: int) -> Int64Array:
    """Days with an order in ``[start, end)``, of each customer."""
    at = log.columns.occurred_at
    inside = np.flatnonzero((log.columns.event == code("Order Completed")) & (at >= start))
    inside = inside[at[inside] < end]
    owner = np.searchsorted(log.starts, inside, side="right") - 1
    days = np.unique(np.column_stack([owner, at[inside] // DAY]), axis=0)
    return np.bincount(days[:, 0], minlength=len(log)).astype(np.int64)
