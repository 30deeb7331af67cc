"""A what-if as callers and pages see it: what the models would say; nothing is logged."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from models.bands import band
from models.bundle import Bundle
from models.expectation import Expectation
from models.language import phrase
from models.what_if import Ground, Lever, Move, NearestChange, changed_row, levers, nearest_changes
from serving.answer import Json, Surroundings, reason, score, time_text
from serving.decision import customer_at
from serving.engine import Engine
from serving.profile import known_signals, why_unscored
from serving.records import Customer
from serving.storage.store import Store

NOT_A_PROMISE: Final = phrase(
    "What the models say of customers like this; not what would happen if somebody changed it."
)


@dataclass(frozen=True, slots=True)
class Supposition:
    """Which customer, and what is supposed of them.

    Attributes
    ----------
    changes : mapping of feature name to float
        Empty: only what can be changed, and the nearest changes.
    """

    customer_id: str
    as_of: int
    changes: Mapping[str, float]


def what_if(
    asked: Supposition, store: Store, engine: Engine, surroundings: Surroundings
) -> dict[str, Json]:
    """Scores and reasons with some features changed, beside those of now.

    An objector, and whoever is not scored for another reason, has nothing to suppose.

    Raises
    ------
    UnknownCustomer
        If nothing had been heard of them before `as_of`.
    CannotChange
        If a change may not be asked for.
    """
    signals = known_signals(asked.customer_id, asked.as_of, store)
    customer = customer_at(asked.customer_id, signals, asked.as_of, engine)
    say = surroundings.language.say
    ledger = store.ledger(asked.customer_id, asked.as_of)
    content: dict[str, Json] = {
        "customer_id": asked.customer_id,
        "as_of": time_text(asked.as_of),
        "changes": [],
        "scores": {},
        "reasons": [],
        "nearest": {},
        "can_change": [],
        "note": say(why_unscored(ledger, customer.anonymous, engine)),
        "bundle": engine.versions.bundle,
        "data": asdict(surroundings.about),
    }
    if engine.bundle is None or customer.anonymous or ledger.objected:
        return content
    return content | _supposed(customer, asked.changes, engine, engine.bundle, say)


def _supposed(
    customer: Customer,
    changes: Mapping[str, float],
    engine: Engine,
    bundle: Bundle,
    say: Callable[[str], str],
) -> dict[str, Json]:
    row = np.array([customer.features[name] for name in engine.features.names])
    ground = Ground(row, bundle, engine.features)
    now = bundle.expect(row, engine.features, None)
    changed, moves = changed_row(ground, changes)
    then = bundle.expect(changed, engine.features, engine.texts)
    asked = [name for name in bundle.classifiers if now.value(name) is not None]
    nearest = nearest_changes(ground, asked)
    return {
        "changes": _moves(moves, say),
        "scores": {name: _before_and_after(name, now, then, say) for name in now.scores},
        "reasons": [reason(each, say) for each in then.reasons],
        "nearest": {name: _nearest(found, say) for name, found in nearest.items()},
        "can_change": [_lever(each, say) for each in levers(ground)],
        "note": say(NOT_A_PROMISE),
    }


def _before_and_after(
    name: str, now: Expectation, then: Expectation, say: Callable[[str], str]
) -> Json:
    return {
        "now": score(now.scores[name], say),
        "then": score(then.scores[name], say),
        "band_now": _band(name, now),
        "band_then": _band(name, then),
    }


def _band(name: str, expectation: Expectation) -> str:
    """The word for a probability; nothing for money, or where there is no value."""
    found = expectation.scores[name]
    if name == "expected_margin" or found.value is None:
        return ""
    return band(found.value, found.base_rate)


def _moves(moves: Iterable[Move], say: Callable[[str], str]) -> list[Json]:
    return [
        {
            "feature": move.feature.name,
            "label": say(move.feature.label),
            "unit": move.feature.unit,
            "before": _number(move.before),
            "after": _number(move.after),
            "asked": move.asked,
        }
        for move in moves
    ]


def _nearest(found: NearestChange | None, say: Callable[[str], str]) -> Json:
    if found is None:
        return None
    return {
        "value": round(found.value, 4),
        "band": found.band,
        "changes": _moves(found.moves, say),
        "steps": round(found.steps, 3),
    }


def _lever(lever: Lever, say: Callable[[str], str]) -> Json:
    return {
        "feature": lever.feature.name,
        "label": say(lever.feature.label),
        "unit": lever.feature.unit,
        "value": lever.value,
        "low": lever.low,
        "high": lever.high,
        "whole": lever.whole,
    }


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
