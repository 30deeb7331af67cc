"""After a pause: what it held back is known, and is not made up for when it is too late."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest

from features.home import Home
from features.signals import ABSENT, DAY, HOUR, MINUTE, SignalColumns, code
from serving.answer import Surroundings
from serving.champion import Champion
from serving.desk import Question, answer_to
from serving.due import due_to
from serving.engine import Engine
from serving.pause_looks import Looked, look_record
from serving.storage.pauses import Wanted
from serving.storage.store import Store
from serving.storage.withheld import Reach, Withheld
from training.pause_words import look_lines

MIDNIGHT = 1_793_491_200_000_000
# The shipped reminder of a cart: its time comes after two hours and lasts three days.
DELAY, WITHIN = 2 * HOUR, 3 * DAY


@dataclass
class Clock:
    """A clock that is told what time it is."""

    now: int = MIDNIGHT

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(home: Home, clock: Clock) -> Iterator[Store]:
    with Store.open(home.store, clock) as opened:
        yield opened


@pytest.fixture
def engine(home: Home, store: Store) -> Engine:
    found = Champion(home, store).current().engine
    rules = replace(
        found.policy,
        epsilon=0.0,
        uniform_share=0.0,
        holdout_share=0.0,
        assumed_consents=frozenset({("email", "marketing")}),
    )
    return replace(found, policy=rules)


@pytest.fixture
def around(home: Home) -> Surroundings:
    return Surroundings(home.about(), "EUR")


def left_a_cart(at: int) -> SignalColumns:
    """An order, and later a product put in the cart."""
    times = np.array([at - 20 * DAY, at], dtype=np.int64)
    event = np.array([code("Order Completed"), code("Product Added")])
    paid = np.array([4000, ABSENT])
    absent = np.full(2, ABSENT, dtype=np.int64)
    return SignalColumns(event, times, times, paid, absent, absent)


def due(customer: str, clock: Clock, store: Store, engine: Engine, around: Surroundings) -> bool:
    """Whether the cart is to be spoken of now."""
    found = due_to(customer, clock.now, lambda: 0.5, store, engine, around)
    said = [json.loads(each)["communication"] for each in found.values() if each is not None]
    assert set(said) <= {"cart_reminder"}
    return bool(said)


def test_late_or_under_review_nothing_is_due_and_all_else_is(
    store: Store, engine: Engine, around: Surroundings, clock: Clock
) -> None:
    """Carts left at random around random pauses, against what the times alone say."""
    rng = np.random.default_rng(11)
    seen = set()
    for number in range(80):
        customer, review = f"W-{number}", bool(rng.integers(2))
        began = MIDNIGHT + number * 40 * DAY
        ended = began + int(rng.integers(1, 120)) * HOUR
        left = began + int(rng.integers(-48, 140)) * HOUR + MINUTE
        looked = ended + int(rng.integers(1, 100)) * HOUR
        store.put_customers([(customer, left_a_cart(left))])
        clock.now = began
        store.pause(Wanted("a flood"))
        clock.now = ended - MINUTE
        assert not due(customer, clock, store, engine, around)
        clock.now = ended
        store.end_pause(review=review)
        clock.now = looked
        opens = left + DELAY
        in_time = opens <= looked < opens + WITHIN
        expected = in_time and (opens >= ended or not review)
        assert due(customer, clock, store, engine, around) == expected, (number, review)
        seen.add((in_time, opens < ended, review))
    assert {(True, True, True), (True, True, False), (False, True, False)} <= seen


def test_what_was_said_before_a_pause_is_not_said_again_after_its_review(
    store: Store, engine: Engine, around: Surroundings, clock: Clock
) -> None:
    for review in (False, True):
        customer = f"C-{review}"
        store.put_customers([(customer, left_a_cart(MIDNIGHT - 3 * HOUR))])
        clock.now = MIDNIGHT
        assert due(customer, clock, store, engine, around)
        clock.now = MIDNIGHT + HOUR
        store.pause(Wanted("a flood"))
        assert not due(customer, clock, store, engine, around)
        clock.now = MIDNIGHT + 2 * HOUR
        store.end_pause(review=review)
        clock.now = MIDNIGHT + 3 * HOUR
        assert due(customer, clock, store, engine, around) == (not review)


def test_a_review_is_of_what_the_pause_was_about(
    store: Store, engine: Engine, around: Surroundings, clock: Clock
) -> None:
    store.put_customers([("C-cart", left_a_cart(MIDNIGHT - 3 * HOUR))])
    store.pause(Wanted("no lines", channel="sms"))
    store.pause(Wanted("a wrong price", stage="lapsed"))
    clock.now += HOUR
    store.end_pause(review=True)
    clock.now += HOUR
    assert due("C-cart", clock, store, engine, around)


def test_whom_a_pause_kept_from_a_message_is_known(
    store: Store, engine: Engine, around: Surroundings, clock: Clock
) -> None:
    ids = [f"P-{number}" for number in range(7)]
    store.put_customers([(each, left_a_cart(MIDNIGHT - 3 * HOUR)) for each in ids])
    first = store.pause(Wanted("a flood and a fire"))
    second = store.pause(Wanted("no mails", channel="email"))
    assert store.withheld(first) == Withheld()
    for step in (1, 2):
        clock.now += MINUTE
        for each in ids[: 7 if step == 1 else 1]:
            answer_to(Question(each, clock.now, 0.5), store, engine, around)
    held = store.withheld(first)
    assert held == Withheld(8, 7, tuple(ids))
    assert store.withheld(first, Reach(first=5, most=100)) == replace(
        held, customers=("P-5", "P-6")
    )
    assert store.withheld(first, Reach(first=0, most=2)) == replace(held, customers=("P-0", "P-1"))
    assert store.withheld(first, Reach(first=99, most=2)) == replace(held, customers=())
    newest = store.withheld(first, Reach(newest=2))
    assert newest == Withheld(2, 2, ("P-6", "P-0"), complete=False)
    assert newest.words() == (
        "nothing but a pause kept at least 2 customers from a message, in 2 decisions: P-6, P-0"
    )
    assert store.withheld(first, Reach(newest=9)) == held
    assert store.withheld(second) == held  # neither alone stood in the way, both did
    assert held.words() == (
        "nothing but a pause kept 7 customers from a message, in 8 decisions: "
        "P-0, P-1, P-2, P-3, P-4 and 2 more"
    )
    # Who has objected is kept from marketing by more than a pause.
    clock.now += MINUTE
    store.put_consent_changes([Objection("P-6", clock.now - 1)])
    answer_to(Question("P-6", clock.now, 0.5), store, engine, around)
    assert store.withheld(first) == held

    assert look_lines(Looked.at(store, ()))[:2] == [
        "paused (1): everything: a flood and a fire; transactional and crisis still leave",
        f"  {held.words()}",
    ]
    clock.now += MINUTE
    ended = store.end_pause(1)
    looked = Looked.at(store, ended)
    assert look_lines(looked)[2:] == [
        "let go (1): everything: a flood and a fire",
        f"  {held.words()}; what is not too late is decided anew",
    ]
    clock.now += MINUTE
    answer_to(Question("P-0", clock.now, 0.5), store, engine, around)
    assert store.withheld(ended[0]) == held  # what came after its end is not its doing
    assert store.withheld(second).decisions == 9
    clock.now += MINUTE
    looked = Looked.at(store, store.end_pause(review=True))
    assert look_lines(looked) == [
        "nothing is paused",
        "under review (2): channel email: no mails; ended 2026-11-01T00:06:00Z; what came due "
        "before is not sent by itself",
        f"  {store.withheld(second).words()}",
    ]
    record = look_record(looked)
    (under_review,) = record["under_review"]  # type: ignore[misc]
    assert record["pauses"] == []
    assert under_review["withheld"] == {  # type: ignore[index]
        "decisions": 9,
        "people": 7,
        "customers": ids,
        "complete": True,
    }
    clock.now += 8 * DAY
    assert look_lines(Looked.at(store, ())) == ["nothing is paused"]


@dataclass(frozen=True)
class Objection:
    """Somebody objects to marketing."""

    customer_id: str
    occurred_at: int
    channel: str = "email"
    purpose: str = "marketing"
    given: bool = False
    evidence: str | None = "letter"
    objection: bool = True

    @property
    def received_at(self) -> int:
        return self.occurred_at
