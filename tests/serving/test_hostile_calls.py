"""Whatever is sent, no call fails by itself: an answer, or a refusal in our words."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from serving.failures import Failures

JSON = {"Content-Type": "application/json"}
LONGEST_SECONDS = 5.0  # the server ends a call then; these take milliseconds
Send = Callable[..., httpx.Response]

# JSON as text, so that it can be what no Python value is.
VALUES = [
    *("null", "true", "false", "0", "-1", "1.5", "9223372036854775807", "1e308", "-0.0", "5e-324"),
    *('""', '" "', '"C-new"', '"sent"', '"email"', '"2026-11-01"', '"\\u202eabc"', '"\\u0000"'),
    *("[]", "[[]]", "{}", '{"a": 1}', '["email"]', '{"": {}}', '"\N{GRINNING FACE}"'),
    *(f'"{"x" * 300}"', '"\\ud83d\\ude00"', f"[{'1,' * 200}1]"),
]
REFUSED_WHOLE = [
    *("NaN", "-Infinity", "1e999", "9" * 400, '"\\ud800"', '{"a": 1, "a": 2}', "[" * 100_000),
    *("[" * 1000 + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000),
]
CALLS: dict[str, dict[str, object]] = {
    "/v1/decisions": {
        **{"customer_id": "C-lapsing", "channels": ["email"], "exclude": ["newsletter"]},
        **{"trigger": "x", "locale": "de", "context": {"a": 1}, "idempotency_key": "k"},
    },
    "/v1/decisions/batch": {"decisions": [{"customer_id": "C-new"}], "reasons": False},
    "/v1/decisions/dec_x/outcomes": {
        **{"outcome": "sent", "occurred_at": "2026-11-01T00:00:00Z", "amount": 1},
        "currency": "EUR",
    },
    "/v1/customers/C-lapsing/what-if": {"changes": {"emails_sent_28d": 1}, "locale": "de"},
    "/v1/pause": {
        **{"on": False, "reason": "x", "channel": "email", "stage": "active"},
        **{"flag": "advocate", "allow": ["crisis"], "number": 1},
    },
    "/v1/batch": {"batch": [], "sentAt": "2026-11-01T00:00:00Z"},
}
ITEM: dict[str, object] = {
    **{"type": "track", "event": "Order Completed", "userId": "C-new", "anonymousId": "a"},
    **{"messageId": "m", "timestamp": "2026-11-01T00:00:00Z", "sentAt": "2026-11-01T00:00:00Z"},
    **{"originalTimestamp": "2026-11-01T00:00:00Z", "name": "n", "category": "c", "groupId": "g"},
    **{"properties": {}, "traits": {}, "context": {}},
}
PROPERTIES = (
    *("amount", "revenue", "currency", "category", "products", "channel", "communication"),
    *("selection_probability", "score", "kind", "discount", "ends_at", "points", "minutes"),
    *("purpose", "evidence", "userAgent"),
)


@pytest.fixture
def send(app: FastAPI) -> Iterator[Send]:
    """Sends bytes with a key; the loop is kept, since hundreds are sent."""
    key = app.state.service.store.new_key("test")
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://test",
        headers={"Authorization": f"Bearer {key}"},
    )
    with asyncio.Runner() as runner:

        def sent(
            path: str, body: bytes = b"", headers: Mapping[str, str] = JSON, method: str = "POST"
        ) -> httpx.Response:
            begun = time.monotonic()
            response = runner.run(client.request(method, path, content=body, headers=headers))
            assert time.monotonic() - begun < LONGEST_SECONDS
            assert_usable(response)
            return response

        yield sent
        runner.run(client.aclose())


def assert_usable(response: httpx.Response) -> None:
    """An answer, or a refusal of the one shape, without anybody's insides."""
    assert response.status_code in (200, 400, 404, 413, 415, 422), response.text
    for inside in ("Input should", "pydantic", "Traceback", "type="):
        assert inside not in response.text
    if response.status_code != 200:
        content = response.json()
        assert list(content) == ["type", "title", "status", "detail", "errors"]
        assert content["detail"]
        for error in content["errors"]:
            assert error["detail"]
            assert error["pointer"] == "" or error["pointer"].startswith("/")
    response.text.encode()


def nothing_failed(app: FastAPI) -> None:
    failures: Failures = app.state.service.failures
    assert failures.counts() == {}


def with_value(body: Mapping[str, object], field: str, value: str) -> bytes:
    """A body as JSON with the text `value` for a field."""
    rest = ", ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in body.items() if k != field)
    return f'{{"{field}": {value}{", " if rest else ""}{rest}}}'.encode()


@pytest.mark.parametrize("path", list(CALLS))
def test_any_value_in_any_field(app: FastAPI, send: Send, path: str) -> None:
    for field in (*CALLS[path], "unheard_of"):
        for value in VALUES:
            send(path, with_value(CALLS[path], field, value))
    nothing_failed(app)


@pytest.mark.parametrize("path", list(CALLS))
def test_what_no_reader_should_take(app: FastAPI, send: Send, path: str) -> None:
    for value in REFUSED_WHOLE:
        field = next(iter(CALLS[path]))
        response = send(path, with_value(CALLS[path], field, value))
        assert response.status_code in (400, 413, 422)
        send(path, value.encode())
    for body in (b"", b"\xff\xfe", b"null", b"7", b'"x"', b"[]", b"{}", b"{", b"{" * 60_000):
        assert send(path, body).status_code in (400, 422)
    nothing_failed(app)


def test_any_value_in_any_field_of_an_event(app: FastAPI, send: Send) -> None:
    items = [
        with_value(ITEM, field, value).decode()
        for field in (*ITEM, "unheard_of")
        for value in (*VALUES, "NaN", "1e999", '"\\ud800"', '{"a": 1, "a": 2}')
    ]
    for event in ("Order Completed", "Survey Answered", "Consent Given", "Subscription Started"):
        items += [
            with_value(
                ITEM | {"event": event}, "properties", with_value({}, name, value).decode()
            ).decode()
            for name in PROPERTIES
            for value in VALUES
        ]
    counts = {"accepted": 0, "duplicate": 0, "quarantined": 0, "ignored": 0}
    for start in range(0, len(items), 300):
        body = f'{{"batch": [{",".join(items[start : start + 300])}]}}'
        found = send("/v1/batch", body.encode()).json()
        for name in counts:
            counts[name] += found[name]
        for item in found["items"]:
            assert (item["status"] == "quarantined") == bool(item["reasons"])
    assert sum(counts.values()) == len(items)
    assert counts["quarantined"] > 500
    nothing_failed(app)


@pytest.mark.parametrize("depth", [100, 900, 1000, 5000, 50_000])
def test_an_event_that_nests_deeply_harms_nobody(app: FastAPI, send: Send, depth: int) -> None:
    deep = with_value(ITEM, "properties", '{"a":' * depth + "1" + "}" * depth).decode()
    good = json.dumps(ITEM | {"messageId": "other"})
    response = send("/v1/batch", f'{{"batch": [{deep}, {good}]}}'.encode())
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert "the body nests too deeply" in response.json()["detail"]
    nothing_failed(app)


def test_bodies_that_are_not_what_their_headers_say(app: FastAPI, send: Send) -> None:
    zipped = JSON | {"Content-Encoding": "gzip"}
    bomb = gzip.compress(b" " * 200_000_000, 9)  # two hundred megabytes in two hundred kilobytes
    assert send("/v1/batch", bomb, zipped).status_code == 413
    assert send("/v1/batch", gzip.compress(b"{}")[:-4], zipped).status_code == 400
    assert send("/v1/batch", b"{}", zipped).status_code == 400
    assert send("/v1/batch", gzip.compress(gzip.compress(b"{}")), zipped).status_code == 400
    for path in CALLS:
        assert send(path, b"{}", {}).status_code == 415
        assert send(path, b"{}", {"Content-Type": "text/html"}).status_code == 415
        for encoding in ("br", "gzip, gzip", "x" * 5000):
            assert send(path, b"{}", JSON | {"Content-Encoding": encoding}).status_code == 415
        assert send(path, b" " * 600_000).status_code == 413
    nothing_failed(app)


HOSTILE = ("a%00b", "%E2%80%AE", "x" * 5000, "..%2f..%2fetc", "%ff", "a%0d%0ab", "' OR 1=1", "%25")


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_words_in_paths_and_queries(app: FastAPI, send: Send, word: str) -> None:
    for path in (
        *(f"/v1/customers/{word}", f"/v1/customers/{word}/decision", f"/v1/metrics/{word}"),
        *(f"/v1/customers/{word}/explanation", f"/v1/{word}"),
        f"/v1/customers/C-new/decision?channel={word}&format={word}&{word}=1",
        f"/v1/due?limit={word}&after={word}",
    ):
        assert send(path, b"", {}, "GET").status_code in (404, 422)
    response = send(f"/v1/decisions/{word}/outcomes", b'{"outcome": "sent"}')
    assert response.status_code == 404
    nothing_failed(app)


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def test_any_json_in_any_call(app: FastAPI, send: Send) -> None:
    fields = sorted({field for body in CALLS.values() for field in body} | set(ITEM))
    objects = st.dictionaries(st.sampled_from(fields), ANY_JSON, max_size=6)

    @settings(
        max_examples=120,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(path=st.sampled_from(sorted(CALLS)), body=objects | ANY_JSON, item=objects)
    def sent(path: str, body: Any, item: dict[str, object]) -> None:
        if isinstance(body, dict):
            body = CALLS[path] | body
            if path == "/v1/batch":
                body["batch"] = [ITEM | item]
        send(path, json.dumps(body).encode())

    sent()
    nothing_failed(app)
