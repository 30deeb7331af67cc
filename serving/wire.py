"""Reading a request: strict JSON, nothing that two readers could read differently."""

import json
import math
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

BODY_LIMIT: Final = 64 * 1024  # bytes; a question is some hundred bytes long
BATCH_LIMIT: Final = 512 * 1024  # bytes; Segment's libraries send at most 500,000
LARGEST_WHOLE_NUMBER: Final = 2**63 - 1  # what the store can keep


class BodyTooLarge(ValueError):
    """More bytes than a question needs."""


class NotJson(ValueError):
    """Not JSON, or JSON that readers understand differently."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A value in a lenient reading that is no JSON, or that readers understand differently."""

    words: str


async def body_of(
    chunks: AsyncIterator[bytes], announced: str | None, limit: int = BODY_LIMIT
) -> bytes:
    """The whole body, refused as soon as it is too long.

    Parameters
    ----------
    announced : str or None
        The Content-Length header, if there is one.
    limit : int
        Bytes.

    Raises
    ------
    BodyTooLarge
        If the body is, or says it is, longer than `limit`.
    """
    if announced is not None and announced.isdigit() and int(announced[:20]) > limit:
        raise BodyTooLarge(too_large(limit))
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(too_large(limit))
    return bytes(body)


def too_large(limit: int) -> str:
    """The words for a body that is too long."""
    if limit == BODY_LIMIT:
        return f"the body is longer than {limit} bytes; ask about one customer, with less context"
    return f"the body is longer than {limit} bytes; send it in several parts"


def unzipped(body: bytes, limit: int) -> bytes:
    """What a gzip body holds, refused as soon as it is too long.

    Raises
    ------
    BodyTooLarge
        If it holds more than `limit` bytes.
    NotJson
        If it is no gzip.
    """
    reader = zlib.decompressobj(wbits=31)  # 31: gzip with its header and checksum
    try:
        found = reader.decompress(body, limit + 1)
    except zlib.error as error:
        raise NotJson("the body says that it is gzip and is not; compress it again") from error
    if len(found) > limit:
        raise BodyTooLarge(too_large(limit))
    if not reader.eof:
        raise NotJson("the gzip body ends too early; send it again")
    if reader.unused_data:
        raise NotJson("something follows the gzip body; compress all of it into one part")
    return found


def parsed(body: bytes, lenient: bool = False) -> object:
    """A JSON text as Python values.

    Parameters
    ----------
    lenient : bool
        Whether `Unreadable` stands for a value that would otherwise be refused, and with it the
        whole body. An object that repeats a key holds one under the empty key.

    Raises
    ------
    NotJson
        If it is no JSON in UTF-8, or nests too deeply; unless lenient also if it repeats a key,
        or holds NaN, an infinity, a whole number beyond 64 bits, or half of a surrogate pair.
    """
    refuse = Unreadable if lenient else _refused
    try:
        text = body.decode()
        value = json.loads(
            text,
            parse_constant=partial(not_a_number, refuse),
            parse_float=partial(finite, refuse),
            parse_int=partial(in_range, refuse),
            object_pairs_hook=partial(without_repeats, refuse),
        )
        if not lenient:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeError as error:
        raise NotJson("the body is not UTF-8 throughout; encode it as UTF-8") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise NotJson(
            f"the body is not JSON: {error.msg} at {where}; send a JSON object"
        ) from error
    except RecursionError as error:
        raise NotJson("the body nests too deeply; a question is a flat object") from error
    return value


Refuse = Callable[[str], Unreadable]


def _refused(words: str) -> Unreadable:
    raise NotJson(words)


def not_a_number(refuse: Refuse, word: str) -> Unreadable:
    """Refuse the words NaN and Infinity, which are no JSON."""
    return refuse(f"the body holds {word}, which is not JSON; leave the field out")


def finite(refuse: Refuse, digits: str) -> float | Unreadable:
    """A finite number; 1e999 is none."""
    number = float(digits)
    if not math.isfinite(number):
        return refuse("the body holds a number beyond any range; send a finite number")
    return number


def in_range(refuse: Refuse, digits: str) -> int | Unreadable:
    """A whole number of at most 64 bits."""
    if len(digits) > 20 or abs(int(digits)) > LARGEST_WHOLE_NUMBER:
        return refuse("the body holds a whole number beyond 64 bits; send it as a text")
    return int(digits)


def without_repeats(refuse: Refuse, pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys differ; of two equal ones, readers disagree which counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        found[""] = refuse("an object of the body holds the same key twice; send each key once")
    return found
