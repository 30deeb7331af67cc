"""Of several moments that are open at once, what is owed or worth most has the first turn."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from features.definitions import FEATURES
from features.home import Home
from features.signals import ABSENT, DAY, EMPTY, HOUR, SignalColumns, code
from models.classifier import Classifier
from models.rules import RecencyRule
from serving import policy
from serving.answer import Surroundings
from serving.catalog import load_catalog
from serving.champion import Champion
from serving.desk import Question, answer_to
from serving.due import due_to
from serving.engine import Engine
from serving.policy import load_policy
from serving.storage.store import Store

MIDNIGHT = 1_793_491_200_000_000
EVENTS = ("Product Viewed", "Product Added", "Checkout Started", "Chat Opened", "Page Viewed")
CASES = 60


@pytest.fixture
def store(home: Home) -> Iterator[Store]:
    with Store.open(home.store) as opened:
        yield opened


@pytest.fixture
def engine(home: Home, store: Store) -> Engine:
    return Champion(home, store).current().engine


def entry(event: str, worth: float, message_class: str) -> str:
    """A communication that is worth so much, for everybody, after an event."""
    return (
        f'title = "T"\nchannel = "email"\nclass = "{message_class}"\npurpose = "marketing"\n'
        'stages = ["onboarding", "lapsing", "active", "lapsed"]\n'
        "sells = false\ncost = 0.0\nwindow_days = 1\n"
        f'trigger = ["{event}"]\nwithin = "3 days"\nprior.share = {worth}\nprior.share_sd = 0.1\n'
        'prior.of = "1"\nprior.weight = 10\nprior.source = "Ours."\n'
    )


def happened(hours_ago: dict[str, int]) -> SignalColumns:
    """One order long ago, then these events."""
    told = {"Order Completed": 30 * 24} | hours_ago
    pairs = sorted((MIDNIGHT - hours * HOUR, code(event)) for event, hours in told.items())
    at = np.array([at for at, _ in pairs], dtype=np.int64)
    absent = np.full(len(at), ABSENT, dtype=np.int64)
    event = np.array([each for _, each in pairs], dtype=np.int64)
    return SignalColumns(event, at, at, absent, absent, absent)


class Case:
    """A random catalog of moments, a random cap, and a customer to whom all of it happened."""

    def __init__(self, number: int, engine: Engine, folder: Path) -> None:
        rng = np.random.default_rng(number)
        classes = ["marketing"] * 4 + ["service"]
        self.worth: dict[str, float] = {}
        self.owed: set[str] = set()
        self.event: dict[str, str] = {}
        text = ""
        for place in range(int(rng.integers(2, 8))):
            name, event = f"m_{place}", str(rng.choice(EVENTS))
            kind, worth = str(rng.choice(classes)), float(rng.choice([-1, 1, 2, 3, 5, 8]))
            self.worth[name], self.event[name] = worth, event
            if kind == "service":
                self.owed.add(name)
            text += f"[{name}]\n{entry(event, worth, kind)}\n"
        file = folder / "catalog.toml"
        file.write_text(text, encoding="utf-8")
        self.places = int(rng.integers(1, 4))
        rules = policy.SHIPPED.read_text(encoding="utf-8")
        start, end = rules.index("[[caps]]"), rules.index("# A message chosen in quiet hours")
        cap = f'[[caps]]\nchannel = "any"\nclass = "marketing"\ndays = 7\nmost = {self.places}\n\n'
        (folder / "policy.toml").write_text(rules[:start] + cap + rules[end:], encoding="utf-8")
        plain = replace(
            load_policy(folder / "policy.toml"), epsilon=0.0, uniform_share=0.0, holdout_share=0.0
        )
        free = replace(plain, fatigue=replace(plain.fatigue, price=0.0, novelty_price=0.0))
        self.engine = replace(engine, catalog=load_catalog(file, FEATURES.names), policy=free)
        hours = rng.permutation(60)[: len(EVENTS)] + 1
        self.signals = happened(dict(zip(EVENTS, hours.tolist(), strict=True)))

    def best(self, event: str) -> str | None:
        """By hand: what is best to say after an event, owed messages first; None: nothing."""
        of_event = [name for name, other in self.event.items() if other == event]
        gains = [name for name in of_event if self.worth[name] > 0]
        return min(gains, key=self.turn, default=None)

    def turn(self, name: str) -> tuple[bool, float, str]:
        return name not in self.owed, -self.worth[name], name


def told_to(customer: str, case: Case, store: Store, around: Surroundings) -> list[dict[str, Any]]:
    store.put_customers([(customer, case.signals)])
    found = due_to(customer, MIDNIGHT, lambda: 0.5, store, case.engine, around)
    return [json.loads(answer) for answer in found.values() if answer is not None]


def test_no_weaker_message_takes_a_place_that_a_better_one_could_have_had(
    home: Home, store: Store, engine: Engine, tmp_path: Path
) -> None:
    """Against all open moments enumerated by hand, over random catalogs, caps and times."""
    around = Surroundings(home.about(), "EUR")
    scarce = 0
    for number in range(CASES):
        case = Case(number, engine, tmp_path)
        customer = "C-lapsing" if number == 0 else f"C-{number}"
        consent_of(store, customer)
        names = [each["communication"] for each in told_to(customer, case, store, around)]
        open_now = [best for event in EVENTS if (best := case.best(event)) is not None]
        owed = {name for name in open_now if name in case.owed}
        marketing = sorted((n for n in open_now if n not in case.owed), key=case.turn)
        taken = [name for name in names if name not in case.owed]
        assert {name for name in names if name in case.owed} == owed
        assert len(taken) == min(case.places, len(marketing))
        left = [case.worth[name] for name in marketing if name not in taken]
        assert min((case.worth[n] for n in taken), default=9) >= max(left, default=-9)
        turns = [case.turn(name)[:2] for name in names]
        assert turns == sorted(turns)  # told in the same order
        scarce += len(marketing) > case.places
        again = due_to(customer, MIDNIGHT, lambda: 0.5, store, case.engine, around)
        said = [json.loads(each)["communication"] for each in again.values() if each is not None]
        assert said == names  # the same decisions, in the same order
    assert scarce >= CASES / 10


def test_a_batch_says_the_best_of_all_that_is_open(
    home: Home, store: Store, engine: Engine, tmp_path: Path
) -> None:
    """`decide --all` asks without a trigger: one answer, the best of every open moment."""
    around = Surroundings(home.about(), "EUR")
    for number in range(CASES // 2):
        case = Case(number, engine, tmp_path)
        customer = f"B-{number}"
        store.put_customers([(customer, case.signals)])
        consent_of(store, customer)
        found = json.loads(answer_to(Question(customer, MIDNIGHT, 0.5), store, case.engine, around))
        gains = [name for name, worth in case.worth.items() if worth > 0]
        assert found["communication"] == min(gains, key=case.turn, default="no_contact")


def test_chance_has_no_say_in_the_turn(
    home: Home, store: Store, engine: Engine, tmp_path: Path
) -> None:
    """Whatever is drawn, the better moment is decided first, so its probabilities are the same."""
    around = Surroundings(home.about(), "EUR")
    numbers = count()
    file = tmp_path / "catalog.toml"
    weak, strong = entry("Product Viewed", 1, "marketing"), entry("Chat Opened", 5, "marketing")
    file.write_text(f"[weak]\n{weak}\n[strong]\n{strong}\n", encoding="utf-8")
    one_place = replace(engine.policy.caps[0], most=1)
    rules = replace(
        engine.policy, caps=(one_place,), epsilon=0.5, uniform_share=0.0, holdout_share=0.0
    )
    lively = replace(engine, catalog=load_catalog(file, FEATURES.names), policy=rules)
    signals = happened({"Product Viewed": 9, "Chat Opened": 2})
    for drawn in (0.01, 0.5, 0.99):
        customer = f"D-{next(numbers)}"
        store.put_customers([(customer, signals)])
        consent_of(store, customer)
        found = due_to(customer, MIDNIGHT, lambda drawn=drawn: drawn, store, lively, around)  # type: ignore[misc]
        assert set(found) == {"Product Viewed", "Chat Opened"}
        strongest = next(
            one
            for one in store.past_decisions(MIDNIGHT + DAY)
            if one.customer_id == customer and "strong" in one.probabilities
        )
        assert strongest.probabilities["strong"] == pytest.approx(0.75)


def test_a_moment_is_answered_as_by_a_call_about_it(
    home: Home, store: Store, engine: Engine, tmp_path: Path
) -> None:
    """Reasons and all, though what is the same for all moments is worked out once."""
    around = Surroundings(home.about(), "EUR")
    case = next(one for n in range(CASES) if len((one := Case(n, engine, tmp_path)).event) > 4)
    assert case.engine.bundle is not None
    silence = RecencyRule(edges=(14.0,), log_odds=(-2.5, 1.0), unknown=0.0, base=-1.5)
    churn = {"churn_risk": Classifier(silence, FEATURES.names)}
    told = replace(case.engine, bundle=replace(case.engine.bundle, classifiers=churn))
    for twin in ("T-one", "T-two"):
        store.put_customers([(twin, case.signals)])
        consent_of(store, twin)
    found = due_to("T-one", MIDNIGHT, lambda: 0.5, store, told, around)
    assert len(found) > 1
    for event, said in found.items():
        question = Question("T-two", MIDNIGHT, 0.5, trigger=event)
        called = json.loads(answer_to(question, store, told, around))
        assert called["reasons"]
        own = dict.fromkeys(("decision_id", "customer_id"))
        if said is None:
            assert called["communication"] == "no_contact"
        else:
            assert json.loads(said) | own == called | own


def test_a_customer_is_read_once_however_many_moments_are_open(
    home: Home, store: Store, engine: Engine, tmp_path: Path
) -> None:
    around = Surroundings(home.about(), "EUR")
    case = next(one for n in range(CASES) if len((one := Case(n, engine, tmp_path)).event) > 4)
    store.put_customers([("R-one", case.signals)])
    consent_of(store, "R-one")
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        found = due_to("R-one", MIDNIGHT, lambda: 0.5, store, case.engine, around)
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert len(found) > 1
    assert sum("SELECT customers.signals" in one for one in seen) == 1


def test_who_was_never_heard_of_has_nothing_due(home: Home, store: Store, engine: Engine) -> None:
    around = Surroundings(home.about(), "EUR")
    assert due_to("nobody", MIDNIGHT, lambda: 0.5, store, engine, around) == {}
    store.put_customers([("C-empty", EMPTY)])
    assert due_to("C-empty", MIDNIGHT, lambda: 0.5, store, engine, around) == {}


def consent_of(store: Store, customer: str) -> None:
    """Consent to mails, as the home's own customers gave it."""
    store.put_consent_changes([Consenting(customer)])


class Consenting:
    """A consent of long ago."""

    channel, purpose, given, objection = "email", "marketing", True, False
    evidence: str | None = "form"
    occurred_at = received_at = MIDNIGHT - 100 * DAY

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id
