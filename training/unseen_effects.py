"""Engines that decide about customers whose decisions they have not learned from.

Effects look best on the very decisions that they were learned from. So whoever judges a policy by
those learns its effects again, twice: each half of the customers is decided about by what the
other half taught.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.signals import DAY, Int64Array, SignalLog, code
from models.effects import EffectModels
from serving.engine import Engine
from training.decision_log import LoggedDecisions
from training.effects import learn_effects
from training.placebo import NotRandomised
from training.rewards import rewards_after

FloatArray = NDArray[np.float64]

HALVES: Final = 2


def half_of(customer_ids: Sequence[str]) -> Int64Array:
    """Half that each customer belongs to, 0 or 1, by the hash of the id."""
    return np.array([code(one) % HALVES for one in customer_ids], dtype=np.int64)


def learned_until(engine: Engine) -> int | None:
    """Moment up to which decisions taught the engine's effects; None if it has learned none."""
    if engine.bundle is None or engine.bundle.effects is None:
        return None
    return engine.bundle.as_of - engine.policy.horizon_days * DAY


def effects_of_halves(
    decisions: LoggedDecisions, before: FloatArray
) -> tuple[EffectModels | None, EffectModels | None]:
    """Effects to decide about each half by: what the other half of customers taught.

    Parameters
    ----------
    decisions : LoggedDecisions
        All that the effects are to be learned from.
    before : ndarray of float64, shape (n,)
        See `learn_effects` and `rewards_before`.

    Returns
    -------
    (EffectModels or None, EffectModels or None)
        None where that half teaches nothing: the catalog then decides, as it would in service.
    """
    half = half_of(decisions.customer_ids)[decisions.customer]
    return _taught_by(decisions, before, half == 1), _taught_by(decisions, before, half == 0)


def engines_of_halves(
    engine: Engine, effects: tuple[EffectModels | None, EffectModels | None]
) -> tuple[Engine, ...]:
    """The engine for each half; one that has learned no effects stays the one it is."""
    if engine.bundle is None or engine.bundle.effects is None:
        return (engine,)
    return tuple(replace(engine, bundle=replace(engine.bundle, effects=one)) for one in effects)


def _taught_by(
    decisions: LoggedDecisions, before: FloatArray, where: NDArray[np.bool_]
) -> EffectModels | None:
    try:
        return learn_effects(decisions.at(where), before[where], np.random.default_rng(1)).models
    except NotRandomised:
        return None


def rewards_before(
    decisions: LoggedDecisions, log: SignalLog, engine: Engine, end: int
) -> FloatArray:
    """Reward of the horizon before each decision, shape (n,): no message can have changed it."""
    places = {name: place for place, name in enumerate(log.customer_ids)}
    who = np.array([places[name] for name in decisions.customer_ids], dtype=np.int64)
    earlier = decisions.decided_at - engine.policy.horizon_days * DAY
    return rewards_after(log, who[decisions.customer], earlier, engine.policy, end)
