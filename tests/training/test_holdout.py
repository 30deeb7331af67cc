"""The holdout report on companies whose programme is worth a known sum."""

import re
from dataclasses import replace

import numpy as np
import pytest

from features.definitions import FEATURES
from features.signals import ABSENT, DAY, SignalColumns, SignalLog, code
from serving import policy
from serving.catalog import load_catalog
from serving.exploration import arm_of
from serving.policy import Policy, load_policy
from serving.storage.outcomes import Outcome, Report
from serving.storage.store import Store
from training.everyone import Asking, answers
from training.holdout import (
    NothingToCompare,
    Programme,
    adjusted,
    compared,
    difference,
    holdout_report,
    split_gate,
)

START, DAYS = 100 * DAY, 40
END = START + DAYS * DAY
NOBODY = Programme({}, {})


@pytest.fixture(scope="module")
def rules() -> Policy:
    """A holdout of a fifth, and a margin of .3."""
    return replace(load_policy(policy.SHIPPED), holdout_share=0.2)


def company(rng: np.random.Generator, rules: Policy, people: int, gain: float) -> SignalLog:
    """One order before the start and one after it each; whoever is not held out spends more.

    Customers differ a lot, and spend after the start about what they spent before.
    """
    names = tuple(f"C-{number:05d}" for number in range(people))
    held = np.array([arm_of(name, rules, START).name == "holdout" for name in names])
    usual = rng.gamma(2.0, 50.0, people)
    before, after = (usual * rng.uniform(0.8, 1.2, people) for _ in range(2))
    after = after + np.where(held, 0.0, gain / rules.margin_rate)
    amounts = np.round(np.column_stack([before, after]) * 100).astype(np.int64).ravel()
    at = np.tile([START - 10 * DAY, START + 10 * DAY], people)
    n = len(at)
    columns = SignalColumns(
        event=np.full(n, code("Order Completed")),
        occurred_at=at,
        received_at=at,
        amount=amounts,
        value=np.full(n, ABSENT),
        category=np.zeros(n, dtype=np.int64),
    )
    return SignalLog(names, np.arange(0, n + 1, 2), columns)


def test_the_gain_is_found_and_its_interval_holds_it(rules) -> None:
    hits, plain_errors, errors = 0, [], []
    rng = np.random.default_rng(1)
    for _ in range(100):
        log = company(rng, rules, 300, gain=2.0)
        found = compared(log, NOBODY, rules, (START, END))
        low, high = found.gain.interval()
        hits += low <= 2.0 <= high
        plain_errors.append(found.plain.standard_error)
        errors.append(found.gain.standard_error)
    assert hits >= 90
    # What they spent before foretells almost all: the adjusted error is a fraction.
    assert np.mean(errors) < 0.35 * np.mean(plain_errors)


def test_contacts_are_paid_by_those_who_get_them(rules) -> None:
    log = company(np.random.default_rng(1), rules, 400, gain=2.0)
    free = compared(log, NOBODY, rules, (START, END))
    others = [name for name in log.customer_ids if arm_of(name, rules, START).name != "holdout"]
    paid = compared(log, Programme(dict.fromkeys(others, 0.5), {}), rules, (START, END))
    assert paid.cost == pytest.approx(0.5)
    assert paid.gain.value == pytest.approx(free.gain.value - 0.5, abs=0.01)
    assert paid.margins == free.margins
    # (margin added - cost) / cost; nothing to divide by where contacts are free.
    assert paid.return_on_cost == pytest.approx((free.gain.value - 0.5) / 0.5, abs=0.02)
    low, high = paid.gain.interval()
    assert (
        f"return on what contacts cost: {paid.gain.value / 0.5:+.0%} ({low / 0.5:+.0%} to "
        f"{high / 0.5:+.0%})"
    ) in paid.lines()
    assert free.return_on_cost is None
    assert not any("return" in line for line in free.lines())
    assert (
        free.lines()[0] == f"40 days since the first decision; {free.counts[0]} customers in "
        f"the holdout, {free.counts[1]} others"
    )


def test_days_needed_fall_when_more_is_to_be_found(rules) -> None:
    log = company(np.random.default_rng(1), rules, 400, gain=2.0)
    small = compared(log, NOBODY, rules, (START, END), detect=0.5)
    large = compared(log, NOBODY, rules, (START, END), detect=1.0)
    assert small.days_needed == pytest.approx(4 * large.days_needed, rel=0.05)


def test_days_needed_are_those_of_the_textbook(rules) -> None:
    """(z_.975 + z_.8)^2 * variance * (1/share + 1/(1 - share)) / difference^2, days for people."""
    report = compared(
        company(np.random.default_rng(5), rules, 900, 3.0), NOBODY, rules, (START, END)
    )
    held, others = report.counts
    share = held / (held + others)
    variance = report.gain.standard_error**2 / (1 / held + 1 / others)
    reach = (1.959964 + 0.841621) ** 2
    needed = reach * variance * (1 / share + 1 / (1 - share)) / report.detect**2
    assert report.days_needed == pytest.approx(DAYS * needed / (held + others), abs=1)
    assert report.detect == pytest.approx(
        0.1 * (report.margins[0] * share + report.margins[1] * (1 - share))
    )


def test_whoever_was_not_heard_of_before_the_start_is_in_neither_group(rules) -> None:
    """The order was before the start, the news of it came after: nobody knew them then."""
    log = company(np.random.default_rng(6), rules, 600, 0.0)
    heard = log.columns.received_at.copy()
    heard[:200:2] = START + DAY  # the earlier orders of the first hundred
    late = replace(log, columns=replace(log.columns, received_at=heard))
    everybody = compared(log, NOBODY, rules, (START, END))
    assert sum(everybody.counts) == 600
    assert sum(compared(late, NOBODY, rules, (START, END)).counts) == 500
    heard[:200:2] = START - 1
    in_time = replace(log, columns=replace(log.columns, received_at=heard))
    assert compared(in_time, NOBODY, rules, (START, END)) == everybody


def test_the_adjustment_takes_no_effect_away() -> None:
    """By the formula: theta is a slope, and the mean of all stays."""
    rng = np.random.default_rng(3)
    before = rng.normal(size=500)
    values = 3.0 + 2.0 * before
    np.testing.assert_allclose(adjusted(values, before), np.full(500, values.mean()))
    assert adjusted(values, np.zeros(500)) is values
    noisy = values + rng.normal(size=500)
    assert adjusted(noisy, before).mean() == pytest.approx(noisy.mean())


def test_the_error_of_a_difference_is_welchs() -> None:
    values = np.array([1.0, 2.0, 3.0, 10.0, 14.0])
    held = np.array([False, False, False, True, True])
    found = difference(values, held)
    assert found.value == 2.0 - 12.0
    assert found.standard_error == pytest.approx(np.sqrt(1.0 / 3 + 8.0 / 2))


def arms_of(held: int, others: int, both: int = 0) -> dict[str, frozenset[str]]:
    return {
        **{f"h{i}": frozenset({"holdout"}) for i in range(held)},
        **{f"o{i}": frozenset({"policy", "uniform"}) for i in range(others)},
        **{f"b{i}": frozenset({"holdout", "policy"}) for i in range(both)},
    }


def test_an_even_split_passes_and_an_uneven_one_is_told() -> None:
    good = split_gate(arms_of(51, 949), 0.05)
    assert good.passed
    assert good.says.startswith("51 customers decided about in the holdout, 50 expected (p = ")
    bad = split_gate(arms_of(20, 980), 0.05)
    assert not bad.passed
    assert "something other than the lot sorts customers" in bad.says
    # 30^2 / 50 + 30^2 / 950 = 18.947; chi-squared with 1 degree: p = 1.34e-05.
    assert "p = 1.34e-05" in bad.says


def test_the_check_cries_wolf_as_rarely_as_it_says() -> None:
    rng = np.random.default_rng(5)
    held = rng.binomial(2_000, 0.05, 2_000)
    alarms = sum(
        not split_gate(arms_of(int(one), 2_000 - int(one)), 0.05).passed
        for one in np.unique(held)
        for _ in range(int((held == one).sum()))
        if abs(one - 100) > 25
    )
    assert alarms <= 8  # 2 expected of 2,000


def test_who_changed_sides_is_told() -> None:
    found = split_gate(arms_of(48, 950, both=2), 0.05)
    assert not found.passed
    assert "2 changed sides: salt or holdout_share was changed on the way" in found.says


def test_too_few_held_out_is_said(rules) -> None:
    log = company(np.random.default_rng(1), rules, 60, gain=2.0)
    with pytest.raises(NothingToCompare, match=re.escape("at least 30 of each are needed")):
        compared(log, NOBODY, rules, (START, END))


def test_contacts_cost_what_they_cost_when_they_were_decided(trained_copy) -> None:
    """Whatever the catalog says now; what was not sent costs nothing."""
    home, as_of = trained_copy
    listed = load_catalog(home.catalog, FEATURES.names).communications
    with Store.open(home.store) as store:
        people = store.customer_ids()[:60]
    made = list(answers(Asking(home, as_of, logs=True, seed=1), people))
    told = {
        str(one["customer_id"]): (str(one["decision_id"]), listed[str(one["communication"])].cost)
        for one in made
        if one["communication"] != "no_contact"
    }
    assert len(told) > 5
    home.catalog.write_text("nothing is read of it", encoding="utf-8")
    with Store.open(home.store) as store:
        assert store.costs_of_contacts(as_of) == {}
        found = store.costs_of_contacts(as_of + 1)
        assert found == pytest.approx({name: cost for name, (_, cost) in told.items()})
        unsent, (decision_id, _) = next(iter(told.items()))
        said = Outcome(decision_id, "not_sent", as_of + 1)
        store.keep_outcome(said, Report(as_of + 1, as_of + 1, {}))
        assert store.costs_of_contacts(as_of + 1).keys() == told.keys() - {unsent}


def test_a_home_without_decisions_says_what_to_do(trained) -> None:
    home, as_of = trained
    with pytest.raises(NothingToCompare, match=re.escape("run `nextbest decide --all`")):
        holdout_report(home, as_of)
