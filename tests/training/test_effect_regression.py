"""The regression against closed forms, and its errors against the truth."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training import effect_regression
from training.effect_regression import Lottery, fit_effects

FloatArray = NDArray[np.float64]


def lottery_of(
    rng: np.random.Generator, n: int, effects: FloatArray, each: int = 1, noise: float = 1.0
) -> Lottery:
    """`n` draws among as many messages as `effects` has rows; `each` rows a customer.

    Terms are a constant and a coin; rows of one customer share half of their noise's variance.
    """
    k = len(effects)
    probabilities = np.tile([0.4, *[0.6 / k] * k], (n, 1))
    drawn = rng.choice(k + 1, n, p=probabilities[0])
    terms = np.column_stack([np.ones(n), rng.choice([-1.0, 1.0], n)])
    customer = np.arange(n) // each
    shared = rng.normal(size=n)[customer] * np.sqrt(0.5)
    own = rng.normal(size=n) * np.sqrt(0.5)
    padded = np.vstack([np.zeros(2), effects])
    signal = np.sum(terms * (padded[drawn] - probabilities @ padded), axis=1)
    excess = signal + noise * (shared + own)
    return Lottery(drawn, probabilities, terms, excess, np.full(n, noise), customer)


def test_with_much_data_the_truth_is_found() -> None:
    effects = np.array([[0.5, 0.3], [-0.4, 0.0], [0.1, -0.3]])
    lottery = lottery_of(np.random.default_rng(1), 60_000, effects)
    found = fit_effects(lottery, 1)
    assert np.abs(found.values - effects).max() < 0.04
    assert not found.nothing
    assert not found.alike


def test_without_shrinking_it_is_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """With spreads so wide that they say nothing, the closed form of weighted least squares."""
    monkeypatch.setattr(effect_regression, "SPREADS", (1e4,))
    monkeypatch.setattr(effect_regression, "DOUBT", (-1e9, -1e9))
    lottery = lottery_of(np.random.default_rng(2), 400, np.array([[0.5, 0.3], [0.2, 0.1]]))
    lottery = replace(lottery, noise=np.linspace(0.5, 2.0, 400))
    got = (lottery.drawn[:, None] == [1, 2]) - lottery.probabilities[:, 1:]
    design = (got[:, :, None] * lottery.terms[:, None, :]).reshape(400, 4)
    expected = np.linalg.lstsq(
        design / lottery.noise[:, None], lottery.excess / lottery.noise, rcond=None
    )[0]
    assert fit_effects(lottery, 1).values.ravel() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("differ", [0.0, 0.04, 0.3])
def test_errors_cover_the_truth_with_several_rows_a_customer(differ: float) -> None:
    """95 % intervals of all coefficients, rows of a customer sharing half their noise."""
    rng = np.random.default_rng(3)
    inside = []
    for _ in range(60):
        effects = rng.normal(0.0, [0.1, differ], (4, 2))
        found = fit_effects(lottery_of(rng, 2_000, effects, each=5), 1)
        errors = np.sqrt(np.diag(found.covariance)).reshape(4, 2)
        inside.append(np.abs(found.values - effects) < 1.96 * errors)
    share = np.mean(inside, axis=(0, 1))
    assert share[0] > 0.9
    assert share[1] > 0.9


def test_errors_shrink_with_evidence() -> None:
    effects = np.array([[0.3, 0.0]])
    small, large = (
        fit_effects(lottery_of(np.random.default_rng(5), n, effects), 1) for n in (500, 50_000)
    )
    ratio = np.sqrt(small.covariance[0, 0] / large.covariance[0, 0])
    assert 5 < ratio < 12  # about the root of a hundred


def test_the_same_lottery_gives_the_same_bytes() -> None:
    lottery = lottery_of(np.random.default_rng(6), 800, np.array([[0.2, 0.1], [0.0, 0.0]]))
    one, two = fit_effects(lottery, 1), fit_effects(lottery, 1)
    assert one.values.tobytes() == two.values.tobytes()
    assert one.covariance.tobytes() == two.covariance.tobytes()
