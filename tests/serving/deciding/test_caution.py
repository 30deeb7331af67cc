"""Measured effects against the rule told again in plain words, over many customers by chance."""

from collections import Counter
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pytest

from models.effects import CustomerEffects
from models.expectation import Expectation, Score
from serving.arbitration import candidate, ranked
from serving.catalog import Communication
from serving.engine import Engine
from serving.fatigue import FRESH, Worn
from serving.policy import Policy

TOLD = Expectation(
    {
        "churn_risk": Score("churn_risk", 0.4, 28, 0.2, "recency"),
        "repurchase_likelihood": Score("repurchase_likelihood", 0.5, 7, 0.5, "recency"),
        "expected_margin": Score("expected_margin", 20.0, 28, 14.0, "base_rate"),
    },
    usual_margin=30.0,
)
NAMES = ("cross_sell", "help_before_leaving", "newsletter")
NEVER_MEASURED = "reorder_reminder"
WEIGHTS = {"cross_sell": 0.5, "newsletter": 1.7}
WORN = Worn(0.15, {"newsletter": 0.05})


@dataclass(frozen=True)
class Case:
    """One customer: what may be sent, what was measured of it, and how careful we are."""

    entries: tuple[Communication, ...]
    measured: CustomerEffects
    policy: Policy


def drawn(rng: np.random.Generator, engine: Engine, policy: Policy) -> Case:
    """Numbers as wild as they may be: evidence of none to thousands, errors that go together."""
    root = rng.normal(size=(3, 3)) * rng.choice([0.0, 0.2, 1.0])
    measured = CustomerEffects(
        places={name: place for place, name in enumerate(NAMES)},
        values=rng.normal(0.0, 1.5, 3),
        covariance=root @ root.T,
        usual=rng.normal(0.2, 1.0, 3),
        evidence=rng.choice([0, 50, 400, 5_000, 100_000], 3),
        stated_scale=float(rng.choice([0.0, 0.4, 1.0])),
    )
    z = float(rng.choice([0.0, 1.0, 1.64]))
    listed = engine.catalog.communications
    others = (NEVER_MEASURED,) if rng.random() < 0.5 else ()
    entries = tuple(listed[name] for name in (*NAMES, *others))
    return Case(entries, measured, replace(policy, weights=WEIGHTS, z=z))


def told_again(case: Case) -> tuple[str, str, dict[str, float], dict[str, float]]:
    """Who is first and where we start; net worths, and the standard errors of the effects.

    Written from the rule: an effect is so much of what is stated and, the more evidence, so much
    of what was measured beyond it; start from what is best usually; leave it for what is surely
    better; send nothing that is not expected to bring more than it costs.
    """
    net, usual, error = ({"no_contact": 0.0} for _ in range(3))
    lever = {"no_contact": np.zeros(3)}
    for entry in case.entries:
        plain = candidate(entry, TOLD, WORN, case.policy)
        stated, sure = plain.expected_effect, plain.standard_error
        at = case.measured.places.get(entry.name)
        here = lever[entry.name] = np.zeros(3)
        weight = case.policy.weights.get(entry.name, 1.0)
        less = entry.cost + 0.15 + (0.05 if entry.name == "newsletter" else 0.0)
        if at is None:
            net[entry.name] = usual[entry.name] = stated * weight - less
            error[entry.name] = sure
            continue
        n = float(case.measured.evidence[at])
        share, scale = n / (n + entry.prior.weight), case.measured.stated_scale
        net[entry.name] = (scale * stated + share * case.measured.values[at]) * weight - less
        usual[entry.name] = (scale * stated + share * case.measured.usual[at]) * weight - less
        own = (1 - share) * scale * sure, share * sqrt(case.measured.covariance[at, at])
        error[entry.name] = sqrt(own[0] ** 2 + own[1] ** 2)
        here[at] = weight * share
    start = max(usual, key=lambda name: usual[name])
    if net[start] <= 0:
        start = "no_contact"

    def surely_better(name: str) -> bool:
        apart = lever[name] - lever[start]
        doubt = case.policy.z * sqrt(max(0.0, float(apart @ case.measured.covariance @ apart)))
        return net[name] - net[start] - doubt > 0

    better = [name for name in net if surely_better(name)]
    return max(better or [start], key=lambda name: net[name]), start, net, error


def test_the_first_is_the_one_that_the_rule_names(rule_engine: Engine, shop_policy: Policy) -> None:
    rng, seen = np.random.default_rng(1), Counter[str]()
    for _ in range(2_000):
        case = drawn(rng, rule_engine, shop_policy)
        found = ranked(case.entries, TOLD, WORN, case.policy, case.measured)
        first, start, net, error = told_again(case)
        assert found[0].communication == first
        assert first == "no_contact" or net[first] > 0
        for one in found:
            assert one.expected_net == pytest.approx(net[one.communication], abs=1e-12)
            assert one.standard_error == pytest.approx(error[one.communication], abs=1e-12)
        seen["left the start"] += first != start
        seen["kept it although another promises more"] += int(net[first] < max(net.values()))
        seen["silence"] += first == "no_contact"
    # Each of them happens often, so none of the above is empty words.
    assert min(seen.values()) > 100, seen


def test_basis_follows_the_share_that_is_measured(rule_engine: Engine, shop_policy: Policy) -> None:
    """A tenth of the say left to what is stated is the border; evidence is told as it is."""
    case = drawn(np.random.default_rng(2), rule_engine, shop_policy)
    said = {}
    for evidence in (0, 1, 8, 9, 10, 11):
        entries = tuple(replace(e, prior=replace(e.prior, weight=1.0)) for e in case.entries)
        measured = replace(case.measured, evidence=np.full(3, evidence))
        for one in ranked(entries, TOLD, WORN, case.policy, measured):
            if one.communication == "newsletter":
                said[evidence] = one.effect_basis, one.evidence
            if one.communication in (NEVER_MEASURED, "no_contact"):
                assert (one.effect_basis, one.evidence) == ("assumed", 0)
    assert said == {
        0: ("mixed", 0),
        1: ("mixed", 1),
        8: ("mixed", 8),
        9: ("measured", 9),
        10: ("measured", 10),
        11: ("measured", 11),
    }


def test_usually_good_is_not_sent_to_whom_it_harms(
    rule_engine: Engine, shop_policy: Policy
) -> None:
    """The best message of the stage harms this customer, however unsurely: silence."""
    (newsletter,) = (e for e in rule_engine.catalog.communications.values() if e.name == NAMES[2])
    measured = CustomerEffects(
        places={"newsletter": 0},
        values=np.array([-1.0]),
        covariance=np.array([[100.0]]),
        usual=np.array([2.0]),
        evidence=np.array([100_000]),
        stated_scale=0.0,
    )
    found = ranked([newsletter], TOLD, FRESH, replace(shop_policy, z=1.0), measured)
    assert [one.communication for one in found] == ["no_contact", "newsletter"]


def test_silence_stands_before_others_worth_nothing(
    rule_engine: Engine, shop_policy: Policy
) -> None:
    """At equal worth silence wins further down too."""
    free = replace(shop_policy, opt_out_cost=0.0)
    good = rule_engine.catalog.communications["newsletter"]
    idle = replace(good, name="idle", cost=0.0, prior=replace(good.prior, share=0.0))
    found = ranked([good, idle], TOLD, FRESH, free)
    assert [one.communication for one in found] == ["newsletter", "no_contact", "idle"]
