"""Effects learned from a home's own decisions, for the bundle that is being trained."""

from dataclasses import replace

import numpy as np

from features.definitions import FEATURES
from features.home import Home
from features.signals import DAY, Int64Array, SignalLog
from models.bundle import Bundle
from serving.catalog import load_catalog
from serving.engine import Engine
from serving.policy import load_policy
from training.dataset import data_end
from training.decision_log import LoggedDecisions
from training.decision_sources import Gathered, gather
from training.effects import LearnedEffects, learn_effects
from training.fatigue_rate import fatigue_note, fatigue_rate
from training.placebo import NotRandomised
from training.rewards import opt_outs_after, rewards_after


def with_effects(bundle: Bundle, home: Home, log: SignalLog, as_of: int, seed: int) -> Bundle:
    """The bundle with what was learned of effects, and with notes that say what was.

    Decisions that were not drawn by lot teach nothing: then the notes say why, and the catalog
    goes on deciding.

    Parameters
    ----------
    log : SignalLog
        All that was received before `as_of`.
    """
    catalog = load_catalog(home.catalog, FEATURES.names)
    engine = Engine(bundle, catalog, load_policy(home.policy), None, FEATURES)
    found = gather(home, engine, as_of)
    try:
        learned = _learned(found, engine, log, as_of, seed)
        learned = replace(learned, notes=(*learned.notes, _fatigue(found, engine, log, as_of)))
    except NotRandomised as refusal:
        learned = LearnedEffects(None, (f"Effects: nothing was learned: {refusal}.",))
    left_out = tuple(f"Effects: left out: {n:,} decisions {why}." for why, n in _counts(found))
    notes = (*bundle.notes, *learned.notes, *left_out)
    return replace(bundle, effects=learned.models, notes=notes)


def _learned(
    found: Gathered, engine: Engine, log: SignalLog, as_of: int, seed: int
) -> LearnedEffects:
    logged = found.log
    earlier = logged.decided_at - engine.policy.horizon_days * DAY
    end = data_end(log, as_of)
    before = rewards_after(log, _people(logged, log)[logged.customer], earlier, engine.policy, end)
    return learn_effects(logged, before, np.random.default_rng(seed))


def _fatigue(found: Gathered, engine: Engine, log: SignalLog, as_of: int) -> str:
    """What the policy assumes of fatigue, beside what opt-outs say."""
    logged, listed = found.log, engine.catalog.communications
    days = engine.policy.horizon_days
    end = data_end(log, as_of)
    said = opt_outs_after(log, _people(logged, log)[logged.customer], logged.decided_at, days, end)
    marketing = [
        name in listed and listed[name].message_class == "marketing" for name in logged.names
    ]
    return fatigue_note(fatigue_rate(logged, said, np.array(marketing)), engine.policy)


def _people(logged: LoggedDecisions, log: SignalLog) -> Int64Array:
    """Where the customers of the decisions stand among those of the signals."""
    places = {customer_id: place for place, customer_id in enumerate(log.customer_ids)}
    return np.array([places[one] for one in logged.customer_ids], dtype=np.int64)


def _counts(found: Gathered) -> list[tuple[str, int]]:
    return sorted(found.left_out.items())
