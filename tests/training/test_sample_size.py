"""Sample sizes against textbooks and against simulated trials."""

import re
from dataclasses import replace
from math import ceil

import numpy as np
import pytest

from training.sample_size import Plan, UnusablePlan, days_needed


def test_half_a_standard_deviation_needs_63_in_each_group() -> None:
    """Cohen (1988), table 2.4.1: 64 by the t distribution; 62.8 by the normal one."""
    assert Plan(difference=0.5, spread=1.0, share=0.5).customers() == 126
    assert ceil(126 / 2) == 63


@pytest.mark.parametrize(
    ("power", "per_group"),
    # (z_.975 + z_power)^2 * 2 / .2^2, from any table of the normal distribution.
    [(0.80, 392.4), (0.90, 525.4), (0.95, 649.7)],
)
def test_a_small_effect_by_power(power, per_group) -> None:
    found = Plan(difference=0.2, spread=1.0, share=0.5, power=power).customers()
    assert found / 2 == pytest.approx(per_group, abs=0.5)


def test_the_planned_trial_finds_its_difference_as_often_as_it_says() -> None:
    plan = Plan(difference=1.0, spread=4.0, share=0.1)
    total = plan.customers()
    small = round(total * plan.share)
    rng = np.random.default_rng(1)
    # Means of normal samples are normal: draw them at once.
    gaps = rng.normal(1.0, 4.0 * np.sqrt(1 / small + 1 / (total - small)), 20_000)
    found = np.abs(gaps) > 1.959964 * 4.0 * np.sqrt(1 / small + 1 / (total - small))
    assert found.mean() == pytest.approx(0.8, abs=0.01)


def test_days_fall_with_customers_and_rise_with_noise() -> None:
    plan = Plan(difference=1.0, spread=4.0, share=0.05)
    needed = plan.customers()
    assert days_needed(plan, needed, 28) == 28
    assert days_needed(plan, needed // 2, 28) in (56, 57)
    twice = replace(plan, spread=8.0)
    assert days_needed(twice, needed, 28) == pytest.approx(4 * 28, abs=1)


def test_days_are_those_of_what_accumulates_day_by_day() -> None:
    """Daily gains of mean d and variance s^2: after t days the test statistic grows as root t."""
    d, s, people, share = 0.05, 2.0, 4_000, 0.1
    after_28 = Plan(difference=28 * d, spread=np.sqrt(28) * s, share=share)
    days = days_needed(after_28, people, 28)
    at_that_day = Plan(difference=days * d, spread=np.sqrt(days) * s, share=share)
    assert at_that_day.customers() <= people
    day_before = Plan(difference=(days - 1) * d, spread=np.sqrt(days - 1) * s, share=share)
    assert day_before.customers() > people


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"difference": 0.0}, "difference 0; must be above 0"),
        ({"spread": -1.0}, "spread -1; must be above 0"),
        ({"share": 1.0}, "share 1; must be above 0 and below 1"),
        ({"power": 1.2}, "power 1.2; must be above 0 and below 1"),
        ({"power": 0.01}, "power 0.01; must be above alpha 0.05, which chance alone reaches"),
        ({"difference": float("nan")}, "difference nan; must be above 0"),
        ({"difference": float("inf")}, "difference inf; must be above 0 and below inf"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change, words) -> None:
    with pytest.raises(UnusablePlan, match=re.escape(words)):
        replace(Plan(1.0, 1.0, 0.5), **change)


@pytest.mark.parametrize(
    ("difference", "spread", "share"),
    [(1e-300, 1.0, 0.5), (-1e-200, 1e10, 0.1), (1.0, 1e200, 0.1), (1.0, 1.0, 1e-320)],
)
def test_a_plan_that_no_company_has_customers_for_is_refused(difference, spread, share) -> None:
    with pytest.raises(UnusablePlan, match=r"more than 1e\+12 customers would be needed; look for"):
        Plan(difference, spread, share).customers()


def test_a_difference_that_shows_at_once_still_needs_somebody_in_each_group() -> None:
    assert Plan(1e300, 1.0, 0.5).customers() == 2


def test_nobody_can_be_judged_by_nobody() -> None:
    with pytest.raises(UnusablePlan, match="0 customers; there must be some"):
        days_needed(Plan(1.0, 1.0, 0.5), 0, 28)
