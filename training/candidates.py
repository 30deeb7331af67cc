"""The models that take part in a target's contest: a table of named fitters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from features.algebra import FeatureSet
from models.at_risk import silence_feature
from models.btyd import BgNbd, Btyd, ParetoNbd
from models.classifier import Classifier
from models.model import FloatArray
from models.targets import LAPSE, ORDER, PROMOTION, Target
from training.baselines import Look, base_rate, best_rule, logistic
from training.btyd import btyd_model
from training.calibration import cross_fitted, line_that_wins
from training.contest import Rows
from training.forest import Growth, fit_forest

# Ten bands of ten rows: less, and a curve over recency is drawn from noise.
FEWEST_FOR_RULE: Final = 100
# Days of silence after which a rule of thumb says "gone": a week to half a year.
SILENT_DAYS: Final = (7.0, 14.0, 21.0, 28.0, 42.0, 56.0, 84.0, 182.0)


@dataclass(frozen=True, slots=True)
class FitSettings:
    """What a fitter may need beside the rows.

    Attributes
    ----------
    target : Target
        The question: its outcome and window.
    growth : Growth
        Of forests.
    features : FeatureSet
        What the columns of the rows mean.
    everyone : ndarray of float64, shape (n_customers, n_features)
        All who were known at the last training snapshot, one row each, asked or not: who left
        long ago tells how customers leave.
    """

    target: Target
    growth: Growth
    features: FeatureSet
    everyone: FloatArray


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model, and how well its losses tell whom it learned from; None: not attacked."""

    classifier: Classifier
    membership: float | None = None


Fit = Callable[[Rows, tuple[str, ...], FitSettings, np.random.Generator], Fitted]


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
    answers : function of FitSettings
        Whether the model can answer such a question at all.
    """

    kind: str
    fit: Fit
    both_answers: bool = True
    least_rows: int = 0
    learns: bool = False
    answers: Callable[[FitSettings], bool] = lambda settings: True


def candidates(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> tuple[dict[str, Fitted], list[str]]:
    """Fit every model that the rows suffice for; by kind, with notes on what was left out."""
    target = settings.target
    yes = int(np.sum(learned.answers == 1))
    no = len(learned) - yes
    enough = len(learned) >= target.minimum_rows and min(yes, no) >= target.minimum_of_each
    models = {
        each.kind: each.fit(learned, names, settings, rng)
        for each in FITTERS
        if each.answers(settings)
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
) -> Fitted:
    return Fitted(base_rate(learned.answers, names, learned.weights))


def _recency(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> Fitted:
    looks = _looks(settings)
    return Fitted(
        best_rule(learned.rows, learned.answers, learned.customers, names, looks, learned.weights)
    )


def _looks(settings: FitSettings) -> tuple[Look, ...]:
    """Rules of one feature that people in this trade would try."""
    target = settings.target
    if target.of_subscribers:
        return (
            Look("subscription_days_left"),
            Look("days_since_subscription_started"),
            Look("days_since_last_activity"),
            *(Look("days_since_last_activity", (days,)) for days in SILENT_DAYS),
        )
    silence = silence_feature(target, settings.features)
    if target.outcome == PROMOTION:
        return (Look(silence),)
    gaps = (Look("lateness"),) if target.at_risk == (ORDER,) else ()
    return (Look(silence), *gaps, *(Look(silence, (days,)) for days in SILENT_DAYS))


def _btyd(kind: type[Btyd]) -> Fit:
    def fit(
        learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
    ) -> Fitted:
        plain = Classifier(btyd_model(kind, settings.everyone, names, settings.target), names)
        line = line_that_wins(learned, plain.log_odds(learned.rows))
        return Fitted(Classifier(plain.model, names, line))

    return fit


def _of_orders(settings: FitSettings) -> bool:
    """Whether the question is about orders of those who order, and some have come back."""
    target = settings.target
    asked = target.outcome not in (LAPSE, PROMOTION)
    asked = asked and target.event == target.at_risk == (ORDER,)
    column = settings.features.names.index("order_days_ever")
    return asked and bool((settings.everyone[:, column] > 1).any())


def _logistic(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> Fitted:
    return Fitted(logistic(learned.steady(), learned.answers, names, learned.weights))


def _lightgbm(
    learned: Rows, names: tuple[str, ...], settings: FitSettings, rng: np.random.Generator
) -> Fitted:
    growth = settings.growth
    forest = fit_forest(learned.steady(), learned.answers, names, growth, learned.weights)
    beside = cross_fitted(learned, names, growth, rng)
    return Fitted(Classifier(forest.model, names, beside.line), beside.membership)


# In the order of the tables that show them. The rest is compared with LightGBM, the last.
FITTERS: Final = (
    Fitter("base_rate", _base_rate, both_answers=False),
    Fitter("recency", _recency, least_rows=FEWEST_FOR_RULE),
    Fitter("bg_nbd", _btyd(BgNbd), learns=True, answers=_of_orders),
    Fitter("pareto_nbd", _btyd(ParetoNbd), learns=True, answers=_of_orders),
    Fitter("logistic", _logistic, learns=True),
    Fitter("lightgbm", _lightgbm, learns=True),
)
