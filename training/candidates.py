"""The models that take part in a target's contest: a table of named fitters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.classifier import Classifier
from models.targets import Target
from training.baselines import base_rate, logistic, recency_rule
from training.calibration import calibration
from training.contest import Rows
from training.forest import Growth, fit_forest

# Ten bands of ten rows: less, and a curve over recency is drawn from noise.
FEWEST_FOR_RULE: Final = 100


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What a fitter may need beside the rows.

    Attributes
    ----------
    target : Target
        The question: its outcome and window.
    growth : Growth
        Of forests.
    """

    target: Target
    growth: Growth


Fit = Callable[[Rows, tuple[str, ...], FitSettings, np.random.Generator], Classifier]


@dataclass(frozen=True, slots=True)
class Fitter:
    """How one kind of model is fitted, and where it makes sense.

    Attributes
    ----------
    kind : str
        One of `models.expectation.SERVED_BY`.
    both_answers : bool
        Whether both yes and no must occur among the rows.
    least_rows : int
        Fewer rows than this, and it is left out.
    learns : bool
        Whether the target's `minimum_rows` and `minimum_of_each` hold for it.
    answers : function of a Target
        Whether the model can answer such a question at all.
    """

    kind: str
    fit: Fit
    both_answers: bool = True
    least_rows: int = 0
    learns: bool = False
    answers: Callable[[Target], bool] = lambda target: True


def candidates(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> tuple[dict[str, Classifier], list[str]]:
    """Fit every model that the rows suffice for; by kind, with notes on what was left out."""
    target = settings.target
    yes = int(np.sum(learned.answers == 1))
    no = len(learned) - yes
    enough = len(learned) >= target.minimum_rows and min(yes, no) >= target.minimum_of_each
    models = {
        each.kind: each.fit(learned, names, settings, rng)
        for each in FITTERS
        if each.answers(target)
        and (min(yes, no) > 0 or not each.both_answers)
        and len(learned) >= each.least_rows
        and (enough or not each.learns)
    }
    if min(yes, no) == 0:
        answer = "yes" if yes else "no"
        return models, [
            f"{target.name}: all {len(learned):,} training rows say {answer}; a model needs both "
            "answers, so the base rate serves."
        ]
    if not enough:
        rule = "a rule by recency" if "recency" in models else "the base rate"
        return models, [
            f"{target.name}: {len(learned):,} training rows, {yes:,} yes and {no:,} no; "
            f"{target.minimum_rows:,} rows with {target.minimum_of_each:,} of each are needed "
            f"for more than {rule}."
        ]
    stopped = [name for name, clock in zip(names, learned.clocks, strict=True) if clock]
    if not stopped:
        return models, []
    return models, [
        f"{target.name}: not looked at, since they rise with the calendar while the history is "
        f"young: {', '.join(stopped)}."
    ]


def _base_rate(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> Classifier:
    return base_rate(learned.answers, names, learned.weights)


def _recency(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> Classifier:
    return recency_rule(learned.rows, learned.answers, names, learned.weights)


def _logistic(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> Classifier:
    return logistic(learned.steady(), learned.answers, names, learned.weights)


def _lightgbm(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> Classifier:
    growth = settings.growth
    forest = fit_forest(learned.steady(), learned.answers, names, growth, learned.weights)
    return Classifier(forest.model, names, calibration(learned, names, growth, rng))


# In the order of the tables that show them. The rest is compared with LightGBM, the last.
FITTERS: Final = (
    Fitter("base_rate", _base_rate, both_answers=False),
    Fitter("recency", _recency, least_rows=FEWEST_FOR_RULE),
    Fitter("logistic", _logistic, learns=True),
    Fitter("lightgbm", _lightgbm, learns=True),
)
