"""Reading a request: strict JSON, nothing that two readers could read differently."""

import json
import math
from collections.abc import AsyncIterator
from typing import Final, NoReturn

BODY_LIMIT: Final = 64 * 1024  # bytes; a question is some hundred bytes long
LARGEST_WHOLE_NUMBER: Final = 2**63 - 1  # what the store can keep


class BodyTooLarge(ValueError):
    """More bytes than a question needs."""


class NotJson(ValueError):
    """Not JSON, or JSON that readers understand differently."""


async def body_of(chunks: AsyncIterator[bytes], announced: str | None) -> bytes:
    """The whole body, refused as soon as it is too long.

    Parameters
    ----------
    announced : str or None
        The Content-Length header, if there is one.

    Raises
    ------
    BodyTooLarge
        If the body is, or says it is, longer than `BODY_LIMIT`.
    """
    if announced is not None and announced.isdigit() and int(announced[:20]) > BODY_LIMIT:
        raise BodyTooLarge(too_large())
    body = bytearray()
    async for chunk in chunks:
        body += chunk
        if len(body) > BODY_LIMIT:
            raise BodyTooLarge(too_large())
    return bytes(body)


def too_large() -> str:
    """The words for a body that is too long."""
    return f"the body is longer than {BODY_LIMIT} bytes; ask about one customer, with less context"


def parsed(body: bytes) -> object:
    """A JSON text as Python values.

    Raises
    ------
    NotJson
        If it is no JSON in UTF-8, nests too deeply, repeats a key, or holds NaN, an infinity, a
        whole number beyond 64 bits, or half of a surrogate pair.
    """
    try:
        text = body.decode()
        value = json.loads(
            text,
            parse_constant=not_a_number,
            parse_float=finite,
            parse_int=in_range,
            object_pairs_hook=without_repeats,
        )
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


def not_a_number(word: str) -> NoReturn:
    """Refuse the words NaN and Infinity, which are no JSON."""
    raise NotJson(f"the body holds {word}, which is not JSON; leave the field out")


def finite(digits: str) -> float:
    """A finite number; 1e999 is none."""
    number = float(digits)
    if not math.isfinite(number):
        raise NotJson("the body holds a number beyond any range; send a finite number")
    return number


def in_range(digits: str) -> int:
    """A whole number of at most 64 bits."""
    if len(digits) > 20 or abs(int(digits)) > LARGEST_WHOLE_NUMBER:
        raise NotJson("the body holds a whole number beyond 64 bits; send it as a text")
    return int(digits)


def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose keys differ; of two equal ones, readers disagree which counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NotJson("an object of the body holds the same key twice; send each key once")
    return found
