"""Keys, and what happens where the application fails."""

import asyncio
import base64
import json
import logging

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from serving.calls.security import Guard, presented_key
from serving.failures import Failures
from serving.storage.store_file import StoreFailed


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "key"),
    [
        ("Bearer nb_x", "nb_x"),
        ("bearer   nb_x ", "nb_x"),
        (basic("nb_x:"), "nb_x"),
        (basic("nb_x:anything:else"), "nb_x"),
        (basic("nb_x"), "nb_x"),
        ("Basic not base64!", ""),
        ("Basic /w==", ""),
        ("Digest nb_x", ""),
        ("nb_x", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_a_key_is_found_in_its_header(authorization: str | None, key: str) -> None:
    assert presented_key(authorization) == key


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise LookupError("jane@example.com is not there")


def answer(app: Guard, key: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/x", headers={"Authorization": f"Bearer {key}"})

    return asyncio.run(ask())


def test_a_failure_becomes_a_500_without_detail(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "nextbest")
    failures = Failures()
    response = answer(Guard(failing, lambda key: key == "k", failures=failures), "k")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.text)["detail"] == (
        "the service failed; try again, or look at its log"
    )
    assert "request failed: LookupError at tests/serving/calls/test_security.py:" in caplog.text
    assert "in failing" in caplog.text  # the way there
    assert "jane" not in caplog.text + response.text
    assert [(one.what, one.error, n) for one, n in failures.counts().items()] == [
        ("request failed", "LookupError", 1)
    ]


def test_a_store_that_is_away_is_no_failure_of_the_caller() -> None:
    def away(key: str) -> bool:
        raise StoreFailed("the store could not be read (disk I/O error); look at the disk")

    failures = Failures()
    response = answer(Guard(failing, away, failures=failures), "k")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert json.loads(response.text)["detail"] == (
        "the store could not be read (disk I/O error); look at the disk; nothing was kept of this "
        "call; send it again in some seconds"
    )
    assert [one.what for one in failures.counts()] == ["no key could be checked"]


def test_without_a_known_key_the_application_is_not_reached() -> None:
    response = answer(Guard(failing, lambda key: key == "k"), "other")
    assert response.status_code == 401
    assert response.headers.get_list("www-authenticate") == [
        'Basic realm="nextbest", charset="UTF-8"',
        'Bearer realm="nextbest"',
    ]


def test_a_web_socket_is_closed() -> None:
    sent: list[object] = []

    async def send(message: object) -> None:
        sent.append(message)

    async def receive() -> object:
        return {"type": "websocket.connect"}

    guard = Guard(failing, lambda key: True)
    asyncio.run(guard({"type": "websocket", "path": "/"}, receive, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]
