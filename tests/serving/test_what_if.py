"""What-if over HTTP: ranges, levers and words hold; nothing is decided or logged."""

import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from features.definitions import FEATURES
from features.history import History
from features.home import Home
from serving.calls import answer_schemas, view_schemas
from serving.calls.api import create_app
from serving.settings import Settings
from serving.storage.store import Store

Ask = Callable[..., httpx.Response]
Trained = tuple[Home, int]


@pytest.fixture(scope="module")
def app(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    copy = tmp_path_factory.mktemp("what_if") / "home"
    shutil.copytree(trained[0].path, copy)
    made = create_app(Settings(copy))
    yield made
    made.state.service.store.close()


@pytest.fixture(scope="module")
def ask(app: FastAPI, caller: Callable[[FastAPI], Ask]) -> Ask:
    call = caller(app)

    def asked(customer: str, **body: Any) -> httpx.Response:
        return call("POST", f"/v1/customers/{customer}/what-if", json=body)

    return asked


@pytest.fixture(scope="module")
def scored(trained: Trained, ask: Ask) -> str:
    """The first customer who has a risk of churn and can be written to."""
    home, _ = trained
    for name in History(home.signals).load().customer_ids:
        found = ask(name, changes={}).json()
        churn = found["scores"].get("churn_risk", {"now": {"value": None}})
        if churn["now"]["value"] is not None and len(found["can_change"]) > 4:
            return name
    raise LookupError("nobody to suppose anything of")


def test_what_can_be_changed_is_said_and_nothing_more(ask: Ask, scored: str) -> None:
    found = view_schemas.WhatIfAnswer.model_validate(ask(scored, changes={}).json())
    by_name = {feature.name: feature for feature in FEATURES.features}
    assert found.changes == []
    assert {lever.feature for lever in found.can_change} <= {
        name for name, feature in by_name.items() if feature.actionable and not feature.sensitive
    }
    for supposed in found.scores.values():
        assert supposed.now == supposed.then
        assert supposed.band_now == supposed.band_then
    assert found.note == (
        "What the models say of customers like this; not what would happen if somebody changed it."
    )


def test_a_change_brings_along_what_follows(ask: Ask, scored: str) -> None:
    """An e-mail more is a message more, and the fading count knows of it."""
    before = ask(scored, changes={}).json()
    lever = next(one for one in before["can_change"] if one["feature"] == "emails_sent_28d")
    wanted = lever["value"] + (1 if lever["value"] < lever["high"] else -1)
    found = view_schemas.WhatIfAnswer.model_validate(
        ask(scored, changes={"emails_sent_28d": wanted}).json()
    )
    moved = {move.feature: move for move in found.changes}
    assert moved["emails_sent_28d"].asked
    assert moved["emails_sent_28d"].after == wanted
    assert not moved["contacts_28d"].asked
    assert found.scores["churn_risk"].then.value is not None
    assert {reason.score for reason in found.reasons} <= set(found.scores)


def test_the_nearest_change_does_what_it_says(ask: Ask, scored: str) -> None:
    found = ask(scored, changes={}).json()
    checked = 0
    for score, nearest in found["nearest"].items():
        if nearest is not None:
            changes = {one["feature"]: one["after"] for one in nearest["changes"] if one["asked"]}
            again = ask(scored, changes=changes).json()["scores"][score]
            assert again["then"]["value"] == nearest["value"]
            assert again["band_then"] == nearest["band"] != again["band_now"]
            checked += 1
    assert checked
    assert set(found["nearest"]) <= {"churn_risk", "repurchase_likelihood", "promoter_likelihood"}


def test_sentences_follow_the_locale(ask: Ask, scored: str) -> None:
    english, german = ask(scored, changes={}).json(), ask(scored, changes={}, locale="de-CH").json()
    assert german["note"].startswith("Was die Modelle über solche Kunden sagen")
    assert [one["points"] for one in german["reasons"]] == [
        one["points"] for one in english["reasons"]
    ]
    assert all(
        one["text"] != other["text"]
        for one, other in zip(german["reasons"], english["reasons"], strict=True)
    )


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"orders_28d": 3}, "not_actionable", "no communication changes it; allowed are"),
        ({"emails_sent": 3}, "unknown", "no feature of this name; allowed are"),
        ({"emails_sent_28d": 1e6}, "out_of_range", "1e+06 is outside of what was seen; allowed is"),
        ({"emails_sent_28d": 0.5}, "not_whole", "0.5 is no whole number; it counts, so give"),
        ({"contacts_half_life_7d": 1}, "follows", "it follows from other features; allowed are"),
    ],
)
def test_a_change_that_cannot_be_asked_for_is_named(
    ask: Ask, scored: str, changes: dict[str, float], code: str, words: str
) -> None:
    response = ask(scored, changes=changes)
    problem = answer_schemas.Problem.model_validate(response.json())
    assert (response.status_code, problem.status) == (422, 422)
    assert problem.errors[0].pointer == f"/changes/{next(iter(changes))}"
    assert problem.errors[0].code == code
    assert words in problem.errors[0].detail


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/changes"),
        ({"changes": {"Emails": 1}}, "/changes/Emails"),
        ({"changes": {"emails_sent_28d": "3"}}, "/changes/emails_sent_28d"),
        ({"changes": {}, "score": "churn_risk"}, "/score"),
    ],
)
def test_another_shape_is_refused(
    ask: Ask, scored: str, body: dict[str, Any], pointer: str
) -> None:
    response = ask(scored, **body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == pointer


def test_nobody_unknown_is_supposed_anything_of(ask: Ask) -> None:
    assert ask("C-nobody", changes={}).status_code == 404


def test_nothing_is_logged(app: FastAPI, ask: Ask, scored: str) -> None:
    store: Store = app.state.service.store
    now = app.state.service.now()
    ask(scored, changes={"emails_sent_28d": 0})
    assert store.standing(scored, now, "") is None
    assert store.last_communications() == {}


def test_the_call_is_described(app: FastAPI) -> None:
    described = app.openapi()
    operation = described["paths"]["/v1/customers/{customer_id}/what-if"]["post"]
    assert operation["operationId"] == "what_if"
    assert set(operation["responses"]) >= {"200", "401", "404", "422"}
    assert "WhatIfRequest" in json.dumps(operation["requestBody"])
