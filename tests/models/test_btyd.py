"""Oracles: published figures, scipy, integration over the two rates, and drawn lives."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import hyp2f1
from scipy.stats import gamma

from models.btyd import ORDER_FACTS, BgNbd, Btyd, ParetoNbd, Purchases, purchases_of
from models.classifier import Classifier
from models.model import DamagedModel, WrongRows

FloatArray = NDArray[np.float64]
REST = (39.0, "absence", ORDER_FACTS, (2.0, 40.0, 15.0))
BG = BgNbd(0.243, 4.414, 0.793, 2.426, *REST)
PARETO = ParetoNbd(0.553, 10.578, 0.606, 11.669, *REST)
SEEN = Purchases(
    np.array([2.0, 0.0, 5.0, 40.0]),
    np.array([30.43, 0.0, 10.0, 38.0]),
    np.array([38.86, 38.86, 38.86, 38.86]),
)


def probability(model: Btyd, seen: Purchases, window: float) -> FloatArray:
    return np.asarray(1 / (1 + np.exp(-model.silence_log_odds(seen, window))))


def test_who_is_alive_by_hand() -> None:
    # Fader, Hardie and Lee (2005): the customer with x = 2, t_x = 30.43, T = 38.86.
    odds = 0.793 / (2.426 + 1) * ((4.414 + 38.86) / (4.414 + 30.43)) ** 2.243
    assert BG.alive(SEEN)[:2].tolist() == pytest.approx([1 / (1 + odds), 1.0])


def test_expected_purchases_are_those_of_the_paper() -> None:
    # "A customer with x = 2, t_x = 30.43 and T = 38.86: 1.226 purchases in 39 weeks."
    assert BG.expected(SEEN, 39.0)[0] == pytest.approx(1.226, abs=5e-4)
    x, _, watched = SEEN
    grown = watched + 4.414
    z = 39 / (grown + 39)
    inside = (grown / (grown + 39)) ** (0.243 + x)
    inside *= hyp2f1(0.243 + x, 2.426 + x, 0.793 + 2.426 + x - 1, z)
    expected = (0.793 + 2.426 + x - 1) / (0.793 - 1) * (1 - inside) * BG.alive(SEEN)
    np.testing.assert_allclose(BG.expected(SEEN, 39.0), expected, rtol=1e-9)


def test_a_chance_to_stop_of_a_equal_to_one_is_no_exception() -> None:
    near = [replace(BG, a=a).expected(SEEN, 39.0) for a in (1 - 1e-6, 1.0, 1 + 1e-6)]
    np.testing.assert_allclose(near[1], (near[0] + near[2]) / 2, rtol=1e-6)
    near = [replace(PARETO, s=s).expected(SEEN, 39.0) for s in (1 - 1e-6, 1.0, 1 + 1e-6)]
    np.testing.assert_allclose(near[1], (near[0] + near[2]) / 2, rtol=1e-6)


def rates(model: ParetoNbd, seen: Purchases) -> tuple[FloatArray, FloatArray, FloatArray]:
    """A fine grid over both rates, and the likelihood of one customer's purchases there."""
    levels = (np.arange(1200) + 0.5) / 1200
    x, last, watched = (float(each[0]) for each in seen)
    # Spread as it was known at the last purchase; what followed is the likelihood.
    buying = gamma.ppf(levels, model.r + x, scale=1 / (model.alpha + last))
    leaving = gamma.ppf(levels, model.s, scale=1 / (model.beta + last))
    lam, mu = np.meshgrid(buying, leaving, indexing="ij")
    stayed = np.exp(-(lam + mu) * (watched - last))
    return lam, mu, np.stack([stayed, mu / (lam + mu) * (1 - stayed)])


@pytest.mark.parametrize("place", [0, 1, 2])
def test_pareto_is_what_integrating_over_both_rates_gives(place: int) -> None:
    seen = Purchases(*(each[[place]] for each in SEEN))
    lam, mu, (stayed, left) = rates(PARETO, seen)
    whole = (stayed + left).sum()
    assert PARETO.alive(seen)[0] == pytest.approx(stayed.sum() / whole, rel=0.01)
    window = 13.0
    heard = lam / (lam + mu) * -np.expm1(-(lam + mu) * window)
    silent = 1 - (stayed * heard).sum() / whole
    assert probability(PARETO, seen, window)[0] == pytest.approx(silent, abs=3e-3)
    number = lam / mu * -np.expm1(-mu * window)
    assert PARETO.expected(seen, window)[0] == pytest.approx(
        (stayed * number).sum() / whole, rel=0.01
    )


def test_pareto_is_alive_as_the_published_formula_says() -> None:
    # Fader and Hardie (2005), "A note on deriving the Pareto/NBD model", for alpha <= beta.
    r, alpha, s, beta = 0.553, 10.578, 0.606, 11.669
    x, last, watched = SEEN
    k = r + s + x

    def tail(t: FloatArray) -> FloatArray:
        z = (beta - alpha) / (beta + t)
        return np.asarray(hyp2f1(k, r + x, k + 1, z) / (beta + t) ** k)

    gone = s / k * (tail(last) - tail(watched))
    stayed = (alpha + watched) ** -(r + x) * (beta + watched) ** -s
    np.testing.assert_allclose(PARETO.alive(SEEN), stayed / (stayed + gone), rtol=1e-9)


def lives(rng: np.random.Generator, n: int, model: Btyd) -> tuple[Purchases, FloatArray]:
    """Lives drawn as the model has it, and each one's purchases in the window after."""
    rate = rng.gamma(model.r, 1 / model.alpha, n)
    watched = rng.uniform(10, 60, n)
    if isinstance(model, BgNbd):
        stop, ends = rng.beta(model.a, model.b, n), np.full(n, np.inf)
    else:
        stop, ends = np.zeros(n), rng.exponential(1 / rng.gamma(model.s, 1 / model.beta, n))
    now, repeats, last, later = (np.zeros(n) for _ in range(4))
    alive = np.ones(n, dtype=bool)
    while alive.any():
        now = np.where(alive, now + rng.exponential(1 / rate), np.inf)
        alive &= (now < ends) & (now < watched + model.window_days)
        inside = alive & (now < watched)
        repeats[inside] += 1
        last[inside] = now[inside]
        later[alive & ~inside] += 1
        alive &= rng.random(n) >= stop
    return Purchases(repeats, last, watched), later


@pytest.mark.parametrize(
    "model",
    [
        BgNbd(0.8, 10.0, 1.0, 4.0, 20.0, *REST[1:]),
        ParetoNbd(0.9, 8.0, 0.7, 40.0, 20.0, *REST[1:]),
    ],
)
def test_silence_and_counts_are_as_frequent_as_said(model: Btyd) -> None:
    seen, later = lives(np.random.default_rng(1), 20_000, model)
    said, expected = probability(model, seen, 20.0), model.expected(seen, 20.0)
    for tenth in np.array_split(np.argsort(said), 10):
        spread = np.sqrt(said[tenth].mean() * (1 - said[tenth].mean()) / len(tenth))
        assert abs((later[tenth] == 0).mean() - said[tenth].mean()) < 4 * spread
        error = later[tenth].std() / np.sqrt(len(tenth))
        assert abs(later[tenth].mean() - expected[tenth].mean()) < 4 * error
    assert said.min() < 0.3 < 0.9 < said.max()


@pytest.mark.parametrize("model", [BG, PARETO])
def test_log_odds_keep_their_digits_at_both_ends(model: Btyd) -> None:
    seen = Purchases(np.array([300.0, 5.0]), np.array([364.0, 5.0]), np.array([365.0, 3000.0]))
    found = model.silence_log_odds(seen, 14.0)
    assert np.isfinite(found).all()
    assert found[0] < -3
    assert found[1] > 5
    tiny = model.silence_log_odds(seen, 1e-9)
    assert np.isfinite(tiny).all()
    assert (tiny > 15).all()


NAMES = ("spend_365d", *ORDER_FACTS)


def rows() -> FloatArray:
    rng = np.random.default_rng(2)
    first = rng.uniform(1, 400, 60)
    silent = first * rng.uniform(0, 1, 60)
    found = np.column_stack([np.ones(60), rng.integers(1, 30, 60), first, silent])
    found[:5, 1:] = np.nan
    found[5, 2] = 1.0  # the first order after the last one: cannot be, and must not break
    return found


@pytest.mark.parametrize("model", [BG, PARETO])
def test_contributions_are_shapley_values(model: Btyd) -> None:
    found = model.contributions(rows(), NAMES)
    direct = model.raw_log_odds(rows(), NAMES)
    np.testing.assert_allclose(direct, found.sum(axis=1), rtol=1e-10, atol=1e-12)
    reference = np.asarray(model.reference)
    assert found[:, 0].tolist() == [0.0] * 60
    assert found[:5, 1:-1].tolist() == [[0.0] * 3] * 5
    for row, parts in zip(rows()[5:15], found[5:15], strict=True):
        expected = np.zeros(3)
        for order in permutations(range(3)):
            known = reference.copy()
            for place in order:
                before = model.silence_log_odds(purchases_of(known[None]), 39.0)[0]
                known[place] = row[1 + place]
                after = model.silence_log_odds(purchases_of(known[None]), 39.0)[0]
                expected[place] += (after - before) / 6
        np.testing.assert_allclose(parts[1:4], expected, atol=1e-12)
    facts = purchases_of(rows()[6:, 1:])
    said = Classifier(model, NAMES).predict(rows())[6:]
    np.testing.assert_allclose(said, probability(model, facts, 39.0), rtol=1e-12)


@pytest.mark.parametrize("model", [BG, PARETO])
def test_a_purchase_is_the_opposite_of_silence(model: Btyd) -> None:
    other = replace(model, outcome="presence")
    silent = Classifier(model, NAMES).predict(rows())
    np.testing.assert_allclose(Classifier(other, NAMES).predict(rows()), 1 - silent, atol=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"r": 0.0}, "r = 0.0; must be a number above 0"),
        ({"alpha": float("nan")}, "alpha = nan; must be a number above 0"),
        ({"alpha": "7"}, "alpha = '7'; must be a number above 0"),
        ({"window_days": -1.0}, "window_days = -1.0; must be a number above 0"),
        ({"outcome": "lapse"}, "outcome = 'lapse'; must be one of absence, presence"),
        ({"features": ("a", "b")}, "features must name three facts"),
        ({"reference": (1.0, float("inf"), 2.0)}, "reference must hold three finite numbers"),
    ],
)
@pytest.mark.parametrize("model", [BG, PARETO])
def test_what_no_fit_can_have_found_is_refused(
    model: Btyd, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(DamagedModel, match=words):
        replace(model, **changes)  # type: ignore[arg-type]


def test_a_missing_fact_is_named() -> None:
    with pytest.raises(WrongRows, match="no feature 'order_days_ever' among the 1 given"):
        BG.contributions(np.zeros((1, 1)), ("spend_365d",))
