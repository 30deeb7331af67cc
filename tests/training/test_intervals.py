import numpy as np
import pytest

from training.intervals import SHARE, conformal_intervals, ends_of, unseen_predictions


def test_ends_leave_as_much_beyond_either_side() -> None:
    values = np.random.default_rng(1).permutation(np.arange(1, 2001).astype(float))
    low, high = ends_of(values, customers=2000)
    assert (np.sum(values < low), np.sum(values > high)) == (99, 100)


def test_where_nothing_lies_below_all_that_may_be_outside_is_above() -> None:
    values = np.concatenate([np.zeros(400), np.arange(1, 601)]).astype(float)
    low, high = ends_of(values, customers=1000)
    assert low == 0.0
    assert np.mean(values <= high) == pytest.approx(SHARE, abs=0.002)


def test_few_customers_move_the_ends_out() -> None:
    values = np.arange(1000.0)
    many, few = ends_of(values, customers=1000), ends_of(values, customers=50)
    assert few[1] - few[0] > many[1] - many[0]
    assert ends_of(values, customers=9) == (0.0, 999.0)


@pytest.mark.parametrize("buys", [1.0, 0.4])
def test_new_customers_fall_inside_as_often_as_meant(buys: float) -> None:
    # Four rows a customer, alike but for noise, with more spread where more is expected.
    inside, by_band = [], np.zeros((20, 5))
    for seed in range(20):
        rng = np.random.default_rng(seed)
        customers = np.repeat(np.arange(3000), 4)
        expected = np.repeat(rng.gamma(2.0, 10.0, 3000), 4)
        luck = np.repeat(rng.gamma(4.0, 0.25, 3000), 4)
        comes = rng.random(12_000) < buys
        margin = np.where(comes, expected * luck * rng.gamma(4.0, 0.25, 12_000) / buys, 0.0)
        known = customers < 1500
        found = conformal_intervals(expected[known], margin[known], customers[known])
        assert found is not None
        assert len(found.edges) == 9
        low, high = found.around(expected[~known])
        held = (margin[~known] >= low) & (margin[~known] <= high)
        assert (low <= expected[~known]).all()
        assert (expected[~known] <= high).all()
        inside.append(held.mean())
        fifth = np.argsort(np.argsort(expected[~known])) * 5 // len(held)
        by_band[seed] = [held[fifth == each].mean() for each in range(5)]
    assert np.mean(inside) == pytest.approx(SHARE, abs=0.01)
    np.testing.assert_allclose(by_band.mean(axis=0), SHARE, atol=0.015)


def test_few_customers_have_no_interval_and_equal_expectations_one_band() -> None:
    people = np.repeat(np.arange(49), 3)
    assert conformal_intervals(np.ones(147), np.ones(147), people) is None
    people = np.arange(600)
    margin = np.random.default_rng(2).gamma(2.0, 5.0, 600)
    found = conformal_intervals(np.full(600, 10.0), margin, people)
    assert found is not None
    assert (found.edges, len(found.low)) == ((), 1)


def test_nobody_is_foretold_by_what_their_own_rows_taught() -> None:
    customers = np.random.default_rng(3).integers(0, 40, 400)
    taught = []

    def foretell(inside: np.ndarray) -> np.ndarray:
        taught.append(set(customers[~inside]) & set(customers[inside]))
        return np.flatnonzero(inside).astype(float)

    found = unseen_predictions(customers, foretell, np.random.default_rng(4))
    assert taught == [set(), set()]
    assert found is not None
    assert found.tolist() == list(range(400))
    assert unseen_predictions(customers, lambda inside: None, np.random.default_rng(4)) is None
