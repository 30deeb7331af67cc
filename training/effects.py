"""Learn what communications do from decisions that were drawn by lot, and from no others."""

from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from features.stage import STAGES
from models.effects import LEVELS, STATE, TERMS, EffectModels, terms_of
from serving.records import ARMS, NO_CONTACT
from training.decision_log import LoggedDecisions
from training.effect_regression import (
    WILDEST,
    Coefficients,
    Lottery,
    fit_effects,
    odds_of_something,
)
from training.outcome_model import cross_fitted
from training.placebo import REMEDY, NotRandomised, placebo

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

LEARNED_FROM: Final = ("uniform", "policy")
# Below this the noise of a reward cannot be told from its mean, and all would be prior anyway.
FEWEST_DECISIONS: Final = 100
QUIETEST: Final = 0.05  # of the mean variance: no row may outweigh twenty others
FEWEST_TO_DRAW: Final = 30  # rows for a line: fewer than ten a coefficient tell chance
# Below these odds, as a logarithm, messages are held to do nothing: that must be six times as
# likely as that they do something, since to hold so in vain costs a shop all that messages bring,
# and to send in vain costs cents.
DOUBT: Final = -float(np.log(6.0))


@dataclass(frozen=True, slots=True)
class Shape:
    """What effects may depend on.

    Attributes
    ----------
    state : tuple of str
        Names of the columns of the log's `state`.
    terms : tuple of tuple of str
        Products of them; the first `levels` say how large effects are, the others how they
        differ between customers.
    """

    state: tuple[str, ...] = STATE
    terms: tuple[tuple[str, ...], ...] = TERMS
    levels: int = LEVELS


@dataclass(frozen=True, slots=True)
class LearnedEffects:
    """Effects, None where there was too little to learn from, and what to know of them."""

    models: EffectModels | None
    notes: tuple[str, ...] = field(default=())


def learn_effects(
    logged: LoggedDecisions,
    before: FloatArray,
    rng: np.random.Generator,
    shape: Shape | None = None,
) -> LearnedEffects:
    """Effects of all communications that stood in a lottery.

    Parameters
    ----------
    logged : LoggedDecisions
        Rows of other arms than `LEARNED_FROM`, censored ones, and those without an alternative
        are left out.
    before : ndarray of float64, shape (n,)
        Reward in a window of the same length before each decision, for the placebo check; NaN
        where it is not known.
    rng : Generator
        Shares customers out among folds.

    Raises
    ------
    NotRandomised
        If the probabilities are not on record, or those who got messages differed before they
        got them.
    """
    shape = shape or Shape()
    where = _lottery_rows(logged)
    kept = logged.at(where)
    if len(kept) < FEWEST_DECISIONS:
        return LearnedEffects(None, (_too_few(len(kept)),))
    placebo(kept.chosen, kept.probabilities, before[where], kept.reward, kept.customer)
    kept = _in_lottery(kept)
    terms = terms_of(kept.state, shape.state, shape.terms)
    nuisance = cross_fitted(replace(kept, state=np.hstack([kept.state, terms])), rng)
    excess = kept.reward - np.sum(kept.probabilities * nuisance, axis=1)
    lottery = Lottery(
        kept.chosen, kept.probabilities, terms, excess, _noise(excess, terms), kept.customer
    )
    stated = _stated(kept, lottery)
    silent = odds_of_something(lottery, shape.levels) < DOUBT and stated.odds < DOUBT
    beyond = replace(lottery, excess=excess - stated.scale * _apart(kept, _prior(kept)))
    found = fit_effects(beyond, shape.levels)
    if silent:
        found, stated = replace(found, values=np.zeros_like(found.values)), NONE_STATED
    models = _models(kept, terms, found, shape, stated.scale)
    return LearnedEffects(models, tuple(_notes(kept, models, found, silent)))


def _lottery_rows(logged: LoggedDecisions) -> BoolArray:
    """Rows that chance decided, with a reward that is known.

    Raises
    ------
    NotRandomised
        If the probabilities of any row are missing.
    """
    of_arm = np.isin(logged.arm, [ARMS.index(arm) for arm in LEARNED_FROM])
    rows = of_arm & ~np.isnan(logged.reward)
    whole = np.abs(logged.probabilities.sum(axis=1) - 1.0) < 1e-6
    unknown = rows & ~(whole & (logged.propensity > 0))
    if unknown.any():
        raise NotRandomised(
            f"{int(unknown.sum()):,} of {int(rows.sum()):,} decisions do not tell the "
            "probabilities with which they were made; an effect can only be learned where chance "
            f"decided, and where it is known how; {REMEDY}"
        )
    return np.asarray(rows & (logged.probabilities.max(axis=1) < 1.0))


def _in_lottery(kept: LoggedDecisions) -> LoggedDecisions:
    """Without the communications that never stood in a lottery; the others by name."""
    stood = np.flatnonzero((kept.probabilities[:, 1:] > 0).any(axis=0)) + 1
    order = np.array([0, *sorted(stood.tolist(), key=lambda place: kept.names[place])])
    new_place = np.full(len(kept.names), -1)
    new_place[order] = np.arange(len(order))
    return replace(
        kept,
        names=tuple(kept.names[place] for place in order.tolist()),
        chosen=new_place[kept.chosen],
        probabilities=kept.probabilities[:, order],
        prior=kept.prior[:, order],
    )


def _noise(excess: FloatArray, terms: FloatArray) -> FloatArray:
    """Standard deviation to be expected of each row, shape (n,).

    Orders of dear customers vary by more money: the squared excess is laid upon the squared
    terms, and no part may be negative.
    """
    parts = np.column_stack([np.ones(len(excess)), terms[:, 1:] ** 2])
    parts = parts[:, parts.max(axis=0) > 0]
    # One very large order must not say how large all are.
    squares = np.minimum(excess**2, np.quantile(excess**2, 0.995))
    weights = nnls(parts / parts.mean(axis=0), squares)[0]
    variance = (parts / parts.mean(axis=0)) @ weights
    least = max(QUIETEST * float(variance.mean()), 1e-12)
    return np.asarray(np.sqrt(np.maximum(variance, least)))


@dataclass(frozen=True, slots=True)
class _Stated:
    """How much of what the catalog states came true.

    Attributes
    ----------
    scale : float
        Of all stated effects together; 0 or more.
    odds : float
        How much likelier it is that something of it holds than that nothing does, as a logarithm.
    """

    scale: float
    odds: float


NONE_STATED: Final = _Stated(0.0, -np.inf)


def _stated(kept: LoggedDecisions, lottery: Lottery) -> _Stated:
    """One coefficient on the stated effects, from the same lottery.

    Either all of it is wrong, or it holds as stated, times a factor of 1 give or take 1. Before
    anything is seen, the one is as likely as the other.
    """
    apart = _apart(kept, _prior(kept)) / lottery.noise
    seen = np.clip(lottery.excess / lottery.noise, -WILDEST, WILDEST)
    inflation = max(float(np.mean(seen**2)), 1e-12)
    told, moment = float(apart @ apart) / inflation, float(apart @ seen) / inflation
    factor = (moment + 1.0) / (told + 1.0)
    odds = 0.5 * (factor * (moment + 1.0) - 1.0 - float(np.log1p(told)))
    return _Stated(max(0.0, factor) / (1.0 + float(np.exp(-odds))), odds)


def _prior(kept: LoggedDecisions) -> FloatArray:
    return np.nan_to_num(kept.prior)


def _apart(kept: LoggedDecisions, effects: FloatArray) -> FloatArray:
    """What the effect of what was drawn is above the lottery's mean, shape (n,)."""
    drawn = effects[np.arange(len(kept)), kept.chosen]
    return np.asarray(drawn - np.sum(kept.probabilities * effects, axis=1))


def _models(
    kept: LoggedDecisions, terms: FloatArray, found: Coefficients, shape: Shape, scale: float
) -> EffectModels:
    stood = kept.probabilities[:, 1:] > 0
    effects = terms @ found.values.T
    levels = terms[:, : shape.levels]
    mean = _usual(effects, levels, stood, np.zeros((len(found.values), shape.levels)))
    means = {
        stage: _usual(effects[here], levels[here], stood[here], mean)
        for place, stage in enumerate(STAGES)
        if (here := kept.stage == place).any()
    }
    return EffectModels(
        names=kept.names[1:],
        state=shape.state,
        terms=shape.terms,
        coefficients=found.values,
        covariance=found.covariance,
        evidence=stood.sum(axis=0).astype(np.int64),
        means=means,
        mean=mean,
        stated_scale=scale,
    )


def _usual(
    effects: FloatArray, levels: FloatArray, stood: BoolArray, otherwise: FloatArray
) -> FloatArray:
    """Line through the effects on those who could have had each, shape (k, n_levels).

    What a communication usually does to customers whose orders are so large. With fewer rows than
    `FEWEST_TO_DRAW`, what is known `otherwise`.
    """
    found = otherwise.copy()
    for place in range(effects.shape[1]):
        could = stood[:, place]
        if could.sum() >= FEWEST_TO_DRAW:
            found[place] = np.linalg.lstsq(levels[could], effects[could, place], rcond=1e-10)[0]
    return found


def _too_few(rows: int) -> str:
    return (
        f"Effects: {rows:,} decisions were drawn by lot and are over; {FEWEST_DECISIONS} are "
        "needed before anything is learned from them, so the catalog's stated effects decide. "
        "A larger uniform_share in policy.toml brings them sooner."
    )


def _notes(
    kept: LoggedDecisions, models: EffectModels, found: Coefficients, silent: bool
) -> list[str]:
    sent = int((kept.chosen > 0).sum())
    lines = [
        f"Effects were learned from {len(kept):,} decisions drawn by lot about "
        f"{len(np.unique(kept.customer)):,} customers, {sent:,} of them messages, against "
        f"{NO_CONTACT}. All of it together says that {models.stated_scale:.0%} of what the catalog "
        "states came true."
    ]
    if silent:
        lines.append(
            "Effects: had messages done what was stated, or anything of some size, these decisions "
            "would show it; they do not, so until they do all effects count as none and silence "
            "is best. Decisions drawn by lot go on and will tell."
        )
    else:
        lines.append(
            "Effects: that a message does something else to customers whose orders are equally "
            f"large is {found.differ:.0%} likely."
        )
    for place, name in enumerate(models.names):
        stood = kept.probabilities[:, 1 + place] > 0
        x = terms_of(kept.state[stood], models.state, models.terms).mean(axis=0)
        stated = models.stated_scale * float(np.mean(_prior(kept)[stood, 1 + place]))
        mean = stated + float(models.coefficients[place] @ x)
        d = len(x)
        block = models.covariance[place * d : (place + 1) * d, place * d : (place + 1) * d]
        error = float(np.sqrt(max(0.0, x @ block @ x)))
        lines.append(
            f"{name}: {mean:+.2f} a message on average (standard error "
            f"{error:.2f}), measured on {int(models.evidence[place]):,} decisions, "
            f"{int((kept.chosen == 1 + place).sum()):,} of them messages."
        )
    return lines
