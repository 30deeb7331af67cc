"""Errors of learned effects are those of customers, not of rows."""

from dataclasses import replace

import numpy as np
import pytest

from training.effect_regression import Lottery, fit_effects


def lottery(n: int) -> Lottery:
    """A message to half of them that brings a fifth of the noise."""
    rng = np.random.default_rng(3)
    drawn = rng.integers(2, size=n)
    return Lottery(
        drawn=drawn,
        probabilities=np.full((n, 2), 0.5),
        terms=np.column_stack([np.ones(n), rng.normal(size=n)]),
        excess=rng.normal(size=n) + 0.2 * (drawn - 0.5),
        noise=np.ones(n),
        customer=np.arange(n),
    )


def test_a_customer_who_says_the_same_four_times_is_one() -> None:
    once = lottery(2_000)
    rows = np.repeat(np.arange(2_000), 4)
    same = Lottery(
        once.drawn[rows],
        once.probabilities[rows],
        once.terms[rows],
        once.excess[rows],
        once.noise[rows],
        once.customer[rows],
    )
    others = replace(same, customer=np.arange(8_000))
    one, four, many = (fit_effects(each, 1) for each in (once, same, others))
    errors = [np.sqrt(np.diag(each.covariance)) for each in (one, four, many)]
    assert errors[1] == pytest.approx(errors[0], rel=0.02)
    assert four.values == pytest.approx(one.values, abs=0.01)
    # Four different people with the same story would be four times the evidence.
    assert np.all(errors[2] < 0.7 * errors[0])
