"""The contest of the models for one target: who does how well, and which of them serves."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.counting import counted
from features.signals import Int64Array
from models.bundle import Measured
from models.targets import Target
from training import gates
from training.metrics import (
    auc,
    brier,
    calibration_error,
    fitted_line,
    has_slope,
    log_loss,
    log_odds_of,
    loss_difference,
    losses,
)

FloatArray = NDArray[np.float64]
Int8Array = NDArray[np.int8]

# Fewer tested customers than this, and the interval of any comparison says nothing.
FEWEST_TESTED: Final = 30


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of one target: features, answers, whose and when, and what each counts.

    `weights` are about 1 on average; `clocks`: see `training.clocks.clocks`.
    """

    rows: FloatArray
    answers: Int8Array
    customers: Int64Array
    as_of: Int64Array
    weights: FloatArray
    clocks: NDArray[np.bool_]

    def at(self, where: NDArray[np.bool_]) -> "Rows":
        """Some of them."""
        return Rows(
            self.rows[where],
            self.answers[where],
            self.customers[where],
            self.as_of[where],
            self.weights[where],
            self.clocks,
        )

    def steady(self) -> FloatArray:
        """The rows with every clock stopped, so that no model can look at it."""
        return np.where(self.clocks, 0.0, self.rows)

    def __len__(self) -> int:
        return len(self.answers)


@dataclass(frozen=True, slots=True)
class Said:
    """The verdict on LightGBM, as a word and as a sentence."""

    word: str
    sentence: str


def choice(
    target: Target, found: dict[str, FloatArray], tested: Rows, rng: np.random.Generator
) -> tuple[str, Said]:
    """Which model serves, and why."""
    customers = len(np.unique(tested.customers))
    baselines = [kind for kind in found if kind != "lightgbm"]
    if customers < FEWEST_TESTED:
        simple = "recency" if "recency" in found else "base_rate"
        few = f"{counted(customers, 'customer')} to test on, at least {FEWEST_TESTED} are needed"
        return simple, Said(gates.UNTESTED, f"{target.name}: {few}; {simple} serves, untested.")
    loss = {kind: tested.weights * losses(tested.answers, scores) for kind, scores in found.items()}
    best = min(baselines, key=lambda kind: float(loss[kind].mean()))
    if "lightgbm" not in found:
        among = f"the best of {len(found)} rules" if len(found) > 1 else "the only one fitted"
        return best, Said("", f"{target.name}: {best} serves, {among}.")
    interval = loss_difference(tested.customers, loss["lightgbm"], loss[best], rng)
    word = gates.verdict(interval)
    serving = "lightgbm" if word in gates.MAY_SERVE else best
    return serving, Said(word, gates.in_words(target.name, best, word, interval))


def measured(
    target: str, kind: str, tested: Rows, scores: FloatArray, serving: str, word: str
) -> Measured:
    """How one model did on the test rows.

    Parameters
    ----------
    scores : ndarray of float64, shape (n,)
    serving : str
        The kind that serves.
    word : str
        The verdict on LightGBM.
    """
    answers, weights = tested.answers, tested.weights
    rows, positives = len(answers), int(np.sum(answers == 1))
    both, log_odds = 0 < positives < rows, log_odds_of(scores)
    slope = fitted_line(answers, log_odds, weights)[0] if has_slope(answers, log_odds) else None
    return Measured(
        target=target,
        model=kind,
        rows=rows,
        positives=positives,
        auc=auc(answers, scores, weights) if both else None,
        log_loss=log_loss(answers, scores, weights) if rows else None,
        brier=brier(answers, scores, weights) if rows else None,
        calibration_error=calibration_error(answers, scores, weights) if rows else None,
        calibration_slope=slope,
        serves=kind == serving,
        verdict=word if kind == "lightgbm" else "",
    )
