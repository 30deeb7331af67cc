"""What a net worth is made of: products of inputs, and where each input starts.

The net worth of a communication is a sum of terms. Each is an amount of money times some inputs:
scores, money that is expected, and features. What an input adds between its starting point and
where it stands is its Aumann-Shapley value on the straight way from the one to the other, so that
what all inputs add sums to the whole way, in whatever order they are told.

Source: Aumann and Shapley (1974), "Values of non-atomic games"; as a way to explain a prediction,
Sundararajan, Taly and Yan (2017), "Axiomatic attribution for deep networks".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Final

import numpy as np

from models.bundle import Bundle
from models.effects import (
    NOTHING_MEASURED,
    STATE_FEATURES,
    CustomerEffects,
    EffectModels,
    state_of,
)
from models.expectation import Expectation
from serving.arbitration import NOT_SENT, Weighed, in_order, shares, weigh
from serving.communication import Communication
from serving.eligibility import unmet
from serving.engine import Engine
from serving.fatigue import Worn
from serving.policy import Policy
from serving.prices import priced
from serving.records import NO_CONTACT, Candidate, Customer, Decision

USUAL_MARGIN: Final = "usual_margin"
# Right for products of up to eleven inputs; the catalog and the effects have four at most.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_ON_THE_WAY: Final = tuple(((_NODES + 1) / 2).tolist())
_SHARES: Final = tuple((_WEIGHTS / 2).tolist())


@dataclass(frozen=True, slots=True)
class Term:
    """A part of a net worth: an amount of money times the inputs in `of`.

    `kind` is ``stated``, ``opt_out``, ``response``, ``measured``, ``cost``, ``fatigue``,
    ``novelty`` or ``price``. What the weight multiplies is multiplied already.
    """

    kind: str
    amount: float
    of: tuple[str, ...] = ()

    def at(self, inputs: Mapping[str, float]) -> float:
        """Its money where the inputs stand so."""
        return self.amount * prod(inputs[name] for name in self.of)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the order of the candidates rests on, for one customer at one moment.

    Attributes
    ----------
    entries : tuple of Communication
        What may be sent, by its own cost.
    prices : mapping of communication to float
        What each pays for scarce things.
    """

    customer: Customer
    expectation: Expectation
    entries: tuple[Communication, ...]
    prices: Mapping[str, float]
    worn: Worn
    policy: Policy
    effects: EffectModels | None

    @property
    def measured(self) -> CustomerEffects:
        """What the entries were measured to do to this customer."""
        if self.effects is None or not self.expectation.scores:
            return NOTHING_MEASURED
        customer = self.customer
        state = state_of(self.expectation, customer.features, customer.stage)
        return self.effects.on(state, customer.stage, {entry.name for entry in self.entries})

    def weighed(self) -> list[Weighed]:
        """Silence and all that may be sent."""
        measured, entries = self.measured, priced(self.entries, self.prices)
        return [
            NOT_SENT,
            *(weigh(e, self.expectation, self.worn, self.policy, measured) for e in entries),
        ]

    def order(self) -> tuple[Candidate, ...]:
        """The candidates, best first."""
        return in_order(self.weighed(), self.measured, self.policy.z)

    def input(self, name: str) -> float:
        """Where an input stands."""
        if name == USUAL_MARGIN:
            return self.expectation.usual_margin
        if name in self.expectation.scores:
            return self.expectation.value(name) or 0.0
        if name in STATE_FEATURES:
            value = self.customer.features.get(STATE_FEATURES[name], 0.0)
            return 0.0 if np.isnan(value) else value
        return float(name == f"is_{self.customer.stage}")

    def with_input(self, name: str, value: float) -> "Scene":
        """The same where a score or the usual margin stood elsewhere.

        Entries go whose own conditions would not hold there; none come that are refused now.
        """
        told = self.expectation
        if name == USUAL_MARGIN:
            told = replace(told, usual_margin=value)
        else:
            scores = {**told.scores, name: replace(told.scores[name], value=value)}
            told = replace(told, scores=scores)
        entries = tuple(e for e in self.entries if not any(unmet(e, self.customer, told)))
        return replace(self, expectation=told, entries=entries)

    def terms(self, communication: str) -> tuple[Term, ...]:
        """What the net worth of a candidate is the sum of; of silence, nothing."""
        if communication == NO_CONTACT:
            return ()
        entry = next(each for each in self.entries if each.name == communication)
        return tuple(term for term in self._terms(entry) if term.amount)

    def _terms(self, entry: Communication) -> Iterable[Term]:
        prior, weight, measured = entry.prior, self.policy.weight(entry.name), self.measured
        place = measured.places.get(entry.name)
        judged, trusted = shares(entry, measured)
        stated = weight * judged
        share, of = stated * prior.share, tuple(name for name in prior.of if name != "1")
        goodbyes = -stated * prior.opt_out * self.policy.opt_out_cost
        fatigue, novelty, response = self.worn.of(entry)
        yield Term("stated", share, of)
        yield Term("opt_out", goodbyes)
        yield Term("response", (response - 1.0) * share, of)
        yield Term("response", (response - 1.0) * goodbyes)
        if place is not None and self.effects is not None:
            found = self.effects.coefficients[self.effects.names.index(entry.name)].tolist()
            for coefficient, of in zip(found, self.effects.terms, strict=True):
                yield Term("measured", weight * trusted * coefficient, tuple(of))
        yield Term("cost", -entry.cost)
        yield Term("fatigue", -fatigue)
        yield Term("novelty", -novelty)
        yield Term("price", -self.prices.get(entry.name, 0.0))


def scene_of(
    decision: Decision, customer: Customer, engine: Engine, bundle: Bundle | None
) -> Scene:
    """What the order of a decision rests on.

    Parameters
    ----------
    bundle : Bundle or None
        The engine's; None where the customer was not scored.
    """
    sent = [one for one in decision.ranked if one.communication != NO_CONTACT]
    listed = engine.catalog.communications
    return Scene(
        customer=customer,
        expectation=decision.expectation,
        entries=tuple(listed[one.communication] for one in sent),
        prices={one.communication: one.price for one in sent},
        worn=Worn(
            max((one.fatigue for one in sent), default=0.0),
            {one.communication: one.novelty for one in sent},
            {one.channel: one.response for one in sent if one.message_class == "marketing"},
        ),
        policy=engine.policy,
        effects=None if bundle is None else bundle.effects,
    )


def mean_slopes(
    terms: Iterable[Term], start: Mapping[str, float], end: Mapping[str, float]
) -> dict[str, float]:
    """How much money one unit of each input adds, on average over the way from start to end.

    Times the way that an input goes, this is its Aumann-Shapley value. An input that stands in
    a term twice is told once, with both.
    """
    slopes: dict[str, float] = {}
    for term in terms:
        for place, name in enumerate(term.of):
            others = term.of[:place] + term.of[place + 1 :]
            mean = sum(
                share * prod(start[one] + t * (end[one] - start[one]) for one in others)
                for t, share in zip(_ON_THE_WAY, _SHARES, strict=True)
            )
            slopes[name] = slopes.get(name, 0.0) + term.amount * mean
    return slopes
