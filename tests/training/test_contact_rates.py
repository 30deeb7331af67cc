"""Rates of contact by group: by hand, against a bootstrap, and planted unfairness."""

from dataclasses import replace

import numpy as np
import pytest

from training.contact_rates import fairness_gate, group_rates, rate_ratio
from training.decision_log import LoggedDecisions, experiment_log


def log_of_customers(customer: np.ndarray) -> LoggedDecisions:
    n = len(customer)
    return experiment_log(
        ("no_contact",), np.zeros(n, dtype=np.int64), np.ones((n, 1)), np.zeros(n), customer
    )


def test_rates_and_ratio_by_hand() -> None:
    log = log_of_customers(np.arange(4))
    groups = np.array(["a", "a", "b", "b"])
    new, current = np.array([0.2, 0.4, 0.5, 0.7]), np.array([0.1, 0.1, 1.0, 0.0])
    a, b = group_rates(log, groups, new, current)
    assert (a.group, a.decisions, a.new, a.current) == ("a", 2, pytest.approx(0.3), 0.1)
    assert a.ratio == pytest.approx(0.5)
    assert b.ratio == pytest.approx(2.0)
    assert b.low * a.high == pytest.approx(1.0)  # on the logarithm both say the same


def test_the_interval_is_that_of_a_bootstrap_over_customers() -> None:
    rng = np.random.default_rng(1)
    customer = np.repeat(np.arange(400), 3)
    inside = (customer % 4) == 0
    contacts = np.clip(np.repeat(rng.beta(2, 3, 400), 3) + rng.normal(0, 0.05, 1200), 0, 1)
    ratio, low, high = rate_ratio(log_of_customers(customer), inside, contacts)
    sums = contacts.reshape(400, 3).sum(axis=1)
    member = np.arange(400) % 4 == 0
    drawn = rng.integers(400, size=(4000, 400))
    picked, mine = sums[drawn], member[drawn]
    ratios = (picked * mine).sum(1) / mine.sum(1) / ((picked * ~mine).sum(1) / (~mine).sum(1))
    width = np.log(high / low) / (2 * 1.966)
    assert width == pytest.approx(np.log(ratios).std(), rel=0.05)
    assert low < ratio < high


def test_planted_unfairness_is_seen_and_chance_is_not() -> None:
    rng = np.random.default_rng(2)
    log = log_of_customers(np.arange(2000))
    groups = np.where(rng.random(2000) < 0.2, "few", "many")
    even = rng.beta(2, 2, 2000)
    fair = tuple(group_rates(log, groups, even, even))
    assert fairness_gate(fair).passed
    assert fairness_gate(fair).says == (
        "no group is surely contacted less than 0.8 times as often as the others"
    )
    unfair = tuple(group_rates(log, groups, np.where(groups == "few", 0.5, 1.0) * even, even))
    found = fairness_gate(unfair)
    assert not found.passed
    assert found.says.startswith("surely contacted less than 0.8 times as often as the others: few")


def test_no_false_alarm_at_exactly_four_fifths() -> None:
    """At the border itself, at most one of twenty; here one-sided: one of forty."""
    rng = np.random.default_rng(3)
    alarms = 0
    log = log_of_customers(np.arange(300))
    groups = np.array(["few", "many"])[(np.arange(300) % 3 > 0).astype(int)]
    for _ in range(200):
        even = rng.beta(2, 2, 300)
        rates = tuple(group_rates(log, groups, np.where(groups == "few", 0.8, 1.0) * even, even))
        alarms += not fairness_gate(rates).passed
    assert alarms <= 12


def test_where_nothing_can_be_divided_nothing_is_said() -> None:
    log = log_of_customers(np.arange(4))
    everyone = np.ones(4, dtype=bool)
    half = np.array([True, True, False, False])
    assert rate_ratio(log, everyone, np.full(4, 0.5)) is None
    assert rate_ratio(log, half, np.array([0.5, 0.5, 0.0, 0.0])) is None
    alone = replace(log, customer=np.zeros(4, dtype=np.int64))
    assert rate_ratio(alone, half, np.full(4, 0.5)) is None
