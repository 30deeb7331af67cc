"""Decisions read back: whole vectors, states of their moment, nothing later than the end."""

import json
from dataclasses import replace

import numpy as np
import pytest

from features.history import DecisionSignal, History
from features.signals import DAY
from features.stage import STAGES
from models.effects import STATE, state_of
from models.expectation import Expectation, Score
from serving.arbitration import stated_effect
from serving.decision import customer_at, expectation_of
from serving.records import ARMS
from serving.storage.past_decisions import PastDecision
from serving.storage.store import Store
from training.dataset import data_end
from training.decision_log import LoggedDecisions
from training.decision_sources import (
    BAD_VECTOR,
    HOLDOUT,
    NO_VECTOR,
    SAME_TWICE,
    UNKNOWN_ARM,
    UNKNOWN_CUSTOMER,
    Drawn,
    Gathered,
    drawn_from,
    gather,
    gathered,
)
from training.everyone import Asking, answers


def signal(properties: object, **changes: object) -> DecisionSignal:
    plain = DecisionSignal("C-10001", 5 * DAY, "newsletter", 0.25, json.dumps(properties))
    return replace(plain, **changes)


HALF = {"no_contact": 0.75, "newsletter": 0.25}


def past(engine, **changes: object) -> PastDecision:
    plain = PastDecision(
        customer_id="C-10001",
        as_of=5 * DAY,
        communication="newsletter",
        arm="policy",
        probabilities=HALF,
        scores={"churn_risk": 0.4},
        stage="active",
        features=np.zeros(len(engine.features)),
        fingerprint=engine.features.fingerprint,
    )
    return replace(plain, **changes)


@pytest.mark.parametrize(
    ("said", "changes", "why"),
    [
        ({}, {}, NO_VECTOR),
        ({"probabilities": {"newsletter": 1.0}}, {}, NO_VECTOR),
        ({"probabilities": "0.5"}, {}, NO_VECTOR),
        ({"probabilities": {"no_contact": 0.7, "newsletter": 0.25}}, {}, BAD_VECTOR),
        ({"probabilities": {"no_contact": 1.2, "newsletter": -0.2}}, {}, BAD_VECTOR),
        ({"probabilities": {"no_contact": "0.75", "newsletter": 0.25}}, {}, BAD_VECTOR),
        ({"probabilities": HALF}, {"selection_probability": 0.3}, BAD_VECTOR),
        ({"probabilities": HALF}, {"communication": "tips_to_use"}, BAD_VECTOR),
        ({"probabilities": HALF, "arm": "left"}, {}, UNKNOWN_ARM),
        ({"probabilities": HALF, "arm": "holdout"}, {}, HOLDOUT),
    ],
)
def test_what_nothing_can_be_learned_from_is_counted(engine, said, changes, why) -> None:
    drawn, left_out = drawn_from([], [signal(said, **changes)], engine)
    assert (drawn, dict(left_out)) == ([], {why: 1})


def test_a_signal_with_its_vector_counts(engine) -> None:
    said = [signal({"probabilities": HALF}), signal({"probabilities": HALF, "arm": "uniform"})]
    drawn, left_out = drawn_from([], said, engine)
    assert [one.arm for one in drawn] == ["policy", "uniform"]
    assert drawn[0].probabilities == HALF
    assert not left_out


def test_a_decision_told_by_log_and_signal_counts_once(engine) -> None:
    drawn, left_out = drawn_from([past(engine)], [signal({"probabilities": HALF})], engine)
    assert len(drawn) == 1
    assert drawn[0].scores == {"churn_risk": 0.4}
    assert dict(left_out) == {SAME_TWICE: 1}


def test_the_holdout_is_left_out(engine) -> None:
    drawn, left_out = drawn_from([past(engine, arm="holdout")], [], engine)
    assert (drawn, dict(left_out)) == ([], {HOLDOUT: 1})


def test_features_of_another_set_are_not_mistaken_for_ours(engine) -> None:
    drawn, _ = drawn_from([past(engine), past(engine, fingerprint="sha256:other")], [], engine)
    assert drawn[0].features is not None
    assert drawn[1].features is None


# ---- the table -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found(trained, engine) -> Gathered:
    home, as_of = trained
    return gather(home, engine, as_of)


@pytest.fixture(scope="module")
def pilot(found) -> LoggedDecisions:
    return found.log


def test_every_decision_of_the_pilot_is_there_with_its_vector(trained, pilot) -> None:
    home, as_of = trained
    told = History(home.signals).decisions(as_of)
    assert len(pilot) == len(told) > 200
    np.testing.assert_allclose(pilot.probabilities.sum(axis=1), 1.0, atol=1e-12)
    assert sorted(pilot.propensity) == pytest.approx(
        sorted(one.selection_probability for one in told)
    )
    assert pilot.names[0] == "no_contact"
    assert {ARMS[one] for one in np.unique(pilot.arm)} == {"policy"}
    assert not np.isnan(pilot.state).any()
    assert pilot.state.shape == (len(pilot), len(STATE))


def test_rows_whose_horizon_is_not_over_are_counted_and_not_zero(trained, found, engine) -> None:
    home, as_of = trained
    pilot = found.log
    end = data_end(History(home.signals).load(), as_of)
    open_ = pilot.decided_at + engine.policy.horizon_days * DAY > end
    assert pilot.censored == open_.sum() > 0
    assert np.isnan(pilot.reward[open_]).all()
    assert not np.isnan(pilot.matured().reward).any()
    assert found.lines()[0].endswith(
        f"{pilot.censored} of them with a horizon that is not over (censored)"
    )


def test_at_a_frozen_clock_the_table_is_the_same_whatever_came_later(trained, engine) -> None:
    """What was received later changes no row; a later end only fills in what was censored."""
    home, as_of = trained
    end = as_of - 60 * DAY
    history = History(home.signals)
    drawn, _ = drawn_from([], history.decisions(end), engine)
    known, everything = history.load(received_before=end), history.load()
    then = gathered(drawn, known, engine, end).log
    with_later = gathered(list(reversed(drawn)), everything, engine, end).log
    for name in ("names", "customer_ids"):
        assert getattr(then, name) == getattr(with_later, name)
    for name in LoggedDecisions.__slots__[2:]:
        np.testing.assert_array_equal(getattr(then, name), getattr(with_later, name))
    assert then.censored > 0
    now = gathered(drawn, everything, engine, as_of).log
    assert now.censored == 0
    old = ~np.isnan(then.reward)
    # Hardly any order arrives weeks late: what had matured stands.
    assert np.isclose(now.reward[old], then.reward[old]).mean() > 0.95


def test_scores_of_all_at_once_are_those_of_one_by_one(trained, found, engine) -> None:
    """The state of each row is the one that a call at that moment would have seen."""
    home, _ = trained
    log, table = History(home.signals).load(), found.log
    for row in range(0, len(table), 41):
        place = log.customer_ids.index(table.customer_ids[table.customer[row]])
        customer = customer_at(
            log.customer_ids[place], log.customer(place), int(table.decided_at[row]), engine
        )
        expectation = expectation_of(customer, replace(engine, texts=None))
        state = state_of(expectation, customer.features, customer.stage)
        np.testing.assert_array_equal(table.state[row], state)
        assert STAGES[table.stage[row]] == customer.stage


def test_logged_scores_give_the_state_and_the_stated_effects_of_a_single_decision(
    trained, engine
) -> None:
    """All decisions at once, to the last bit as the functions that know one customer."""
    home, as_of = trained
    log = History(home.signals).load()
    rng = np.random.default_rng(8)
    told = [
        {"churn_risk": 0.3, "repurchase_likelihood": 0.71, "expected_margin": 12.5},
        {"promoter_likelihood": 0.1 + 0.2, "churn_risk": 1 / 3, "expected_margin": 1e-3},
        {"churn_risk": float("nan")},
        {},  # nothing was expected: not even the usual margin is
    ]
    drawn = [
        Drawn(log.customer_ids[place], as_of - DAY, "newsletter", HALF, "policy", "lapsed", scores,
              rng.gamma(1.0, 20.0, len(engine.features)))
        for place, scores in enumerate(told)
    ]  # fmt: skip
    table = gathered(drawn, log, engine, as_of).log
    names, margin = engine.features.names, engine.bundle.margin
    for row, one in enumerate(drawn):
        scores = {
            name: Score(name, None if np.isnan(value) else value, 0, 0.0, "")
            for name, value in one.scores.items()
        }
        usual = float(margin.usual(one.features[np.newaxis], names)[0]) if one.scores else 0.0
        expectation = Expectation(scores, usual)
        features = dict(zip(names, one.features.tolist(), strict=True))
        assert table.state[row].tolist() == state_of(expectation, features, "lapsed").tolist()
        for place, name in enumerate(table.names[1:], 1):
            entry = engine.catalog.communications[name]
            effect, _ = stated_effect(entry, expectation, engine.policy)
            assert table.prior[row, place] == effect
    assert (table.prior[:, 0] == 0).all()


def test_nothing_is_stated_of_what_the_catalog_no_longer_holds(engine, log_of) -> None:
    vector = {"no_contact": 0.5, "gone": 0.5}
    drawn = [Drawn("C-1", 5 * DAY, "gone", vector, "policy", "active", {"churn_risk": 0.2})]
    found = gathered(drawn, log_of({"C-1": [("Page Viewed", DAY)]}), engine, 90 * DAY).log
    assert found.names[-1] == "gone"
    assert np.isnan(found.prior).tolist() == [[False] * (len(found.names) - 1) + [True]]


def test_states_are_those_of_the_moment(trained, pilot, engine) -> None:
    """The stage among the state's columns is the stage of the row."""
    column = [STATE.index(f"is_{stage}") for stage in STAGES]
    np.testing.assert_array_equal(pilot.state[:, column].argmax(axis=1), pilot.stage)
    assert len(np.unique(pilot.stage)) >= 4


def test_strangers_are_counted(engine, log_of) -> None:
    drawn, _ = drawn_from([], [signal({"probabilities": HALF})], engine)
    found = gathered(drawn, log_of({"C-2": [("Page Viewed", DAY)]}), engine, 90 * DAY)
    assert len(found.log) == 0
    assert found.lines()[1] == f"left out: 1 {UNKNOWN_CUSTOMER}"


def test_logged_decisions_come_back_as_they_were_made(trained_copy, engine) -> None:
    """Decided by the service's own desk, and read back; features need no second computation."""
    home, as_of = trained_copy
    with Store.open(home.store) as store:
        some = [name for name in store.customer_ids() if name.startswith("C-")][:30]
    moment = as_of - 40 * DAY
    said = list(answers(Asking(home, moment, logs=True, seed=1), some))
    found = gather(home, engine, as_of)
    rows = found.log.decided_at == moment
    learned = [one for one in said if one["arm"] != "holdout" and not one["fallback"]]
    assert rows.sum() == len(learned) > 20
    chosen = {
        (found.log.customer_ids[customer], found.log.names[one])
        for customer, one in zip(found.log.customer[rows], found.log.chosen[rows], strict=True)
    }
    assert chosen == {(one["customer_id"], one["communication"]) for one in learned}
    assert found.left_out.get(HOLDOUT, 0) == sum(one["arm"] == "holdout" for one in said)
    # The state from logged scores and features is the one that signals give again.
    history = History(home.signals)
    with Store.open(home.store) as store:
        logged = store.past_decisions(as_of)
    drawn, _ = drawn_from(logged, [], engine)
    forgotten = [replace(one, scores=None, features=None, stage=None) for one in drawn]
    log = history.load(received_before=as_of)
    again = gathered(forgotten, log, engine, as_of).log
    np.testing.assert_allclose(again.state, gathered(drawn, log, engine, as_of).log.state)
    np.testing.assert_allclose(again.prior, gathered(drawn, log, engine, as_of).log.prior)
