from datetime import date
from importlib.metadata import files
from time import process_time

import numpy as np
import pytest

from features.signals import DAY, HOUR
from models.btyd import ORDER_FACTS, BgNbd, ParetoNbd, Purchases
from models.targets import load_targets
from training.btyd import (
    TooFewPurchases,
    _bg_nbd,
    _pareto_nbd,
    btyd_model,
    fit_bg_nbd,
    fit_pareto_nbd,
    purchases,
)

START = 18_000 * DAY


@pytest.fixture(scope="module")
def cdnow() -> Purchases:
    """The published sample of 2,357 customers of a record shop, watched for 39 weeks of 1997."""
    listed = files("lifetimes")
    if listed is None:
        pytest.skip("the CDNOW sample comes with a package that is not installed")
    text = next(path for path in listed if path.name == "CDNOW_sample.txt").read_text()
    end = date(1997, 9, 30)
    days: dict[str, set[date]] = {}
    for line in text.splitlines():
        _, customer, day, *_ = line.split()
        bought = date.fromisoformat(f"{day[:4]}-{day[4:6]}-{day[6:]}")
        if bought <= end:
            days.setdefault(customer, set()).add(bought)
    return Purchases(
        np.array([len(mine) - 1.0 for mine in days.values()]),
        np.array([(max(mine) - min(mine)).days / 7 for mine in days.values()]),
        np.array([(end - min(mine)).days / 7 for mine in days.values()]),
    )


def test_bg_nbd_finds_the_published_parameters(cdnow: Purchases) -> None:
    # Source: Fader, Hardie and Lee (2005), table 2; every digit that is printed there.
    assert len(cdnow.repeats) == 2357
    found = fit_bg_nbd(cdnow)
    assert tuple(round(value, 3) for value in found.parameters) == (0.243, 4.414, 0.793, 2.426)
    assert round(found.log_likelihood, 1) == -9582.4


def test_pareto_nbd_finds_the_published_parameters(cdnow: Purchases) -> None:
    # Source: the same table.
    found = fit_pareto_nbd(cdnow)
    assert tuple(round(value, 3) for value in found.parameters) == (0.553, 10.578, 0.606, 11.669)
    assert round(found.log_likelihood, 1) == -9595.0


@pytest.mark.parametrize("slopes", [_bg_nbd, _pareto_nbd])
def test_slopes_are_those_of_the_likelihood(slopes, cdnow: Purchases) -> None:  # type: ignore[no-untyped-def]
    share = np.full(len(cdnow.repeats), 1 / len(cdnow.repeats))
    logs, step = np.log([0.4, 8.0, 0.7, 3.0]), 1e-5
    numeric = [
        (slopes(logs + one, cdnow, share)[0] - slopes(logs - one, cdnow, share)[0]) / (2 * step)
        for one in np.eye(4) * step
    ]
    np.testing.assert_allclose(slopes(logs, cdnow, share)[1], numeric, rtol=1e-6)


def drawn(n: int, rng: np.random.Generator) -> Purchases:
    """Customers of a shop of which some leave unseen; r .9, alpha 20, s .7, beta 100 days."""
    rate, ends = rng.gamma(0.9, 1 / 20, n), rng.exponential(1 / rng.gamma(0.7, 1 / 100, n))
    watched = rng.integers(30, 365, n).astype(float)
    until = np.minimum(watched, ends)
    repeats = rng.poisson(rate * until).astype(float)
    # The last of k uniform times.
    last = np.where(repeats > 0, until * rng.random(n) ** (1 / np.maximum(repeats, 1)), 0.0)
    return Purchases(repeats, np.ceil(last), watched)


def test_pareto_finds_what_lives_were_drawn_with_and_quickly() -> None:
    n = 6000
    seen = drawn(n, np.random.default_rng(3))
    before = process_time()
    found = fit_pareto_nbd(seen)
    # A second or two; two hypergeometric functions a customer and step would take minutes.
    assert process_time() - before < 20
    assert found.parameters[:2] == pytest.approx((0.9, 20.0), rel=0.15)
    truth, share = np.log([0.9, 20.0, 0.7, 100.0]), np.full(n, 1 / n)
    assert found.log_likelihood > -n * _pareto_nbd(truth, seen, share)[0]
    # Lives were drawn as Pareto/NBD has it, so the other explains them less well.
    assert found.log_likelihood > fit_bg_nbd(seen).log_likelihood


def test_customers_alike_are_counted_together() -> None:
    seen = drawn(600, np.random.default_rng(4))
    twice = Purchases(*(np.repeat(each, 2) for each in seen))
    one, two = fit_bg_nbd(seen), fit_bg_nbd(twice)
    assert two.parameters == pytest.approx(one.parameters, rel=1e-6)
    assert two.log_likelihood == pytest.approx(2 * one.log_likelihood)


@pytest.mark.parametrize("kind", [BgNbd, ParetoNbd])
def test_a_model_is_made_of_features(kind: type[BgNbd] | type[ParetoNbd]) -> None:
    seen = drawn(2000, np.random.default_rng(5))
    facts = np.column_stack([seen.repeats + 1, seen.watched, seen.watched - seen.last])
    names = ("spend_365d", *ORDER_FACTS)
    rows = np.column_stack([np.ones(2000), facts])
    rows[:10] = np.nan  # never ordered: not a customer yet
    target = load_targets()["churn_risk"]
    model = btyd_model(kind, rows, names, target)
    assert (model.window_days, model.outcome, model.features) == (28.0, "absence", ORDER_FACTS)
    assert model.reference == tuple(np.median(facts[10:], axis=0))
    fit = fit_bg_nbd if kind is BgNbd else fit_pareto_nbd
    parameters = fit(Purchases(*(each[10:] for each in seen))).parameters
    assert [getattr(model, name) for name in kind.__slots__[:4]] == list(parameters)


def test_order_days_are_read_as_of_a_moment(log_of) -> None:  # type: ignore[no-untyped-def]
    log = log_of(
        {
            "a": [
                ("Order Completed", START + HOUR),
                ("Order Completed", START + 2 * HOUR),  # the same day is one
                ("Page Viewed", START + DAY),
                ("Order Completed", START + 10 * DAY),
                ("Order Completed", START + 12 * DAY, START + 30 * DAY),  # heard of late
            ]
        }
    )
    at = np.array([START + 5 * DAY, START + 20 * DAY, START + 31 * DAY])
    found = purchases(log, np.zeros(3, dtype=np.int64), at)
    assert found.repeats.tolist() == [0, 1, 2]
    assert found.last.tolist() == [0, 10, 12]
    assert found.watched.tolist() == [5, 20, 31]


@pytest.mark.parametrize("fit", [fit_bg_nbd, fit_pareto_nbd])
def test_nobody_who_came_back_is_said(fit) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(TooFewPurchases, match="none of 3 customers bought on a second day"):
        fit(Purchases(np.zeros(3), np.zeros(3), np.ones(3)))
