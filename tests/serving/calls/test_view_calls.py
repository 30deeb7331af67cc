"""Calls that show something: they are true to the decision, and log nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from features.definitions import FEATURES
from features.signals import DAY
from models.bundle import Bundle
from serving.calls import view_schemas
from serving.storage.store import Store

MIDNIGHT = 1_793_491_200_000_000
Ask = Callable[[str], httpx.Response]


@dataclass(frozen=True)
class Objection:
    """An objection of C-lapsing to marketing."""

    customer_id: str = "C-lapsing"
    channel: str = ""
    purpose: str = "marketing"
    given: bool = False
    evidence: str | None = "call"
    occurred_at: int = MIDNIGHT - DAY
    received_at: int = MIDNIGHT - DAY
    objection: bool = True


@pytest.fixture
def store(app: FastAPI) -> Store:
    found: Store = app.state.service.store
    return found


def shown(response: httpx.Response, model: Any) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    assert model.model_validate(content).model_dump(by_alias=True) == content
    return content


def test_a_profile(ask: Ask, store: Store) -> None:
    found = shown(ask("GET", "/v1/customers/C-lapsing"), view_schemas.CustomerAnswer)
    assert (found["stage"], found["note"]) == ("lapsing", "")
    assert found["scores"]["churn_risk"]["value"] == 0.3
    assert found["signals"] == {
        "count": 6,
        "first_at": "2026-06-14T00:00:00Z",
        "last_at": "2026-09-22T00:00:00Z",
    }
    assert found["consents"] == [
        {
            "channel": "email",
            "purpose": "marketing",
            "given": True,
            "evidence": "form of 1 May",
        }
    ]
    assert store.decision_count() == 0


def test_an_explanation_says_what_a_decision_would(ask: Ask, store: Store) -> None:
    found = shown(ask("GET", "/v1/customers/C-lapsing/explanation"), view_schemas.ExplanationAnswer)
    assert found["decision"]["decision_id"] == ""
    assert found["decision"]["stage"] == "lapsing"
    values = {feature["name"]: feature["value"] for feature in found["features"]}
    assert tuple(values) == FEATURES.names
    assert values["days_since_last_order"] == 40
    assert values["nps_last"] is None
    assert store.decision_count() == 0
    assert found["learning"] == ""
    lead, decision = found["lead"], found["decision"]
    names = [decision["communication"], decision["alternatives"][0]["communication"]]
    assert [lead[place]["communication"] for place in ("first", "second")] == names
    of_groups = [group["money"] for source in lead["sources"] for group in source["groups"]]
    assert lead["start"] + sum(of_groups) == pytest.approx(lead["money"], abs=1e-9)
    assert all(" would be first if " in change["text"] for change in lead["changes"])
    assert len(lead["changes"]) > 0


def test_an_objector_is_never_scored(
    ask: Ask, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_consent_changes([Objection()])

    def scored(*_: object) -> None:
        pytest.fail("a score of an objector was computed")

    monkeypatch.setattr(Bundle, "expect", scored)
    profile = shown(ask("GET", "/v1/customers/C-lapsing"), view_schemas.CustomerAnswer)
    assert (profile["scores"], profile["objected"]) == ({}, True)
    assert "objector" in profile["flags"]
    assert "an objection to marketing is on record" in profile["note"]
    explained = shown(
        ask("GET", "/v1/customers/C-lapsing/explanation"), view_schemas.ExplanationAnswer
    )
    assert explained["features"] == []
    decision = ask("GET", "/v1/customers/C-lapsing/decision").json()
    assert (decision["scores"], decision["fallback"]) == ({}, False)
    assert "objector" in decision["flags"]


@pytest.mark.parametrize("rest", ["", "/explanation"])
def test_nobody_is_not_found(ask: Ask, rest: str) -> None:
    response = ask("GET", f"/v1/customers/nobody{rest}")
    assert response.status_code == 404
    assert "this customer is not known here" in response.json()["detail"]
    assert ask("GET", f"/v1/customers/no%20body{rest}").status_code == 422


def test_the_catalog_is_shown_whole(ask: Ask, app: FastAPI) -> None:
    found = shown(ask("GET", "/v1/communications"), view_schemas.CommunicationsAnswer)
    catalog = app.state.service.champion.last.engine.catalog
    names = [entry["communication"] for entry in found["communications"]]
    assert names == list(catalog.communications)
    welcome = found["communications"][names.index("welcome")]
    assert welcome["prior"]["source"] == catalog.communications["welcome"].prior.source


def test_the_models_are_shown_with_their_history(ask: Ask, store: Store) -> None:
    found = shown(ask("GET", "/v1/models"), view_schemas.ModelsAnswer)
    assert found["bundle"] == f"sha256:{store.champion()}"
    assert found["as_of"] == "2026-11-01T00:00:00Z"
    assert found["targets"][0]["base_rate"] == 0.3
    assert [(past["bundle"], past["how"]) for past in found["history"]] == [
        (found["bundle"], "promoted")
    ]
    store.set_champion("ab" * 32)
    later = shown(ask("GET", "/v1/models"), view_schemas.ModelsAnswer)
    assert later["bundle"] == found["bundle"]  # what cannot be read does not replace what serves
    assert [past["bundle"][7:11] for past in later["history"]][1:] == ["abab"]


def test_somebody_is_known_from_the_first_signal_on(ask: Ask, store: Store) -> None:
    assert ask("GET", "/v1/customers/C-new").status_code == 200
    store.set_data_end(MIDNIGHT - 30 * DAY)
    assert ask("GET", "/v1/customers/C-new").status_code == 404
