import json
from dataclasses import replace

import numpy as np
import pytest

from features.stage import STAGES
from models.effects import (
    LEVELS,
    STATE,
    TERMS,
    DamagedEffects,
    EffectModels,
    from_tables,
    state_of,
    tables,
    terms_of,
)
from models.expectation import Expectation, Score

TOLD = Expectation(
    {
        "churn_risk": Score("churn_risk", 0.4, 28, 0.2, "recency"),
        "repurchase_likelihood": Score("repurchase_likelihood", None, 7, 0.5, "recency", "no"),
        "expected_margin": Score("expected_margin", 20.0, 28, 14.0, "base_rate"),
    },
    usual_margin=30.0,
)
NAMES = ("a", "b")


@pytest.fixture
def models() -> EffectModels:
    """Two communications on two terms of two variables, with correlated errors."""
    rng = np.random.default_rng(4)
    root = rng.normal(size=(4, 4))
    return EffectModels(
        names=NAMES,
        state=("money", "risk"),
        terms=((), ("money", "risk")),
        coefficients=np.array([[1.0, 0.5], [0.25, -1.0]]),
        covariance=root @ root.T,
        evidence=np.array([100, 7]),
        means={"active": np.array([[1.5, 0.5], [0.0, 0.25]])},
        mean=np.array([[1.0, 0.0], [-1.0, 0.0]]),
        stated_scale=0.5,
    )


def test_state_is_known_whatever_the_customer_is_not_asked() -> None:
    features = {"average_order_value_365d": 25.0, "discount_share_365d": float("nan")}
    state = dict(zip(STATE, state_of(TOLD, features, "lapsing").tolist(), strict=True))
    assert state["churn_risk"] == 0.4
    assert state["repurchase_likelihood"] == 0.0  # not asked
    assert state["promoter_likelihood"] == 0.0  # no model
    assert (state["expected_margin"], state["usual_margin"]) == (20.0, 30.0)
    assert (state["order_value"], state["discount_share"]) == (25.0, 0.0)
    assert [name for name in STATE if state[name] == 1.0] == ["is_lapsing"]
    nobody = state_of(Expectation({}, 0.0), {}, "visitor")
    assert np.flatnonzero(nobody).tolist() == [STATE.index("is_visitor")]
    assert all(f"is_{stage}" in STATE for stage in STAGES)


def test_terms_are_products() -> None:
    states = np.array([[2.0, 0.5], [4.0, 0.25]])
    found = terms_of(states, ("money", "risk"), ((), ("money",), ("money", "risk", "risk")))
    assert found.tolist() == [[1.0, 2.0, 0.5], [1.0, 4.0, 0.25]]
    assert {name for term in TERMS for name in term} <= set(STATE)
    assert TERMS[:LEVELS] == ((), ("order_value",))


def test_effects_are_lines_in_the_terms_and_errors_those_of_the_covariance(
    models: EffectModels,
) -> None:
    on = models.on(np.array([10.0, 0.2]), "active")
    x = np.array([1.0, 10.0 * 0.2])
    assert on.values.tolist() == [1.0 + 0.5 * 2.0, 0.25 - 1.0 * 2.0]
    both = np.kron(np.eye(2), x)
    assert on.covariance == pytest.approx(both @ models.covariance @ both.T)
    assert (on.places, on.stated_scale) == ({"a": 0, "b": 1}, 0.5)
    assert on.evidence.tolist() == [100, 7]


@pytest.mark.parametrize("among", [("b", "z", "d"), ("c",), (), ("a", "b", "c", "d")])
def test_effects_of_some_are_what_they_are_among_all(among: tuple[str, ...]) -> None:
    rng = np.random.default_rng(8)
    root = rng.normal(size=(8, 8))
    models = EffectModels(
        names=("a", "b", "c", "d"),
        state=("money", "risk"),
        terms=((), ("money", "risk")),
        coefficients=rng.normal(size=(4, 2)),
        covariance=root @ root.T,
        evidence=np.array([100, 7, 30, 4]),
        means={},
        mean=rng.normal(size=(4, 2)),
    )
    state = np.array([10.0, 0.2])
    every, some = models.on(state, "active"), models.on(state, "active", among)
    assert list(some.places) == sorted({*among} & {*models.names})
    for name, place in some.places.items():
        there = every.places[name]
        assert some.values[place] == pytest.approx(every.values[there], abs=1e-12)
        assert some.usual[place] == pytest.approx(every.usual[there], abs=1e-12)
        assert some.evidence[place] == every.evidence[there]
        for other, beside in some.places.items():
            covariance = every.covariance[there, every.places[other]]
            assert some.covariance[place, beside] == pytest.approx(covariance, abs=1e-12)


def test_what_is_usual_in_a_stage_is_told_for_orders_as_large_as_the_customers(
    models: EffectModels,
) -> None:
    state = np.array([10.0, 0.2])
    assert models.on(state, "active").usual.tolist() == [1.5 + 0.5 * 2.0, 0.25 * 2.0]
    assert models.on(state, "lapsed").usual.tolist() == [1.0, -1.0]  # no decision was made there


def test_effects_come_back_to_the_last_digit(models: EffectModels) -> None:
    text = json.dumps(tables(models), allow_nan=False)
    assert from_tables(json.loads(text)) == models
    assert from_tables(json.loads(text)) != replace(models, stated_scale=0.25)
    assert json.dumps(tables(from_tables(json.loads(text)))) == text


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("coefficients", [[1.0], [2.0]], r"coefficients has the shape \(2, 1\); must be \(2, 2\)"),
        ("covariance", [[1.0]], r"covariance has the shape \(1, 1\); must be \(4, 4\)"),
        ("mean", [[float("inf")], [0.0]], "mean holds a number that is not finite"),
        ("mean", [0.0, 0.0], r"mean has the shape \(2,\); must be \(2, 1\)"),
        ("mean", [[0.0] * 3] * 2, r"mean has the shape \(2, 3\); must be \(2, 1\)"),
        ("means", {"active": [0.0]}, r"mean of active has the shape \(1,\); must be \(2, 2\)"),
        ("terms", [[], ["luck"]], r"terms of unknown state variables \['luck'\]"),
        ("stated_scale", -1.0, "stated_scale -1.0; must be finite, 0 or more"),
        ("evidence", None, "train again with `nextbest train`"),
    ],
)
def test_damaged_effects_are_refused(
    models: EffectModels, key: str, value: object, words: str
) -> None:
    found = tables(models) | {key: value}
    if key == "mean":
        found["means"] = {}
    with pytest.raises(DamagedEffects, match=words):
        from_tables(found)


def test_a_missing_part_is_refused(models: EffectModels) -> None:
    found = tables(models)
    del found["covariance"]
    with pytest.raises(DamagedEffects, match="KeyError"):
        from_tables(found)
