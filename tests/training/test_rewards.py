"""What a decision brought: by hand, to the microsecond, and never a zero for "not yet"."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.signals import DAY, SignalLog
from serving import policy
from serving.policy import Policy, load_policy
from training.rewards import opt_outs_after, rewards_after

ORDER, REFUND = "Order Completed", "Order Refunded"
START = 100 * DAY
END = 200 * DAY


@pytest.fixture(scope="module")
def rules() -> Policy:
    """28 days, a margin of .3, 5.00 for an opt-out."""
    return load_policy(policy.SHIPPED)


def reward(log: SignalLog, rules: Policy, at: int = START, end: int = END) -> float:
    zero = np.zeros(1, dtype=np.int64)
    return float(rewards_after(log, zero, np.array([at]), rules, end)[0])


def with_discounts(log: SignalLog, discounts: dict[int, int]) -> SignalLog:
    value = log.columns.value.copy()
    for row, cents in discounts.items():
        value[row] = cents
    return replace(log, columns=replace(log.columns, value=value))


def test_margin_of_orders_less_refunds_and_discounts(log_of, rules) -> None:
    log = log_of(
        {
            "c": [
                (ORDER, START + DAY, START + DAY, 10_000),
                (ORDER, START + 2 * DAY, START + 2 * DAY, 5_000),
                (REFUND, START + 3 * DAY, START + 3 * DAY, 2_000),
            ]
        }
    )
    log = with_discounts(log, {1: 1_000})
    assert reward(log, rules) == pytest.approx(0.3 * (100 + 50 - 20) - 10)


@pytest.mark.parametrize(
    ("after", "counts"),
    [(-1, False), (0, True), (28 * DAY - 1, True), (28 * DAY, False)],
)
def test_the_horizon_holds_its_start_and_not_its_end(log_of, rules, after, counts) -> None:
    log = log_of({"c": [(ORDER, START + after, START + after, 10_000)]})
    assert reward(log, rules) == (30.0 if counts else 0.0)


@pytest.mark.parametrize(
    "event", ["Unsubscribed", "Consent Withdrawn", "Objection Raised", "Email Marked as Spam"]
)
def test_goodbyes_cost_once_however_many(log_of, rules, event) -> None:
    log = log_of({"c": [(event, START + DAY), (event, START + 2 * DAY)]})
    assert reward(log, rules) == -rules.opt_out_cost
    said = opt_outs_after(log, np.zeros(1, dtype=np.int64), np.array([START]), 28, END)
    assert said.tolist() == [1.0]


def test_other_outcomes_count_by_what_the_policy_says_they_are_worth(log_of, rules) -> None:
    valued = replace(rules, outcome_values={"Referral Made": 4.0, "Survey Answered": 0.5})
    log = log_of(
        {
            "c": [
                ("Referral Made", START + DAY),
                ("Referral Made", START + 2 * DAY),
                ("Survey Answered/nps", START + 3 * DAY),
                ("Referral Made", START + 28 * DAY),
            ]
        }
    )
    assert reward(log, valued) == 2 * 4.0 + 0.5
    assert reward(log, rules) == 0.0


def test_a_horizon_that_is_not_over_is_not_known(log_of, rules) -> None:
    log = log_of({"c": [(ORDER, START + DAY, START + DAY, 10_000)]})
    assert np.isnan(reward(log, rules, end=START + 28 * DAY - 1))
    assert reward(log, rules, end=START + 28 * DAY) == 30.0
    zero = np.zeros(1, dtype=np.int64)
    assert np.isnan(opt_outs_after(log, zero, np.array([START]), 28, START + 28 * DAY - 1)[0])


def test_what_arrives_at_the_end_or_later_does_not_exist(log_of, rules) -> None:
    late = log_of({"c": [(ORDER, START + DAY, END, 10_000)]})
    assert reward(late, rules) == 0.0
    assert reward(late, rules, end=END + 1) == 30.0


def test_each_customer_has_their_own_signals(log_of, rules) -> None:
    log = log_of(
        {
            "a": [(ORDER, START + DAY, START + DAY, 1_000)],
            "b": [],
            "c": [(ORDER, START + DAY, START + DAY, 3_000), ("Unsubscribed", START + DAY)],
        }
    )
    who = np.array([2, 0, 1, 0])
    at = np.array([START, START, START, START + 2 * DAY])
    found = rewards_after(log, who, at, rules, END)
    assert found.tolist() == pytest.approx([9.0 - 5.0, 3.0, 0.0, 0.0])


@given(
    facts=st.lists(
        st.tuples(st.integers(0, 2), st.integers(60, 180), st.integers(0, 30), st.integers(1, 99)),
        max_size=25,
    ),
    asked=st.lists(st.tuples(st.integers(0, 2), st.integers(60, 180)), min_size=1, max_size=8),
)
def test_sums_equal_those_of_a_plain_loop(log_maker_of_orders, rules, facts, asked) -> None:
    log = log_maker_of_orders(facts)
    who = np.array([owner for owner, _ in asked])
    at = np.array([day * DAY for _, day in asked])
    found = rewards_after(log, who, at, rules, END)
    for row, (owner, day) in enumerate(asked):
        if day + 28 > 200:
            assert np.isnan(found[row])
            continue
        expected = sum(
            0.3 * cents / 100
            for person, on, delay, cents in facts
            if person == owner and day <= on < day + 28 and on + delay < 200
        )
        assert found[row] == pytest.approx(expected)


@pytest.fixture(scope="session")
def log_maker_of_orders(log_of) -> Callable[[list[tuple[int, int, int, int]]], SignalLog]:
    """Orders as (person, day, days until it arrives, cents)."""

    def make(facts: list[tuple[int, int, int, int]]) -> SignalLog:
        people: dict[str, list[tuple[str, int, int, int]]] = {"0": [], "1": [], "2": []}
        for person, on, delay, cents in facts:
            people[str(person)].append((ORDER, on * DAY, (on + delay) * DAY, cents))
        return log_of(people)

    return make
