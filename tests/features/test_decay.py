"""The table of weights against the formula it stands for."""

from fractions import Fraction
from itertools import pairwise

import pytest

from features.decay import FIRST_HALVING, HALF_LIVES, ONE, computed_weights, decayed_weights


@pytest.mark.parametrize("half_life", HALF_LIVES)
def test_the_committed_table_is_the_formula(half_life: int) -> None:
    assert FIRST_HALVING[half_life] == computed_weights(half_life)
    assert len(FIRST_HALVING[half_life]) == half_life


@pytest.mark.parametrize("half_life", HALF_LIVES)
def test_every_weight_is_two_to_the_minus_age_over_half_life(half_life: int) -> None:
    weights = decayed_weights(half_life)
    # (w / 2**30) ** h lies between the powers of the bounds: exact, without any root.
    for age, weight in enumerate(weights):
        low, high = Fraction(weight - 1, ONE), Fraction(weight * 2 + 3, 2 * ONE)
        true = Fraction(1, 2**age)
        assert max(low, Fraction(0)) ** half_life <= true <= high**half_life, age


@pytest.mark.parametrize("half_life", HALF_LIVES)
def test_weights_begin_at_one_fall_and_halve_to_nothing(half_life: int) -> None:
    weights = decayed_weights(half_life)
    assert weights[0] == ONE
    assert weights[half_life] == ONE // 2
    assert all(later <= earlier for earlier, later in pairwise(weights))
    assert weights[-1] in (0, 1)
    assert all(
        later == earlier // 2 for earlier, later in zip(weights, weights[half_life:], strict=False)
    )
