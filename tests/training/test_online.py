"""Signals that came over HTTP reach the history once, whatever happens in between."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from features.history import History
from features.home import About, Home
from features.intake.ingest import IntakeRules, ingest
from features.signals import DAY, SignalColumns, code
from serving.events import Arrival, read_item
from serving.storage.store import Store
from training.homes import make_home
from training.online import bring_online, take_over

NOON = 1_793_534_400_000_000


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with one customer's order from a file."""
    found = Home(tmp_path / "home")
    make_home(found, About("Shop", "data_end"))
    rows = "customer_id,event,occurred_at,amount\nC-1,Order Completed,2026-10-01T10:00:00Z,20\n"
    (tmp_path / "orders.csv").write_text(rows)
    ingest([tmp_path / "orders.csv"], None, found, IntakeRules("EUR"))
    with Store.open(found.store) as store:
        bring_online(History(found.signals), store)
    return found


def say(store: Store, event: str, message_id: str, customer_id: str = "C-1") -> None:
    item = {"type": "track", "userId": customer_id, "event": event, "messageId": message_id}
    said = read_item(item, Arrival(NOON, None, "EUR"))
    [verdict] = store.receive([said], NOON)
    assert verdict.status == "accepted"


def events_of(store: Store, customer_id: str = "C-1") -> list[int]:
    found = store.customer_signals(customer_id)
    assert found is not None
    return found.event.tolist()


ORDER, VIEW, CART = (code(n) for n in ("Order Completed", "Product Viewed", "Product Added"))


def test_signals_reach_the_history_and_the_clock_moves_on(home: Home) -> None:
    with Store.open(home.store) as store:
        say(store, "Product Viewed", "m-1")
        say(store, "Signed Up", "m-2", "C-2")
        report = take_over(home, store, "EUR")
        assert report is not None
        assert (report.accepted, report.quarantined) == (2, 0)
        assert bring_online(History(home.signals), store) == 2
        assert events_of(store) == [ORDER, VIEW]
        assert store.data_end() == NOON + DAY // 2
        assert store.waiting_rows() == []
        assert take_over(home, store, "EUR") is None
    assert list(home.path.glob(".taking-over-*")) == []


def test_a_message_that_comes_again_after_that_is_still_known(home: Home) -> None:
    with Store.open(home.store) as store:
        say(store, "Product Viewed", "m-1")
        take_over(home, store, "EUR")
        item = {"type": "track", "userId": "C-1", "event": "Product Viewed", "messageId": "m-1"}
        again = read_item(item | {"timestamp": "2026-11-01T12:00:00Z"}, Arrival(NOON, None, "EUR"))
        assert store.receive([again], NOON)[0].status == "quarantined"  # another moment


def test_what_waits_survives_a_new_copy_of_the_history(home: Home) -> None:
    with Store.open(home.store) as store:
        say(store, "Product Viewed", "m-1")
        bring_online(History(home.signals), store)
        assert events_of(store) == [ORDER, VIEW]


def test_a_stop_after_the_history_has_them_counts_nothing_twice(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Store.open(home.store) as store:
        say(store, "Product Viewed", "m-1")

        def stopped(_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(store, "taken_over", stopped)
            with pytest.raises(KeyboardInterrupt):
                take_over(home, store, "EUR")
        say(store, "Product Added", "m-2")
        report = take_over(home, store, "EUR")
        assert report is not None
        assert (report.accepted, report.duplicates) == (1, 1)
        bring_online(History(home.signals), store)
        assert events_of(store) == [ORDER, VIEW, CART]


def test_the_store_and_the_history_hold_the_same_signals(home: Home) -> None:
    with Store.open(home.store) as store:
        for place, event in enumerate(["Product Viewed", "Product Added", "Page Viewed"]):
            say(store, event, f"m-{place}")
        online = store.customer_signals("C-1")
        take_over(home, store, "EUR")
    log = History(home.signals).load()
    assert isinstance(online, SignalColumns)
    for ours, theirs in zip(online.columns(), log.customer(0).columns(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_consent_over_http_reaches_the_history(home: Home) -> None:
    with Store.open(home.store) as store:
        say(store, "Unsubscribed", "m-1")
        assert not store.ledger("C-1", NOON).consents["email", "marketing"].given
        take_over(home, store, "EUR")
    [change] = History(home.signals).consent_changes()
    assert (change.channel, change.given, change.evidence) == ("email", False, "m-1")


def test_traits_over_http_reach_the_ledger_and_the_history(home: Home) -> None:
    with Store.open(home.store) as store:
        traits = {"household_id": "H1", "timezone": "Asia/Tokyo", "plan": "gold"}
        item = {"type": "identify", "userId": "C-1", "traits": traits, "messageId": "m-1"}
        store.receive([read_item(item, Arrival(NOON, None, "EUR"))], NOON)
        stated = {"household_id": "H1", "timezone": "Asia/Tokyo"}
        assert store.ledger("C-1", NOON + 1).traits == stated
        assert store.ledger("C-1", NOON).traits == {}
        take_over(home, store, "EUR")
    found = History(home.signals).trait_changes()
    assert {change.name: change.value for change in found} == stated
    assert {(change.occurred_at, change.received_at) for change in found} == {(NOON, NOON)}


def test_old_messages_are_forgotten_once_the_history_has_them(home: Home) -> None:
    with Store.open(home.store, clock=lambda: NOON + 31 * DAY) as store:
        say(store, "Product Viewed", "m-1")
        assert json.loads(store.waiting_rows()[0][1])["message_id"] == "m-1"
        take_over(home, store, "EUR")
        say(store, "Product Viewed", "m-1")  # as new; the history knows it for good
        report = take_over(home, store, "EUR")
        assert report is not None
        assert (report.accepted, report.duplicates) == (0, 1)


def test_ingest_without_files_takes_over_what_came_over_http(home: Home) -> None:
    run = [sys.executable, "-m", "nextbest", "ingest", "--home", str(home.path), "--json"]
    with Store.open(home.store) as store:
        say(store, "Product Viewed", "m-1")
        store.receive([read_item(7, Arrival(NOON, None, "EUR"))], NOON)
    for accepted in (1, None):
        done = subprocess.run(run, capture_output=True, text=True, check=True)
        said = json.loads(done.stdout)
        over_http = said["over_http"]
        assert (over_http and over_http["accepted"]) == accepted
        assert said["put_aside_over_http"] == {"an item is no JSON object; send {...} each": 1}
        assert said["customers"] == 1
