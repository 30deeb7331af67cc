"""What is due: after a trigger and its delay, once a moment, and not after what ended it."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from features.definitions import FEATURES
from features.home import About, Home
from features.signals import ABSENT, DAY, EMPTY, HOUR, MINUTE, SignalColumns, code
from serving import policy
from serving.answer import time_text
from serving.calls import due_calls
from serving.calls.api import create_app
from serving.calls.due_calls import page
from serving.calls.schemas import DueRequest
from serving.catalog import SHIPPED, load_catalog
from serving.settings import Settings
from serving.storage.store import Store

MIDNIGHT = 1_793_491_200_000_000
MORNING = MIDNIGHT + 10 * HOUR
Ask = Callable[..., dict[str, Any]]


@dataclass
class Clock:
    """A clock that stands until it is told to go on."""

    now: int = MORNING

    def __call__(self) -> int:
        self.now += 1  # two looks never see the same microsecond
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def live(home: Home) -> Home:
    """A live home in which nobody is left to chance."""
    home.write_about(replace(home.about(), clock="live"))
    text = policy.SHIPPED.read_text(encoding="utf-8")
    for key, was in (("holdout_share", "0.05"), ("uniform_share", "0.05"), ("epsilon", "0.10")):
        assert f"{key} = {was}" in text
        text = text.replace(f"{key} = {was}", f"{key} = 0.0")
    home.policy.write_text(text, encoding="utf-8")
    return home


@pytest.fixture
def app(live: Home, clock: Clock) -> Iterator[FastAPI]:
    made = create_app(Settings(live.path), clock, np.random.default_rng(7))
    yield made
    made.state.service.store.close()


@pytest.fixture
def ask(app: FastAPI, caller: Callable[[FastAPI], Callable[..., httpx.Response]]) -> Ask:
    call = caller(app)

    def asked(method: str, path: str, **request: Any) -> dict[str, Any]:
        response = call(method, path, **request)
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    return asked


@pytest.fixture
def tell(ask: Ask, clock: Clock) -> Callable[..., None]:
    """Report an event that happened some time before now."""
    sent = iter(range(1000))

    def told(event: str, ago: int = MINUTE, customer: str = "C-new", **properties: Any) -> None:
        item = {
            "type": "track",
            "userId": customer,
            "event": event,
            "messageId": f"m-{next(sent)}",
            "timestamp": time_text(clock.now // MINUTE * MINUTE - ago),
            "properties": properties,
        }
        assert ask("POST", "/v1/batch", json={"batch": [item]})["accepted"] == 1

    return told


Tell = Callable[..., None]


def named(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(i["decision"]["customer_id"], i["decision"]["communication"]) for i in found["items"]]


def test_cart_is_reminded_of_after_two_hours_and_once(ask: Ask, tell: Tell, clock: Clock) -> None:
    tell("Product Added", ago=0)
    clock.now += 20 * MINUTE
    assert named(ask("GET", "/v1/due")) == []
    question = {"customer_id": "C-new", "trigger": "Product Added"}
    early = ask("POST", "/v1/decisions", json=question)
    assert early["communication"] == "no_contact"
    two_hours = time_text(MORNING + 2 * HOUR)
    assert (early["reconsider_at"], early["valid_until"]) == (two_hours, two_hours)
    refusal = next(r for r in early["refusals"] if r["communication"] == "cart_reminder")
    assert refusal["rule"] == "delay"
    assert refusal["change"] == "it is 2 hours after Product Added: 2026-11-01 12:00 UTC"

    clock.now = MORNING + 2 * HOUR + MINUTE
    first = ask("GET", "/v1/due")
    assert named(first) == [("C-new", "cart_reminder")]
    assert first["items"][0]["trigger"] == "Product Added"
    clock.now += 5 * MINUTE
    again = ask("GET", "/v1/due")
    assert again["items"] == first["items"]  # the same decision, no second contact

    decision_id = first["items"][0]["decision"]["decision_id"]
    ask("POST", f"/v1/decisions/{decision_id}/outcomes", json={"outcome": "sent"})
    assert named(ask("GET", "/v1/due")) == []


def test_purchase_cancels_the_reminder(ask: Ask, tell: Tell, clock: Clock) -> None:
    tell("Product Added", ago=0)
    clock.now += 2 * HOUR + MINUTE
    assert named(ask("GET", "/v1/due")) == [("C-new", "cart_reminder")]
    standing = "/v1/customers/C-new/decision"
    tell("Order Completed", amount="20.00", currency="EUR")
    assert named(ask("GET", "/v1/due")) == [("C-new", "order_confirmation")]
    # What stood before the order stands no more, for whoever asks.
    tell("Product Added", ago=0)
    clock.now += HOUR
    before = ask("GET", standing)
    tell("Ticket Opened")
    assert ask("GET", standing)["decision_id"] != before["decision_id"]


def test_late_and_disordered_events_come_to_the_same(ask: Ask, tell: Tell, clock: Clock) -> None:
    clock.now += 5 * HOUR
    tell("Order Completed", ago=2 * HOUR, amount="20.00", currency="EUR")
    tell("Product Added", ago=4 * HOUR)  # heard of last, happened first: bought since
    assert named(ask("GET", "/v1/due")) == []
    tell("Product Added", ago=3 * HOUR, customer="C-lapsing")
    tell("Product Added", ago=4 * HOUR, customer="C-lapsing")  # an earlier one changes nothing
    found = ask("GET", "/v1/due")
    assert named(found) == [("C-lapsing", "cart_reminder")]


def test_new_trigger_is_a_new_moment(ask: Ask, tell: Tell, clock: Clock) -> None:
    tell("Payment Failed", ago=0)
    clock.now += MINUTE
    first = ask("GET", "/v1/due", params={"limit": 10})
    assert named(first) == [("C-new", "checkout_help")]
    clock.now += 30 * HOUR  # its window is over, and so is the moment
    assert named(ask("GET", "/v1/due")) == []
    tell("Payment Failed", ago=0)
    clock.now += MINUTE
    second = ask("GET", "/v1/due")
    assert named(second) == [("C-new", "checkout_help")]
    ids = {found["items"][0]["decision"]["decision_id"] for found in (first, second)}
    assert len(ids) == 2


def test_pages_follow_the_ids_and_silence_is_counted(
    ask: Ask, tell: Tell, app: FastAPI, clock: Clock
) -> None:
    for customer in ("C-lapsing", "C-new", "C-silent"):
        tell("Product Added", ago=3 * HOUR, customer=customer)
    one = ask("GET", "/v1/due", params={"limit": 1})
    assert (named(one), one["next"]) == ([("C-lapsing", "cart_reminder")], "C-lapsing")
    two = ask("GET", "/v1/due", params={"limit": 2, "after": one["next"]})
    # Nobody allowed us to write to C-silent: that moment is decided once as well.
    assert (named(two), two["silent"], two["next"]) == (
        [("C-new", "cart_reminder")],
        1,
        "C-silent",
    )
    last = ask("GET", "/v1/due", params={"after": two["next"]})
    assert (last["items"], last["next"]) == ([], None)
    count = app.state.service.store.decision_count()
    clock.now += MINUTE
    assert named(ask("GET", "/v1/due")) == [*named(one), *named(two)]
    assert app.state.service.store.decision_count() == count


def test_sequence_goes_on_after_a_step_was_skipped(ask: Ask, tell: Tell, clock: Clock) -> None:
    consent = {"channel": "email", "purpose": "marketing", "evidence": "form"}
    tell("Signed Up", customer="C-lead")
    tell("Consent Given", customer="C-lead", **consent)
    sent = []
    for _ in range(16):
        found = ask("GET", "/v1/due")
        sent += [(round((clock.now - MORNING) / DAY), name) for _, name in named(found)]
        for item in found["items"]:
            path = f"/v1/decisions/{item['decision']['decision_id']}/outcomes"
            if "drip_2" in item["decision"]["communication"]:
                ask("POST", path, json={"outcome": "not_sent"})
            else:
                ask("POST", path, json={"outcome": "sent"})
        clock.now += DAY
    drips = [(day, name) for day, name in sent if name.startswith("drip")]
    # The second was not sent: its time passed, and the third counts from there.
    assert drips == [(2, "drip_1_ideas"), (6, "drip_2_proof"), (14, "drip_3_help")]


def test_what_the_company_sent_itself_counts_as_a_step(ask: Ask, tell: Tell, clock: Clock) -> None:
    consent = {"channel": "email", "purpose": "marketing", "evidence": "form"}
    tell("Signed Up", customer="C-lead")
    tell("Consent Given", customer="C-lead", **consent)
    clock.now += 3 * DAY
    own = {"channel": "email", "communication": "drip_1_ideas"}
    tell("Communication Sent", customer="C-lead", **own)
    assert named(ask("GET", "/v1/due")) == []
    clock.now += 4 * DAY + MINUTE
    assert named(ask("GET", "/v1/due")) == [("C-lead", "drip_2_proof")]


def test_trigger_that_nothing_waits_for_is_named(ask: Ask) -> None:
    question = {"customer_id": "C-new", "trigger": "Product Aded"}
    found = ask("POST", "/v1/decisions", json=question)
    assert found["communication"] == "no_contact"
    assert found["note"] == (
        "no communication waits for the trigger 'Product Aded'; did you mean 'Product Added'?"
    )
    assert {r["rule"] for r in found["refusals"]} == {"caller_trigger"}


def test_a_mistake_of_ours_hides_nobody_else_and_is_logged_and_counted(
    ask: Ask,
    tell: Tell,
    app: FastAPI,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tell("Product Added")
    clock.now += 2 * HOUR + MINUTE
    due_to = due_calls.due_to

    def broken(customer_id: str, *rest: Any) -> Any:
        if customer_id == "C-lapsing":
            raise KeyError("C-lapsing")
        return due_to(customer_id, *rest)

    monkeypatch.setattr(app.state.service.store, "due_customers", lambda *_: ["C-lapsing", "C-new"])
    monkeypatch.setattr(due_calls, "due_to", broken)
    found = ask("GET", "/v1/due")
    assert named(found) == [("C-new", "cart_reminder")]
    assert found["note"] == "1 customer could not be looked at; the log says more"
    monkeypatch.setattr(app.state.service.champion, "current", lambda: 1 / 0)
    found = ask("GET", "/v1/due", params={"after": "C-lapsing"})
    assert (found["items"], found["next"]) == ([], "C-lapsing")
    assert found["note"].startswith("the service could not decide in time or at all")
    counts = app.state.service.failures.counts()
    assert {(one.what, one.error): count for one, count in counts.items()} == {
        ("a customer was left out of what is due", "KeyError"): 1,
        ("nothing named as due", "ZeroDivisionError"): 1,
    }
    assert "in of_customer" in caplog.text  # the way there
    assert "C-lapsing" not in caplog.text


def test_untrained_home_names_nothing(tmp_path: Path, clock: Clock) -> None:
    home = Home(tmp_path / "untrained")
    home.write_about(About("A shop for tests", clock="live"))
    with Store.open(home.store) as store:
        store.put_customers([("C-1", added(MORNING - 3 * HOUR))])
    app = create_app(Settings(home.path), clock, np.random.default_rng(7))
    found = page(app.state.service, DueRequest(limit=5))
    app.state.service.store.close()
    assert (found["items"], found["next"]) == ([], None)
    assert "nextbest train" in str(found["note"])


def test_store_of_an_older_version_gets_its_index(tmp_path: Path) -> None:
    file, catalog = tmp_path / "store.db", load_catalog(SHIPPED, FEATURES.names)
    with Store.open(file) as store:
        store.put_customers([("C-1", added(MORNING - 3 * HOUR))])
    with sqlite3.connect(file) as connection:
        connection.execute("DROP TABLE moments")
        connection.execute("UPDATE meta SET value = '2' WHERE key = 'schema'")
    with Store.open(file) as store:
        assert store.due_customers(catalog, MORNING, "", 9) == ["C-1"]
        assert store.due_customers(catalog, MORNING, "C-1", 9) == []
        # Signals that are replaced take their moments with them.
        store.put_customers([("C-1", EMPTY)])
        assert store.due_customers(catalog, MORNING, "", 9) == []


def added(at: int) -> SignalColumns:
    """One product put in the cart."""
    column = np.array([at])
    nothing = np.array([ABSENT])
    event = np.array([code("Product Added")])
    return SignalColumns(event, column, column, nothing, nothing, np.array([0]))
