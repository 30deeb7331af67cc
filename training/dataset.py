"""The training table: many customers, each looked at on many days, with what came after."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.counting import counted
from features.signals import DAY, Int64Array, SignalLog, code
from models.targets import PROMOTION, Targets
from training.labels import Labels, labels

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MOST_ROWS: Final = 250_000


class NothingToLearn(ValueError):
    """The signals hold nothing that any of the models could be fitted on."""


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """How snapshots are laid over the history.

    Attributes
    ----------
    step_days : int
        Between two snapshots. Two weeks keep weekdays alike and rows half new.
    history_days : int
        Between the first order and the first snapshot. Less, and windows of 84 days are cut.
    most_train, most_test : int
        Snapshots at most. Thirteen times two weeks are half a year; on Complete Journey weekly
        ones in their place added nothing.
    most_rows : int
        Customers are sampled by the hash of their id until rows, all snapshots counted, are
        at most so many: what fits into a laptop's memory with room to spare.
    """

    step_days: int = 14
    history_days: int = 84
    most_train: int = 13
    most_test: int = 5
    most_rows: int = MOST_ROWS


@dataclass(frozen=True, slots=True)
class Schedule:
    """Snapshots, microseconds UTC, ascending.

    The label window of the last training snapshot ends at or before the first test snapshot.
    """

    train: tuple[int, ...]
    test: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TrainingTable:
    """One row for each identified customer known at each snapshot.

    Attributes
    ----------
    customers, as_of : ndarray of int64, shape (n,)
        Index into the log, and moment.
    rows : ndarray of float64, shape (n, n_features)
    answers : dict of score name to Labels
        Of the targets that are asked at snapshots, and of their other windows (see
        `Target.beside`); promoters are asked by surveys.
    test : ndarray of bool, shape (n,)
        Rows of test snapshots.
    """

    customers: Int64Array
    as_of: Int64Array
    rows: FloatArray
    answers: dict[str, Labels]
    test: BoolArray
    notes: tuple[str, ...]


def data_end(log: SignalLog, as_of: int) -> int:
    """Midnight after the last signal received before `as_of`, and `as_of` at the latest.

    A label window that reaches past the last signal is not a time of silence: nobody knows.

    Raises
    ------
    NothingToLearn
        If no signal was received before `as_of`.
    """
    received = log.columns.received_at[log.columns.received_at < as_of]
    if not len(received):
        raise NothingToLearn(
            "no signals were received before the moment to train for; there must be some; "
            "run `nextbest ingest`, or train for a later --as-of"
        )
    return min(as_of, (int(received.max()) // DAY + 1) * DAY)


def beginning(log: SignalLog, end: int, targets: Targets) -> int:
    """When the first signal known before `end` occurred that puts anybody at risk.

    In a shop it is the first order.

    Raises
    ------
    NothingToLearn
        If there is none of an identified customer.
    """
    asked = [each for each in targets.targets if each.outcome != PROMOTION]
    events = sorted({event for each in asked for event in each.beginnings})
    columns = log.columns
    found = np.isin(columns.event, [code(event) for event in events])
    found &= (columns.received_at < end) & (columns.occurred_at < end)
    found &= log.identified()[log.owners()]
    if not found.any():
        named = " or ".join(f"'{event}'" for event in events)
        raise NothingToLearn(
            f"no {named} among {counted(len(columns), 'signal')} of "
            f"{counted(len(log), 'customer')}; targets.toml asks about customers who have one; "
            "ingest them, see with `nextbest doctor` which file was read as what, or let "
            "`nextbest doctor --apply` write targets for what there is"
        )
    return int(columns.occurred_at[found].min())


def schedule(first: int, end: int, window_days: int, rules: ScheduleRules) -> Schedule:
    """Training and test snapshots for label windows of at most `window_days`.

    Laid backwards from the last moment whose window is complete, so that no day is wasted at
    the end. Tests give way first where the history is short.

    Parameters
    ----------
    first, end : int
        The first order, and the end of the data; microseconds UTC.
    """
    last = end - window_days * DAY
    # A short history is shared out: a third of it to look back on, the rest to step through.
    history = min(rules.history_days * DAY, (last - first) // 3)
    steps = (last - history - first) // (rules.step_days * DAY)
    if last <= first:
        days = (end - first) // DAY
        return Schedule(
            (),
            (),
            (
                f"Too short: {days} days from the first order to the end of the data; a window "
                f"of {window_days} days has not passed for any snapshot yet.",
            ),
        )
    snapshots = [last - number * rules.step_days * DAY for number in range(int(steps) + 1)][::-1]
    for tests in range(rules.most_test, 0, -1):
        test = snapshots[-tests:]
        train = [moment for moment in snapshots if moment + window_days * DAY <= test[0]]
        if len(train) >= tests:
            return Schedule(tuple(train[-rules.most_train :]), tuple(test))
    return Schedule(
        tuple(snapshots[-rules.most_train :]),
        (),
        (
            f"Too short to test: {len(snapshots)} snapshots fit between the first order and the "
            f"end of the data; training, a gap of {window_days} days and a test need more.",
        ),
    )


def training_table(
    log: SignalLog,
    features: FeatureSet,
    targets: Targets,
    plan: Schedule,
    end: int,
    most_rows: int = MOST_ROWS,
) -> TrainingTable:
    """Features and answers of every identified customer at every snapshot of the plan.

    Parameters
    ----------
    end : int
        End of the data; see `data_end`.
    most_rows : int
        See `ScheduleRules`.
    """
    moments = np.array((*plan.train, *plan.test), dtype=np.int64)
    people, notes = _sampled(log, len(moments), most_rows)
    customers = np.repeat(people, len(moments))
    as_of = np.tile(moments, len(people))
    met = _first_known(log)[customers] < as_of
    customers, as_of = customers[met], as_of[met]
    return TrainingTable(
        customers,
        as_of,
        feature_matrix(features, log, customers, as_of),
        {
            each.name: labels(log, customers, as_of, each, end)
            for target in targets.targets
            if target.outcome != PROMOTION
            for each in (target, *target.beside())
        },
        np.isin(as_of, np.array(plan.test, dtype=np.int64)),
        notes,
    )


def _sampled(log: SignalLog, n_snapshots: int, most: int) -> tuple[Int64Array, tuple[str, ...]]:
    """Identified customers, or a stable part of them if their rows would be too many."""
    people = np.flatnonzero(log.identified())
    rows = len(people) * n_snapshots
    if rows <= most:
        return people, ()
    # The hash of the id, not a draw: the same people tomorrow, whatever the others do.
    share = most / rows
    rank = np.array([code(log.customer_ids[place]) for place in people], dtype=np.float64)
    kept = people[rank / 2.0**64 + 0.5 < share]
    return kept, (
        f"Trained on {len(kept):,} of {len(people):,} customers, chosen by the hash of their "
        f"ids: all would be {rows:,} rows, at most {most:,} are used.",
    )


_NEVER: Final = 2**62


def _first_known(log: SignalLog) -> Int64Array:
    """When each customer was first known: occurred and received; shape (n_customers,)."""
    known = np.maximum(log.columns.occurred_at, log.columns.received_at)
    first = np.full(len(log), _NEVER, dtype=np.int64)
    filled = np.flatnonzero(np.diff(log.starts) > 0)
    if len(filled):
        # reduceat runs from each start to the next; customers without signals are left out.
        first[filled] = np.minimum.reduceat(known, log.starts[filled])
    return first
