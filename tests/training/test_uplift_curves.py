"""Gain curves: against a plain loop, closed forms, and a published experiment."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.uplift_curves import (
    Trial,
    UnusableTrial,
    gain_curve,
    qini,
    qini_interval,
    uplift_at,
    uplift_interval,
)


def trial_of(treated: list[bool], outcome: list[float], probability: float = 0.5) -> Trial:
    n = len(treated)
    return Trial(
        np.arange(n),
        np.array(treated, dtype=bool),
        np.array(outcome, dtype=np.float64),
        np.full(n, probability),
    )


def plain_gain(trial: Trial, score: np.ndarray, lowest: float) -> float:
    """Gain per head when everybody of at least this score is treated, straight from the formula."""
    top = score >= lowest
    parts = []
    for kind in (True, False):
        rows = top & (trial.treated == kind)
        chance = trial.probability[rows] if kind else 1 - trial.probability[rows]
        if not rows.any():
            return 0.0
        parts.append(np.sum(trial.outcome[rows] / chance) / np.sum(1 / chance))
    return float(np.mean(top) * (parts[0] - parts[1]))


@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.floats(-5, 5),
            st.integers(0, 4),
            st.sampled_from([0.2, 0.5, 0.9]),
        ),
        min_size=2,
        max_size=30,
    ).filter(lambda rows: len({treated for treated, *_ in rows}) == 2)
)
def test_curve_and_area_equal_those_of_a_plain_loop(rows) -> None:
    treated, outcome, score, probability = (np.array(column) for column in zip(*rows, strict=True))
    trial = Trial(np.arange(len(rows)), treated, outcome, probability)
    shares, gains = gain_curve(trial, score.astype(float))
    levels = sorted(set(score.tolist()), reverse=True)
    expected = [0.0, *(plain_gain(trial, score, level) for level in levels)]
    depth = [0.0, *(float(np.mean(score >= level)) for level in levels)]
    np.testing.assert_allclose(shares, depth)
    np.testing.assert_allclose(gains, expected, atol=1e-9)
    area = sum(
        (depth[i + 1] - depth[i])
        * ((expected[i] + expected[i + 1]) - expected[-1] * (depth[i] + depth[i + 1]))
        / 2
        for i in range(len(levels))
    )
    assert qini(trial, score.astype(float)) == pytest.approx(area, abs=1e-9)


def test_a_score_that_says_nothing_has_no_area() -> None:
    trial = trial_of([True, False] * 10, [1.0, 0.0] * 10)
    assert qini(trial, np.zeros(20)) == 0.0


def test_a_perfect_score_has_the_area_of_a_triangle() -> None:
    """Half the people gain 1, the others nothing: G rises to 1/2 at 1/2 and stays: area 1/8."""
    gains = [True] * 400 + [False] * 400
    treated = [True, False] * 400
    outcome = [float(gain and given) for gain, given in zip(gains, treated, strict=True)]
    score = np.array(gains, dtype=float)
    trial = trial_of(treated, outcome)
    assert qini(trial, score) == pytest.approx(1 / 8)
    assert qini(trial, -score) == pytest.approx(-1 / 8)
    assert uplift_at(trial, score, 0.3) == pytest.approx(1.0)
    assert uplift_at(trial, score, 1.0) == pytest.approx(0.5)


def test_weights_undo_a_lot_that_was_not_even() -> None:
    """Every second of the keen is treated, of the others every fourth; effects are 2 for all."""
    keen = np.repeat([True, False], 4000)
    chance = np.where(keen, 0.5, 0.25)
    treated = np.tile([True, False, False, False], 2000) | (
        keen & np.tile([False, False, True, False], 2000)
    )
    outcome = np.where(keen, 10.0, 0.0) + 2.0 * treated
    trial = Trial(np.arange(8000), treated, outcome, chance)
    assert uplift_at(trial, np.zeros(8000), 1.0) == pytest.approx(2.0)


def test_intervals_hold_the_truth_and_narrow_with_more_people() -> None:
    rng = np.random.default_rng(1)
    widths, hits = [], 0
    for n in (500, 500, 500, 8000):
        score = rng.random(n)
        treated = rng.random(n) < 0.5
        outcome = rng.normal(size=n) + score * treated
        trial = Trial(np.arange(n), treated, outcome, np.full(n, 0.5))
        found = qini_interval(trial, score, rng, draws=200)
        # G(phi) = phi - phi^2 / 2 and G(1) = 1/2: the area is 1/2 - 1/6 - 1/4 = 1/12.
        hits += found.low <= 1 / 12 <= found.high
        widths.append(found.high - found.low)
        top = uplift_interval(trial, score, 0.3, rng, draws=200)
        assert top.low < 0.85 < top.high
    assert hits >= 3
    assert widths[3] < 0.4 * min(widths[:3])


def test_rows_of_one_customer_are_drawn_together() -> None:
    rng = np.random.default_rng(2)
    n = 300
    score, treated = rng.random(n), rng.random(n) < 0.5
    outcome = rng.normal(size=n)
    once = Trial(np.arange(n), treated, outcome, np.full(n, 0.5))
    rows = np.repeat(np.arange(n), 4)
    repeated = Trial(rows, treated[rows], outcome[rows], np.full(4 * n, 0.5))
    one = qini_interval(once, score, np.random.default_rng(3))
    four = qini_interval(repeated, score[rows], np.random.default_rng(3))
    assert four.high - four.low == pytest.approx(one.high - one.low, rel=1e-6)


@pytest.mark.parametrize(
    ("treated", "probability", "outcome", "words"),
    [
        ([True, True], 0.5, [1, 0], "2 of 2 rows treated; both kinds are needed"),
        ([True, False], 1.0, [1, 0], "from 1 to 1; must lie strictly between 0 and 1"),
        ([True, False], 0.5, [1, np.nan], "1 outcomes are not known (NaN)"),
        ([True, False], 0.5, [1, 0, 1], "columns of [2, 3] rows; all four must be equally long"),
    ],
)
def test_what_is_no_trial_is_refused(treated, probability, outcome, words) -> None:
    with pytest.raises(UnusableTrial, match=re.escape(words)):
        trial_of(treated, outcome, probability)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_a_share_that_is_none_is_refused(share) -> None:
    trial = trial_of([True, False], [1.0, 0.0])
    with pytest.raises(UnusableTrial, match="must be above 0 and at most 1"):
        uplift_at(trial, np.zeros(2), share)


def test_a_top_without_both_kinds_is_refused() -> None:
    trial = trial_of([True, False], [1.0, 0.0])
    words = re.escape("only one kind of people among the top 50 %; both are needed")
    with pytest.raises(UnusableTrial, match=words):
        uplift_at(trial, np.array([1.0, 0.0]), 0.5)


HILLSTROM = Path(__file__).parents[3] / "shared" / "data" / "hillstrom" / "hillstrom.csv"


@pytest.mark.skipif(not HILLSTROM.exists(), reason="Hillstrom's experiment is not here")
def test_on_hillstroms_mails_two_groups_make_a_triangle() -> None:
    """Women's mail: ATE of .0452 visits; who bought women's wear before gains several times."""
    columns = pd.read_csv(HILLSTROM)
    rows = columns[columns["segment"].isin(["Womens E-Mail", "No E-Mail"])]
    treated = (rows["segment"] == "Womens E-Mail").to_numpy()
    n = len(rows)
    outcome = rows["visit"].to_numpy().astype(float)
    trial = Trial(np.arange(n), treated, outcome, np.full(n, treated.mean()))
    score = rows["womens"].to_numpy().astype(float)
    everyone = uplift_at(trial, score, 1.0)
    assert everyone == pytest.approx(outcome[treated].mean() - outcome[~treated].mean())
    assert everyone == pytest.approx(0.0452, abs=0.0001)
    # Two groups make a triangle: half of p * (1 - p) * (effect on one - effect on the other).
    effects = [
        outcome[(score == one) & treated].mean() - outcome[(score == one) & ~treated].mean()
        for one in (1.0, 0.0)
    ]
    p = score.mean()
    found = qini(trial, score)
    assert found == pytest.approx(p * (1 - p) * (effects[0] - effects[1]) / 2, rel=0.01)
    assert found > 0.0066
