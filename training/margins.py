"""The margin of the next days: a rule, buy till you die, a forest; and how far off they may be.

Whoever serves says a mean, since money adds up: a decision needs what a hundred such customers
will bring, by hundred. The median would have a smaller absolute error and be worth less.
"""

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.counting import counted
from features.signals import DAY, Int64Array, SignalLog
from models.btyd import BgNbd
from models.bundle import MarginMeasured
from models.margin import MarginModel
from models.margin_interval import Intervals
from models.margin_kinds import (
    ORDER_DAYS_FEATURE,
    SPEND_FEATURE,
    MarginForest,
    PurchaseMargin,
    column,
)
from models.targets import Target
from training import gates
from training.baselines import margin_model
from training.btyd import TooFewPurchases, btyd_model
from training.clocks import clocks
from training.contest import FEWEST_TESTED
from training.dataset import TrainingTable
from training.forest import Growth, fit_money_forest
from training.intervals import (
    CUSTOMERS_PER_BAND,
    SHARE,
    conformal_intervals,
    unseen_predictions,
)
from training.labels import takings_after
from training.metrics import loss_difference

FloatArray = NDArray[np.float64]

# Rows, and rows with a margin above 0, that more than a rule is fitted on: as many as a
# question needs by default.
FEWEST_ROWS: Final = 400
FEWEST_BUYS: Final = 40
# How many days with orders everyone's worth weighs, tried in turn like `PRIOR_DAYS`.
PRIOR_ORDERS: Final = (0.5, 2.0, 8.0, 32.0)
RULE: Final = "rule"
VERBS: Final = {
    gates.BEATS: "beats",
    gates.EQUALS: "equals",
    gates.LOSES: "loses to",
    gates.UNCLEAR: "is not shown to be as good as",
}


@dataclass(frozen=True, slots=True)
class MarginRows:
    """Rows to expect a margin for: features, what they brought, whose and when.

    Attributes
    ----------
    rows : ndarray of float64, shape (n, n_features)
    takings : ndarray of float64, shape (n,)
        Orders less refunds over the horizon, in currency units; NaN where not known yet.
    customers, as_of : ndarray of int64, shape (n,)
    clocks : ndarray of bool, shape (n_features,)
        See `training.clocks.clocks`; only forests have to look away from them.
    """

    rows: FloatArray
    takings: FloatArray
    customers: Int64Array
    as_of: Int64Array
    clocks: NDArray[np.bool_]

    def at(self, where: NDArray[np.bool_]) -> "MarginRows":
        """Some of them."""
        return replace(
            self,
            rows=self.rows[where],
            takings=self.takings[where],
            customers=self.customers[where],
            as_of=self.as_of[where],
        )

    def known(self) -> "MarginRows":
        """Those whose takings are known."""
        return self.at(~np.isnan(self.takings))

    def __len__(self) -> int:
        return len(self.takings)


def margin_rows(
    log: SignalLog,
    features: FeatureSet,
    table: TrainingTable,
    horizon_days: int,
    first: int,
    end: int,
) -> tuple[MarginRows, MarginRows]:
    """Rows to learn from, of training snapshots, and rows to test on, of later ones.

    A horizon that reaches into the tests is not known when they begin. Without any training
    snapshot: everyone as of the end, what they will bring unknown.

    Parameters
    ----------
    first, end : int
        When the history begins and ends; microseconds UTC.
    """
    clock = np.zeros(len(features), dtype=bool)
    if table.test.all():
        people = np.flatnonzero(log.identified())
        moments = np.full(len(people), end, dtype=np.int64)
        unknown = np.full(len(people), np.nan)
        rows = feature_matrix(features, log, people, moments)
        everyone = MarginRows(rows, unknown, people, moments, clock)
        return everyone, everyone.known()
    takings = takings_after(log, table.customers, table.as_of, horizon_days, end)
    whole = MarginRows(table.rows, takings, table.customers, table.as_of, clock)
    learned, tested = whole.at(~table.test), whole.at(table.test).known()
    if len(tested):
        late = learned.as_of + horizon_days * DAY > tested.as_of.min()
        learned = replace(learned, takings=np.where(late, np.nan, learned.takings))
    known = learned.known()
    if len(known):
        stopped = clocks(log, features, known.rows, known.as_of, first)
        learned = replace(learned, clocks=stopped)
    return learned, tested


@dataclass(frozen=True, slots=True)
class MarginSettings:
    """What fitting a margin needs beside rows; see `TrainSettings`."""

    names: tuple[str, ...]
    margin_rate: float
    horizon_days: int
    growth: Growth


@dataclass(frozen=True, slots=True)
class FittedMargin:
    """The one that serves, how each did on later snapshots, and that in words."""

    model: MarginModel
    measured: tuple[MarginMeasured, ...]
    note: str


def fit_margin(
    learned: MarginRows, tested: MarginRows, settings: MarginSettings, rng: Generator
) -> FittedMargin:
    """Fit what the rows suffice for, test it, choose what serves, and say how far off it may be.

    Parameters
    ----------
    learned : MarginRows
        See `margin_rows`. Where all takings are unknown, the rule is a pace alone.
    tested : MarginRows
        All with known takings.
    """
    known = learned.known()
    models = {RULE: _rule(learned, settings)}
    buys = int(np.sum(settings.margin_rate * known.takings > 0))
    if len(known) >= FEWEST_ROWS and buys >= FEWEST_BUYS:
        for kind in (BgNbd.kind, MarginForest.kind):
            found = _learner(kind, models[RULE], known, settings)
            if found is not None:
                models[kind] = found
    expected = {kind: model.expected(tested.rows, settings.names) for kind, model in models.items()}
    margin = settings.margin_rate * tested.takings
    serving, verdict, sentence = _choice(expected, margin, tested.customers, rng)
    served = replace(
        models[serving], intervals=_intervals(known, serving, models[RULE], settings, rng)
    )
    measured = tuple(
        _measured(
            served if kind == serving else replace(model, intervals=None),
            expected[kind],
            margin,
            kind == serving,
        )
        for kind, model in models.items()
        if len(tested)
    )
    measured = tuple(
        replace(each, verdict=verdict) if each.model == MarginForest.kind else each
        for each in measured
    )
    said = sentence.format(served_by=served.served_by, rule=models[RULE].served_by)
    return FittedMargin(served, measured, f"{said}{_held(measured)}")


def _rule(learned: MarginRows, settings: MarginSettings) -> MarginModel:
    rate, days = settings.margin_rate, settings.horizon_days
    return margin_model(learned.rows, learned.takings, settings.names, rate, days)


def _learner(
    kind: str, rule: MarginModel, known: MarginRows, settings: MarginSettings
) -> MarginModel | None:
    """Another kind, around the rule, which knows the usual margin; None: nothing to learn from."""
    if kind == BgNbd.kind:
        purchases = _purchases(known, settings)
        return None if purchases is None else replace(rule, purchases=purchases)
    forest = _forest(known, settings)
    return None if forest is None else replace(rule, forest=forest)


def _forest(known: MarginRows, settings: MarginSettings) -> MarginForest | None:
    margin = settings.margin_rate * known.takings
    gained = np.maximum(margin, 0.0)  # such a forest knows no losses
    if not gained.any():
        return None
    rows = np.where(known.clocks, 0.0, known.rows)
    plain = MarginForest(fit_money_forest(rows, gained, settings.names, settings.growth), 0.0)
    said = float(plain.expected(rows, settings.names).sum())
    # Refunds beyond all orders would have no logarithm; nothing is then expected of anybody.
    return replace(plain, log_factor=math.log(max(float(margin.sum()) / said, 1e-6)))


def _purchases(known: MarginRows, settings: MarginSettings) -> PurchaseMargin | None:
    """Buy till you die, from everyone at the last training snapshot; None: nobody came back."""
    names, rate = settings.names, settings.margin_rate
    last = known.at(known.as_of == known.as_of.max())
    question = Target("expected_margin", "", "presence", settings.horizon_days)
    try:
        model = btyd_model(BgNbd, last.rows, names, question)
    except TooFewPurchases:
        return None
    days = float(np.nansum(column(last.rows, names, ORDER_DAYS_FEATURE)))
    earned = rate * float(np.nansum(column(last.rows, names, SPEND_FEATURE)))
    worth = max(earned, 0.0) / max(days, 1.0)
    tried = [PurchaseMargin(model, worth, prior, rate) for prior in PRIOR_ORDERS]
    errors = [
        np.mean((each.expected(last.rows, names) - rate * last.takings) ** 2) for each in tried
    ]
    return tried[int(np.argmin(errors))]


def _choice(
    expected: dict[str, FloatArray], margin: FloatArray, customers: Int64Array, rng: Generator
) -> tuple[str, str, str]:
    """Which serves, the verdict on the forest, and both in words.

    By squared error, of which a mean has the least; by absolute error a model would win that
    says too little for everyone.
    """
    people = len(np.unique(customers))
    forest = MarginForest.kind
    if forest not in expected:
        return RULE, "", "expected_margin: {served_by} serves; too few rows with a margin for more."
    if people < FEWEST_TESTED:
        few = f"{counted(people, 'customer')} to test on, at least {FEWEST_TESTED} are needed"
        return RULE, gates.UNTESTED, f"expected_margin: {few}; {{served_by}} serves, untested."
    gaps = {kind: said - margin for kind, said in expected.items()}
    loss = {kind: gap**2 for kind, gap in gaps.items()}
    error = {kind: float(np.mean(np.abs(gap))) for kind, gap in gaps.items()}
    best = min((kind for kind in loss if kind != forest), key=lambda kind: loss[kind].mean())
    gain = loss_difference(customers, loss[forest], loss[best], rng)
    verdict = gates.verdict(gain)
    beaten = "{rule}" if best == RULE else best
    sentence = (
        f"expected_margin: LightGBM {VERBS[verdict]} {beaten}, squared error "
        f"{100 * gain.difference:+.1f} % ({100 * gain.low:+.1f} to {100 * gain.high:+.1f} %), "
        f"absolute error {error[forest]:.2f} for {error[best]:.2f}; {{served_by}} serves."
    )
    return forest if verdict in gates.MAY_SERVE else best, verdict, sentence


def _intervals(
    known: MarginRows, kind: str, rule: MarginModel, settings: MarginSettings, rng: Generator
) -> Intervals | None:
    """Bands of the kind that serves, learned and asked by halves of the customers."""

    def foretell(inside: NDArray[np.bool_]) -> FloatArray | None:
        outside = known.at(~inside)
        if kind == RULE:
            model: MarginModel | None = _rule(outside, settings)
        else:
            model = _learner(kind, rule, outside, settings)
        return None if model is None else model.expected(known.rows[inside], settings.names)

    if len(np.unique(known.customers)) < CUSTOMERS_PER_BAND:
        return None
    expected = unseen_predictions(known.customers, foretell, rng)
    if expected is None:
        return None
    return conformal_intervals(expected, settings.margin_rate * known.takings, known.customers)


def _measured(
    model: MarginModel, expected: FloatArray, margin: FloatArray, serves: bool
) -> MarginMeasured:
    gap = expected - margin
    coverage = width = None
    if model.intervals is not None:
        low, high = model.intervals.around(expected)
        coverage = float(np.mean((margin >= low) & (margin <= high)))
        width = float(np.mean(high - low))
    return MarginMeasured(
        model=model.served_by,
        rows=len(margin),
        absolute_error=float(np.mean(np.abs(gap))),
        root_square_error=float(np.sqrt(np.mean(gap**2))),
        bias=float(np.mean(gap)),
        coverage=coverage,
        width=width,
        serves=serves,
    )


def _held(measured: tuple[MarginMeasured, ...]) -> str:
    """How much of what came later the interval held, as a sentence."""
    for each in measured:
        if each.serves and each.coverage is not None:
            return (
                f" Its interval, meant for {SHARE:.0%}, held {each.coverage:.1%} of the margins "
                "of later snapshots."
            )
    return ""
