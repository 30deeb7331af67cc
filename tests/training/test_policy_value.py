"""Values of policies: exact over all logs of a tiny world, and by hand."""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from training.decision_log import LoggedDecisions, experiment_log
from training.outcome_model import cross_fitted
from training.policy_value import (
    NothingInCommon,
    Overlap,
    TooFewCustomers,
    UnusableTarget,
    Worth,
    best_single,
    clustered_mean,
    difference,
    doubly_robust,
    inverse_propensity,
    newly_untried,
    overlap,
    self_normalised,
    to_one,
    valued,
    weights,
)

NAMES = ("no_contact", "mail", "call")
BEHAVIOUR = np.array([[0.5, 0.3, 0.2], [0.6, 0.4, 0.0]])
TARGET = np.array([[0.1, 0.7, 0.2], [0.25, 0.75, 0.0]])
# Reward of each communication in each row: (value, chance) twice.
REWARDS = np.array([[[0, 4], [1, 9], [-3, 2]], [[5, 6], [2, 30], [0, 0]]], dtype=float)
CHANCES = np.array([[[0.3, 0.7], [0.9, 0.1], [0.5, 0.5]], [[0.2, 0.8], [0.75, 0.25], [1, 0]]])
COST = np.array([0.0, 0.1, 2.0])


def log_of_rows(
    chosen: list[int],
    reward: list[float],
    probabilities: np.ndarray = BEHAVIOUR,
    customer: list[int] | None = None,
    state: np.ndarray | None = None,
) -> LoggedDecisions:
    log = experiment_log(
        NAMES,
        np.array(chosen, dtype=np.int64),
        np.asarray(probabilities, dtype=np.float64),
        np.array(reward, dtype=np.float64),
        None if customer is None else np.array(customer, dtype=np.int64),
    )
    return log if state is None else replace(log, state=state)


def all_logs() -> Iterator[tuple[float, LoggedDecisions]]:
    """Every log that the tiny world can bring, with its probability."""
    cells = [(action, outcome) for action in range(3) for outcome in range(2)]
    for pair in itertools.product(cells, repeat=2):
        chance = 1.0
        for row, (action, outcome) in enumerate(pair):
            chance *= BEHAVIOUR[row, action] * CHANCES[row, action, outcome]
        if chance > 0:
            rewards = [REWARDS[row, action, one] for row, (action, one) in enumerate(pair)]
            yield chance, log_of_rows([action for action, _ in pair], rewards)


def truth(target: np.ndarray = TARGET) -> float:
    expected = np.sum(REWARDS * CHANCES, axis=2)
    return float(np.mean(np.sum(target * (expected - COST), axis=1)))


def mean_over_all_logs(estimate: Callable[[LoggedDecisions], float]) -> float:
    return sum(chance * estimate(log) for chance, log in all_logs())


WRONG_MODEL = np.array([[10.0, -7.0, 3.0], [0.0, 2.0, 50.0]])


def test_the_probabilities_of_all_logs_sum_to_one() -> None:
    assert sum(chance for chance, _ in all_logs()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("estimator", [inverse_propensity, doubly_robust])
def test_ips_and_dr_are_exact_on_average_whatever_the_model(estimator) -> None:
    worth = Worth(WRONG_MODEL, COST)
    found = mean_over_all_logs(lambda log: estimator(log, TARGET, worth).value)
    assert found == pytest.approx(truth(), abs=1e-12)


def test_dr_with_a_model_fitted_on_other_customers_is_exact_on_average() -> None:
    """The model changes with the log; because it never saw the row it corrects, nothing tilts."""

    def estimate(log: LoggedDecisions) -> float:
        rng = np.random.default_rng(3)
        assert len(set(np.random.default_rng(3).integers(5, size=2))) == 2  # two folds
        return doubly_robust(log, TARGET, Worth(cross_fitted(log, rng), COST)).value

    assert mean_over_all_logs(estimate) == pytest.approx(truth(), abs=1e-12)


def test_a_model_fitted_on_the_same_rows_does_tilt_the_estimate() -> None:
    """The test above can fail: without other customers' rows the mean is another."""

    def estimate(log: LoggedDecisions) -> float:
        told = np.full((2, 3), 0.0)
        told[np.arange(2), log.chosen] = log.reward
        return doubly_robust(log, TARGET, Worth(told, COST)).value

    assert abs(mean_over_all_logs(estimate) - truth()) > 0.1


def test_the_difference_of_two_policies_is_exact_on_average() -> None:
    worth = Worth(WRONG_MODEL, COST)
    found = mean_over_all_logs(lambda log: difference(log, TARGET, BEHAVIOUR, worth).value)
    assert found == pytest.approx(truth() - truth(BEHAVIOUR), abs=1e-12)


def test_formulas_by_hand() -> None:
    log = log_of_rows([1, 0], [9.0, 5.0])
    worth = Worth(WRONG_MODEL, COST)
    w = np.array([0.7 / 0.3, 0.25 / 0.6])
    spent = (0.7 * 0.1 + 0.2 * 2.0 + 0.75 * 0.1) / 2
    predicted = [0.1 * 10 - 0.7 * 7 + 0.2 * 3, 0.25 * 0 + 0.75 * 2]
    np.testing.assert_allclose(weights(log, TARGET), w)
    assert inverse_propensity(log, TARGET, worth).value == pytest.approx(
        (w[0] * 9 + w[1] * 5) / 2 - spent
    )
    assert self_normalised(log, TARGET, worth).value == pytest.approx(
        (w[0] * 9 + w[1] * 5) / w.sum() - spent
    )
    assert doubly_robust(log, TARGET, worth).value == pytest.approx(
        (sum(predicted) + w[0] * (9 + 7) + w[1] * (5 - 0)) / 2 - spent
    )


def test_the_same_policy_is_worth_the_mean_reward_and_no_more() -> None:
    log = log_of_rows([1, 0], [9.0, 5.0])
    worth = Worth(np.zeros((2, 3)), np.zeros(3))
    for estimator in (inverse_propensity, self_normalised, doubly_robust):
        assert estimator(log, BEHAVIOUR, worth).value == pytest.approx(7.0)
    found = overlap(log, BEHAVIOUR)
    assert found == Overlap(2, 2.0, 0.5, 1.0)


# ---- errors and intervals --------------------------------------------------------------------


def test_without_repeats_the_error_is_that_of_a_mean() -> None:
    values = np.random.default_rng(1).normal(size=50)
    found = clustered_mean(values, np.arange(50))
    assert found.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(50))
    low, high = found.interval()
    # Student's t with 49 degrees of freedom: 2.0096 in every table.
    assert (high - low) / 2 == pytest.approx(2.0096 * found.standard_error, rel=1e-4)


def test_rows_said_twice_by_a_customer_are_not_twice_the_evidence() -> None:
    values = np.random.default_rng(1).normal(size=50)
    once = clustered_mean(values, np.arange(50))
    twice = clustered_mean(np.repeat(values, 2), np.repeat(np.arange(50), 2))
    assert twice.standard_error == pytest.approx(once.standard_error)
    assert (twice.rows, twice.customers) == (100, 50)


def test_the_error_is_that_of_a_bootstrap_over_customers() -> None:
    rng = np.random.default_rng(2)
    sizes = rng.integers(1, 6, 300)
    customer = np.repeat(np.arange(300), sizes)
    values = np.repeat(rng.normal(size=300), sizes) + rng.exponential(size=len(customer))
    sums, rows = np.bincount(customer, weights=values), np.bincount(customer)
    drawn = rng.integers(300, size=(4000, 300))
    means = sums[drawn].sum(axis=1) / rows[drawn].sum(axis=1)
    found = clustered_mean(values, customer)
    assert found.standard_error == pytest.approx(means.std(), rel=0.05)


def test_the_error_of_snips_is_that_of_a_bootstrap() -> None:
    rng = np.random.default_rng(4)
    n = 400
    chosen = rng.integers(0, 2, n)
    reward = rng.normal(3.0, 1.0, n) + chosen
    behaviour = np.tile([0.5, 0.5, 0.0], (n, 1))
    log = log_of_rows(chosen.tolist(), reward.tolist(), behaviour)
    target = np.tile([0.2, 0.8, 0.0], (n, 1))
    worth = Worth(np.zeros((n, 3)), np.zeros(3))
    w = weights(log, target)
    drawn = rng.integers(n, size=(4000, n))
    ratios = (w * reward)[drawn].sum(axis=1) / w[drawn].sum(axis=1)
    found = self_normalised(log, target, worth)
    assert found.standard_error == pytest.approx(ratios.std(), rel=0.05)


def test_a_policy_by_all_three_and_the_gaps_between_them() -> None:
    log = log_of_rows([1, 0], [9.0, 5.0])
    worth = Worth(WRONG_MODEL, COST)
    found = valued(log, TARGET, worth)
    assert found.robust == doubly_robust(log, TARGET, worth)
    assert found.inverse == inverse_propensity(log, TARGET, worth)
    assert found.normalised == self_normalised(log, TARGET, worth)
    for name, other in (("IPS", found.inverse), ("SNIPS", found.normalised)):
        assert other is not None
        assert found.gaps[name].value == pytest.approx(other.value - found.robust.value)
    # Row by row, IPS less DR is what the model says of the choice less what of the policy.
    w = np.array([0.7 / 0.3, 0.25 / 0.6])
    rows = w * [-7.0, 0.0] - [0.1 * 10 - 0.7 * 7 + 0.2 * 3, 0.75 * 2]
    by_hand = clustered_mean(rows, log.customer)
    assert found.gaps["IPS"].value == pytest.approx(by_hand.value)
    assert found.gaps["IPS"].standard_error == pytest.approx(by_hand.standard_error)
    assert not found.disagreements()  # two customers allow any difference


@pytest.mark.parametrize("really", [0.3, 0.5, 0.7])
def test_probabilities_that_were_written_down_wrong_are_told_on_either_side(really: float) -> None:
    """Half is on record; where mails went to more or to fewer, IPS is that much above or below."""
    chosen = (np.random.default_rng(6).random(2_000) < really).astype(np.int64)
    half = np.tile([0.5, 0.5, 0.0], (2_000, 1))
    log = log_of_rows(chosen.tolist(), [1.0] * 2_000, half)
    always = np.tile([0.0, 1.0, 0.0], (2_000, 1))
    found = valued(log, always, Worth(np.ones((2_000, 3)), np.zeros(3)))
    assert found.robust.value == pytest.approx(1.0)  # the model is right, so DR is
    assert found.inverse.value == pytest.approx(really / 0.5, abs=0.05)
    assert set(found.disagreements()) == ({"IPS"} if really != 0.5 else set())


def test_rounding_is_no_disagreement() -> None:
    """Where the policy is the one that chose, all three are the mean reward to the last digit."""
    chosen = np.random.default_rng(5).integers(0, 2, 300)
    sure = np.eye(3)[chosen]
    log = log_of_rows(chosen.tolist(), (chosen / 3 + 0.1).tolist(), sure)
    model = Worth(np.full((300, 3), 0.1) + chosen[:, np.newaxis] / 7, np.zeros(3))
    found = valued(log, sure, model)
    assert found.robust.value == pytest.approx(found.inverse.value)
    assert found.disagreements() == {}


def test_a_policy_that_would_have_chosen_nothing_of_it_has_no_snips() -> None:
    log = log_of_rows([0, 0], [9.0, 5.0])
    target = np.array([[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]])
    worth = Worth(WRONG_MODEL, COST)
    words = "none of 2 logged choices has any probability under the policy"
    with pytest.raises(NothingInCommon, match=words):
        self_normalised(log, target, worth)
    found = valued(log, target, worth)
    assert found.normalised is None
    assert list(found.gaps) == ["IPS"]


def test_one_customer_gives_no_interval() -> None:
    with pytest.raises(TooFewCustomers, match=re.escape("1 customer; an interval needs at least")):
        clustered_mean(np.ones(3), np.zeros(3, dtype=np.int64))


# ---- what the log cannot speak of ------------------------------------------------------------


def test_poor_overlap_is_said_in_words() -> None:
    few = Overlap(8_000, 120.4, 0.01, 1.0).refusals()
    assert few == (
        "effective sample size 120 of 8,000 decisions; at least 500 are needed; "
        "wait for more decisions, or raise uniform_share",
    )
    one = Overlap(8_000, 900, 0.0713, 1.0).refusals()
    assert one == (
        "one decision carries 7.1 % of the weight; at most 5 % may; "
        "raise epsilon or uniform_share and wait",
    )
    assert Overlap(8_000, 500, 0.05, 1.0).refusals() == ()


def test_effective_sample_size_by_hand() -> None:
    log = log_of_rows([1, 0], [0.0, 0.0])
    w = np.array([0.7 / 0.3, 0.25 / 0.6])
    found = overlap(log, TARGET)
    assert found.effective == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert found.largest_share == pytest.approx(w[0] / w.sum())
    assert found.mean_weight == pytest.approx(w.mean())


def test_what_could_not_have_been_chosen_is_counted() -> None:
    log = log_of_rows([1, 0], [0.0, 0.0])
    target = np.array([[0.0, 1.0, 0.0], [0.0, 0.4, 0.6]])
    assert newly_untried(log, target, BEHAVIOUR) == pytest.approx(0.3)
    assert newly_untried(log, target, target) == 0.0  # nothing moves
    assert newly_untried(log, BEHAVIOUR, target) == 0.0  # moves away from it


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (np.ones((2, 2)) / 2, "probabilities of shape (2, 2); must be (2, 3)"),
        (np.array([[0.5, 0.4, 0.0], [1, 0, 0]]), "rows summing to 0.9 .. 1"),
        (np.array([[1.5, -0.5, 0.0], [1, 0, 0]]), "probabilities from -0.5"),
    ],
)
def test_a_target_that_is_no_distribution_is_refused(target, words) -> None:
    with pytest.raises(UnusableTarget, match=re.escape(words)):
        weights(log_of_rows([1, 0], [0.0, 0.0]), target)


# ---- the best single communication -----------------------------------------------------------


def test_one_communication_goes_only_where_it_was_allowed() -> None:
    log = log_of_rows([1, 0], [0.0, 0.0])
    assert to_one(log, 2).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert to_one(log, 0).tolist() == [[1, 0, 0], [1, 0, 0]]


def test_the_best_single_communication_is_read_from_other_customers() -> None:
    """Each half is told by the other: what shines in one half alone is chosen for the other."""
    n = 400
    rng = np.random.default_rng(7)
    half = np.random.default_rng(9).integers(2, size=n)  # as `best_single` will halve them
    chosen = rng.integers(0, 3, n)
    reward = np.where(half == 0, chosen == 1, chosen == 2).astype(float)
    log = log_of_rows(chosen.tolist(), reward.tolist(), np.full((n, 3), 1 / 3))
    worth = Worth(np.zeros((n, 3)), np.zeros(3))
    target = best_single(log, worth, np.random.default_rng(9))
    assert (target[half == 0].argmax(axis=1) == 2).all()
    assert (target[half == 1].argmax(axis=1) == 1).all()


def test_costs_count_when_the_best_single_one_is_chosen() -> None:
    n = 400
    chosen = np.random.default_rng(7).integers(0, 3, n)
    reward = np.array([0.0, 1.0, 2.0])[chosen]
    log = log_of_rows(chosen.tolist(), reward.tolist(), np.full((n, 3), 1 / 3))
    expected = np.tile([0.0, 1.0, 2.0], (n, 1))
    rng = np.random.default_rng(1)
    free = best_single(log, Worth(expected, np.zeros(3)), rng)
    dear = best_single(log, Worth(expected, np.array([0.0, 0.0, 1.5])), rng)
    assert set(free.argmax(axis=1)) == {2}
    assert set(dear.argmax(axis=1)) == {1}


# ---- the outcome model -----------------------------------------------------------------------


def test_the_outcome_model_finds_lines_from_other_customers() -> None:
    rng = np.random.default_rng(5)
    n = 6000
    state = rng.normal(size=(n, 2)) * np.array([1.0, 100.0])
    chosen = rng.integers(0, 3, n)
    expected = np.column_stack([state[:, 0], state[:, 0] + 2.0, state[:, 0] + state[:, 1] / 100])
    reward = expected[np.arange(n), chosen] + rng.normal(size=n)
    log = log_of_rows(chosen.tolist(), reward.tolist(), np.full((n, 3), 1 / 3), state=state)
    found = cross_fitted(log, rng)
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.15


def test_a_customers_own_rewards_do_not_reach_their_prediction() -> None:
    rng = np.random.default_rng(5)
    n = 60
    customer = np.repeat(np.arange(20), 3)
    log = log_of_rows(
        rng.integers(0, 3, n).tolist(),
        rng.normal(size=n).tolist(),
        np.full((n, 3), 1 / 3),
        customer.tolist(),
        rng.normal(size=(n, 1)),
    )
    before = cross_fitted(log, np.random.default_rng(1))
    shouted = replace(log, reward=np.where(customer == 4, 1e6, log.reward))
    after = cross_fitted(shouted, np.random.default_rng(1))
    np.testing.assert_array_equal(before[customer == 4], after[customer == 4])
    assert np.abs(before - after).max() > 1
