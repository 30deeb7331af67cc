import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from models.classifier import Logistic, RecencyRule
from training.baselines import Look, base_rate, best_rule, logistic, margin_model, recency_rule

NAMES = ("days_since_last_order", "spend_365d", "days_since_first_order")
ONE = np.int8


def test_the_base_rate_is_never_certain() -> None:
    model = base_rate(np.zeros(9, dtype=ONE), NAMES)
    assert model.predict(np.zeros((2, 3))).tolist() == pytest.approx([0.05, 0.05])
    model = base_rate(np.array([1, 0, 0, 0], dtype=ONE), NAMES)
    assert model.predict(np.zeros((1, 3))).tolist() == pytest.approx([0.3])


def test_the_rule_predicts_shrunk_shares_of_each_band() -> None:
    days = np.repeat(np.arange(1.0, 11.0), 50)
    answers = np.tile((np.arange(50) < 25).astype(ONE), 10)
    answers[days == 10] = 1
    rows = np.column_stack([days, np.zeros((500, 2))])
    model = recency_rule(rows, answers, NAMES)
    assert isinstance(model.model, RecencyRule)
    assert len(model.model.edges) == 9
    rate = (275 + 0.5) / 501
    expected = [(25 + 20 * rate) / 70, (50 + 20 * rate) / 70, rate]
    asked = np.array([[1.0, 0, 0], [10.0, 0, 0], [np.nan, 0, 0]])
    assert model.predict(asked).tolist() == pytest.approx(expected)


def test_the_rule_stands_when_all_days_are_equal() -> None:
    rows, answers = np.full((120, 3), 4.0), np.tile(np.array([0, 1], dtype=ONE), 60)
    model = recency_rule(rows, answers, NAMES)
    assert isinstance(model.model, RecencyRule)
    assert model.model.edges == ()
    assert model.predict(rows[:1]).tolist() == pytest.approx([0.5])


def test_the_best_rule_is_the_one_that_was_planted() -> None:
    rng = np.random.default_rng(6)
    rows, people = rng.uniform(0, 100, (3000, 3)), np.repeat(np.arange(1000), 3)
    looks = (
        Look("days_since_last_order"),
        *(Look("days_since_last_order", (days,)) for days in (7.0, 28.0, 56.0)),
        Look("spend_365d"),
    )
    for told, planted in (
        (np.where(rows[:, 0] >= 28, 0.8, 0.2), looks[2]),
        (rows[:, 1] / 100, looks[4]),
    ):
        answers = (rng.random(3000) < told).astype(ONE)
        model = best_rule(rows, answers, people, NAMES, looks)
        assert model == recency_rule(rows, answers, NAMES, None, planted)
        assert isinstance(model.model, RecencyRule)
        assert model.model.feature == planted.feature
    parts = model.contributions(rows)
    assert np.flatnonzero(np.abs(parts).sum(axis=0)).tolist() == [1, 3]


def test_one_look_is_taken_as_it_is() -> None:
    rows, answers = np.full((120, 3), 4.0), np.tile(np.array([0, 1], dtype=ONE), 60)
    only = (Look("spend_365d"),)
    model = best_rule(rows, answers, np.arange(120), NAMES, only)
    assert model == recency_rule(rows, answers, NAMES, None, only[0])


def test_a_row_of_weight_two_counts_as_two_rows() -> None:
    rng = np.random.default_rng(2)
    rows = rng.gamma(1.0, 10.0, (300, 3))
    answers = (rows[:, 0] + rng.normal(0, 5, 300) > 8).astype(ONE)
    weights = np.repeat([1.0, 2.0], [150, 150])
    twice = np.r_[np.arange(300), np.arange(150, 300)]
    for model, oracle in (
        (base_rate(answers, NAMES, weights), base_rate(answers[twice], NAMES)),
        (
            recency_rule(np.ones((300, 3)), answers, NAMES, weights),
            recency_rule(np.ones((450, 3)), answers[twice], NAMES),
        ),
    ):
        assert model.predict(rows).tolist() == pytest.approx(oracle.predict(rows).tolist())
    heavy = logistic(rows, answers, NAMES, np.where(answers == 1, 5.0, 1.0))
    assert heavy.predict(rows).mean() > logistic(rows, answers, NAMES).predict(rows).mean() + 0.1


def test_the_regression_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    rows = rng.gamma(1.0, 10.0, (800, 3))
    rows[rng.random((800, 3)) < 0.1] = np.nan
    rows[:, 2] = 7.0  # tells nothing
    answers = (np.nan_to_num(rows[:, 0]) + rng.normal(0, 5, 800) > 8).astype(ONE)
    model = logistic(rows, answers, NAMES)
    small = np.log1p(rows)
    mean, spread = np.nanmean(small, axis=0), np.nanstd(small, axis=0)
    spread[2] = 1.0
    absent = np.isnan(rows)
    standard = np.where(absent, 0.0, (small - mean) / spread)
    design = np.hstack([standard, absent - absent.mean(axis=0)])
    oracle = LogisticRegression(C=0.1 * 800 / 20_000, tol=1e-10, max_iter=5000).fit(design, answers)
    np.testing.assert_allclose(model.predict(rows), oracle.predict_proba(design)[:, 1], atol=5e-5)
    assert isinstance(model.model, Logistic)
    assert model.model.coefficient[2] == 0.0


def company(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Rows, takings of the next 28 days, and the true expected takings."""
    n = 4000
    pace = rng.gamma(2.0, 0.5, n)  # money a day
    first = rng.uniform(10, 365, n)
    recency = rng.uniform(0, 100, n)
    alive = np.where(recency < 40, 0.9, 0.2)
    spend = rng.poisson(pace * first / 5) * 5.0
    expected = 28 * pace * alive
    takings = np.where(rng.random(n) < alive, rng.poisson(28 * pace / 5) * 5.0, 0.0)
    return np.column_stack([recency, spend, first]), takings, expected


def test_the_margin_finds_what_is_true() -> None:
    rows, takings, expected = company(np.random.default_rng(8))
    model = margin_model(rows, takings, NAMES, 0.4, 28)
    found = model.expected(rows, NAMES)
    assert found.mean() == pytest.approx(0.4 * expected.mean(), rel=0.03)
    assert np.corrcoef(found, expected)[0, 1] > 0.9
    assert model.base == pytest.approx(0.4 * takings.mean())
    assert model.everyone_per_day == pytest.approx(0.4 * rows[:, 1].sum() / rows[:, 2].sum())
    by_recency = dict(zip((0, *model.edges), model.factors, strict=True))
    assert all(0.8 < by_recency[edge] < 0.95 for edge in by_recency if edge < 35)
    assert all(0.15 < by_recency[edge] < 0.3 for edge in by_recency if edge > 45)


def test_the_margin_without_outcomes_is_the_usual_one() -> None:
    rows, takings, _ = company(np.random.default_rng(8))
    model = margin_model(rows, np.full(len(takings), np.nan), NAMES, 0.4, 28)
    assert model.served_by == "base_rate"
    assert model.expected(rows, NAMES).tolist() == model.usual(rows, NAMES).tolist()


def test_more_refunds_than_orders_expect_nothing() -> None:
    rows, takings, _ = company(np.random.default_rng(8))
    model = margin_model(rows, -takings, NAMES, 0.4, 28)
    assert set(model.factors) == {0.0}


def test_where_nothing_changes_the_regression_is_the_share_of_yes() -> None:
    rows, answers = np.full((120, 3), 4.0), np.tile(np.array([0, 1, 1], dtype=ONE), 40)
    model = logistic(rows, answers, NAMES)
    assert model.predict(rows).tolist() == [pytest.approx(80.5 / 121)] * 120
