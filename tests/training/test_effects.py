"""What is learned from decisions, from which of them, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from features.stage import STAGES
from models.effects import STATE
from serving.records import ARMS, NO_CONTACT
from training.decision_log import LoggedDecisions, experiment_log
from training.effects import FEWEST_DECISIONS, learn_effects
from training.placebo import NotRandomised

NAMES = (NO_CONTACT, "zeta", "alpha", "never")
PLACE = {name: place for place, name in enumerate(STATE)}


def log_of(n: int, seed: int = 1, picked: bool = False) -> LoggedDecisions:
    """Decisions between two messages and silence; alpha brings a fifth of an order, zeta nothing.

    `picked`: alpha goes to whoever has large orders, whatever the probabilities say.
    """
    rng = np.random.default_rng(seed)
    state = np.zeros((n, len(STATE)))
    state[:, PLACE["order_value"]] = value = rng.lognormal(3.0, 0.5, n)
    state[:, PLACE["usual_margin"]] = 0.3 * value
    probabilities = np.tile([0.5, 0.25, 0.25, 0.0], (n, 1))
    chosen = rng.choice(4, n, p=probabilities[0])
    if picked:
        chosen = np.where(value > np.quantile(value, 0.6), 2, 0)
    stage = rng.choice([STAGES.index("active"), STAGES.index("lapsing")], n)
    reward = 0.3 * value * (1.0 + rng.normal(size=n)) + 0.2 * value * (chosen == 2)
    return replace(
        experiment_log(NAMES, chosen, probabilities, reward),
        stage=stage,
        state=state,
        prior=np.column_stack([np.zeros(n), 0.1 * value, 0.2 * value, np.full(n, np.nan)]),
    )


def unknown(log: LoggedDecisions) -> np.ndarray:
    return np.full(len(log), np.nan)


def learned(log: LoggedDecisions):  # type: ignore[no-untyped-def]
    return learn_effects(log, unknown(log), np.random.default_rng(1))


def test_effects_are_those_that_made_the_rewards() -> None:
    log = log_of(6_000)
    log = replace(log, prior=np.zeros_like(log.prior))
    models = learned(log).models
    assert models.names == ("alpha", "zeta")  # what was never drawn is not there
    state = log.state.mean(axis=0)
    truth = 0.2 * state[PLACE["order_value"]]
    on = models.on(state, "active")
    errors = np.sqrt(np.diag(on.covariance))
    assert np.abs(on.values - [truth, 0.0]).tolist() < (2.5 * errors).tolist()
    assert 0.02 * truth < errors[0] < 0.25 * truth
    assert on.evidence.tolist() == [6_000, 6_000]
    # Twice the order, twice the effect.
    double = state.copy()
    double[PLACE["order_value"]] *= 2
    assert models.on(double, "active").values[0] > 1.5 * on.values[0]
    assert set(models.means) == {"active", "lapsing"}


def test_what_is_measured_stands_beside_what_came_true_of_what_was_stated() -> None:
    """Stated twice too large, or not at all: the whole effect is the same."""
    log = log_of(6_000)
    value = log.state[:, PLACE["order_value"]]
    state = log.state.mean(axis=0)
    truth = 0.2 * state[PLACE["order_value"]]
    for share in (0.0, 0.1, 0.2, 0.4):
        prior = np.column_stack([np.zeros((6_000, 2)), share * value, np.full(6_000, np.nan)])
        models = learned(replace(log, prior=prior)).models
        stated = models.stated_scale * share * state[PLACE["order_value"]]
        assert stated + models.on(state, "active").values[0] == pytest.approx(truth, rel=0.15)


def test_where_ten_messages_do_nothing_silence_is_best_and_said_to_be() -> None:
    """And where one of them does much, it is not."""
    rng = np.random.default_rng(1)
    n, kinds = 12_000, 10
    for does, silent in ((0.0, True), (0.15, False)):
        log = log_of(n)
        value = log.state[:, PLACE["order_value"]]
        probabilities = np.tile([2 / (kinds + 2), *[1 / (kinds + 2)] * kinds], (n, 1))
        chosen = rng.choice(kinds + 1, n, p=probabilities[0])
        reward = 0.3 * value * (1.0 + rng.normal(size=n)) + does * value * (chosen == 3)
        log = replace(
            log,
            names=(NO_CONTACT, *(f"message {place}" for place in range(kinds))),
            probabilities=probabilities,
            chosen=chosen,
            reward=reward,
            prior=np.column_stack([np.zeros(n), *[0.1 * value] * kinds]),
        )
        found = learned(log)
        words = (
            "these decisions would show it; they do not, so until they do all effects count as none"
        )
        assert any(words in note for note in found.notes) == silent
        assert (not found.models.coefficients.any()) == silent
        assert (found.models.stated_scale == 0.0) == silent


def test_stated_effects_are_measured_all_together() -> None:
    """Stated twice too large, half of it came true; stated with the wrong sign, nothing."""
    log = log_of(6_000)
    value = log.state[:, PLACE["order_value"]]
    nothing, unknown_one = np.zeros(6_000), np.full(6_000, np.nan)
    for stated, expected in ((0.4, 0.5), (0.2, 1.0), (-0.2, 0.0)):
        prior = np.column_stack([nothing, nothing, stated * value, unknown_one])
        found = learned(replace(log, prior=prior)).models.stated_scale
        assert found == pytest.approx(expected, abs=0.15)


def test_notes_say_what_was_learned_from_how_much() -> None:
    notes = learned(log_of(2_000)).notes
    assert notes[0].startswith("Effects were learned from 2,000 decisions drawn by lot about 2,000")
    assert any(note.startswith("alpha: +") and "2,000 decisions" in note for note in notes)


def test_holdout_censored_and_certain_rows_teach_nothing() -> None:
    log = log_of(3_000)
    models = learned(log).models
    extra = log_of(900, seed=2)
    extra.arm[:300] = ARMS.index("holdout")
    extra.reward[300:600] = np.nan
    extra.probabilities[600:] = np.eye(4)[extra.chosen[600:]]
    extra = replace(extra, reward=np.where(np.isnan(extra.reward), np.nan, 1e6))
    both = LoggedDecisions(
        log.names,
        (*log.customer_ids, *(f"x{one}" for one in range(900))),
        np.concatenate([log.customer, 3_000 + extra.customer]),
        *(
            np.concatenate([getattr(log, name), getattr(extra, name)])
            for name in LoggedDecisions.__slots__[3:]
        ),
    )
    again = learned(both).models
    assert again.evidence.tolist() == models.evidence.tolist()
    average = log.state.mean(axis=0)
    assert np.abs(again.on(average, "active").values).max() < 20.0


def test_learning_twice_gives_the_same() -> None:
    assert learned(log_of(500)).models == learned(log_of(500)).models


def test_too_few_decisions_are_said() -> None:
    found = learned(log_of(FEWEST_DECISIONS - 1))
    assert found.models is None
    assert "99 decisions were drawn by lot and are over; 100 are needed" in found.notes[0]
    assert "uniform_share" in found.notes[0]


def test_an_empty_log_is_no_error() -> None:
    log = log_of(200)
    assert learned(log.at(np.zeros(200, dtype=bool))).models is None


def test_decisions_without_probabilities_are_refused() -> None:
    log = log_of(400)
    log.probabilities[:40] = 0.0
    with pytest.raises(NotRandomised, match=r"40 of 400 decisions do not tell the probabilities"):
        learned(log)
    lied = log_of(400)
    lied.probabilities[7] = np.eye(4)[(lied.chosen[7] + 1) % 4]
    words = r"1 of 400 .* start a uniform slice: set uniform_share"
    with pytest.raises(NotRandomised, match=words):
        learned(lied)


def test_picked_customers_are_found_by_what_they_did_before() -> None:
    log = log_of(3_000, picked=True)
    before = 0.3 * log.state[:, PLACE["order_value"]]
    with pytest.raises(NotRandomised, match="already in the same time BEFORE it: they were picked"):
        learn_effects(log, before, np.random.default_rng(1))
    fair = log_of(3_000)
    before = 0.3 * fair.state[:, PLACE["order_value"]]
    assert learn_effects(fair, before, np.random.default_rng(1)).models is not None


def test_where_nothing_works_next_to_nothing_is_left_of_what_was_stated() -> None:
    log = log_of(8_000)
    log = replace(
        log, reward=log.reward - 0.2 * log.state[:, PLACE["order_value"]] * (log.chosen == 2)
    )
    models = learned(log).models
    assert models.stated_scale < 0.25
    average = log.state.mean(axis=0)
    assert np.abs(models.on(average, "active").values).max() < 0.3
