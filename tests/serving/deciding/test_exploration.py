import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare

from features.signals import DAY
from models.expectation import Expectation, Score
from serving.arbitration import SILENCE
from serving.exploration import (
    Arm,
    InvalidDraw,
    arm_of,
    choose,
    epsilon_for,
    selection_probabilities,
)
from serving.policy import Policy
from serving.records import ARMS, Candidate

POLICY_ARM, UNIFORM_ARM, HOLDOUT_ARM = (Arm(name, 0.1) for name in ("policy", "uniform", "holdout"))


def mail(name: str, net: float, message_class: str = "marketing") -> Candidate:
    return replace(
        SILENCE, communication=name, message_class=message_class, expected_net=net, channel="email"
    )


RANKED = (mail("offer", 3.0), mail("help", 1.0), SILENCE, mail("news", -1.0))


def test_vector_of_each_arm() -> None:
    assert selection_probabilities(RANKED, POLICY_ARM, 0.1) == pytest.approx(
        {"offer": 0.925, "help": 0.025, "no_contact": 0.025, "news": 0.025}
    )
    assert selection_probabilities(RANKED, UNIFORM_ARM, 0.1) == dict.fromkeys(
        ("offer", "help", "no_contact", "news"), 0.25
    )
    assert selection_probabilities(RANKED, HOLDOUT_ARM, 0.1) == {
        "offer": 0.0,
        "help": 0.0,
        "no_contact": 1.0,
        "news": 0.0,
    }


@pytest.mark.parametrize("arm", [POLICY_ARM, UNIFORM_ARM, HOLDOUT_ARM])
@pytest.mark.parametrize("message_class", ["service", "transactional", "crisis"])
def test_what_is_owed_is_certain_in_every_arm(arm: Arm, message_class: str) -> None:
    owed = mail("apology", 1.0, message_class)
    probabilities = selection_probabilities((owed, *RANKED), arm, 0.5)
    assert probabilities["apology"] == 1.0
    assert sum(probabilities.values()) == 1.0


@given(
    count=st.integers(0, 40),
    arm=st.sampled_from([POLICY_ARM, UNIFORM_ARM, HOLDOUT_ARM]),
    epsilon=st.floats(0, 1),
    uniform=st.floats(0, 1, exclude_max=True),
)
def test_probabilities_sum_to_one_and_only_the_possible_is_chosen(
    count: int, arm: Arm, epsilon: float, uniform: float
) -> None:
    ranked = (*(mail(f"m{i}", 1.0 - i) for i in range(count)), SILENCE)
    probabilities = selection_probabilities(ranked, arm, epsilon)
    assert sum(probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    assert set(probabilities) == {each.communication for each in ranked}
    assert probabilities[choose(probabilities, uniform)] > 0


def test_choice_lies_on_stretches_in_order_of_name() -> None:
    probabilities = {"c": 0.5, "a": 0.2, "b": 0.3, "d": 0.0}
    drawn = [choose(probabilities, u) for u in (0.0, 0.199, 0.2, 0.499, 0.5, 0.999)]
    assert drawn == ["a", "a", "b", "b", "c", "c"]


def test_rounding_below_one_still_chooses() -> None:
    tenths = dict.fromkeys("abcdefghij", 0.1)
    assert sum(sorted(tenths.values())) < 1
    assert choose(tenths, float(np.nextafter(1.0, 0.0))) == "j"


@pytest.mark.parametrize("uniform", [1.0, -0.1, float("nan")])
def test_a_number_that_is_no_draw_is_refused(uniform: float) -> None:
    with pytest.raises(InvalidDraw, match="must be at least 0 and below 1"):
        choose({"no_contact": 1.0}, uniform)


def test_replays_match_the_probabilities() -> None:
    probabilities = selection_probabilities(RANKED, POLICY_ARM, 0.4)
    draws = np.random.default_rng(7).random(20_000)
    counted = Counter(choose(probabilities, float(u)) for u in draws)
    names = sorted(probabilities)
    expected = [20_000 * probabilities[name] for name in names]
    assert chisquare([counted[name] for name in names], expected).pvalue > 0.001


def test_importance_weights_average_to_one() -> None:
    """What the uniform policy would have done, from draws of the epsilon mixture."""
    probabilities = selection_probabilities(RANKED, POLICY_ARM, 0.4)
    draws = np.random.default_rng(8).random(20_000)
    weights = np.array([0.25 / probabilities[choose(probabilities, float(u))] for u in draws])
    error = float(weights.std()) / len(weights) ** 0.5
    assert abs(float(weights.mean()) - 1) < 4 * error


def test_arms_take_their_shares(shop_policy: Policy, noon: int) -> None:
    policy = replace(shop_policy, holdout_share=0.1, uniform_share=0.2)
    arms = [arm_of(f"C-{number}", policy, noon) for number in range(20_000)]
    counted = Counter(arm.name for arm in arms)
    for name, share in zip(ARMS, (0.1, 0.2, 0.7), strict=True):
        assert binomtest(counted[name], 20_000, share).pvalue > 0.001
        assert {round(arm.share, 12) for arm in arms if arm.name == name} == {share}


def test_holdout_is_the_salted_hash_and_for_good(shop_policy: Policy, noon: int) -> None:
    for number in range(300):
        customer_id = f"C-{number}"
        digest = hashlib.sha256(f"nextbest-1\nholdout\n{customer_id}".encode()).hexdigest()
        held_out = int(digest[:16], 16) < shop_policy.holdout_share * 2**64
        for years in (0, 1, 5):
            arm = arm_of(customer_id, shop_policy, noon + years * 365 * DAY)
            assert (arm.name == "holdout") == held_out


def test_uniform_arm_lasts_one_horizon_and_is_drawn_anew(shop_policy: Policy, noon: int) -> None:
    policy = replace(shop_policy, uniform_share=0.5)
    ids = [f"C-{number}" for number in range(200)]
    start = noon - noon % (28 * DAY)
    first = [arm_of(each, policy, start).name for each in ids]
    assert [arm_of(each, policy, start + 28 * DAY - 1).name for each in ids] == first
    assert [arm_of(each, policy, start + 28 * DAY).name for each in ids] != first
    assert [arm_of(each, replace(policy, salt="other"), start).name for each in ids] != first


@pytest.mark.parametrize(
    ("margin", "average", "epsilon"),
    [
        (7.0, 14.0, 0.10),
        (14.0, 14.0, 0.10),
        (56.0, 14.0, 0.025),
        (None, 14.0, 0.10),
        (5.0, 0.0, 0.0),
    ],
)
def test_epsilon_shrinks_with_the_customer_s_worth(
    shop_policy: Policy, margin: float | None, average: float, epsilon: float
) -> None:
    score = Score("expected_margin", margin, 28, average, "base_rate")
    told = Expectation({"expected_margin": score}, usual_margin=0.0)
    assert epsilon_for(told, shop_policy) == pytest.approx(epsilon)
    if margin is not None and margin > average:
        # Trying never risks more than it does with an average customer.
        assert epsilon_for(told, shop_policy) * margin <= shop_policy.epsilon * average + 1e-12


def test_epsilon_without_scores(shop_policy: Policy) -> None:
    assert epsilon_for(Expectation({}, usual_margin=0.0), shop_policy) == shop_policy.epsilon
