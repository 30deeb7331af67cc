"""The page of pauses: what is held back, from whom, and the call that says the same."""

import csv
import io
import re
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi import FastAPI

from features.home import Home
from features.signals import MINUTE, SignalColumns
from serving.calls.answer_schemas import PausesLookAnswer
from serving.calls.api import create_app
from serving.console.pauses import pauses_page
from serving.desk import Question, answer_to
from serving.settings import Settings
from serving.storage.pauses import Wanted

Ask = Callable[..., httpx.Response]
PEOPLE = 130


@pytest.fixture
def app(home: Home) -> Any:
    """A company of many like C-lapsing, all of whom may be written to."""
    from serving import policy

    text = policy.SHIPPED.read_text(encoding="utf-8")
    for old, new in (
        ("holdout_share = 0.05", "holdout_share = 0.0"),
        ("assume = []", 'assume = ["email:marketing"]'),
    ):
        assert old in text
        text = text.replace(old, new)
    home.policy.write_text(text, encoding="utf-8")
    made = create_app(Settings(home.path), rng=np.random.default_rng(7))
    store = made.state.service.store
    signals = store.customer_signals("C-lapsing")
    assert isinstance(signals, SignalColumns)
    store.put_customers([(f"P-{number:03}", signals) for number in range(PEOPLE)])
    yield made
    store.close()


@pytest.fixture
def ask(app: FastAPI, caller: Callable[[FastAPI, str], Ask]) -> Ask:
    """Ask with a key, as a program does; pages as well."""
    call = caller(app, "marketer")
    return lambda path: call("GET", path, headers={"Accept": "*/*"})


def decide_about(app: FastAPI, people: int) -> None:
    """Ask about so many, as calls do."""
    service = app.state.service
    engine = service.champion.current().engine
    for number in range(people):
        question = Question(f"P-{number:03}", service.now(), 0.5)
        answer_to(question, service.store, engine, service.surroundings)


def page_text(ask: Ask, path: str = "/app/pauses") -> str:
    found = ask(path)
    assert found.status_code == 200
    return re.sub(r"\s+", " ", found.text)


def test_where_nothing_is_paused_the_page_says_so(ask: Ask) -> None:
    assert "Nothing is paused, and no pause of the last week is under review." in page_text(ask)
    found = ask("/v1/pause").json()
    assert found == {"pauses": [], "withheld": {}, "under_review": []}


def test_the_page_names_whom_a_pause_kept_from_a_message_a_hundred_at_once(
    app: FastAPI, ask: Ask
) -> None:
    store = app.state.service.store
    store.pause(Wanted("a flood"))
    assert "It has kept nobody from a message so far" in page_text(ask)
    decide_about(app, PEOPLE)
    text = page_text(ask)
    assert "<h2>Paused (1)</h2> <p><strong>everything: a flood</strong></p>" in text
    assert f"a message and <b>{PEOPLE}</b> customers, in {PEOPLE} decisions." in text
    assert "Customers 1 to 100, in the order of their first such decision:" in text
    assert 'href="/app/customers/P-099/why"' in text
    assert "P-100" not in text
    assert '<a href="/app/pauses?first=100">The next hundred</a>' in text
    assert "The hundred before" not in text
    assert "<script>" not in text  # nothing here needs one
    rest = page_text(ask, "/app/pauses?first=100")
    assert "Customers 101 to 130" in rest
    assert "P-129" in rest
    assert "P-099" not in rest
    assert '<a href="/app/pauses?first=0">The hundred before</a>' in rest
    assert "The next hundred" not in rest
    for wrong in ("x", "-1", "1e3", "9" * 12, "<script>"):
        assert "Customers 1 to 100" in page_text(ask, f"/app/pauses?first={wrong}")


def test_the_call_the_twin_and_the_page_say_the_same(app: FastAPI, ask: Ask) -> None:
    store = app.state.service.store
    store.pause(Wanted("a flood"))
    store.pause(Wanted("no mails", channel="email"))
    decide_about(app, 3)
    store.end_pause(2, review=True)
    call = ask("/v1/pause").json()
    PausesLookAnswer.model_validate(call)
    assert [one["number"] for one in call["pauses"]] == [1]
    held = {"decisions": 3, "people": 3, "customers": ["P-000", "P-001", "P-002"], "complete": True}
    assert call["withheld"] == {"1": held}
    (reviewed,) = call["under_review"]
    assert (reviewed["number"], reviewed["reason"]) == (2, "no mails")
    assert reviewed["ended_at"] >= reviewed["since"]
    assert reviewed["withheld"]["people"] == 3
    twin = ask("/app/pauses.json").json()
    assert {name: twin[name] for name in call} == call
    rows = list(csv.DictReader(io.StringIO(ask("/app/pauses.csv").text)))
    assert [row["customer_id"] for row in rows if row["number"] == "1"] == held["customers"]
    assert {row["state"] for row in rows} == {"paused", "under review"}
    text = page_text(ask)
    assert "<h2>Under review (2)</h2> <p><strong>channel email: no mails</strong></p>" in text
    assert "What came due before is not sent by itself." in text
    assert ask("/v1/pause?first=2").json()["withheld"]["1"]["customers"] == ["P-002"]


@pytest.mark.parametrize("query", ["first=-1", "first=x", "last=3"])
def test_a_wrong_question_is_refused(ask: Ask, query: str) -> None:
    assert ask(f"/v1/pause?{query}").status_code == 422


def test_a_reason_that_tries_to_run_is_text(app: FastAPI, ask: Ask) -> None:
    app.state.service.store.pause(Wanted("<script>alert(1)</script> {{ 7 * 7 }}"))
    text = page_text(ask)
    assert "&lt;script&gt;alert(1)&lt;/script&gt; {{ 7 * 7 }}" in text
    assert "<script>alert" not in text


def test_beyond_the_newest_decisions_the_page_says_at_least(
    app: FastAPI, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from serving import pause_looks

    app.state.service.store.pause(Wanted("a flood"))
    decide_about(app, 5)
    monkeypatch.setattr(pause_looks, "NEWEST", 2)
    text = page_text(ask)
    assert "<b>at least 2</b> customers, in 2 decisions of the newest" in text
    assert ask("/v1/pause").json()["withheld"]["1"]["complete"] is False


def test_what_is_paused_is_said_in_the_company_s_language(home: Home, app: FastAPI) -> None:
    from dataclasses import replace

    from models.messages import load_languages
    from serving.console.looking import Looking
    from serving.running import LOCALES

    service = app.state.service
    service.store.pause(Wanted("Hochwasser", channel="email", stage="lapsed"))
    german = replace(service.surroundings, language=load_languages([LOCALES])["de"])
    engine = service.champion.current().engine
    looking = Looking(service.store, engine, german, service.now() + MINUTE, "")
    (shown,) = pauses_page(looking, "").pauses
    assert shown.about == "Kanal email und Phase lapsed: Hochwasser"
