"""The crisis switch over HTTP, and caps of a household, while many ask at once."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pysqlite3
import pytest
from fastapi import FastAPI

from features.home import Home
from features.signals import DAY, SignalColumns
from features.traits import TraitChange
from serving import policy as shipped
from serving.answer import Surroundings
from serving.calls.answer_schemas import PausesAnswer
from serving.calls.api import create_app
from serving.champion import Champion
from serving.desk import Question, answer_to
from serving.engine import Engine
from serving.settings import Settings
from serving.storage.pauses import Wanted
from serving.storage.store import Store

MIDNIGHT = 1_793_491_200_000_000
PEOPLE = 48
SAYS_YES = MIDNIGHT - 100 * DAY
Ask = Callable[..., httpx.Response]


class Yes:
    """Consent to marketing by e-mail."""

    channel, purpose, given, evidence, objection = "email", "marketing", True, "form", False
    occurred_at = received_at = SAYS_YES

    def __init__(self, customer_id: str) -> None:
        self.customer_id = customer_id


@pytest.fixture
def crowd(home: Home) -> Home:
    """A home with many like C-lapsing, all of whom may be written to."""
    text = shipped.SHIPPED.read_text(encoding="utf-8")
    text = text.replace("holdout_share = 0.05", "holdout_share = 0.0")
    home.policy.write_text(text.replace("epsilon = 0.10", "epsilon = 0.0"), encoding="utf-8")
    with Store.open(home.store) as store:
        signals = store.customer_signals("C-lapsing")
        assert isinstance(signals, SignalColumns)
        names = [f"P-{n:02}" for n in range(PEOPLE)]
        store.put_customers([(name, signals) for name in names])
        store.put_consent_changes([Yes(name) for name in names])
    return home


@pytest.fixture
def desk(crowd: Home) -> Iterator[tuple[Store, Engine, Surroundings]]:
    with Store.open(crowd.store, patience=60.0) as store:
        yield store, Champion(crowd, store).current().engine, Surroundings(crowd.about(), "EUR")


def logged(home: Home) -> list[tuple[int, str, str]]:
    connection = pysqlite3.connect(home.store)
    try:
        found = connection.execute(
            "SELECT sequence, customer_id, message_class FROM decisions ORDER BY sequence"
        )
        return list(found.fetchall())
    finally:
        connection.close()


def test_no_marketing_leaves_once_the_switch_is_on(
    crowd: Home, desk: tuple[Store, Engine, Surroundings]
) -> None:
    """Twelve callers ask on while the switch is turned: of decisions after it none is marketing."""
    store, engine, surroundings = desk
    warm, turned, asking = threading.Event(), threading.Event(), iter(range(PEOPLE))
    lock = threading.Lock()

    def ask_on() -> None:
        while True:
            with lock:
                place = next(asking, None)
            if place is None:
                return
            if place == PEOPLE // 2:
                warm.set()
            if place == PEOPLE - 1:  # somebody asks after it, however fast the others are
                assert turned.wait(30)
            question = Question(f"P-{place:02}", MIDNIGHT, 0.5)
            answer_to(question, store, engine, surroundings)

    with ThreadPoolExecutor(12) as pool:
        callers = [pool.submit(ask_on) for _ in range(12)]
        assert warm.wait(30)
        store.pause(Wanted("a product is called back"))
        last_before = max(sequence for sequence, _, _ in logged(crowd))
        turned.set()
        for caller in callers:
            caller.result()
    rows = logged(crowd)
    before = Counter(kind for sequence, _, kind in rows if sequence <= last_before)
    after = Counter(kind for sequence, _, kind in rows if sequence > last_before)
    assert before["marketing"] > 0
    assert sum(after.values()) > 0
    assert after["marketing"] == after["service"] == 0
    content = json.loads(answer_to(Question("P-00", MIDNIGHT, 0.5), store, engine, surroundings))
    paused = [refusal for refusal in content["refusals"] if refusal["rule"] == "paused"]
    words = "pause 1 is turned off (everything: a product is called back)"
    assert paused
    assert all(refusal["change"].startswith(words) for refusal in paused)


def test_a_household_hears_no_more_than_its_cap_however_many_ask_at_once(
    crowd: Home, desk: tuple[Store, Engine, Surroundings]
) -> None:
    """Eight at one address, each asked for three times at once: four messages, as the cap says."""
    store, engine, surroundings = desk
    family = [f"P-{n:02}" for n in range(8)]
    moved_in = MIDNIGHT - 50 * DAY
    store.put_trait_changes(
        TraitChange(c, "household_id", "H1", moved_in, moved_in) for c in family
    )
    start = threading.Barrier(24)

    def ask(customer_id: str) -> None:
        start.wait(30)
        answer_to(Question(customer_id, MIDNIGHT, 0.5), store, engine, surroundings)

    with ThreadPoolExecutor(24) as pool:
        for done in [pool.submit(ask, customer_id) for customer_id in family * 3]:
            done.result()
    assert [cap.most for cap in engine.policy.caps if cap.per == "household"] == [4]
    assert sum(kind == "marketing" for _, _, kind in logged(crowd)) == 4
    alone = [Question(f"P-{n:02}", MIDNIGHT, 0.5) for n in range(8, 16)]
    for question in alone:
        answer_to(question, store, engine, surroundings)
    assert sum(kind == "marketing" for _, _, kind in logged(crowd)) == 12


# ---- Over HTTP -----------------------------------------------------------------------------


@pytest.fixture
def app(crowd: Home) -> Iterator[FastAPI]:
    made = create_app(Settings(crowd.path), rng=np.random.default_rng(1))
    yield made
    made.state.service.store.close()


def decided(ask: Ask, customer_id: str) -> dict[str, object]:
    return dict(ask("POST", "/v1/decisions", json={"customer_id": customer_id}).json())


def test_the_switch_is_turned_on_seen_and_turned_off(ask: Ask) -> None:
    assert ask("GET", "/v1/pause").json()["pauses"] == []
    assert decided(ask, "P-01")["class"] == "marketing"
    turned = ask("POST", "/v1/pause", json={"on": True, "reason": "fire", "channel": "email"})
    assert turned.status_code == 200
    (pause,) = PausesAnswer.model_validate(turned.json()).pauses
    assert (pause.number, pause.channel, pause.stage) == (1, "email", "any")
    assert pause.allow == ["transactional", "crisis"]
    assert ask("GET", "/v1/pause").json()["pauses"] == turned.json()["pauses"]
    assert decided(ask, "P-02")["channel"] != "email"
    standing = ask("GET", "/v1/customers/P-01/decision").json()
    assert standing["channel"] != "email"  # what stood is held back as well
    assert ask("POST", "/v1/pause", json={"on": False, "number": 1}).json() == {"pauses": []}
    assert decided(ask, "P-03")["class"] == "marketing"


@pytest.mark.parametrize(
    ("field", "value"),
    [("channel", "sms"), ("reason", "over"), ("flag", "detractor"), ("allow", [])],
)
def test_letting_a_part_go_never_lets_everything_go(ask: Ask, field: str, value: object) -> None:
    on = ask("POST", "/v1/pause", json={"on": True, "reason": "a product is called back"}).json()
    ask("POST", "/v1/pause", json={"on": True, "reason": "no lines", "channel": "sms"})
    refused = ask("POST", "/v1/pause", json={"on": False, field: value})
    assert refused.status_code == 422
    assert f"'{field}' of a pause to turn off; must be its number" in refused.json()["detail"]
    assert ask("GET", "/v1/pause").json()["pauses"][0] == on["pauses"][0]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"on": True, "reason": "x", "number": 1}, 422, "number 1 of a pause to turn on; a new"),
        ({"on": True}, 422, "the reason is 0 characters long; must be 1 to 200"),
        ({"on": True, "reason": "x", "stage": "old"}, 422, "stage 'old' is not known"),
        ({"on": True, "reason": "x", "allow": ["all"]}, 422, "allow 'all' is not known"),
        ({"on": True, "reason": "x", "channel": "fax"}, 422, "channel is 'fax'; must be one of"),
        ({"reason": "x"}, 422, "on is missing; must be true or false; send it"),
        (
            {"on": True, "reason": "safe\u202egnihton"},
            422,
            "reason is a text with U+202E (right-to-left override) at place 5, which nobody sees",
        ),
        ({"on": True, "reason": "a\nb"}, 422, "U+000A (a control character) at place 2"),
        ({"on": True, "reason": "a\u2028b"}, 422, "U+2028 (line separator) at place 2"),
        ({"on": True, "reason": "a\u200bb"}, 422, "U+200B (zero width space) at place 2"),
        ({"on": False, "number": 9}, 404, "no pause 9 is on; those that are: none"),
    ],
)
def test_a_pause_that_makes_no_sense_is_named(
    ask: Ask, body: dict[str, object], status: int, words: str
) -> None:
    refused = ask("POST", "/v1/pause", json=body)
    assert refused.status_code == status
    assert words in refused.json()["detail"]
    assert ask("GET", "/v1/pause").json()["pauses"] == []
