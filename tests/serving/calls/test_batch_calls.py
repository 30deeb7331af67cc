"""Many decisions in one call, and the flat form."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from serving.calls import batch_calls
from serving.calls.answer_schemas import BatchAnswer
from serving.desk import Question, Ready
from serving.storage.pauses import Wanted

BATCH = "/v1/decisions/batch"
Ask = Callable[..., httpx.Response]


def items(ask: Ask, *decisions: object, path: str = BATCH, **fields: Any) -> list[dict[str, Any]]:
    response = ask("POST", path, json={"decisions": list(decisions), **fields})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


def test_each_customer_gets_an_answer_in_order(ask: Ask, app: FastAPI) -> None:
    asked = [{"customer_id": who} for who in ("C-lapsing", "C-new", "nobody", "C-silent")]
    found = items(ask, *asked)
    assert [item["index"] for item in found] == [0, 1, 2, 3]
    assert {item["status"] for item in found} == {200}
    assert [item["decision"]["customer_id"] for item in found] == [
        *("C-lapsing", "C-new", "nobody", "C-silent")
    ]
    assert [item["decision"]["fallback"] for item in found] == [False, False, True, True]
    assert len({item["decision"]["decision_id"] for item in found}) == 4
    assert app.state.service.store.decision_count() == 4
    BatchAnswer.model_validate({"items": found})


def test_one_wrong_item_does_not_fail_the_rest(ask: Ask, app: FastAPI) -> None:
    found = items(ask, {"customer_id": "C 1"}, {"customer_id": "C-new"}, 7, {"customer": "C-new"})
    assert [item["status"] for item in found] == [422, 200, 422, 422]
    assert found[0]["errors"][0]["pointer"] == "/customer_id"
    assert "C 1" not in str(found[0])  # the value may be personal
    assert app.state.service.store.decision_count() == 1


def test_the_second_question_about_a_customer_sees_the_first_answer(ask: Ask) -> None:
    found = items(ask, *[{"customer_id": "C-lapsing"}] * 12)
    chosen = [item["decision"]["communication"] for item in found]
    contacts = [name for name in chosen if name != "no_contact"]
    assert len(contacts) == len(set(contacts))  # none is repeated within its window


def test_an_idempotency_key_works_within_and_between_batches(ask: Ask, app: FastAPI) -> None:
    one = {"customer_id": "C-new", "idempotency_key": "k"}
    found = items(ask, one, one, {"customer_id": "C-lapsing", "idempotency_key": "k"})
    assert found[0]["decision"] == found[1]["decision"]
    assert found[2]["status"] == 422
    assert found[2]["errors"][0]["code"] == "conflict"
    assert items(ask, one)[0]["decision"] == found[0]["decision"]
    assert app.state.service.store.decision_count() == 1


def test_sentences_can_be_left_out(ask: Ask, app: FastAPI) -> None:
    app.state.service.store.pause(Wanted("a product is called back"))
    [found] = items(ask, {"customer_id": "C-lapsing"}, reasons=False)
    assert found["decision"]["reasons"] == []
    assert found["decision"]["scores"] != {}
    refusals = found["decision"]["refusals"]
    assert {refusal["change"] for refusal in refusals} == {""}
    with sqlite3.connect(app.state.service.settings.home / "store.db") as connection:
        [(logged,)] = connection.execute("SELECT refusals FROM decisions").fetchall()
    connection.close()
    assert [(r["communication"], r["rule"]) for r in json.loads(logged)] == [
        (refusal["communication"], refusal["rule"]) for refusal in refusals
    ]
    told = {r["change"].partition(" (")[0] for r in json.loads(logged) if r["rule"] == "paused"}
    assert told == {"pause 1 is turned off"}  # of a pause they are kept: they say which one
    assert {r["change"] for r in json.loads(logged) if r["rule"] != "paused"} == {""}
    [full] = items(ask, {"customer_id": "C-new"})
    assert all(refusal["change"] for refusal in full["decision"]["refusals"])


def test_the_flat_form(ask: Ask) -> None:
    flat = [f"{path}?format=flat" for path in (BATCH, "/v1/decisions")]
    [found] = items(ask, {"customer_id": "C-lapsing"}, path=flat[0])
    one = ask("POST", flat[1], json={"customer_id": "C-lapsing"}).json()
    for decision in (found["decision"], one):
        assert decision["churn_risk"] == 0.3
        assert not [v for v in decision.values() if isinstance(v, dict | list)]
    assert ask("POST", f"{BATCH}?format=tall", json={"decisions": [{}]}).status_code == 422


@pytest.mark.parametrize("decisions", [[], [{"customer_id": "c"}] * 501, "C-new", None])
def test_a_batch_of_another_shape_is_refused(ask: Ask, decisions: object) -> None:
    assert ask("POST", BATCH, json={"decisions": decisions}).status_code == 422


def test_five_hundred_decisions_fit(
    ask: Ask, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes: what a busy machine does is for the next test."""
    monkeypatch.setattr(batch_calls, "time", SimpleNamespace(monotonic=lambda: 0.0))
    asked = [{"customer_id": f"C-{place:0>100}"} for place in range(500)]
    assert len(items(ask, *asked)) == 500
    assert app.state.service.store.decision_count() == 500


def test_no_group_is_begun_that_would_end_too_late(
    ask: Ask, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends a call after five seconds, and all its answers would be lost."""
    log, now = batch_calls.logged_together, [0.0]

    def slow(*said: Any) -> list[dict[str, Any]]:
        now[0] += 1.3
        return [dict(answer) for answer in log(*said)]

    monkeypatch.setattr(batch_calls, "logged_together", slow)
    monkeypatch.setattr(batch_calls, "time", SimpleNamespace(monotonic=lambda: now[0]))
    found = items(ask, *[{"customer_id": f"C-{place}"} for place in range(200)])
    assert len(found) == 200
    late = [item for item in found if item["decision"]["note"] == batch_calls.TOO_LATE]
    assert 0 < len(late) < 200
    assert app.state.service.store.decision_count() == 200 - len(late)
    assert now[0] < batch_calls.BATCH_SECONDS


def test_what_fails_fails_alone(
    ask: Ask, app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    prepare = batch_calls.ready_to_choose

    def broken(question: Question, *rest: Any) -> Ready:
        ready = prepare(question, *rest)
        if question.customer_id == "C-new":
            raise OSError("C-new's disk is gone")
        if question.customer_id == "C-silent":
            wrong = lambda ledger: ready.choose(ledger).nothing  # type: ignore[attr-defined] # noqa: E731
            return replace(ready, choose=wrong)
        return ready

    monkeypatch.setattr(batch_calls, "ready_to_choose", broken)
    asked = [{"customer_id": who} for who in ("C-new", "C-lapsing", "C-silent", "C-lapsing")]
    found = items(ask, *asked)
    assert [item["decision"]["fallback"] for item in found] == [True, False, True, False]
    assert found[0]["decision"]["decision_id"] == "dec_not_logged"
    assert app.state.service.store.decision_count() == 2
    assert "C-new" not in caplog.text
    assert failed(app) == {
        ("one of a batch could not be prepared; fallback served", "OSError"): 1,
        ("one of a batch could not be settled; fallback served", "AttributeError"): 1,
    }


def failed(app: FastAPI) -> dict[tuple[str, str], int]:
    """What was counted as failed."""
    counts = app.state.service.failures.counts()
    return {(one.what, one.error): count for one, count in counts.items()}


def test_a_mistake_of_ours_fails_no_batch_and_is_logged_and_counted(
    ask: Ask, app: FastAPI, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = [{"customer_id": who} for who in ("C-new", "C-lapsing")]
    with monkeypatch.context() as planted:
        planted.setattr(app.state.service.champion, "current", lambda: 1 / 0)
        found = items(ask, *asked)
    assert [item["decision"]["fallback"] for item in found] == [True, True]
    with monkeypatch.context() as planted:
        planted.setattr(app.state.service.store, "together", lambda: 1 / 0)
        found = items(ask, *asked)
    assert [item["decision"]["fallback"] for item in found] == [True, True]
    assert app.state.service.store.decision_count() == 0
    assert failed(app) == {
        ("no batch could be begun; fallbacks served", "ZeroDivisionError"): 1,
        ("a part of a batch could not be kept; fallbacks served", "ZeroDivisionError"): 1,
    }
    assert "in answers" in caplog.text  # the way there
    assert "in logged_together" in caplog.text
    assert [item["decision"]["fallback"] for item in items(ask, *asked)] == [False, False]


def test_what_comes_too_late_gets_the_fallback(
    ask: Ask, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_calls, "BATCH_SECONDS", -1.0)
    found = items(ask, {"customer_id": "C-new"})
    assert found[0]["decision"]["fallback"] is True
    assert found[0]["decision"]["note"].endswith("ask again, for fewer")
    assert app.state.service.store.decision_count() == 0
