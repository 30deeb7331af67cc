"""Who was asked what, and when: the rows that each question is learned from and tested on."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.signals import DAY, SignalLog
from models.targets import PROMOTION, Target, Targets
from training.clocks import clocks
from training.contest import Rows
from training.dataset import (
    Schedule,
    ScheduleRules,
    TrainingTable,
    beginning,
    data_end,
    schedule,
    training_table,
)
from training.promoters import promoter_rows

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LaidOut:
    """A history laid out for training: snapshots over it, and a row for everybody at each.

    Attributes
    ----------
    first, end : int
        Where snapshots may begin, and the end of the data; microseconds UTC.
    """

    log: SignalLog
    features: FeatureSet
    plan: Schedule
    table: TrainingTable
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows of a question to learn from and to test on, and all customers; see `FitSettings`."""

    learned: Rows
    tested: Rows
    everyone: FloatArray
    notes: tuple[str, ...]


def laid_out(
    log: SignalLog, features: FeatureSet, targets: Targets, rules: ScheduleRules, as_of: int
) -> LaidOut:
    """The history that was received before `as_of`, laid out.

    Raises
    ------
    NothingToLearn
        If there are no signals, or none that puts an identified customer at risk.
    """
    end = data_end(log, as_of)
    first = beginning(log, end, targets)
    plan = schedule(first, end, targets.longest_window_days, rules)
    table = training_table(log, features, targets, plan, end, rules.most_rows)
    return LaidOut(log, features, plan, table, first, end)


def asked(history: LaidOut, target: Target) -> Asked:
    """The rows of one question: those of surveys for promoters, those of snapshots for others."""
    return (
        _surveyed(history, target)
        if target.outcome == PROMOTION
        else _at_snapshots(history, target)
    )


def _at_snapshots(history: LaidOut, target: Target) -> Asked:
    table = history.table
    found = table.answers[target.name]
    answers, learns = found.values, ~table.test
    if table.test.any():
        # A window beside the one that serves may be longer: what it learns from ends before
        # the tests begin, too.
        closed = table.as_of + target.window_days * DAY <= table.as_of[table.test].min()
        learns = learns & closed
    none = np.zeros(len(history.features), dtype=bool)
    weights = np.ones(len(answers))
    rows = Rows(table.rows, answers, table.customers, table.as_of, weights, none)
    learned = rows.at((answers >= 0) & learns)
    if len(learned):
        stopped = clocks(history.log, history.features, learned.rows, learned.as_of, history.first)
        learned = replace(learned, clocks=stopped)
    last = table.as_of[~table.test].max() if (~table.test).any() else 0
    asked = int(np.sum(answers >= 0))
    note = (
        f"{target.name}: asked of {asked:,} rows; {found.not_at_risk:,} were not at risk, and of "
        f"{found.censored:,} the window of {target.window_days} days was not over: dropped, "
        "never a no."
    )
    tested = rows.at((answers >= 0) & table.test)
    return Asked(learned, tested, table.rows[~table.test & (table.as_of == last)], (note,))


def _surveyed(history: LaidOut, target: Target) -> Asked:
    found = promoter_rows(history.log, history.features, target, history.first, history.end)
    rows = Rows(
        found.rows, found.answers, found.customers, found.as_of, found.weights, found.clocks
    )
    learned = rows.at(~found.test & ~found.between)
    return Asked(learned, rows.at(found.test), learned.rows, found.notes)
