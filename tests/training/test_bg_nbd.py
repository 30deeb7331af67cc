from datetime import date
from importlib.metadata import files

import numpy as np
import pytest

from features.signals import DAY, HOUR
from training.bg_nbd import BgNbd, Purchases, TooFewPurchases, fit_bg_nbd, purchases

START = 18_000 * DAY


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


def test_the_published_parameters_are_found_again() -> None:
    # Source: Fader, Hardie and Lee (2005), table 2.
    seen = cdnow()
    assert len(seen.repeats) == 2357
    found = fit_bg_nbd(seen)
    assert found.log_likelihood == pytest.approx(-9582.4, abs=0.05)
    assert (found.r, found.alpha, found.a, found.b) == pytest.approx(
        (0.243, 4.414, 0.793, 2.426), abs=0.005
    )


def test_who_is_alive_by_hand() -> None:
    model = BgNbd(0.243, 4.414, 0.793, 2.426, 0.0)
    seen = Purchases(np.array([2.0, 0.0]), np.array([30.43, 0.0]), np.array([38.86, 38.86]))
    odds = 0.793 / (2.426 + 1) * ((4.414 + 38.86) / (4.414 + 30.43)) ** 2.243
    assert model.alive(seen).tolist() == pytest.approx([1 / (1 + odds), 1.0])


def test_silence_is_as_frequent_as_said() -> None:
    # Lives drawn as the model has it: the shares of those silent must be the predicted ones.
    rng = np.random.default_rng(1)
    n, truth = 20_000, BgNbd(0.8, 10.0, 1.0, 4.0, 0.0)
    rate, stop = rng.gamma(truth.r, 1 / truth.alpha, n), rng.beta(truth.a, truth.b, n)
    watched, window = np.full(n, 50.0), 20.0
    now, repeats, last = np.zeros(n), np.zeros(n), np.zeros(n)
    alive, later = np.ones(n, dtype=bool), np.zeros(n, dtype=bool)
    while alive.any():
        now = np.where(alive, now + rng.exponential(1 / rate), np.inf)
        inside = alive & (now < watched)
        repeats[inside] += 1
        last[inside] = now[inside]
        later |= alive & (now >= watched) & (now < watched + window)
        alive = inside & (rng.random(n) >= stop)
    said = truth.silent(Purchases(repeats, last, watched), window)
    for tenth in np.array_split(np.argsort(said), 10):
        spread = np.sqrt(said[tenth].mean() * (1 - said[tenth].mean()) / len(tenth))
        assert abs((~later[tenth]).mean() - said[tenth].mean()) < 4 * spread
    found = fit_bg_nbd(Purchases(repeats, last, watched))
    assert (found.r, found.alpha) == pytest.approx((truth.r, truth.alpha), rel=0.15)


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


def test_nobody_who_came_back_is_said() -> None:
    with pytest.raises(TooFewPurchases, match="none of 3 customers bought on a second day"):
        fit_bg_nbd(Purchases(np.zeros(3), np.zeros(3), np.ones(3)))
