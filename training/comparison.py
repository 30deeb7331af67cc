"""Champion against challenger on rows that neither was trained on, gate by gate."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.definitions import FEATURES
from features.signals import Int64Array, SignalLog
from models.bundle import Bundle
from models.targets import PROMOTION, Target, Targets
from training import gates
from training.bundle_gates import bundle_gates, serving
from training.data_gates import data_gates
from training.dataset import (
    Schedule,
    ScheduleRules,
    TrainingTable,
    beginning,
    data_end,
    schedule,
    training_table,
)
from training.metrics import (
    Interval,
    auc,
    auc_difference,
    calibration_difference,
    calibration_error,
    has_slope,
    log_loss,
    log_odds_of,
    loss_difference,
    losses,
    mean_interval,
    slope_interval,
)
from training.narrator import Narrator
from training.promoters import promoter_rows
from training.slices import slice_gate, slices

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]

# Fewer compared customers than this, and the interval of a difference says nothing.
FEWEST_COMPARED: Final = 30
# What serves where there was too little to test on.
SIMPLE: Final = frozenset({"base_rate", "recency"})

# The first moment from which on a bundle has seen no answer to a target, microseconds UTC.
UnseenFrom = Callable[[Bundle, str], int]


@dataclass(frozen=True, slots=True)
class Figures:
    """One bundle on the rows of one target; `auc` is None where one answer came only."""

    auc: float | None
    log_loss: float
    calibration_error: float


@dataclass(frozen=True, slots=True)
class Contest:
    """Two bundles on the same rows of one target.

    Attributes
    ----------
    auc : Interval or None
        Challenger less champion.
    loss : Interval
        Relative difference of the log loss, challenger less champion; below 0 is better.
    calibration : Interval
        Difference of the calibration errors.
    verdict : str
        See `training.gates.verdict`.
    """

    target: str
    rows: int
    customers: int
    snapshots: int
    champion: Figures
    challenger: Figures
    auc: Interval | None
    loss: Interval
    calibration: Interval
    verdict: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All contests, what the gates make of them, and in words what could not be compared."""

    champion: str
    challenger: str
    contests: tuple[Contest, ...]
    gates: tuple[gates.Gate, ...]
    notes: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no gate says no."""
        return all(gate.passed for gate in self.gates)


@dataclass(frozen=True, slots=True)
class _Pair:
    champion: Bundle
    challenger: Bundle


@dataclass(frozen=True, slots=True)
class _Compared:
    """A contest, and the gates that look at its rows one by one."""

    contest: Contest
    gates: tuple[gates.Gate, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """Rows of one target with their answers (-1: none), whose, when, and what each counts."""

    rows: FloatArray
    answers: Int8Array
    customers: Int64Array
    as_of: Int64Array
    weights: FloatArray

    def at(self, where: NDArray[np.bool_]) -> "_Known":
        return _Known(
            self.rows[where],
            self.answers[where],
            self.customers[where],
            self.as_of[where],
            self.weights[where],
        )


def compared(
    champion: Bundle,
    challenger: Bundle,
    log: SignalLog,
    as_of: int,
    unseen_from: UnseenFrom,
    narrator: Narrator,
) -> Comparison:
    """Both bundles on the newest rows that neither has learned from, and every gate.

    Parameters
    ----------
    log : SignalLog
        What was received before `as_of`.
    """
    pair = _Pair(champion, challenger)
    end = data_end(log, as_of)
    plan = _plan(log, pair, end)
    with narrator.step("Comparing on later snapshots"):
        found = tuple(_contests(log, pair, plan, end, unseen_from))
    with narrator.step("Computing again what the challenger learned from"):
        said = [*bundle_gates(challenger, FEATURES)]
        said += data_gates(challenger, champion, log, FEATURES, end)
    said += _gates(pair, found)
    contests = tuple(one.contest for one in found)
    return Comparison(
        champion.sha256, challenger.sha256, contests, tuple(said), tuple(_notes(pair, plan))
    )


def _notes(pair: _Pair, plan: Schedule) -> Iterator[str]:
    yield from plan.notes
    for name in pair.challenger.classifiers:
        if name not in pair.champion.classifiers:
            yield f"{name}: new; the champion has no such score."


def _plan(log: SignalLog, pair: _Pair, end: int) -> Schedule:
    """The newest test snapshots whose answers are known at the end of the data."""
    window = pair.challenger.targets.longest_window_days
    return schedule(beginning(log, end, pair.challenger.targets), end, window, ScheduleRules())


def _contests(
    log: SignalLog, pair: _Pair, plan: Schedule, end: int, unseen_from: UnseenFrom
) -> Iterator[_Compared]:
    targets = pair.challenger.targets
    table = training_table(log, FEATURES, targets, Schedule((), plan.test), end)
    rng = np.random.default_rng(1)  # a comparison repeated says the same
    for target in targets.targets:
        if not _comparable(pair, target):
            continue
        clean = max(unseen_from(bundle, target.name) for _, bundle in _both(pair))
        by_survey = target.outcome == PROMOTION
        known = _surveyed(log, target, targets, end) if by_survey else _asked(table, target)
        asked = known.at((known.answers >= 0) & (known.as_of >= clean))
        if len(asked.answers):
            scores = {
                name: bundle.classifiers[target.name].predict(asked.rows)
                for name, bundle in _both(pair)
            }
            found = _contest(target.name, asked, scores, rng)
            yield _Compared(found, tuple(_row_gates(pair, found, asked, scores, rng)))


def _asked(table: TrainingTable, target: Target) -> _Known:
    """Rows of a question asked at snapshots."""
    weights = np.ones(len(table.rows))
    answers = table.answers[target.name].values
    return _Known(table.rows, answers, table.customers, table.as_of, weights)


def _surveyed(log: SignalLog, target: Target, targets: Targets, end: int) -> _Known:
    """Rows of a question asked by surveys."""
    found = promoter_rows(log, FEATURES, target, beginning(log, end, targets), end)
    return _Known(found.rows, found.answers, found.customers, found.as_of, found.weights)


def _comparable(pair: _Pair, target: Target) -> bool:
    """Whether both bundles answer the same question."""
    name = target.name
    if any(name not in bundle.classifiers for _, bundle in _both(pair)):
        return False
    return _question(pair.champion.targets[name]) == _question(target)


def _question(target: Target) -> tuple[str, tuple[str, ...], int, tuple[str, ...], int]:
    asked = target.at_risk, target.at_risk_days
    return target.outcome, target.event, target.window_days, *asked


def _both(pair: _Pair) -> tuple[tuple[str, Bundle], tuple[str, Bundle]]:
    return ("champion", pair.champion), ("challenger", pair.challenger)


def _contest(
    target: str, known: _Known, scores: Mapping[str, FloatArray], rng: np.random.Generator
) -> Contest:
    answers, customers, weights = known.answers, known.customers, known.weights
    new, old = scores["challenger"], scores["champion"]
    both = 0 < int(np.sum(answers)) < len(answers)
    loss = loss_difference(
        customers, weights * losses(answers, new), weights * losses(answers, old), rng
    )
    people = len(np.unique(customers))
    return Contest(
        target=target,
        rows=len(answers),
        customers=people,
        snapshots=len(np.unique(known.as_of)),
        champion=_figures(known, old, both),
        challenger=_figures(known, new, both),
        auc=auc_difference(customers, answers, new, old, rng, weights) if both else None,
        loss=loss,
        calibration=calibration_difference(customers, answers, new, old, rng, weights),
        verdict=gates.verdict(loss) if people >= FEWEST_COMPARED else gates.UNTESTED,
    )


def _figures(known: _Known, scores: FloatArray, both: bool) -> Figures:
    answers, weights = known.answers, known.weights
    return Figures(
        auc(answers, scores, weights) if both else None,
        log_loss(answers, scores, weights),
        calibration_error(answers, scores, weights),
    )


def _row_gates(
    pair: _Pair,
    contest: Contest,
    known: _Known,
    scores: Mapping[str, FloatArray],
    rng: np.random.Generator,
) -> Iterator[gates.Gate]:
    """Gates on the rows of a contest, where they suffice."""
    if contest.customers < FEWEST_COMPARED:
        return
    name, answers, weights = contest.target, known.answers, known.weights
    new, old = (weights * losses(answers, scores[which]) for which in ("challenger", "champion"))
    said = serving(pair.challenger, name)
    loss = mean_interval(known.customers, losses(answers, scores["challenger"]), rng, weights)
    yield gates.own_test_gate(name, None if said is None else said.log_loss, loss)
    if contest.auc is not None:
        slopes = {
            which: slope_interval(known.customers, answers, log_odds, weights)
            for which, log_odds in ((which, log_odds_of(scores[which])) for which in scores)
            if has_slope(answers, log_odds)
        }
        if "challenger" in slopes:
            champion = slopes["champion"].difference if "champion" in slopes else None
            yield gates.slope_gate(name, slopes["challenger"], champion)
    parts = slices(known.rows, pair.challenger.feature_names)
    yield slice_gate(name, parts, known.customers, (new, old), rng)


def _gates(pair: _Pair, compared: tuple[_Compared, ...]) -> Iterator[gates.Gate]:
    """Every gate that a challenger has to pass beside the champion, with its numbers."""
    found = {each.contest.target: each for each in compared}
    for name in pair.champion.classifiers:
        if name not in pair.challenger.classifiers:
            yield gates.Gate(
                f"{name}: still scored", False, "the champion has this score, the challenger not"
            )
            continue
        if not _comparable(pair, pair.challenger.targets[name]):
            yield gates.Gate(
                f"{name}: same question",
                True,
                "targets.toml asks something else now, so the two are not compared",
            )
            continue
        yield from _contest_gates(name, pair, found.get(name))


def _contest_gates(name: str, pair: _Pair, found: _Compared | None) -> Iterator[gates.Gate]:
    served_by = pair.challenger.classifiers[name].served_by
    contest = None if found is None else found.contest
    customers = 0 if contest is None else contest.customers
    if customers < FEWEST_COMPARED and served_by in SIMPLE:
        yield gates.simple_gate(name, served_by, customers)
    elif found is None or contest is None:
        yield gates.Gate(f"{name}: compared", False, "no later rows that neither was trained on")
    else:
        yield gates.loss_gate(name, contest.verdict, contest.loss, customers)
        yield gates.calibration_gate(name, contest.champion.calibration_error, contest.calibration)
        yield from found.gates
