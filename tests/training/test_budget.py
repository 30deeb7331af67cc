"""Sharing out money and places by prices, against an exact integer program."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from features.definitions import FEATURES
from features.home import Home
from features.signals import DAY, HOUR
from serving.catalog import load_catalog
from serving.policy import Budget
from serving.storage.outcomes import Outcome, Report
from serving.storage.store import Store
from training.budget import MONEY, Demand, market_prices, tried_beyond
from training.everyone import Asking, ask_everyone
from training.narrator import Narrator

QUIET = Narrator(quiet=True)
Trained = tuple[Home, int]


def crowd(rng: np.random.Generator, people: int, same: bool = False) -> Demand:
    """People who may hear nothing, a mail, a letter or a call; calls are few, money too."""
    net = np.column_stack(
        [np.zeros(people), *(rng.normal(mean, 2, people) for mean in (0.5, 1.0, 2.0))]
    )
    if same:
        net[:] = net[0] = (0.0, 0.5, 1.0, 2.0)
    cost = np.column_stack([np.zeros(people), *(rng.uniform(0.1, 1, (3, people)) * 2)])
    if same:
        cost[:] = (0.0, 0.1, 0.4, 1.0)
    calls = np.tile([0.0, 0.0, 0.0, 1.0], people)
    return Demand(
        starts=np.arange(people) * 4,
        net=net.ravel(),
        owed=np.zeros(net.size, dtype=bool),
        sure=np.zeros(net.size),
        free=np.ones(net.size),
        factor=np.repeat(1 + 1e-3 * rng.random(people), 4),
        use={MONEY: cost.ravel(), "call": calls},
    )


def optimum(demand: Demand, limits: dict[str, float]) -> float:
    """The most that can be gained within the limits, one choice a person, by branch and bound."""
    people = len(demand.starts)
    one_each = np.kron(np.eye(people), np.ones(4))
    rows = [LinearConstraint(one_each, 1, 1)]
    rows += [LinearConstraint(demand.use[limit], -np.inf, most) for limit, most in limits.items()]
    every = np.ones_like(demand.net)
    return float(-milp(-demand.net, integrality=every, bounds=Bounds(0, 1), constraints=rows).fun)


def test_prices_come_within_one_persons_gain_of_the_optimum() -> None:
    """The gap of a Lagrangian is at most one customer's gain for each limit that binds."""
    rng = np.random.default_rng(4)
    for _ in range(8):
        demand = crowd(rng, 24)
        limits = {MONEY: float(rng.uniform(3, 12)), "call": float(rng.integers(1, 8))}
        prices = market_prices(demand, limits)
        named = {MONEY: prices.money, "call": prices.places.get("call", 0.0)}
        best = demand.best(named)
        for limit, most in limits.items():
            assert demand.use[limit][best].sum() <= most + 1e-9
        gained, most_possible = demand.net[best].sum(), optimum(demand, limits)
        assert most_possible - 2 * demand.net.max() <= gained <= most_possible + 1e-6


def test_with_many_people_next_to_nothing_is_lost() -> None:
    """Against the bound of the linear program, which lets a person be taken in parts."""
    demand, limits = crowd(np.random.default_rng(5), 1000), {MONEY: 200.0, "call": 150.0}
    prices = market_prices(demand, limits)
    best = demand.best({MONEY: prices.money, "call": prices.places["call"]})
    one_each = sparse.kron(sparse.eye(1000), np.ones(4))
    bound = linprog(
        -demand.net,
        A_ub=np.vstack([demand.use[limit] for limit in limits]),
        b_ub=list(limits.values()),
        A_eq=one_each,
        b_eq=np.ones(1000),
        bounds=(0, 1),
    )
    assert demand.use["call"][best].sum() <= 150
    assert demand.use[MONEY][best].sum() <= 200
    assert demand.net[best].sum() > 0.995 * -bound.fun
    # The prices are the dual variables of the linear program.
    assert [prices.money, prices.places["call"]] == pytest.approx(
        -bound.ineqlin.marginals, rel=0.05
    )


def test_nothing_scarce_costs_nothing() -> None:
    demand = crowd(np.random.default_rng(1), 40)
    prices = market_prices(demand, {MONEY: 1000.0, "call": 40.0})
    assert (prices.money, dict(prices.places)) == (0.0, {})


def test_people_who_are_all_alike_share_the_places() -> None:
    """At one price for all, either everybody or nobody would be called."""
    demand = crowd(np.random.default_rng(2), 200, same=True)
    prices = market_prices(demand, {"call": 37.0})
    called = demand.use["call"][demand.best(dict(prices.places))].sum()
    assert called == 37
    assert prices.places["call"] == pytest.approx(1.0, rel=2e-3)  # a letter is worth 1 less


def test_a_price_is_the_worth_of_the_last_unit() -> None:
    """Mails of known worth for 1.00 each, money for three: the fourth best sets the price."""
    worth = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    net = np.column_stack([np.zeros(5), worth]).ravel()
    use = np.tile([0.0, 1.0], 5)
    nothing = np.zeros(10)
    starts = np.arange(5) * 2
    one = np.ones(10)
    demand = Demand(starts, net, nothing > 0, nothing, one, one, {MONEY: use})
    assert market_prices(demand, {MONEY: 3.0}).money == pytest.approx(2.0)
    assert market_prices(demand, {MONEY: 2.5}).money == pytest.approx(3.0)
    assert market_prices(demand, {MONEY: 0.0}).money == pytest.approx(5.0)


def test_what_exploration_takes_is_counted_on_average() -> None:
    """A tenth of everybody is written to anyway: 0.5 of the 3.0; the best get .9 each."""
    worth = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    net = np.column_stack([np.zeros(5), worth]).ravel()
    use, sure = np.tile([0.0, 1.0], 5), np.tile([0.0, 0.1], 5)
    one = np.ones(10)
    starts = np.arange(5) * 2
    demand = Demand(starts, net, one < 0, sure, 0.9 * one, one, {MONEY: use})
    assert demand.expected_use(MONEY, {}) == pytest.approx(5.0)
    price = market_prices(demand, {MONEY: 3.0}).money
    assert price == pytest.approx(3.0)
    assert demand.expected_use(MONEY, {MONEY: price}) == pytest.approx(0.5 + 0.9 * 2)


def test_where_exploration_alone_takes_too_much_the_price_stays_one_that_means_something() -> None:
    """Half of the money is tried away already: at 5.0 nobody takes a message for its worth."""
    worth = np.array([5.0, 4.0, 3.0, 2.0, 1.0])
    net = np.column_stack([np.zeros(5), worth]).ravel()
    use, sure = np.tile([0.0, 1.0], 5), np.tile([0.0, 0.1], 5)
    one = np.ones(10)
    demand = Demand(np.arange(5) * 2, net, one < 0, sure, 0.9 * one, one, {MONEY: use, "a": use})
    for limits in ({MONEY: 0.25}, {MONEY: 0.25, "a": 0.2}, {MONEY: 0.0}):
        prices = market_prices(demand, limits)
        assert prices.money + prices.places.get("a", 0.0) == pytest.approx(5.0)
    assert tried_beyond(demand, {MONEY: 0.25, "a": 0.5}) == {MONEY: pytest.approx(0.5)}


def test_what_is_owed_comes_first_while_it_is_worth_its_place() -> None:
    net = np.array([0.0, 1.0, 9.0, 0.0, 4.0, 9.0])
    owed = np.array([False, True, False, False, True, False])
    use = np.array([0.0, 1.0, 0.0, 0.0, 1.0, 0.0])
    one = np.ones(6)
    demand = Demand(np.array([0, 3]), net, owed, 0 * one, one, one, {"call": use})
    assert list(demand.best({})) == [1, 4]
    prices = market_prices(demand, {"call": 1.0})
    assert list(demand.best(dict(prices.places))) == [2, 4]  # the greater need gets the call


# ---- In a run ------------------------------------------------------------------------------


def with_budget(home: Home, amount: float, key: str = "per_run") -> None:
    text = home.policy.read_text(encoding="utf-8")
    text = text.replace("epsilon = 0.10", "epsilon = 0.0").replace(
        "uniform_share = 0.05", "uniform_share = 0.0"
    )
    home.policy.write_text(f"{text}\n[budget]\n{key} = {amount}\n", encoding="utf-8")


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_keeps_to_its_budget_and_says_its_price(
    trained_copy: Trained, tmp_path: Path
) -> None:
    home, as_of = trained_copy
    out = tmp_path / "out.csv"
    looking = Asking(home, as_of, logs=False, seed=1)
    with_budget(home, 1e6)
    rich = ask_everyone(looking, out, QUIET)
    listed = load_catalog(home.catalog, FEATURES.names).communications
    dearest = max(listed[name].cost for name in rich.communications if name != "no_contact")
    free = sum(float(row["expected_net"]) for row in rows_of(out))
    assert rich.prices.money == 0.0
    assert rich.spent > 1.0
    text = home.policy.read_text(encoding="utf-8")
    home.policy.write_text(text.replace("1000000.0", f"{rich.spent / 3:.4f}"), encoding="utf-8")
    poor = ask_everyone(replace(looking, logs=True), out, QUIET)
    assert poor.budget is not None
    assert poor.budget - dearest < poor.spent <= poor.budget
    assert poor.prices.money > 0
    assert f"price of money {poor.prices.money:.4f}" in poor.lines()[0]
    gained = sum(float(row["expected_net"]) for row in rows_of(out))
    assert free / 3 < gained < free  # a third of the money brings more than a third of the gain
    with Store.open(home.store) as store, store._file.reader.connect() as connection:
        query = "SELECT effects, selection_probability FROM decisions"
        logged = connection.exec_driver_sql(query).fetchall()
    ranked = [each for effects, _ in logged for each in json.loads(effects)]
    asked = [each for each in ranked if each["message_class"] == "marketing" and each["cost"] > 0]
    assert len(asked) > 100
    for each in asked:
        assert each["price"] == pytest.approx(poor.prices.money * each["cost"], rel=2e-3)
    others = [each for each in ranked if each["message_class"] != "marketing"]
    assert {each["price"] for each in others} == {0.0}
    assert {probability for _, probability in logged} == {1.0}


def test_a_budget_that_is_tried_away_is_kept_to_and_told(
    trained_copy: Trained, tmp_path: Path
) -> None:
    home, as_of = trained_copy
    text = home.policy.read_text(encoding="utf-8").replace("epsilon = 0.10", "epsilon = 0.90")
    home.policy.write_text(f"{text}\n[budget]\nper_run = 0.25\n", encoding="utf-8")
    run = ask_everyone(Asking(home, as_of, logs=True, seed=1), tmp_path / "out.csv", QUIET)
    listed = load_catalog(home.catalog, FEATURES.names).communications
    paid = sum(
        count * listed[name].cost
        for name, count in run.communications.items()
        if name != "no_contact" and listed[name].message_class == "marketing"
    )
    assert 0 < paid <= 0.25
    assert run.spent == pytest.approx(paid)
    assert run.prices.money < 1e6
    most, tried = run.tried[MONEY]
    assert (most, tried > 0.25) == (0.25, True)
    assert run.lines()[-1] == (
        f"the budget: 0.25 EUR left, and trying things out alone asks for {tried:,.2f}; so the lot "
        "decides who gets it, not worth; raise the budget, or lower epsilon and uniform_share"
    )
    assert run.record()["tried_beyond"] == {MONEY: tried}
    of_calls = replace(run, tried={"call": (1.0, 2.434)}).lines()[-1]
    assert of_calls.startswith("call: 1 place left, and trying things out alone asks for 2.43; so")


def test_a_week_counts_what_was_spent_before_whoever_spent_it(
    trained_copy: Trained, tmp_path: Path
) -> None:
    home, as_of = trained_copy
    out = tmp_path / "out.csv"
    looking = Asking(home, as_of, logs=False, seed=1)
    with_budget(home, 1e6, "per_week")
    rich = ask_everyone(looking, out, QUIET)
    assert (rich.budget, rich.of_week) == (1e6, (1e6, 0.0))
    week = round(rich.spent / 2, 2)  # as it is printed
    text = home.policy.read_text(encoding="utf-8")
    text = text.replace("per_week = 1000000.0", f"per_week = {week:.4f}\nper_run = {week / 2:.4f}")
    home.policy.write_text(text, encoding="utf-8")
    logging = replace(looking, logs=True)

    first = ask_everyone(logging, out, QUIET)  # the run's own budget is the smaller rest
    assert first.budget == pytest.approx(week / 2, abs=1e-3)
    assert 0 < first.spent <= first.budget
    assert first.lines()[0].startswith(
        f"budget {first.budget:,.2f} EUR (of {week:,.2f} for seven days 0.00 were spent before)"
    )
    later = as_of + 3 * DAY
    second = ask_everyone(replace(logging, as_of=later), out, QUIET)
    assert second.of_week == (pytest.approx(week, abs=1e-3), pytest.approx(first.spent))
    third = ask_everyone(replace(logging, as_of=later + HOUR), out, QUIET)  # now the week's is
    assert third.budget == pytest.approx(week - first.spent - second.spent, abs=1e-3)
    assert third.spent <= third.budget
    assert first.spent + second.spent + third.spent <= week + 1e-9
    record = third.record()
    assert record["budget_per_week"] == pytest.approx(week, abs=1e-3)
    assert record["spent_in_week_before"] == round(first.spent + second.spent, 2)

    # What was reported as not sent is given back; what is eight days old is no part of the week.
    with Store.open(home.store) as store:
        asked = "SELECT id, as_of FROM decisions WHERE message_class = 'marketing'"
        with store._file.reader.connect() as connection:
            sent = connection.exec_driver_sql(asked).fetchall()
        paid = {store.spent_in_week(as_of + 7 * DAY - 1), first.spent + second.spent + third.spent}
        assert max(paid) == pytest.approx(min(paid))
        assert store.spent_in_week(as_of + 8 * DAY) == pytest.approx(second.spent + third.spent)
        for decision_id, at in sent:
            if at == as_of:
                said = Outcome(decision_id, "not_sent", as_of + HOUR)
                store.keep_outcome(said, Report(as_of + HOUR, as_of + HOUR, {}))
        assert store.spent_in_week(later + DAY) == pytest.approx(second.spent + third.spent)


def test_the_smaller_rest_counts() -> None:
    assert Budget().left(5.0) is None
    assert Budget(per_run=3.0).left(100.0) == 3.0
    assert Budget(per_week=10.0).left(4.0) == 6.0
    assert Budget(per_week=10.0).left(14.0) == 0.0
    assert Budget(3.0, 10.0).left(4.0) == 3.0
    assert Budget(3.0, 10.0).left(8.0) == 2.0
