"""The regression against closed forms, and its errors against the truth."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from training import effect_regression
from training.effect_regression import Lottery, fit_effects, odds_of_something

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
    assert found.differ > 0.99


def test_without_shrinking_it_is_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """With spreads so wide that they say nothing, the closed form of weighted least squares."""
    monkeypatch.setattr(effect_regression, "SPREADS", (1e4,))
    monkeypatch.setattr(effect_regression, "SIZES", (1e4,))
    monkeypatch.setattr(effect_regression, "NOTHING", 1e4)
    monkeypatch.setattr(effect_regression, "WILDEST", 1e4)
    lottery = lottery_of(np.random.default_rng(2), 400, np.array([[0.5, 0.3], [0.2, 0.1]]))
    lottery = replace(lottery, noise=np.linspace(0.5, 2.0, 400))
    got = (lottery.drawn[:, None] == [1, 2]) - lottery.probabilities[:, 1:]
    design = (got[:, :, None] * lottery.terms[:, None, :]).reshape(400, 4)
    expected = np.linalg.lstsq(
        design / np.sqrt(lottery.noise)[:, None],  # halfway between equal weights and the noise's
        lottery.excess / np.sqrt(lottery.noise),
        rcond=None,
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


def test_odds_are_the_closed_form_of_one_effect_of_one_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One message, one term: log N(z; 0, 1 + i s^2) - log N(z; 0, 1); i is the information."""
    monkeypatch.setattr(effect_regression, "SPREADS", (0.1,))
    monkeypatch.setattr(effect_regression, "EVEN", 1e9)
    lottery = lottery_of(np.random.default_rng(7), 3_000, np.array([[0.1, 0.0]]))
    apart = (lottery.drawn == 1) - lottery.probabilities[:, 1]
    inflation = np.mean((apart * lottery.excess) ** 2) / np.mean(apart**2)
    information = np.sum(apart**2) / inflation
    moment = np.sum(apart * lottery.excess) / inflation
    wide = information * 2 * (0.1 * np.sqrt(1.0)) ** 2  # what is shared, and what is its own
    expected = 0.5 * (moment**2 / information * wide / (1 + wide) - np.log1p(wide))
    assert odds_of_something(lottery, 1) == pytest.approx(expected, abs=1e-9)


def test_odds_tell_effects_from_none() -> None:
    """Ten messages to 20,000: some do a tenth of the noise, or none does anything."""
    rng = np.random.default_rng(8)
    some = rng.normal(0.0, 0.1, (10, 2)) * [1.0, 0.0]
    told = [odds_of_something(lottery_of(rng, 20_000, some), 1) for _ in range(5)]
    silent = [odds_of_something(lottery_of(rng, 20_000, 0 * some), 1) for _ in range(5)]
    assert min(told) > 5
    assert np.median(silent) < -1


def test_a_few_wild_rows_do_not_say_what_messages_do() -> None:
    lottery = lottery_of(np.random.default_rng(9), 5_000, np.array([[0.2, 0.0]]))
    sent = np.flatnonzero(lottery.drawn == 1)[:3]
    wild = lottery.excess.copy()
    wild[sent] = 5_000.0
    calm, shaken = fit_effects(lottery, 1), fit_effects(replace(lottery, excess=wild), 1)
    assert abs(shaken.values[0, 0] - calm.values[0, 0]) < 0.05
