"""A shop, a service with subscriptions and an app that sells nothing: files in, decisions out.

Each is invented from a seed and has a reason for leaving planted into it, which the models must
find. Nothing but files goes in: `nextbest doctor` says what kind of company it is.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from features.history import History
from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import DAY, HOUR
from models.bundle import Measured
from models.targets import load_targets
from serving.storage.store import Store
from training.checkup import checked_home
from training.everyone import Asking, Row, answers, row_of
from training.forest import BoosterSettings
from training.homes import make_home
from training.narrator import Narrator
from training.online import bring_online
from training.retrain import Recipe, Retrained, retrain

QUIET = Narrator(quiet=True)
FEW = BoosterSettings(rounds=50)
START = 20_000 * DAY
DAYS = 300
Signal = tuple[str, str, float, dict[str, object]]  # customer, event, day, other columns


def shop(rng: np.random.Generator) -> Iterator[Signal]:
    """People with a pace of their own; before they leave they complain and look less."""
    for number in range(200):
        who, gap = f"s{number:04}", float(rng.choice([6.0, 12.0, 24.0]))
        leaves = float(rng.exponential(500.0))
        day = float(rng.uniform(0, 60))
        while day < min(DAYS, leaves):
            amount = f"{rng.uniform(5, 90):.2f}"
            yield who, "Order Completed", day, {"amount": amount, "currency": "EUR"}
            if day > leaves - 2 * gap:
                yield who, "Ticket Opened", day + 0.5, {}
            else:
                yield who, "Page Viewed", day + 0.4 * gap, {}
            day += max(0.3, float(rng.gamma(4.0, gap / 4)))


def subscriptions(rng: np.random.Generator) -> Iterator[Signal]:
    """Terms of 30 days; who comes to use little cancels, or lets the term run out."""
    for number in range(260):
        who, start = f"a{number:04}", float(rng.uniform(0, 200))
        likes, event = True, "Subscription Started"
        while start < DAYS:
            ends = int(START + (start + 30) * DAY)
            yield who, event, start, {"properties": {"ends_at": written(ends)}}
            for day in start + rng.uniform(0, 30, rng.poisson(18 if likes else 4)):
                yield who, "Feature Used", float(day), {"properties": {"minutes": 12}}
            if rng.random() < (0.03 if likes else 0.6):
                if rng.random() < 0.5:
                    yield who, "Subscription Cancelled", start + float(rng.uniform(20, 29)), {}
                break
            start, event = start + 29.5, "Subscription Renewed"
            likes = likes and rng.random() > 0.15


def application(rng: np.random.Generator) -> Iterator[Signal]:
    """Days of use at a rate that sinks for some, until they stay away."""
    for number in range(160):
        who, begins = f"p{number:04}", float(rng.uniform(0, 120))
        rate = float(rng.choice([0.15, 0.4, 0.8]))
        fades = begins + float(rng.exponential(180.0))
        for day in np.arange(int(begins), DAYS):
            now = rate * (1.0 if day < fades else max(0.0, 1.0 - (day - fades) / 40))
            if rng.random() < now:
                for _ in range(int(rng.integers(1, 4))):
                    event = str(rng.choice(["Application Opened", "Feature Used", "Page Viewed"]))
                    yield who, event, float(day + rng.uniform(0.2, 0.9)), {}


def number(cell: str | float | None) -> float:
    assert isinstance(cell, float)
    return cell


def written(moment: int) -> str:
    return datetime.fromtimestamp(moment / 1e6, tz=UTC).isoformat(timespec="seconds")


def write(signals: Iterator[Signal], path: Path) -> Path:
    columns = ("customer_id", "event", "occurred_at", "amount", "currency", "properties")
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, columns, restval="")
        rows.writeheader()
        for who, event, day, other in signals:
            if 0 <= day < DAYS:
                known = {key: value for key, value in other.items() if key != "properties"}
                if "properties" in other:
                    known["properties"] = json.dumps(other["properties"])
                at = written(int(START + day * DAY + HOUR))
                rows.writerow({"customer_id": who, "event": event, "occurred_at": at, **known})
    return path


@dataclass(frozen=True)
class Company:
    """What came of one company's file."""

    home: Home
    said: tuple[str, ...]
    trained: Retrained
    rows: list[Row]

    def measured(self, target: str) -> dict[str, Measured]:
        return {one.model: one for one in self.trained.bundle.metrics if one.target == target}

    def served(self, target: str) -> Measured:
        return next(one for one in self.measured(target).values() if one.serves)

    def stages(self) -> Counter[str]:
        return Counter(str(row["stage"]) for row in self.rows)


def through(
    folder: Path, signals: Iterator[Signal], targets: Callable[[str], str] = str
) -> Company:
    home = Home(folder / "home")
    make_home(home, About("Invented", "data_end", simulated=True))
    ingest([write(signals, folder / "signals.csv")], None, home, IntakeRules("EUR"))
    said, _ = checked_home(home, apply=True)
    home.targets.write_text(targets(home.targets.read_text(encoding="utf-8")), encoding="utf-8")
    history = History(home.signals)
    with Store.open(home.store) as store:
        bring_online(history, store)
    trained = retrain(home, history.data_end(), Recipe(booster=FEW), QUIET)
    asking = Asking(home, history.data_end(), logs=False, seed=1)
    people = History(home.signals).load().customer_ids[::2]  # half of them tell as much
    return Company(home, tuple(said), trained, [row_of(each) for each in answers(asking, people)])


@pytest.fixture(scope="module")
def a_shop(tmp_path_factory: pytest.TempPathFactory) -> Company:
    def beside(text: str) -> str:
        lines = text.splitlines(keepends=True)
        place = next(i for i, line in enumerate(lines) if line.startswith("at_risk_days"))
        lines.insert(place + 1, "also_window_days = [14, 56]\n")
        return "".join(lines)

    return through(tmp_path_factory.mktemp("shop"), shop(np.random.default_rng(1)), beside)


@pytest.fixture(scope="module")
def a_contract(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return through(tmp_path_factory.mktemp("contract"), subscriptions(np.random.default_rng(2)))


@pytest.fixture(scope="module")
def an_application(tmp_path_factory: pytest.TempPathFactory) -> Company:
    return through(tmp_path_factory.mktemp("app"), application(np.random.default_rng(3)))


def test_a_shop_is_asked_about_orders(a_shop: Company) -> None:
    churn = load_targets(a_shop.home.targets)["churn_risk"]
    assert (churn.outcome, churn.at_risk) == ("absence", ("Order Completed",))
    assert any("returning customers: churn" in line for line in a_shop.said)
    assert set(a_shop.measured("churn_risk")) == {
        "base_rate", "recency", "bg_nbd", "pareto_nbd", "logistic", "lightgbm",
    }  # fmt: skip
    served = a_shop.served("churn_risk")
    assert served.auc is not None
    assert served.auc > 0.72
    assert {"active", "lapsing", "lapsed"} <= set(a_shop.stages())


def test_other_windows_are_shown_beside(a_shop: Company) -> None:
    bundle = a_shop.trained.bundle
    beside = [name for name in ("churn_risk_14d", "churn_risk_56d") if a_shop.measured(name)]
    assert beside == ["churn_risk_14d", "churn_risk_56d"]
    assert set(bundle.classifiers) == {"churn_risk", "repurchase_likelihood"}
    for name in beside:
        found = a_shop.measured(name)
        assert not any(one.serves for one in found.values())
        assert (found["lightgbm"].auc or 0) > 0.6
        assert any(note.startswith(f"{name}: beside the window") for note in bundle.notes)
    # A longer window is missed more rarely.
    missed = {
        name: found["base_rate"].positives / found["base_rate"].rows
        for name in ("churn_risk_14d", "churn_risk", "churn_risk_56d")
        if (found := a_shop.measured(name))
    }
    assert missed["churn_risk_14d"] > missed["churn_risk"] > missed["churn_risk_56d"]
    # What is not known yet is counted, and no answer.
    words = "the window of 56 days was not over: dropped, never a no."
    assert any(words in note and " of 0 " not in note for note in bundle.notes)


def test_subscribers_are_asked_whether_they_stay(a_contract: Company) -> None:
    churn = load_targets(a_contract.home.targets)["churn_risk"]
    assert (churn.outcome, churn.of_subscribers, churn.window_days) == ("lapse", True, 35)
    assert any(line.startswith("Most customers subscribe.") for line in a_contract.said)
    served, rule = a_contract.served("churn_risk"), a_contract.measured("churn_risk")["recency"]
    assert served.auc is not None
    assert rule.auc is not None
    assert served.auc > 0.65
    assert "bg_nbd" not in a_contract.measured("churn_risk")  # nobody orders here
    running = [row for row in a_contract.rows if row["churn_risk"] is not None]
    over = [row for row in a_contract.rows if row["churn_risk"] is None]
    assert {row["stage"] for row in running} <= {"active", "onboarding"}
    assert {row["stage"] for row in over} <= {"lapsing", "lapsed", "onboarding"}
    assert len(running) > 30 < len(over)


def test_who_uses_little_is_more_likely_to_leave(a_contract: Company) -> None:
    used: Counter[str] = Counter()
    with (a_contract.home.path.parent / "signals.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            late = datetime.fromisoformat(row["occurred_at"]).timestamp() * 1e6
            if row["event"] == "Feature Used" and late > START + (DAYS - 28) * DAY:
                used[row["customer_id"]] += 1
    asked = [row for row in a_contract.rows if row["churn_risk"] is not None]
    ranked = sorted(asked, key=lambda row: used[str(row["customer_id"])])
    third = len(ranked) // 3
    little, much = (
        float(np.mean([number(row["churn_risk"]) for row in part]))
        for part in (ranked[:third], ranked[-third:])
    )
    assert little > 2 * much


def test_where_nobody_buys_staying_away_is_churn(an_application: Company) -> None:
    targets = load_targets(an_application.home.targets)
    assert "Feature Used" in targets["churn_risk"].event
    assert any(line.startswith("Hardly anybody buys.") for line in an_application.said)
    churn, again = (an_application.served(name) for name in targets.names[:2])
    assert (churn.auc or 0) > 0.75
    assert (again.auc or 0) > 0.75
    stages = an_application.stages()
    assert {"active", "lapsing", "lapsed"} <= set(stages)
    assert "prospect" not in stages
    lapsed = [row for row in an_application.rows if row["stage"] == "lapsed"]
    assert all(row["churn_risk"] is None for row in lapsed)
    assert all(row["expected_margin"] == 0 for row in an_application.rows)
