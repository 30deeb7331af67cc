"""Where logged decisions come from: the store's own log, and signals of pilots elsewhere.

Both must tell the whole vector of probabilities, for without it nobody knows what else could
have been chosen. What is left out is counted and said.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from features.algebra import FeatureSet
from features.batch import feature_matrix
from features.counting import counted
from features.history import DecisionSignal, History
from features.home import Home
from features.signals import Int64Array, SignalLog, is_anonymous
from features.stage import STAGE_FEATURES, STAGES, stage
from models.at_risk import at_risk
from models.bundle import EXPECTED_MARGIN, USUAL_MARGIN, Bundle
from models.effects import STATE, STATE_FEATURES
from models.expectation import SCORES
from serving.engine import Engine
from serving.records import ARMS, NO_CONTACT
from serving.storage.past_decisions import PastDecision
from serving.storage.store import Store
from training.dataset import data_end
from training.decision_log import LoggedDecisions
from training.rewards import rewards_after

FloatArray = NDArray[np.float64]

ROUNDING: Final = 1e-6  # how far a vector written as text may be from summing to 1

HOLDOUT: Final = "of the holdout, which nothing is learned from"
NO_VECTOR: Final = (
    'without the probability of each alternative; write properties {"probabilities": '
    '{"no_contact": 0.5, ...}} for every communication that could have been chosen'
)
BAD_VECTOR: Final = (
    "with probabilities that do not sum to 1 over the communications that could have been chosen, "
    "or differ from selection_probability"
)
UNKNOWN_ARM: Final = f"of an arm that is none of {', '.join(ARMS)}"
UNKNOWN_CUSTOMER: Final = "of customers without signals"
SAME_TWICE: Final = "that the decision log holds already"


@dataclass(frozen=True, slots=True)
class Drawn:
    """One decision that was drawn by lot, wherever it was made.

    Attributes
    ----------
    decided_at : int
        Microseconds UTC.
    stage : str or None
        None: nobody wrote it down, and it is worked out from the signals of that moment. So
        are `scores` and `features`.
    features : ndarray of float64, shape (n_features,), or None
    """

    customer_id: str
    decided_at: int
    chosen: str
    probabilities: Mapping[str, float]
    arm: str
    stage: str | None = None
    scores: Mapping[str, float] | None = None
    features: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Gathered:
    """Logged decisions, and how many others were left out for which reason."""

    log: LoggedDecisions
    left_out: Mapping[str, int]

    def lines(self) -> list[str]:
        """In words, for people."""
        log = self.log
        lines = [
            f"{counted(len(log), 'decision')} about "
            f"{counted(len(np.unique(log.customer)), 'customer')}, "
            f"{log.censored:,} of them with a horizon that is not over (censored)"
        ]
        return lines + [f"left out: {n:,} {why}" for why, n in self.left_out.items()]


def gather(home: Home, engine: Engine, as_of: int) -> Gathered:
    """Decisions of a home that are known at `as_of`, with what came after.

    Raises
    ------
    NothingToLearn
        If no signal was received before `as_of`.
    """
    history = History(home.signals)
    log = history.load(received_before=as_of)
    with Store.open(home.store) as store:
        past = store.past_decisions(as_of)
    drawn, left_out = drawn_from(past, history.decisions(as_of), engine)
    return gathered(drawn, log, engine, data_end(log, as_of), left_out)


def drawn_from(
    past: Iterable[PastDecision], signals: Iterable[DecisionSignal], engine: Engine
) -> tuple[list[Drawn], Counter[str]]:
    """Decisions of both sources, and how many were left out for which reason.

    A logged feature vector is used if it is of the present feature set; else features are
    computed again as of that moment.
    """
    left_out: Counter[str] = Counter()
    drawn = []
    for one in past:
        if one.arm == "holdout":
            left_out[HOLDOUT] += 1
            continue
        same = one.fingerprint == engine.features.fingerprint
        features = one.features if same and len(one.features) == len(engine.features) else None
        drawn.append(
            Drawn(
                one.customer_id,
                one.as_of,
                one.communication,
                one.probabilities,
                one.arm,
                one.stage,
                one.scores,
                features,
            )
        )
    known = {(one.customer_id, one.decided_at, one.chosen) for one in drawn}
    for signal in signals:
        found = _drawn_of(signal)
        if isinstance(found, str):
            left_out[found] += 1
        elif (found.customer_id, found.decided_at, found.chosen) in known:
            left_out[SAME_TWICE] += 1
        else:
            drawn.append(found)
    return drawn, left_out


def _drawn_of(signal: DecisionSignal) -> Drawn | str:
    """The decision that a signal tells of; or why nothing can be learned from it."""
    said = json.loads(signal.properties)
    arm = said.get("arm", "policy")
    if arm not in ARMS:
        return UNKNOWN_ARM
    if arm == "holdout":
        return HOLDOUT
    vector = said.get("probabilities")
    if not isinstance(vector, dict) or NO_CONTACT not in vector:
        return NO_VECTOR
    numbers = [one for one in vector.values() if isinstance(one, int | float)]
    whole = len(numbers) == len(vector) and all(isfinite(one) and one >= 0 for one in numbers)
    if not whole or abs(sum(numbers) - 1.0) > ROUNDING:
        return BAD_VECTOR
    told = vector.get(signal.communication, 0.0)
    if not told > 0 or abs(told - signal.selection_probability) > ROUNDING:
        return BAD_VECTOR
    return Drawn(signal.customer_id, signal.decided_at, signal.communication, vector, arm)


def gathered(
    drawn: Sequence[Drawn],
    log: SignalLog,
    engine: Engine,
    end: int,
    left_out: Mapping[str, int] | None = None,
) -> Gathered:
    """The table of decisions, with states, stated effects and rewards.

    Parameters
    ----------
    end : int
        End of the data, microseconds UTC: later decisions, and signals received later, do not
        exist.
    """
    counts = Counter(left_out or {})
    places = {customer_id: place for place, customer_id in enumerate(log.customer_ids)}
    kept = [one for one in drawn if one.decided_at < end]
    strangers = sum(one.customer_id not in places for one in kept)
    if strangers:
        counts[UNKNOWN_CUSTOMER] += strangers
    kept = [one for one in kept if one.customer_id in places]
    # Nobody's order of reading matters: the same decisions make the same table.
    kept.sort(key=lambda one: (places[one.customer_id], one.decided_at, one.chosen))

    names = _names(kept, engine)
    index = {name: place for place, name in enumerate(names)}
    who = np.array([places[one.customer_id] for one in kept], dtype=np.int64)
    at = np.array([one.decided_at for one in kept], dtype=np.int64)
    probabilities = np.zeros((len(kept), len(names)))
    for row, one in enumerate(kept):
        for name, probability in one.probabilities.items():
            probabilities[row, index[name]] = probability
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # less the rounding of a text

    rows = _rows(kept, log, (who, at), engine)
    stages, told = _stages(kept, rows, engine), _told(kept, rows, engine)
    people, customer = np.unique(who, return_inverse=True)
    table = LoggedDecisions(
        names=names,
        customer_ids=tuple(log.customer_ids[place] for place in people.tolist()),
        customer=customer.astype(np.int64),
        decided_at=at,
        chosen=np.array([index[one.chosen] for one in kept], dtype=np.int64),
        probabilities=probabilities,
        arm=np.array([ARMS.index(one.arm) for one in kept], dtype=np.int8),
        stage=np.array([STAGES.index(one) for one in stages], dtype=np.int64),
        state=_states(told, stages, rows, engine),
        prior=_stated(names, told, engine),
        reward=rewards_after(log, who, at, engine.policy, end),
    )
    return Gathered(table, dict(counts))


def _names(drawn: Iterable[Drawn], engine: Engine) -> tuple[str, ...]:
    """No contact, the catalog in its order, then what only the past knew."""
    catalog = tuple(engine.catalog.communications)
    past = {name for one in drawn for name in one.probabilities}
    return (NO_CONTACT, *catalog, *sorted(past - {NO_CONTACT, *catalog}))


def _rows(
    drawn: Sequence[Drawn], log: SignalLog, asked: tuple[Int64Array, Int64Array], engine: Engine
) -> FloatArray:
    """Features of each decision's customer at its moment, logged or computed again."""
    who, at = asked
    rows = np.empty((len(drawn), len(engine.features)))
    forgotten = np.array([one.features is None for one in drawn], dtype=np.bool_)
    rows[forgotten] = feature_matrix(engine.features, log, who[forgotten], at[forgotten])
    for row, one in enumerate(drawn):
        if one.features is not None:
            rows[row] = one.features
    return rows


def _stages(drawn: Sequence[Drawn], rows: FloatArray, engine: Engine) -> list[str]:
    """Stage of each customer; as logged, or what the features say."""
    names, windows = engine.features.names, engine.stage_windows
    needed = dict.fromkeys((*STAGE_FEATURES, *windows.relation.features))
    asked = [name for name in needed if name in names]
    looked_at = rows[:, [names.index(name) for name in asked]].tolist()
    found = []
    for values, one in zip(looked_at, drawn, strict=True):
        at_stage = one.stage
        if at_stage is None:
            known = dict(zip(asked, values, strict=True))
            at_stage = stage(known, is_anonymous(one.customer_id), windows)
        found.append(at_stage)
    return found


def _told(drawn: Sequence[Drawn], rows: FloatArray, engine: Engine) -> Mapping[str, FloatArray]:
    """Scores and usual margin of all decisions, each of shape (n,); 0 where nothing is known.

    Scores are as logged; where none were, what the bundle would have said. All decisions at once:
    to ask for one after the other takes ten times as long.
    """
    nothing = dict.fromkeys((*SCORES, USUAL_MARGIN), np.zeros(len(drawn)))
    bundle = engine.bundle
    if bundle is None or not drawn:
        return nothing
    found = {USUAL_MARGIN: bundle.margin.usual(rows, bundle.feature_names)}
    for name in SCORES:
        found[name] = np.array([(one.scores or {}).get(name, np.nan) for one in drawn])
    forgotten = np.array([one.scores is None for one in drawn])
    for name, values in _said(bundle, rows[forgotten], engine.features).items():
        found[name][forgotten] = values
    # Nothing is expected of a visitor, nor of whoever was logged without any score.
    scored = np.array([one.scores != {} and not is_anonymous(one.customer_id) for one in drawn])
    return nothing | {
        name: np.where(scored & ~np.isnan(values), values, 0.0) for name, values in found.items()
    }


def _said(bundle: Bundle, rows: FloatArray, features: FeatureSet) -> Mapping[str, FloatArray]:
    """What the bundle says of each row, by score; NaN where it is not asked."""
    said = {EXPECTED_MARGIN: bundle.margin.expected(rows, bundle.feature_names)}
    for target in bundle.targets.targets:
        if target.name in bundle.classifiers:
            asked = at_risk(target, rows, features)
            said[target.name] = np.full(len(rows), np.nan)
            said[target.name][asked] = bundle.classifiers[target.name].predict(rows[asked])
    return said


def _states(
    told: Mapping[str, FloatArray], stages: Sequence[str], rows: FloatArray, engine: Engine
) -> FloatArray:
    """As `models.effects.state_of` of each decision, shape (n, n_state)."""
    names = engine.features.names
    columns = dict(told)
    for name, feature in STATE_FEATURES.items():
        values = rows[:, names.index(feature)] if feature in names else np.zeros(len(rows))
        columns[name] = np.where(np.isnan(values), 0.0, values)
    at_stage = np.array(stages, dtype=np.str_)
    for one in STAGES:
        columns[f"is_{one}"] = (at_stage == one).astype(np.float64)
    return np.stack([columns[name] for name in STATE], axis=1)


def _stated(names: Sequence[str], told: Mapping[str, FloatArray], engine: Engine) -> FloatArray:
    """As `serving.arbitration.stated_effect` of each decision and communication.

    Returns
    -------
    ndarray of float64, shape (n, n_names)
        NaN where the catalog states none.
    """
    opt_out_cost = engine.policy.opt_out_cost
    found = np.full((len(told[USUAL_MARGIN]), len(names)), np.nan)
    for place, name in enumerate(names):
        entry = engine.catalog.communications.get(name)
        if name == NO_CONTACT:
            found[:, place] = 0.0
        elif entry is not None:
            base = np.ones(len(found))
            for factor in entry.prior.of:
                base = base if factor == "1" else base * told[factor]
            found[:, place] = entry.prior.share * base - entry.prior.opt_out * opt_out_cost
    return found
