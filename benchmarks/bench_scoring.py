"""CPU time of scoring one customer, beside LightGBM's scikit-learn wrapper on a frame.

``make bench-scoring``. Both hold the same trees and are asked for the same rows in turn; their
answers must agree to the last bit but one of the sigmoid.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import lightgbm
import numpy as np
import pandas as pd
from lines import Line, print_lines
from numpy.typing import NDArray
from scores.protocol import snapshots

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from features.intake.ingest import IntakeRules, ingest
from models.classifier import Classifier, Forest
from models.targets import CHURN, load_targets
from training.dataset import data_end, training_table
from training.demo import SEED
from training.fit import TrainSettings
from training.forest import BoosterSettings, leaf_size, rounds
from training.simulator.company import CompanySize, simulate_company, write_company

FloatArray = NDArray[np.float64]

NAME: Final = "scoring"
PEOPLE: Final = CompanySize(people=1500)
ROUNDS: Final = 30
# Rows between two readings of the clock, which costs as much as scoring some rows.
ROWS: Final = 100
BAR: Final = 1 / 12
MICRO: Final = 1e6


def scoring() -> Iterator[Line]:
    """One row at a time: ours on an array, the peer on a frame of one row."""
    peer, ours, rows = _same_trees()
    frames = [pd.DataFrame([row], columns=FEATURES.names) for row in rows]
    arrays = [row[np.newaxis] for row in rows]

    def by_peer(place: int) -> float:
        return float(peer.predict_proba(frames[place])[0, 1])

    def by_us(place: int) -> float:
        return float(ours.predict(arrays[place])[0])

    gap = max(abs(by_us(place) - by_peer(place)) for place in range(ROWS))
    if gap > 1e-15:
        sys.exit(f"the same trees say something else: {gap:.2g} apart; nothing was timed")
    mine, theirs = [], []
    for _ in range(ROUNDS):
        mine.append(_cpu_seconds(by_us))
        theirs.append(_cpu_seconds(by_peer))
    us, them = float(np.median(mine)), float(np.median(theirs))
    note = f"medians of {ROUNDS} rounds of {ROWS} rows, interleaved; {ours.served_by}"
    yield Line(
        NAME, "one row", "CPU microseconds", us * MICRO, peer="LGBMClassifier on a frame",
        peer_value=them * MICRO, note=note,
    )  # fmt: skip
    ratios = np.array(mine) / np.array(theirs)
    yield Line(
        NAME, "one row", "share of the peer's CPU time", us / them, BAR, False,
        float(ratios.min()), float(ratios.max()), "LGBMClassifier on a frame", 1.0,
        f"{note}; low and high: of single rounds",
    )  # fmt: skip


def _cpu_seconds(scored: Callable[[int], float]) -> float:
    """CPU seconds a row."""
    start = time.process_time()
    for place in range(ROWS):
        scored(place)
    return (time.process_time() - start) / ROWS


def _same_trees() -> tuple[lightgbm.LGBMClassifier, Classifier, FloatArray]:
    """Churn of a small demo company, as the product grows it; the peer, us, and some rows."""
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        company = simulate_company(np.random.default_rng(SEED), PEOPLE)
        ingest(write_company(company, home.path / "files", home.truth), None, home,
               IntakeRules("EUR"))  # fmt: skip
        log, as_of = History(home.signals).load(), History(home.signals).data_end()
    settings = TrainSettings(load_targets(), 0.3, 28, seed=SEED)
    plan = snapshots(log, settings, as_of)
    table = training_table(log, FEATURES, settings.targets, plan, data_end(log, as_of))
    answers = table.answers[CHURN].values
    learned = answers >= 0
    booster, n_rows = BoosterSettings(), int(learned.sum())
    peer = lightgbm.LGBMClassifier(
        n_estimators=rounds(n_rows, booster.rounds),
        learning_rate=booster.learning_rate,
        num_leaves=booster.num_leaves,
        min_child_samples=leaf_size(n_rows, booster.most_in_leaf),
        reg_lambda=booster.lambda_l2,
        colsample_bytree=booster.feature_fraction,
        random_state=SEED,
        n_jobs=1,
        verbosity=-1,
    )
    rows = table.rows[learned]
    peer.fit(pd.DataFrame(rows, columns=FEATURES.names), answers[learned])
    ours = Classifier(Forest(peer.booster_.model_to_string()), FEATURES.names)
    return peer, ours, rows[:ROWS]


if __name__ == "__main__":
    print_lines({NAME: scoring}, sys.argv[1:])
