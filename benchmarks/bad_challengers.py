"""Challengers that must not be promoted, each with the gate that says no; and good ones.

A small shop is invented, its history laid out as for any training, and then the rows, the answers
or the finished bundle are spoilt in one way. Everything else is the program's own way: fit, test,
write, load, compare.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
from numpy.typing import NDArray

from features.batch import feature_matrix
from features.definitions import FEATURES
from features.signals import ABSENT, DAY, SignalColumns, SignalLog, code
from models.bundle import Bundle
from models.bundle_files import load_bundle, write_bundle
from models.classifier import Calibration, Classifier, Forest
from models.targets import CHURN, REPURCHASE, Targets, load_targets
from training.asked import LaidOut, laid_out
from training.comparison import Comparison, compared
from training.dataset import TrainingTable
from training.fit import TrainSettings, train_on
from training.forest import BoosterSettings
from training.labels import Labels
from training.membership import attack_auc
from training.narrator import Narrator

START: Final = 18_000 * DAY
DAYS: Final = 400
END: Final = START + DAYS * DAY
SETTINGS: Final = TrainSettings(load_targets(), 0.3, 28, booster=BoosterSettings(rounds=40))
FloatArray = NDArray[np.float64]


def shop(people: int, seed: int) -> SignalLog:
    """Customers with paces of their own, a part of whom leave for good."""
    rng = np.random.default_rng(seed)
    times = []
    for _ in range(people):
        gap, leaves = rng.choice([6.0, 12.0, 25.0]), rng.exponential(900.0)
        at = rng.uniform(0, 40) + np.cumsum(np.maximum(rng.gamma(3.0, gap / 3, 300), 0.01))
        times.append(START + (at[at < min(DAYS, leaves)] * DAY).astype(np.int64))
    occurred = np.concatenate(times)
    starts = np.concatenate([[0], np.cumsum([len(mine) for mine in times])]).astype(np.int64)
    n = len(occurred)
    columns = SignalColumns(
        event=np.full(n, code("Order Completed")),
        occurred_at=occurred,
        received_at=occurred.copy(),
        amount=rng.integers(500, 5000, n),
        value=np.full(n, ABSENT),
        category=np.zeros(n, dtype=np.int64),
    )
    return SignalLog(tuple(f"c{number:04}" for number in range(people)), starts, columns)


def history_of(log: SignalLog, targets: Targets = SETTINGS.targets, as_of: int = END) -> LaidOut:
    """The shop's history, laid out for training at `as_of`."""
    return laid_out(log, FEATURES, targets, SETTINGS.schedule, as_of)


def trained(history: LaidOut, targets: Targets = SETTINGS.targets, as_of: int = END) -> Bundle:
    """The bundle of a training on a history, spoilt or not."""
    return train_on(history, replace(SETTINGS, targets=targets), as_of).bundle


def part(table: TrainingTable, where: NDArray[np.bool_] | NDArray[np.int64]) -> TrainingTable:
    """Some rows of a table, or some of them twice."""
    return replace(
        table,
        customers=table.customers[where],
        as_of=table.as_of[where],
        rows=table.rows[where],
        answers={
            name: replace(found, values=found.values[where])
            for name, found in table.answers.items()
        },
        test=table.test[where],
    )


def judged(champion: Bundle, challenger: Bundle, log: SignalLog, folder: Path) -> Comparison:
    """What every gate says of a challenger that was written, and loaded again."""
    first_test = history_of(log).plan.test[0]
    pair = [
        load_bundle(folder / write_bundle(each, folder), FEATURES)
        for each in (champion, challenger)
    ]
    return compared(*pair, log, END, lambda bundle, target: first_test, Narrator(quiet=True))


# Good ones


def weak_champion(history: LaidOut, targets: Targets = SETTINGS.targets) -> Bundle:
    """A champion that learned from every tenth customer: clearly worse by construction."""
    table = history.table
    kept = (table.customers % 10 == 0) | table.test
    return trained(replace(history, table=part(table, kept)), targets)


# Bad ones: spoilt histories


def with_rows(history: LaidOut, rows: FloatArray) -> LaidOut:
    """Other values of the features, everything else as it was."""
    return replace(history, table=replace(history.table, rows=rows))


def with_answers(history: LaidOut, change: Callable[[NDArray[np.int8]], object]) -> LaidOut:
    """Other answers wherever somebody was asked; -1 stays "not asked"."""
    answers: dict[str, Labels] = {}
    for name, found in history.table.answers.items():
        values, asked = found.values.copy(), found.values >= 0
        values[asked] = change(values[asked])
        answers[name] = replace(found, values=values)
    return replace(history, table=replace(history.table, answers=answers))


def noise(history: LaidOut) -> LaidOut:
    """Answers dealt out by chance."""
    rng = np.random.default_rng(3)
    return with_answers(history, rng.permutation)


def one_class(history: LaidOut) -> LaidOut:
    """Nobody ever says yes."""
    return with_answers(history, np.zeros_like)


def inverted(history: LaidOut) -> LaidOut:
    """Yes for no."""
    return with_answers(history, lambda values: 1 - values)


def leaked_column(history: LaidOut) -> LaidOut:
    """The answer about churn stands in a feature, as when a table is joined after the fact."""
    rows = history.table.rows.copy()
    rows[:, _place("tickets_90d")] = history.table.answers[CHURN].values
    return with_rows(history, rows)


def shuffled_columns(history: LaidOut) -> LaidOut:
    """The values of one feature under the name of another."""
    order = np.random.default_rng(3).permutation(len(FEATURES.names))
    return with_rows(history, history.table.rows[:, order])


def in_cents(history: LaidOut) -> LaidOut:
    """Money in a hundredth of its unit."""
    rows = history.table.rows.copy()
    money = [place for place, name in enumerate(FEATURES.names) if name.startswith("spend")]
    rows[:, money] *= 100
    return with_rows(history, rows)


def tomorrow(history: LaidOut) -> LaidOut:
    """Features as of four weeks later, when the answer is known."""
    table = history.table
    later = feature_matrix(FEATURES, history.log, table.customers, table.as_of + 28 * DAY)
    return with_rows(history, later)


def dead_feature(history: LaidOut) -> LaidOut:
    """The weightiest feature was constant when it was learned from."""
    rows = history.table.rows.copy()
    rows[:, _place("days_since_last_order")] = 0.0
    return with_rows(history, rows)


def oversampled(history: LaidOut) -> LaidOut:
    """Whoever left stands in the training rows six times, and nothing undoes it."""
    table = history.table
    many = (table.answers[CHURN].values == 1) & ~table.test
    return replace(history, table=part(table, np.repeat(np.arange(len(many)), 1 + 5 * many)))


def one_slice(history: LaidOut) -> LaidOut:
    """Learned from those only who had ordered within a week."""
    table = history.table
    recent = table.rows[:, _place("days_since_last_order")] < 7
    return replace(history, table=part(table, recent | table.test))


def _place(name: str) -> int:
    return FEATURES.names.index(name)


# Bad ones: other guards, other days


def memorising(log: SignalLog, good: Bundle) -> Bundle:
    """A forest without any guard, attacked as training attacks its own.

    Training itself cannot make it: its leaves hold twenty rows at least.
    """
    history = history_of(log)
    asked = (history.table.answers[CHURN].values >= 0) & ~history.table.test
    table = part(history.table, asked)
    learned = table.customers % 2 == 0
    answers = table.answers[CHURN].values
    forest = lightgbm.train(
        {"objective": "binary", "min_data_in_leaf": 1, "num_leaves": 127, "learning_rate": 0.1,
         "verbosity": -1, "num_threads": 1, "deterministic": True},
        lightgbm.Dataset(
            table.rows[learned], answers[learned], feature_name=list(good.feature_names)
        ),
        num_boost_round=60,
    )  # fmt: skip
    loose = Classifier(Forest(forest.model_to_string()), good.feature_names)
    attack = attack_auc(answers, loose.predict(table.rows), learned)
    metrics = tuple(
        replace(each, membership=attack) if (each.target, each.model) == (CHURN, "lightgbm")
        else each
        for each in good.metrics
    )  # fmt: skip
    classifiers = {**good.classifiers, CHURN: loose}
    return replace(good, classifiers=classifiers, metrics=metrics)


def stale(log: SignalLog, good: Bundle) -> Bundle:
    """Looked from a hundred days before the end."""
    as_of = END - 100 * DAY
    return trained(history_of(log, good.targets, as_of), good.targets, as_of)


# Bad ones: spoilt bundles


def overconfident(good: Bundle) -> Bundle:
    """Four times the log-odds: 80 % becomes 99.6."""
    return replace(
        good,
        classifiers={
            name: replace(each, calibration=Calibration(4.0 * each.calibration.slope, 0.0))
            for name, each in good.classifiers.items()
        },
    )


def swapped_targets(good: Bundle) -> Bundle:
    """Each of two scores answers the question of the other."""
    classifiers = dict(good.classifiers)
    classifiers[CHURN], classifiers[REPURCHASE] = classifiers[REPURCHASE], classifiers[CHURN]
    return replace(good, classifiers=classifiers)


def missing_score(good: Bundle) -> Bundle:
    """A score that the champion has is left out."""
    classifiers = {name: each for name, each in good.classifiers.items() if name != CHURN}
    absent = {**good.absent, CHURN: "it was forgotten"}
    return replace(
        good,
        classifiers=classifiers,
        base_rates={name: good.base_rates[name] for name in classifiers},
        absent=absent,
    )


def huge(good: Bundle) -> Bundle:
    """A forest of 1,100 trees."""
    rows = np.array(good.golden.rows, dtype=np.float64)
    answers = np.arange(len(rows)) % 2
    forest = lightgbm.train(
        {"objective": "binary", "min_data_in_leaf": 5, "num_leaves": 3, "verbosity": -1,
         "num_threads": 1, "learning_rate": 1e-4},
        lightgbm.Dataset(rows, answers, feature_name=list(good.feature_names)),
        num_boost_round=1_100,
    )  # fmt: skip
    large = Classifier(Forest(forest.model_to_string()), good.feature_names)
    return replace(good, classifiers={**good.classifiers, CHURN: large})


def no_test(good: Bundle) -> Bundle:
    """Says nothing of its own test."""
    return replace(good, metrics=())


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to be bad, and the gates of which each says no."""

    make: Callable[[SignalLog, Bundle], Bundle]
    refused_by: tuple[str, ...]


def _history(spoil: Callable[[LaidOut], LaidOut]) -> Callable[[SignalLog, Bundle], Bundle]:
    return lambda log, good: trained(spoil(history_of(log, good.targets)), good.targets)


def _bundle(spoil: Callable[[Bundle], Bundle]) -> Callable[[SignalLog, Bundle], Bundle]:
    return lambda log, good: spoil(good)


_LOSS: Final = f"{CHURN}: log loss"
_OWN: Final = f"{CHURN}: own test"
_ROWS: Final = "data: training rows"
KINDS: Final[Mapping[str, Kind]] = {
    "noise labels": Kind(_history(noise), (_LOSS,)),
    "one class": Kind(_history(one_class), (_LOSS, f"{CHURN}: own test")),
    "inverted labels": Kind(_history(inverted), (_LOSS, _OWN)),
    "a leaked column": Kind(_history(leaked_column), (_OWN, _LOSS)),
    "shuffled order of columns": Kind(_history(shuffled_columns), (_ROWS, _OWN)),
    "shifted units": Kind(_history(in_cents), (_ROWS,)),
    "tomorrow's data": Kind(_history(tomorrow), (_OWN, _LOSS)),
    "a dead feature": Kind(_history(dead_feature), (_ROWS,)),
    "oversampled": Kind(_history(oversampled), (f"{CHURN}: calibration",)),
    "one slice only": Kind(_history(one_slice), (_ROWS,)),
    "memorising": Kind(memorising, (f"{CHURN}: membership inference",)),
    "stale data": Kind(stale, ("data: age",)),
    "overconfident": Kind(_bundle(overconfident), (f"{CHURN}: calibration slope",)),
    "swapped targets": Kind(_bundle(swapped_targets), (_LOSS, _OWN)),
    "a missing score": Kind(_bundle(missing_score), (f"{CHURN}: still scored",)),
    "a huge forest": Kind(_bundle(huge), ("size",)),
    "no test of its own": Kind(_bundle(no_test), (f"{CHURN}: data",)),
}
