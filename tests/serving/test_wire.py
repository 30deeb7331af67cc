"""Strict JSON: nothing that two readers could read differently."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from serving.wire import BODY_LIMIT, BodyTooLarge, NotJson, body_of, parsed


def test_plain_json_is_read() -> None:
    body = '{"a": [1, -2.5, true, null, "ü"], "b": {"c": 9223372036854775807}}'.encode()
    assert parsed(body) == {"a": [1, -2.5, True, None, "ü"], "b": {"c": 2**63 - 1}}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON: Expecting value at line 1, column 1"),
        (b'{"a": 1', "not JSON: .* at line 1, column 8"),
        (b'{"a": NaN}', "holds NaN, which is not JSON; leave the field out"),
        (b'{"a": -Infinity}', "holds -Infinity"),
        (b'{"a": 1e999}', "a number beyond any range; send a finite number"),
        (b'{"a": 9223372036854775808}', "beyond 64 bits; send it as a text"),
        (b'{"a": ' + b"9" * 5000 + b"}", "beyond 64 bits"),
        (b'{"a": {"b": 1, "b": 2}}', "the same key twice"),
        (b'{"a": "\xff"}', "not UTF-8 throughout"),
        (rb'{"a": "\ud800"}', "not UTF-8 throughout"),
        (b"[" * 30_000, "nests too deeply"),
    ],
)
def test_what_readers_read_differently_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(NotJson, match=words):
        parsed(body)


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b" " * 1000


def test_a_body_comes_together_from_its_parts() -> None:
    assert asyncio.run(body_of(chunks(b"{", b"}"), "2")) == b"{}"


def test_a_body_of_just_the_limit_is_taken() -> None:
    assert len(asyncio.run(body_of(chunks(b" " * BODY_LIMIT), None))) == BODY_LIMIT


@pytest.mark.parametrize("announced", [None, "5", "999999", "9" * 5000])
def test_a_body_without_end_is_refused(announced: str | None) -> None:
    with pytest.raises(BodyTooLarge, match="longer than 65536 bytes; ask about one customer"):
        asyncio.run(body_of(endless(), announced))
