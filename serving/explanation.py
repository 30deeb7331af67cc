"""Why this communication and not the next best: a sum that reaches from features to the lead.

The lead is the net worth of the first in the order less that of the second. Each score and each
sum of money that it rests on adds its part (see `serving.worth`), and that part is shared among
the groups of features as the points of the score's reasons are. So a feature's way leads over its
score and the effects to the rank, and all ways together are the lead.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from models.bundle import EXPECTED_MARGIN, Bundle
from models.effects import STATE_FEATURES
from models.explain import REST_CODE, starting_point
from models.language import Quantity, phrase
from serving.answer import Json
from serving.decision import customer_at
from serving.engine import Engine
from serving.flips import Flip, flips, thing_words
from serving.records import NO_CONTACT, Candidate, Customer, Decision
from serving.storage.store import Store
from serving.worth import USUAL_MARGIN, Scene, Term, mean_slopes, scene_of

SPEND_GROUP_FEATURE: Final = "spend_365d"
SLIGHT: Final = 1e-12  # money; less is rounding


@dataclass(frozen=True, slots=True)
class Worth:
    """The net worth of one candidate, and the money of each term; they sum to it."""

    candidate: Candidate
    terms: tuple[tuple[Term, float], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """What one input adds to the lead on its way from where it starts.

    Attributes
    ----------
    name : str
        A score, `usual_margin`, or a feature.
    money : float
        Currency units; the sum of `groups`.
    groups : tuple of (str, float)
        Codes of feature groups as in reasons, and the money of each.
    """

    name: str
    start: float
    value: float
    money: float
    groups: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Lead:
    """Why the first of the order is before the second.

    Attributes
    ----------
    start : float
        The lead if every input were where it starts; with the money of all sources it sums to
        `money`.
    money : float
        Below 0 where caution keeps the first before what promises more; see `best_of`.
    flips : tuple of Flip
        Changes of one thing that would put another first, the smallest one first.
    """

    first: Worth
    second: Worth
    start: float
    money: float
    sources: tuple[Source, ...]
    flips: tuple[Flip, ...]


def lead_of(decision: Decision, customer: Customer, engine: Engine) -> Lead | None:
    """Why the first in a decision's order is before the second.

    None where there is nothing to compare: nothing but silence was allowed, or nothing was
    decided at all.
    """
    if decision.fallback or len(decision.ranked) < 2:
        return None
    bundle = engine.bundle if decision.expectation.scores else None
    scene = scene_of(decision, customer, engine, bundle)
    first, second = decision.ranked[:2]
    of_both = [scene.terms(one.communication) for one in (first, second)]
    terms = (*of_both[0], *(Term(t.kind, -t.amount, t.of) for t in of_both[1]))
    value = {name: scene.input(name) for term in terms for name in term.of}
    start = value | _starts(scene, bundle, engine)
    slopes = mean_slopes(terms, start, value)
    sources = [
        _source(name, slope, (start[name], value[name]), _groups(name, scene, bundle, engine))
        for name, slope in slopes.items()
    ]
    return Lead(
        first=_worth(first, of_both[0], value),
        second=_worth(second, of_both[1], value),
        start=sum(term.at(start) for term in terms),
        money=first.expected_net - second.expected_net,
        sources=tuple(sorted(sources, key=lambda one: (-abs(one.money), one.name))),
        flips=flips(scene),
    )


def told(
    decision: Decision, store: Store, engine: Engine, say: Callable[[str], str]
) -> dict[str, Json]:
    """`learning` and the lead of a decision, as callers read them; amounts are not rounded."""
    lead = lead_of_answer(decision, store, engine)
    return {
        "learning": say(learning(decision)),
        "lead": None if lead is None else _told(lead, engine, say),
    }


def lead_of_answer(decision: Decision, store: Store, engine: Engine) -> Lead | None:
    """As `lead_of`, of a customer whose signals the store has."""
    signals = store.customer_signals(decision.customer_id)
    if signals is None or decision.fallback:
        return None
    customer = customer_at(decision.customer_id, signals, decision.as_of, engine)
    return lead_of(decision, customer, engine)


def learning(decision: Decision) -> str:
    """That chance chose, and how likely it was; empty where worth did."""
    chosen, best = decision.chosen.communication, decision.ranked[0]
    chance = Quantity(100 * decision.selection_probability, "")
    if decision.arm == "holdout" and chosen == NO_CONTACT:
        return phrase("left without marketing by lot, to measure what the whole programme is worth")
    if chosen == best.communication and decision.arm != "uniform":
        return ""
    name = phrase("silence") if best.communication == NO_CONTACT else best.name
    return phrase(
        "chosen to learn, with a probability of {chance} %; by worth it would be {name}",
        chance=chance,
        name=name,
    )


def _worth(one: Candidate, terms: tuple[Term, ...], inputs: Mapping[str, float]) -> Worth:
    return Worth(one, tuple((term, term.at(inputs)) for term in terms))


def _source(
    name: str, slope: float, way: tuple[float, float], groups: Mapping[str, float]
) -> Source:
    """What an input adds, shared as its own way is shared among groups of features."""
    start, value = way
    shares = {code: slope * part for code, part in groups.items() if abs(slope * part) > SLIGHT}
    rest = slope * (value - start) - sum(shares.values())
    if abs(rest) > SLIGHT:
        shares[REST_CODE] = shares.get(REST_CODE, 0.0) + rest
    ordered = sorted(shares.items(), key=lambda pair: (-abs(pair[1]), pair[0]))
    return Source(name, start, value, slope * (value - start), tuple(ordered))


# ---- As callers read it --------------------------------------------------------------------


def _told(lead: Lead, engine: Engine, say: Callable[[str], str]) -> Json:
    return {
        "first": _told_worth(lead.first),
        "second": _told_worth(lead.second),
        "money": lead.money,
        "start": lead.start,
        "sources": [_told_source(source, engine, say) for source in lead.sources],
        "changes": [_told_flip(flip, say) for flip in lead.flips],
    }


def _told_worth(worth: Worth) -> Json:
    return {
        "communication": worth.candidate.communication,
        "name": worth.candidate.name,
        "expected_net": worth.candidate.expected_net,
        "terms": [
            {"kind": term.kind, "of": list(term.of), "money": money} for term, money in worth.terms
        ],
    }


def _told_source(source: Source, engine: Engine, say: Callable[[str], str]) -> Json:
    return {
        "name": source.name,
        "label": say(source_words(source.name, engine)),
        "start": source.start,
        "value": source.value,
        "money": source.money,
        "groups": [{"code": code, "money": money} for code, money in source.groups],
    }


def source_words(name: str, engine: Engine) -> str:
    """What an input is called: a score or a margin in our words, a feature by its label."""
    labels = {feature.name: feature.label for feature in engine.features.features}
    return labels.get(STATE_FEATURES.get(name, "")) or thing_words(name)


def _told_flip(flip: Flip, say: Callable[[str], str]) -> Json:
    return {
        "what": flip.what,
        "of": flip.of,
        "now": flip.now,
        "value": flip.value,
        "instead": flip.instead,
        "text": say(flip.text),
    }


# ---- Where inputs start, and what features add to them -----------------------------------


def _starts(scene: Scene, bundle: Bundle | None, engine: Engine) -> dict[str, float]:
    """Where each input starts: what is expected before anything is known of a customer.

    A score starts where its model does, money at everyone's, a feature at the middle of those
    seen in training. A stage has no other start than where it stands.
    """
    if bundle is None:
        return {}
    row = _row(scene.customer, engine)
    starts = {
        name: starting_point(model, row)
        for name, model in bundle.classifiers.items()
        if scene.expectation.value(name) is not None
    }
    margin, names = bundle.margin, bundle.feature_names
    starts[EXPECTED_MARGIN] = float(margin.contributions(row[np.newaxis], names)[0, -1])
    starts[USUAL_MARGIN] = margin.horizon_days * margin.everyone_per_day
    middle = dict(zip(names, bundle.ranges.usual, strict=False))
    return starts | {name: middle.get(feature) or 0.0 for name, feature in STATE_FEATURES.items()}


def _groups(name: str, scene: Scene, bundle: Bundle | None, engine: Engine) -> dict[str, float]:
    """What each group of features adds to an input; what is missing in the sum is the rest."""
    if bundle is None:
        return {}
    groups = {
        each.name: each.group.upper() for each in engine.features.features if not each.sensitive
    }
    value = scene.input(name)
    if name in bundle.classifiers:
        said = [one for one in scene.expectation.reasons if one.score == name]
        return {one.code: one.points / 100 for one in said}
    if name == EXPECTED_MARGIN:
        row = _row(scene.customer, engine)[np.newaxis]
        parts = bundle.margin.contributions(row, bundle.feature_names)[0].tolist()
        found: dict[str, float] = {}
        for feature, part in zip(bundle.feature_names, parts, strict=False):
            code = groups.get(feature, REST_CODE)
            found[code] = found.get(code, 0.0) + part
        return found
    if name == USUAL_MARGIN:
        # Spent as everybody does in the time watched, a customer is where the way starts.
        start = bundle.margin.horizon_days * bundle.margin.everyone_per_day
        return {groups.get(SPEND_GROUP_FEATURE, REST_CODE): value - start}
    feature = STATE_FEATURES.get(name, "")
    middle = dict(zip(bundle.feature_names, bundle.ranges.usual, strict=False))
    return {groups.get(feature, REST_CODE): value - (middle.get(feature) or 0.0)}


def _row(customer: Customer, engine: Engine) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([customer.features[name] for name in engine.features.names])
