"""The public HTTP contract, asked in-process."""

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import openapi_spec_validator
import pytest
from fastapi import FastAPI

from features.definitions import FEATURES
from features.home import About, Home
from features.signals import DAY
from models.bundle_files import load_bundle, write_bundle
from serving import catalog
from serving.answer import time_text
from serving.calls import decision_calls, health_calls
from serving.calls.answer_schemas import DecisionAnswer
from serving.calls.api import create_app
from serving.calls.health_calls import PROOF_HOLDS
from serving.champion import Champion
from serving.desk import Question
from serving.running import Service
from serving.settings import Settings

MIDNIGHT = 1_793_491_200_000_000
DECISIONS = "/v1/decisions"
STANDING = "/v1/customers/C-lapsing/decision"
Ask = Callable[..., httpx.Response]


@pytest.fixture
def anonymous(app: FastAPI, caller: Callable[[FastAPI, str], Ask]) -> Ask:
    """Asks without a key."""
    return caller(app, "")


def decide(ask: Ask, customer_id: str = "C-lapsing", **fields: object) -> httpx.Response:
    return ask("POST", DECISIONS, json={"customer_id": customer_id, **fields})


def problem_of(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    content: dict[str, Any] = response.json()
    assert list(content) == ["type", "title", "status", "detail", "errors"]
    assert content["status"] == status
    return content


# ---- Decisions ---------------------------------------------------------------------------


def test_a_decision_is_answered_and_logged(ask: Ask, app: FastAPI) -> None:
    response = decide(ask)
    content = response.json()
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    assert DecisionAnswer.model_validate(content).model_dump(by_alias=True) == content
    assert content["as_of"] == time_text(MIDNIGHT)
    assert content["stage"] == "lapsing"
    assert content["scores"]["churn_risk"]["value"] == 0.3
    assert content["data"] == {
        "name": "A shop for tests",
        "simulated": True,
        "clock": "data_end",
    }
    assert content["fallback"] is False
    assert app.state.service.store.decision_count() == 1


def test_different_customers_get_different_communications(ask: Ask) -> None:
    chosen = {who: decide(ask, who).json()["communication"] for who in ("C-lapsing", "C-new")}
    assert len(set(chosen.values())) == 2


def test_a_live_home_reads_the_clock(home: Home) -> None:
    home.write_about(replace(home.about(), clock="live"))
    app = create_app(Settings(home.path), clock=lambda: MIDNIGHT + 3 * DAY)
    assert app.state.service.now() == MIDNIGHT + 3 * DAY
    app.state.service.store.close()


@pytest.mark.parametrize("fields", [{}, {"context": {"page": "cart", "items": 3}, "locale": "de"}])
def test_the_same_key_gets_the_same_answer(ask: Ask, fields: dict[str, object]) -> None:
    first = decide(ask, idempotency_key="k-1", **fields)
    assert decide(ask, idempotency_key="k-1", **fields).content == first.content
    assert decide(ask, idempotency_key="k-2", **fields).content != first.content


def test_the_same_key_with_another_question_is_refused(ask: Ask) -> None:
    decide(ask, idempotency_key="k-1")
    content = problem_of(decide(ask, "C-new", idempotency_key="k-1"), 422)
    assert "came before with another request" in content["detail"]
    assert content["errors"][0]["pointer"] == "/idempotency_key"


def test_keys_of_two_callers_do_not_meet(ask: Ask, app: FastAPI, anonymous: Ask) -> None:
    first = decide(ask, idempotency_key="k-1")
    other = {"Authorization": f"Bearer {app.state.service.store.new_key('other')}"}
    body = {"customer_id": "C-new", "idempotency_key": "k-1"}
    response = anonymous("POST", DECISIONS, json=body, headers=other)
    assert response.status_code == 200
    assert response.content != first.content


@pytest.mark.parametrize("who", ["nobody", "anon:7f3a"])
def test_an_unknown_customer_gets_a_usable_answer(ask: Ask, who: str) -> None:
    response = decide(ask, who)
    content = response.json()
    assert response.status_code == 200
    assert content["communication"] == "no_contact"
    assert content["fallback"] is True
    assert content["stage"] == ("visitor" if who.startswith("anon:") else "prospect")


def test_a_channel_can_be_asked_for(ask: Ask) -> None:
    content = decide(ask, channels=["push", "inapp"]).json()
    assert content["channel"] in ("push", "inapp", "none")
    assert "caller_channels" in {refusal["rule"] for refusal in content["refusals"]}


def test_no_failure_of_ours_reaches_the_caller(
    ask: Ask, app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "nextbest")
    app.state.service = replace(app.state.service, champion=Broken(app))
    response = decide(ask)
    content = response.json()
    assert response.status_code == 200
    assert content["communication"] == "no_contact"
    assert content["fallback"] is True
    assert content["decision_id"] == "dec_not_logged"
    assert content["note"].startswith("the service could not decide in time or at all")
    assert "fallback served: OSError at tests/serving/calls/test_api.py:" in caplog.text
    assert "in decided" in caplog.text  # the way there
    assert "C-lapsing" not in caplog.text
    assert failures(ask) == [("fallback served", "OSError", 1)]
    decide(ask)
    assert failures(ask) == [("fallback served", "OSError", 2)]
    assert caplog.text.count("in decided") == 1  # the way is told once


class Broken:
    """A champion that cannot be read any more."""

    def __init__(self, app: FastAPI) -> None:
        self.last = Champion(
            Home(app.state.service.settings.home), app.state.service.store
        ).current()

    def current(self) -> None:
        raise OSError("C-lapsing's disk is gone")


def test_a_decision_that_takes_too_long_is_a_fallback(app: FastAPI) -> None:
    service = replace(app.state.service, settings=Settings(app.state.service.settings.home, 50))
    go_on = threading.Event()

    def slow(service: Service, question: Question) -> bytes:
        go_on.wait(10)
        return b"too late"

    async def ask() -> bytes:
        try:
            return await decision_calls.in_time(service, Question("C-new", MIDNIGHT, 0.5), slow)
        finally:
            go_on.set()

    assert json.loads(asyncio.run(ask()))["fallback"] is True


def test_a_change_of_champion_is_picked_up(ask: Ask, app: FastAPI, home: Home) -> None:
    store = app.state.service.store
    sha = store.champion()
    assert decide(ask).json()["bundle"] == f"sha256:{sha}"
    sound = load_bundle(home.bundles / sha, FEATURES)
    other = write_bundle(replace(sound, as_of=sound.as_of + 1, sha256=""), home.bundles)
    store.set_champion(other)
    app.state.service.champion.settled()
    assert decide(ask).json()["bundle"] == f"sha256:{other}"
    assert "note" not in ask("GET", "/readyz").json()


def test_callers_are_told_that_another_bundle_than_the_champion_answers(
    ask: Ask, app: FastAPI
) -> None:
    store = app.state.service.store
    sha = store.champion()
    store.set_champion("ab" * 32)
    app.state.service.champion.settled()
    words = (
        f"bundle abababababab should serve but is damaged or missing; {sha[:12]}, which served "
        "before, answers"
    )
    answer = decide(ask).json()
    assert (answer["fallback"], answer["bundle"]) == (False, f"sha256:{sha}")
    assert answer["note"] == words
    assert ask("GET", "/readyz").json() == {
        "status": "ready",
        "damaged": "sha256:" + "ab" * 32,
        "serves": f"sha256:{sha}",
        "note": words,
    }


# ---- The standing decision ---------------------------------------------------------------


def test_callers_at_once_are_given_one_standing_decision(ask: Ask, app: FastAPI) -> None:
    with ThreadPoolExecutor(8) as callers:
        found = list(callers.map(lambda _: ask("GET", STANDING).json(), range(16)))
    assert len({answer["decision_id"] for answer in found}) == 1
    assert app.state.service.store.decision_count() == 1


def test_a_decision_without_limits_stands_under_limits_that_it_keeps(
    ask: Ask, app: FastAPI
) -> None:
    made = ask("GET", STANDING).json()
    assert made["channel"] == "email"
    assert ask("GET", f"{STANDING}?channel=email").json() == made
    other = ask("GET", f"{STANDING}?channel=sms").json()
    assert other["communication"] == "no_contact"
    assert app.state.service.store.decision_count() == 2


def test_the_standing_decision_is_the_one_made(ask: Ask, app: FastAPI) -> None:
    made = decide(ask).json()
    response = ask("GET", STANDING)
    assert response.json() == made
    assert response.headers["cache-control"] == "private, max-age=300"
    assert app.state.service.store.decision_count() == 1


def test_without_one_a_new_decision_is_made_once(ask: Ask, app: FastAPI) -> None:
    first, second = ask("GET", STANDING), ask("GET", STANDING)
    assert first.json() == second.json()
    assert app.state.service.store.decision_count() == 1


def test_what_the_catalog_no_longer_offers_does_not_stand(
    ask: Ask, app: FastAPI, home: Home
) -> None:
    made = ask("GET", STANDING).json()
    table = f"[{made['communication']}]\n"
    text = catalog.SHIPPED.read_text(encoding="utf-8")
    assert table in text
    home.catalog.write_text(text.replace(table, f"{table}approved = false\n"), encoding="utf-8")
    app.state.service.champion._read_edits()
    again = ask("GET", STANDING).json()
    assert again["decision_id"] != made["decision_id"]
    assert again["communication"] != made["communication"]
    assert ask("GET", STANDING).json() == again  # and this one stands


def test_a_standing_decision_by_channel_stands_apart(ask: Ask) -> None:
    freely = ask("GET", STANDING).json()
    by_push = ask("GET", f"{STANDING}?channel=push").json()
    assert by_push["decision_id"] != freely["decision_id"]
    assert by_push["channel"] in ("push", "none")


def test_the_flat_form_is_flat(ask: Ask) -> None:
    fields = ask("GET", f"{STANDING}?format=flat").json()
    assert not [value for value in fields.values() if isinstance(value, dict | list)]
    assert fields["churn_risk"] == 0.3
    assert fields["data_simulated"] is True


def test_a_fallback_is_not_cached(ask: Ask) -> None:
    response = ask("GET", "/v1/customers/nobody/decision")
    assert response.json()["fallback"] is True
    assert response.headers["cache-control"] == "no-store"


def test_an_answer_is_kept_no_longer_than_it_holds() -> None:
    until = {"valid_until": time_text(MIDNIGHT)}
    assert decision_calls.cache_seconds(until, MIDNIGHT - 90_000_000) == 90  # type: ignore[arg-type]
    assert decision_calls.cache_seconds(until, MIDNIGHT - DAY) == 300  # type: ignore[arg-type]
    assert decision_calls.cache_seconds(until, MIDNIGHT + 1) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/v1/customers/a b/decision", "/customer_id"),
        ("/v1/customers/" + "x" * 129 + "/decision", "/customer_id"),
        (f"{STANDING}?channel=pigeon", "/channel"),
        (f"{STANDING}?chanel=email", "/chanel"),
        (f"{STANDING}?format=xml", "/format"),
    ],
)
def test_a_wrong_question_for_the_standing_decision(ask: Ask, path: str, pointer: str) -> None:
    content = problem_of(ask("GET", path), 422)
    assert content["errors"][0]["pointer"] == pointer


# ---- What is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "not JSON"),
        (b'{"customer_id": "C-1", "customer_id": "C-2"}', 400, "same key twice"),
        (b'{"customer_id": "C-1", "context": {"x": NaN}}', 400, "holds NaN"),
        (b'{"customer_id": "C-1", "context": {"x": 1e999}}', 400, "beyond any range"),
        (b"[]", 422, "the body is a list of 0; must be an object with the fields channels, "),
        (b'{"customer_id": 7}', 422, "customer_id is a number; must be a text of 1 to 128 of"),
        (b'{"customer_id": "' + b"x" * 70_000 + b'"}', 413, "longer than 65536 bytes"),
    ],
)
def test_a_body_that_cannot_be_taken(ask: Ask, body: bytes, status: int, words: str) -> None:
    headers = {"Content-Type": "application/json"}
    content = problem_of(ask("POST", DECISIONS, content=body, headers=headers), status)
    assert words in content["detail"]


ID_WORDS = "must be a text of 1 to 128 of the characters A-Z, a-z, 0-9 and _.:@-; correct it"
FIELDS = "channels, context, customer_id, exclude, idempotency_key, locale, trigger"


@pytest.mark.parametrize(
    ("fields", "pointer", "code", "words"),
    [
        ({"customer_id": "jane doe"}, "/customer_id", "invalid", "is a text of length 8; "),
        ({"customer_id": "jane\n"}, "/customer_id", "invalid", "U+000A (a control character) at"),
        ({"customer_id": ""}, "/customer_id", "invalid", "customer_id is an empty text; "),
        ({"customer_id": "jane doe"}, "/customer_id", "invalid", ID_WORDS),
        ({}, "/customer_id", "missing", "customer_id is missing; must be a text of 1 to 128 of"),
        (
            {"customer_id": "C", "chanels": ["jane"]},
            "/chanels",
            "unknown_field",
            "'chanels' is no field of this call; did you mean 'channels'?; "
            f"fields are {FIELDS}; leave it out",
        ),
        (
            {"customer_id": "C", "channels": ["pigeon"]},
            "/channels/0",
            "invalid",
            "channels/0 is 'pigeon'; must be one of email, sms, push, inapp, chat, call, post; ",
        ),
        (
            {"customer_id": "C", "channels": ["jane@example.com"]},
            "/channels/0",
            "invalid",
            "channels/0 is a text of length 16; must be one of email, ",
        ),
        (
            {"customer_id": "C", "channels": []},
            "/channels",
            "invalid",
            "channels is a list of 0; must be a list of 1 to 7 items; correct it or leave it out",
        ),
        (
            {"customer_id": "C", "trigger": "a\u202ejane"},
            "/trigger",
            "invalid",
            "trigger is a text with U+202E (right-to-left override) at place 2, which nobody sees; "
            "must be a text of at most 256 characters, all of which can be seen; ",
        ),
        ({"customer_id": "C", "locale": 5}, "/locale", "invalid", "locale is a number; must be a "),
        ({"customer_id": "C", "idempotency_key": "a b"}, "/idempotency_key", "invalid", ID_WORDS),
        (
            {"customer_id": "C", "context": {"a": ["jane"], "str": 1}},
            "/context/a",
            "invalid",
            "context/a is a list of 1; must be a text of at most 256 characters, all of which can "
            "be seen or a number or true or false; correct it",
        ),
        (
            {"customer_id": "C", "context": {"a\x00": 1}},
            "/context/a\x00",
            "invalid",
            "is a text with U+0000 (a control character) at place 2, which nobody sees; ",
        ),
        (
            {"customer_id": "C", "context": {str(n): n for n in range(40)}},
            "/context",
            "invalid",
            "context is an object with 40 fields; must be an object with at most 32 fields; ",
        ),
    ],
)
def test_a_wrong_field_is_named_in_our_words_and_its_value_not_repeated(
    ask: Ask, fields: dict[str, object], pointer: str, code: str, words: str
) -> None:
    response = ask("POST", DECISIONS, json=fields)
    content = problem_of(response, 422)
    [error] = content["errors"]
    assert (error["pointer"], error["code"]) == (pointer, code)
    assert words in error["detail"]
    assert content["detail"] == error["detail"]
    for inside in ("jane", "pydantic", "Input should", "pattern", "type="):
        assert inside not in response.text


def test_many_mistakes_are_told_together(ask: Ask) -> None:
    content = problem_of(decide(ask, "a b", channels="email", locale=1), 422)
    assert content["detail"].endswith("correct it (and 2 more; see errors)")
    assert [error["pointer"] for error in content["errors"]] == [
        *("/customer_id", "/channels", "/locale")
    ]
    wrong = problem_of(decide(ask, exclude=["A"] * 100), 422)
    assert len(wrong["errors"]) == 20


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Content-Type": "text/plain"}, "the body must be application/json; set the Content-Type"),
        ({"Content-Type": ""}, "the body must be application/json; set the Content-Type header"),
        (
            {"Content-Type": "application/json; charset=latin-1"},
            "the body must be UTF-8; leave the charset out",
        ),
        (
            {"Content-Type": "application/json", "Content-Encoding": "gzip"},
            "the body must not be compressed; send it as it is",
        ),
    ],
)
def test_only_plain_json_is_read(
    ask: Ask, app: FastAPI, headers: dict[str, str], words: str
) -> None:
    body = b'{"customer_id": "C-new"}'
    content = problem_of(ask("POST", DECISIONS, content=body, headers=headers), 415)
    assert words in content["detail"]
    assert app.state.service.store.decision_count() == 0


def test_unknown_paths_and_methods_have_the_same_shape(ask: Ask) -> None:
    assert "nothing at this path" in problem_of(ask("GET", "/v2/decisions"), 404)["detail"]
    wrong_method = ask("PUT", DECISIONS)
    assert "does not take this method" in problem_of(wrong_method, 405)["detail"]
    assert wrong_method.headers["allow"] == "POST"


# ---- Keys --------------------------------------------------------------------------------


def test_every_route_but_health_needs_a_key(app: FastAPI, anonymous: Ask) -> None:
    paths = {route.path for route in app.routes}  # type: ignore[attr-defined]
    assert {"/livez", "/readyz", DECISIONS, "/", "/openapi.json"} <= paths
    for path in paths | {"/no/such/path", "/docs", "/metrics", "/livez/", "//livez"}:
        for method in ("GET", "POST", "DELETE"):
            response = anonymous(method, path.replace("{customer_id}", "C-new"))
            if path in ("/livez", "/readyz"):
                assert response.status_code == (200 if method == "GET" else 405)
            else:
                assert "a key is needed" in problem_of(response, 401)["detail"]


@pytest.mark.parametrize("key", ["nb_wrong", "", "nb_" + "x" * 43])
def test_a_wrong_key_is_refused(app: FastAPI, anonymous: Ask, key: str) -> None:
    headers = {"Authorization": f"Bearer {key}"}
    content = problem_of(anonymous("GET", STANDING, headers=headers), 401)
    assert content["detail"].startswith("a key is needed; send 'Authorization: Bearer nb_...'")
    assert "C-lapsing" not in str(content)
    assert app.state.service.store.decision_count() == 0


def test_a_key_may_be_the_user_name(app: FastAPI, anonymous: Ask) -> None:
    key = app.state.service.store.new_key("mail platform")
    assert anonymous("GET", STANDING, auth=(key, "")).status_code == 200
    app.state.service.store.revoke_keys("mail platform")
    assert anonymous("GET", STANDING, auth=(key, "")).status_code == 401


def test_answers_carry_safe_headers(anonymous: Ask) -> None:
    headers = anonymous("GET", "/livez").headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")


# ---- Health, document, root --------------------------------------------------------------


def test_health(anonymous: Ask) -> None:
    assert anonymous("GET", "/livez").json() == {"status": "alive"}
    assert anonymous("GET", "/readyz").json() == {"status": "ready"}


def break_store(app: FastAPI) -> None:
    """Let nobody read or write the store any more."""
    store, path = app.state.service.store, app.state.service.settings.home / "store.db"
    store._file.reader.dispose()
    store._file.writer.dispose()
    for beside in (path, *path.parent.glob("store.db-*")):
        beside.write_bytes(b"no database at all" * 1000)


def test_a_store_that_cannot_be_read_is_unready(app: FastAPI, anonymous: Ask) -> None:
    break_store(app)
    response = anonymous("GET", "/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "unready")
    assert response.json()["note"].startswith("the store could not be read (file is not a")


def test_a_mistake_of_ours_in_readiness_is_unready_and_counted(
    ask: Ask, app: FastAPI, anonymous: Ask
) -> None:
    app.state.service = replace(app.state.service, champion=Broken(app))
    response = anonymous("GET", "/readyz")
    assert response.status_code == 503
    assert response.json() == {"status": "unready", "note": "its log says more"}
    assert failures(ask) == [("not ready", "OSError", 1)]


def test_readiness_says_that_the_store_cannot_be_written(app: FastAPI, anonymous: Ask) -> None:
    with app.state.service.store._file.writer.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only = ON")
    response = anonymous("GET", "/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "unready")
    assert "the store could not be written" in response.json()["note"]


def test_readiness_tries_to_write_once_in_ten_seconds(app: FastAPI, anonymous: Ask) -> None:
    now, writer = [MIDNIGHT], app.state.service.store._file.writer
    app.state.service = replace(app.state.service, clock=lambda: now[0])

    def writes() -> bool:
        with writer.begin() as connection:
            connection.exec_driver_sql("DELETE FROM meta WHERE key = 'trial'")
        assert anonymous("GET", "/readyz").json() == {"status": "ready"}
        with writer.connect() as connection:
            trials = "SELECT count(*) FROM meta WHERE key = 'trial'"
            return bool(connection.exec_driver_sql(trials).scalar_one())

    found = []
    for later in (0, 1, PROOF_HOLDS - 1, PROOF_HOLDS, PROOF_HOLDS + 1, 2 * PROOF_HOLDS, -1):
        now[0] = MIDNIGHT + later
        found.append(writes())
    assert found == [True, False, False, True, False, True, True]  # a clock set back proves nothing


def test_a_store_that_cannot_be_written_is_tried_at_each_call(app: FastAPI, anonymous: Ask) -> None:
    now = [MIDNIGHT]
    app.state.service = replace(app.state.service, clock=lambda: now[0])
    assert anonymous("GET", "/readyz").status_code == 200
    now[0] += PROOF_HOLDS
    for switch, status in (("ON", 503), ("ON", 503), ("OFF", 200), ("ON", 200)):
        raw = app.state.service.store._file.writer.raw_connection()
        raw.cursor().execute(f"PRAGMA query_only = {switch}")
        raw.close()  # back into the pool
        assert anonymous("GET", "/readyz").status_code == status


def test_readiness_says_that_the_disk_is_full(
    anonymous: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_calls, "LEAST_FREE_BYTES", 2**62)
    response = anonymous("GET", "/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "unready")
    assert response.json()["note"].startswith("the disk of the home is full: ")
    assert response.json()["note"].endswith("must be at least 4,611,686,018,427,387,904; make room")


def test_readiness_says_that_the_champion_on_the_disk_is_damaged(
    ask: Ask, app: FastAPI, anonymous: Ask, home: Home
) -> None:
    sha = app.state.service.store.champion()
    (home.bundles / sha / "golden.json").write_text("{}", encoding="utf-8")
    response = anonymous("GET", "/readyz")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ready",
        "damaged": f"sha256:{sha}",
        "serves": f"sha256:{sha}",
        "note": (
            f"the champion on the disk is damaged (bundle {sha[:12]}: file 'golden.json' was "
            "changed after training; train again with `nextbest train`); its copy in memory "
            "answers until the service is started again; put its folder back, or run "
            "`nextbest train`"
        ),
    }
    metric = ask("GET", "/v1/metrics/champion").json()
    assert (metric["damaged"], metric["champion"]) == (True, f"sha256:{sha}")
    assert decide(ask).json()["fallback"] is False


def failures(ask: Ask) -> list[tuple[str, str, int]]:
    """What the metric says has failed."""
    found = ask("GET", "/v1/metrics/failures").json()
    assert found["total"] == sum(one["count"] for one in found["counts"])
    return [(one["what"], one["error"], one["count"]) for one in found["counts"]]


def test_metrics_are_named(ask: Ask) -> None:
    assert failures(ask) == []
    champion = ask("GET", "/v1/metrics/champion").json()
    assert (champion["damaged"], champion["note"]) == (False, "")
    content = problem_of(ask("GET", "/v1/metrics/failure"), 404)
    assert content["detail"] == (
        "there is no metric of this name; did you mean 'failures'?; metrics are champion, failures"
    )


# ---- A store that cannot be read ---------------------------------------------------------


def test_while_the_store_is_away_a_known_caller_gets_the_fallback(ask: Ask, app: FastAPI) -> None:
    assert decide(ask).json()["fallback"] is False
    break_store(app)
    for _ in range(2):
        content = decide(ask).json()
        assert (content["fallback"], content["decision_id"]) == (True, "dec_not_logged")
        assert content["as_of"] == time_text(MIDNIGHT)
    assert ask("GET", STANDING).json()["fallback"] is True
    [item] = ask("POST", "/v1/decisions/batch", json={"decisions": [{"customer_id": "C"}]}).json()[
        "items"
    ]
    assert item["decision"]["fallback"] is True
    due = ask("GET", "/v1/due")
    assert (due.status_code, due.json()["items"]) == (200, [])


def test_while_the_store_is_away_nobody_else_gets_in(
    ask: Ask, app: FastAPI, anonymous: Ask
) -> None:
    break_store(app)
    response = anonymous("GET", STANDING, headers={"Authorization": "Bearer nb_never_seen"})
    content = problem_of(response, 503)
    assert content["detail"].startswith("the store could not be read (")
    assert content["detail"].endswith("; send it again in some seconds")
    assert response.headers["retry-after"] == "5"


def test_what_cannot_be_kept_while_the_store_is_away_is_to_be_sent_again(
    ask: Ask, app: FastAPI
) -> None:
    decide(ask)
    break_store(app)
    event = {"type": "track", "userId": "C-new", "event": "Product Viewed"}
    for method, path, body in (
        ("POST", "/v1/batch", {"batch": [event]}),
        ("POST", "/v1/decisions/dec_1/outcomes", {"outcome": "sent"}),
        ("GET", "/v1/customers/C-new", None),
    ):
        response = ask(method, path, json=body)
        assert "nothing was kept of this call" in problem_of(response, 503)["detail"]
        assert response.headers["retry-after"] == "5"


def test_readiness_names_an_edit_that_does_not_serve(
    app: FastAPI, anonymous: Ask, home: Home
) -> None:
    champion = app.state.service.champion
    home.policy.write_text("epsilon = 7", encoding="utf-8")
    champion._read_edits()
    response = anonymous("GET", "/readyz").json()
    assert response["status"] == "ready"
    assert response["note"].startswith("policy.toml: ")


def test_the_document_is_valid_and_complete(ask: Ask) -> None:
    document = ask("GET", "/openapi.json").json()
    openapi_spec_validator.validate(document)
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/v1/pause",
        DECISIONS,
        "/v1/customers/{customer_id}/decision",
        "/v1/decisions/batch",
        "/v1/decisions/{decision_id}/outcomes",
        "/v1/batch",
        "/v1/customers/{customer_id}",
        "/v1/customers/{customer_id}/explanation",
        "/v1/customers/{customer_id}/what-if",
        "/v1/communications",
        "/v1/due",
        "/v1/models",
        "/v1/metrics/{metric}",
        "/livez",
        "/readyz",
    }
    request = document["components"]["schemas"]["DecisionRequest"]
    assert set(request["properties"]) == {
        *("customer_id", "channels", "exclude", "trigger", "locale", "context"),
        "idempotency_key",
    }


def test_the_root_page_names_the_data_and_needs_nothing_from_elsewhere(home: Home) -> None:
    home.write_about(About("<Bean & Cup>", clock="data_end", simulated=True))
    app = create_app(Settings(home.path))
    page = asyncio.run(health_calls.root(Asked(app)))  # type: ignore[arg-type]
    text = bytes(page.body).decode()
    app.state.service.store.close()
    assert "&lt;Bean &amp; Cup&gt;" in text
    assert "The people in it are simulated." in text
    assert "http" not in text.replace("http-equiv", "")
    assert "<script" not in text


class Asked:
    """What the root page needs of a request."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
