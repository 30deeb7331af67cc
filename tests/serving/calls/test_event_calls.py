"""Events and outcomes over HTTP: what the next decision sees, and what a retry changes."""

import asyncio
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from segment.analytics.client import Client

from features.home import Home
from features.signals import DAY, MINUTE, SECOND, code
from serving.answer import time_text
from serving.calls.answer_schemas import EventsAnswer, OutcomeAnswer
from serving.calls.api import create_app
from serving.records import NO_CONTACT
from serving.settings import Settings
from serving.storage.store import Store

MIDNIGHT = 1_793_491_200_000_000
BATCH = "/v1/batch"
Ask = Callable[..., httpx.Response]


@dataclass
class Clock:
    """A clock that stands until it is told to go on."""

    now: int = MIDNIGHT + 12 * 60 * MINUTE

    def __call__(self) -> int:
        self.now += 1  # two looks never see the same microsecond
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app(home: Home, clock: Clock) -> Iterator[FastAPI]:
    """A live home whose customers had their signals until midnight."""
    home.write_about(replace(home.about(), clock="live"))
    made = create_app(Settings(home.path), clock, np.random.default_rng(7))
    yield made
    made.state.service.store.close()


@pytest.fixture
def store(app: FastAPI) -> Store:
    found: Store = app.state.service.store
    return found


def track(event: str, message_id: str = "m-1", **fields: Any) -> dict[str, Any]:
    return {
        "type": "track",
        "userId": "C-new",
        "event": event,
        "messageId": message_id,
        "timestamp": time_text(MIDNIGHT + 11 * 60 * MINUTE),
    } | fields


def send(ask: Ask, *items: object, **body: Any) -> dict[str, Any]:
    response = ask("POST", BATCH, json={"batch": list(items), **body})
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    assert EventsAnswer.model_validate(content).model_dump() == content
    return content


def decide(ask: Ask, customer_id: str = "C-new", **fields: Any) -> dict[str, Any]:
    response = ask("POST", "/v1/decisions", json={"customer_id": customer_id, **fields})
    content: dict[str, Any] = response.json()
    assert response.status_code == 200, response.text
    return content


def tell(ask: Ask, decision_id: str, outcome: str, **fields: Any) -> dict[str, Any]:
    path = f"/v1/decisions/{decision_id}/outcomes"
    response = ask("POST", path, json={"outcome": outcome, **fields})
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    assert OutcomeAnswer.model_validate(content).model_dump() == content
    return content


def contacted(ask: Ask, customer_id: str = "C-lapsing") -> dict[str, Any]:
    """A decision that contacts the customer."""
    for _ in range(20):
        found = decide(ask, customer_id)
        if found["communication"] != NO_CONTACT:
            return found
    pytest.fail("twenty decisions for silence")


# ---- Events ------------------------------------------------------------------------------


def test_the_next_decision_sees_the_event(ask: Ask) -> None:
    assert decide(ask)["flags"] == []
    report = send(ask, track("Ticket Opened"))
    assert (report["accepted"], report["note"]) == (1, "")
    assert "complaint_open" in decide(ask)["flags"]


def test_a_new_customer_and_a_visitor_are_known_at_once(ask: Ask) -> None:
    visit = {"type": "page", "anonymousId": "7f3a", "name": "Home"}
    send(ask, track("Signed Up", userId="C-fresh"), visit)
    assert decide(ask, "C-fresh")["note"] == ""
    assert decide(ask, "anon:7f3a")["stage"] == "visitor"


def test_a_bad_item_never_fails_the_rest(ask: Ask, store: Store) -> None:
    body = b"""{"batch": [
        {"type": "track", "userId": "C-new", "event": "Product Viewed", "properties": {"x": NaN}},
        7,
        {"type": "alias", "userId": "C-new", "previousId": "x"},
        {"type": "track", "userId": "C-new", "event": "Candle Lit", "messageId": "m-9"}]}"""
    headers = {"Content-Type": "application/json"}
    report = ask("POST", BATCH, content=body, headers=headers).json()
    statuses = [item["status"] for item in report["items"]]
    assert statuses == ["quarantined", "quarantined", "ignored", "accepted"]
    assert [item["index"] for item in report["items"]] == [0, 1, 2, 3]
    assert "holds NaN" in report["items"][0]["reasons"][0]["detail"]
    assert "identities are not joined" in report["items"][2]["note"]
    assert "no feature sees" in report["items"][3]["note"]
    assert sum(store.quarantine_counts().values()) == 2


def test_a_repeated_message_counts_once(ask: Ask, store: Store, clock: Clock) -> None:
    item = track("Product Viewed")
    assert send(ask, item, item)["duplicate"] == 1
    clock.now += 3 * MINUTE
    again = send(ask, item, sentAt=time_text(clock.now - SECOND))
    assert (again["accepted"], again["duplicate"]) == (0, 1)
    signals = store.customer_signals("C-new")
    assert signals is not None
    assert int((signals.event == code("Product Viewed")).sum()) == 1


def test_an_id_with_another_content_is_put_aside(ask: Ask) -> None:
    send(ask, track("Product Viewed"))
    report = send(ask, track("Product Added"))
    assert report["items"][0]["reasons"][0]["code"] == "message_id_reused"


def test_signals_stay_in_the_order_of_time(ask: Ask, store: Store) -> None:
    early = time_text(MIDNIGHT - 10 * DAY)
    send(ask, track("Product Viewed"), track("Page Viewed", "m-2", timestamp=early))
    signals = store.customer_signals("C-new")
    assert signals is not None
    assert signals.occurred_at.tolist() == sorted(signals.occurred_at.tolist())
    assert signals.event[0] == code("Page Viewed")


def test_the_clock_of_the_sender_is_corrected(ask: Ask, store: Store, clock: Clock) -> None:
    ahead = 5 * DAY
    stamp = time_text(clock.now + ahead - MINUTE)
    item = track("Product Viewed", timestamp=stamp)
    report = send(ask, item, sentAt=time_text(clock.now + ahead))
    signals = store.customer_signals("C-new")
    assert report["accepted"] == 1
    assert signals is not None
    assert abs(int(signals.occurred_at[-1]) - (clock.now - MINUTE)) < SECOND


@pytest.mark.parametrize("sent_at", ["soon", 1_793_534_400, {}, "2026-13-45T00:00:00Z"])
def test_a_batch_sent_at_no_time_is_taken_and_told(ask: Ask, sent_at: object) -> None:
    report = send(ask, track("Product Viewed"), sentAt=sent_at)
    assert report["accepted"] == 1
    assert report["note"].startswith(
        "the sentAt of the batch is no time, so no clock was corrected"
    )


def test_an_objection_holds_at_the_next_call_and_ends_scoring(ask: Ask) -> None:
    assert decide(ask, "C-lapsing")["scores"] != {}
    send(ask, track("Objection Raised", userId="C-lapsing"))
    found = decide(ask, "C-lapsing")
    assert found["scores"] == {}
    assert "objector" in found["flags"]
    assert found["class"] in ("none", "service", "transactional")


def test_consent_withdrawn_and_given_hold_at_the_next_call(ask: Ask) -> None:
    asked = {"channel": "email", "purpose": "marketing"}
    who = {"userId": "C-lapsing", "properties": asked, "timestamp": None}

    def refused_for_consent() -> bool:
        refusals = decide(ask, "C-lapsing")["refusals"]
        return "consent" in {refusal["rule"] for refusal in refusals}

    assert not refused_for_consent()
    send(ask, track("Consent Withdrawn", "m-1", **who))
    assert refused_for_consent()
    send(ask, track("Consent Given", "m-2", **who))
    assert not refused_for_consent()


def test_a_home_of_the_past_keeps_events_for_ingest_and_hears_a_no_at_once(home: Home) -> None:
    app = create_app(Settings(home.path), lambda: MIDNIGHT + 20 * DAY, np.random.default_rng(7))

    async def talk() -> tuple[Any, Any]:
        key = app.state.service.store.new_key("test")
        headers = {"Authorization": f"Bearer {key}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            items = [track("Ticket Opened"), track("Objection Raised", "m-2")]
            sent = await client.post(BATCH, json={"batch": items}, headers=headers)
            asked = {"customer_id": "C-new"}
            return sent.json(), (
                await client.post("/v1/decisions", json=asked, headers=headers)
            ).json()

    report, decision = asyncio.run(talk())
    app.state.service.store.close()
    assert "counts once `nextbest ingest`" in report["note"]
    assert "complaint_open" not in decision["flags"]
    assert "objector" in decision["flags"]


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"{}", 422, "a list of items"),
        (b"[]", 422, "a list of items"),
        (b'{"batch": {}}', 422, "a list of items"),
        (b'{"batch": [], "batch": []}', 400, "the same key twice"),
        (
            b'{"batch": [' + b",".join([b"1"] * 501) + b"]}",
            422,
            "501 items; a batch holds at most 500",
        ),
        (b'{"batch": [', 400, "not JSON"),
        (b'{"batch": ["' + b"x" * 524_288 + b'"]}', 413, "send it in several parts"),
    ],
)
def test_what_is_no_batch_is_refused(ask: Ask, content: bytes, status: int, words: str) -> None:
    response = ask("POST", BATCH, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert words in response.text


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (gzip.compress(b'{"batch": []}'), 200),
        (gzip.compress(b'{"batch": []}')[:-9], 400),
        (b'{"batch": []}', 400),
        (gzip.compress(b'{"batch": []}') * 2, 400),
        (gzip.compress(b" " * 50_000_000), 413),
    ],
    ids=["whole", "cut", "plain", "twice", "bomb"],
)
def test_a_compressed_batch(ask: Ask, content: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    assert ask("POST", BATCH, content=content, headers=headers).status_code == status


# ---- Segment's own client ----------------------------------------------------------------


@pytest.fixture
def address(app: FastAPI) -> Iterator[str]:
    """A real server on a free port."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(30)


@pytest.mark.parametrize("compressed", [False, True])
def test_segments_client_works_unchanged(address: str, store: Store, compressed: bool) -> None:
    failed: list[object] = []
    client = Client(
        store.new_key("segment"),
        host=address,
        gzip=compressed,
        max_retries=0,
        on_error=lambda error, items: failed.append((error, items)),
    )
    client.identify("C-1", {"email": "a@example.org", "plan": "pro"})
    client.track("C-1", "Order Completed", {"revenue": 39.95, "currency": "EUR"})
    client.page("C-1", "shop", "Home", {"path": "/"})
    client.screen(anonymous_id="7f", name="Cart")
    client.group("C-1", "club", {"size": 3})
    client.alias("old", "C-1")
    client.track("C-1", "Review Written", {"score": 6, "at": float("nan")})
    client.shutdown()
    assert failed == []
    signals, visitor = store.customer_signals("C-1"), store.customer_signals("anon:7f")
    assert signals is not None
    assert visitor is not None
    wanted = {code("Trait Set"), code("Order Completed"), code("Page Viewed")}
    assert set(signals.event.tolist()) == wanted
    assert 3995 in signals.amount
    assert len(visitor) == 1
    rows = [json.loads(row) for _, row in store.waiting_rows()]
    assert not [row for row in rows if "example.org" in row.get("properties", "")]
    assert sum(store.quarantine_counts().values()) == 1


# ---- Outcomes ----------------------------------------------------------------------------


def test_an_outcome_is_kept_once(ask: Ask, store: Store) -> None:
    decision = contacted(ask)
    first = tell(ask, decision["decision_id"], "converted", amount=39.95, currency="eur")
    assert (first["recorded"], first["amount"], first["late"]) == (True, 39.95, False)
    again = tell(ask, decision["decision_id"], "converted", amount=80)
    assert (again["recorded"], again["amount"]) == (False, 39.95)
    tell(ask, decision["decision_id"], "opened")
    kept = [outcome.outcome for outcome in store.outcomes(decision["decision_id"])]
    assert kept == ["converted", "opened"]


def test_a_late_outcome_is_kept_and_marked(ask: Ask, clock: Clock) -> None:
    decision = contacted(ask)
    clock.now += 40 * DAY
    found = tell(ask, decision["decision_id"], "converted")
    assert (found["recorded"], found["late"]) == (True, True)


def test_a_message_that_was_not_sent_gives_its_cap_back_once(ask: Ask, store: Store) -> None:
    decision = contacted(ask)
    wait = 2 * MINUTE

    def contacts() -> list[str]:
        return [c.communication for c in store.ledger("C-lapsing", MIDNIGHT + DAY + wait).contacts]

    assert contacts() == [decision["communication"]]
    found = tell(ask, decision["decision_id"], "not_sent")
    assert (found["recorded"], found["gives_cap_back"]) == (True, True)
    assert contacts() == []
    assert tell(ask, decision["decision_id"], "not_sent")["recorded"] is False
    assert contacts() == []
    second = contacted(ask)
    tell(ask, decision["decision_id"], "not_sent")  # a retry takes nothing from the new one
    assert contacts() == [second["communication"]]


@pytest.mark.parametrize(
    ("outcome", "days", "answered"),
    [
        ("clicked", 1, True),
        ("accepted", 2, True),
        ("converted", 2.9, True),
        ("converted", 4, False),  # too late
        ("opened", 1, False),  # nobody can tell by whom
        ("delivered", 1, False),
    ],
)
def test_a_reported_answer_is_known_with_the_contact(
    ask: Ask, store: Store, clock: Clock, outcome: str, days: float, answered: bool
) -> None:
    decision = contacted(ask)
    made = clock.now
    clock.now += round(days * DAY)
    tell(ask, decision["decision_id"], outcome)

    def known(at: int) -> list[bool]:
        return [contact.answered for contact in store.ledger("C-lapsing", at).contacts]

    assert known(clock.now + 6 * MINUTE) == [answered]
    assert known(made + MINUTE) == [False]  # nobody knew it then


def test_an_unsent_message_stands_no_longer(ask: Ask) -> None:
    standing = "/v1/customers/C-lapsing/decision"
    decision = contacted(ask)
    assert ask("GET", standing).json()["decision_id"] == decision["decision_id"]
    tell(ask, decision["decision_id"], "not_sent")
    assert ask("GET", standing).json()["decision_id"] != decision["decision_id"]


@pytest.mark.parametrize("order", [("not_sent", "sent"), ("opened", "not_sent")])
def test_a_message_that_went_out_counts_whatever_else_is_said(
    ask: Ask, store: Store, order: tuple[str, str]
) -> None:
    decision = contacted(ask)
    for outcome in order:
        found = tell(ask, decision["decision_id"], outcome)
    assert found["gives_cap_back"] is False
    assert len(store.ledger("C-lapsing", MIDNIGHT + 2 * DAY).contacts) == 1


@pytest.mark.parametrize("outcome", ["unsubscribed", "complained"])
def test_opting_out_withdraws_consent_at_once(ask: Ask, store: Store, outcome: str) -> None:
    decision = contacted(ask)
    assert decision["channel"] == "email"
    assert tell(ask, decision["decision_id"], outcome)["withdraws_consent"] is True
    found = decide(ask, "C-lapsing", channels=["email"])
    assert (found["channel"], found["class"]) in [("none", "none"), ("email", "service")]
    said = store.ledger("C-lapsing", MIDNIGHT + 2 * DAY).consents["email", "marketing"]
    assert (said.given, said.evidence) == (
        False,
        f"{decision['decision_id']}:{outcome}:marketing",
    )
    [row] = [row for _, row in store.waiting_rows() if "marketing" in row]
    assert json.loads(row)["event"] == "Unsubscribed"  # the history will know it too


@pytest.mark.parametrize("who", ["dec_nothing", "dec_not_logged"])
def test_an_unknown_decision_is_not_found(ask: Ask, who: str) -> None:
    response = ask("POST", f"/v1/decisions/{who}/outcomes", json={"outcome": "opened"})
    assert response.status_code == 404
    assert "no decision of this id is on record" in response.json()["detail"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"outcome": "bought"}, "outcome is 'bought'; must be one of sent, not_sent, delivered"),
        ({}, "outcome is missing; must be one of sent, not_sent"),
        ({"outcome": "opened", "occurred_at": "soon"}, "occurred_at is no time"),
        ({"outcome": "opened", "occurred_at": "2026-10-01"}, "must be between the decision"),
        ({"outcome": "opened", "occurred_at": "2027-10-01"}, "must be between the decision"),
        (
            {"outcome": "converted", "amount": 1.005},
            "amount is 1.005; must have at most 2 decimals; round it to the cent",
        ),
        (
            {"outcome": "converted", "amount": -1},
            "amount is -1; must be a number from 0 to 999999999999999; correct it or leave it out",
        ),
        (
            {"outcome": "converted", "amount": 1e308},
            "amount is 1e+308; must be a number from 0 to 999999999999999; correct it",
        ),
        (
            {"outcome": "converted", "amount": 10**15},
            "amount is 1000000000000000; must be a number from 0 to 999999999999999; correct it",
        ),
        ({"outcome": "converted", "amount": True}, "amount is true; must be a number from 0 to"),
        ({"outcome": "converted", "amount": "5"}, "amount is '5'; must be a number from 0 to"),
        ({"outcome": "converted", "amount": 5e-324}, "must have at most 2 decimals"),
        ({"outcome": "converted", "amount": 1, "currency": "USD"}, "not the company's (EUR"),
    ],
)
def test_an_outcome_that_makes_no_sense_is_refused(
    ask: Ask, store: Store, body: dict[str, Any], words: str
) -> None:
    decision = contacted(ask)
    path = f"/v1/decisions/{decision['decision_id']}/outcomes"
    response = ask("POST", path, json=body)
    assert response.status_code == 422
    assert words in response.text
    assert store.outcomes(decision["decision_id"]) == ()


def test_of_silence_only_some_outcomes_can_be_told(ask: Ask) -> None:
    silence = decide(ask, "C-lapsing", channels=["post"])
    assert silence["communication"] == NO_CONTACT
    path = f"/v1/decisions/{silence['decision_id']}/outcomes"
    response = ask("POST", path, json={"outcome": "opened"})
    assert response.status_code == 422
    assert "'opened' of a decision to send nothing" in response.json()["detail"]
    assert tell(ask, silence["decision_id"], "not_sent")["gives_cap_back"] is False
    assert tell(ask, silence["decision_id"], "converted", amount=5)["recorded"] is True
