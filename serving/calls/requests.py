"""Reading a call and refusing what it cannot take, always in the one shape of errors."""

import hashlib
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from serving.answer import Json, encoded
from serving.calls.mistakes import Mistake, mistakes
from serving.calls.security import CALLER, problem
from serving.wire import BODY_LIMIT, BodyTooLarge, NotJson, body_of, parsed, unzipped

JSON: Final = "application/json"
Asked = TypeVar("Asked", bound=BaseModel)


class Refused(ValueError):
    """A call that cannot be taken; `response` says why."""

    def __init__(self, response: Response) -> None:
        super().__init__("the call was refused; the response says why")
        self.response = response


async def content_of(
    request: Request, limit: int = BODY_LIMIT, lenient: bool = False, gzip: bool = False
) -> object:
    """The JSON of a body.

    Parameters
    ----------
    limit : int
        Bytes, also of what a compressed body holds.
    lenient : bool
        See `wire.parsed`.
    gzip : bool
        Whether the body may be compressed.

    Raises
    ------
    Refused
        If it is no JSON by its headers or by itself, or too long.
    """
    encoding = wrong_content(request, gzip)
    try:
        body = await body_of(request.stream(), request.headers.get("content-length"), limit)
        return parsed(unzipped(body, limit) if encoding == "gzip" else body, lenient)
    except BodyTooLarge as error:
        raise Refused(problem(413, str(error))) from error
    except NotJson as error:
        raise Refused(problem(400, str(error))) from error


def checked(model: type[Asked], content: object) -> Asked:
    """The content as `model` states it.

    Raises
    ------
    Refused
        If it is not of that shape.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise Refused(invalid(mistakes(error, content, model))) from error


def wrong_content(request: Request, gzip: bool = False) -> str:
    """How the body is encoded: ``identity``, or ``gzip`` where that is allowed.

    Raises
    ------
    Refused
        If the body cannot be read, by its headers.
    """
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != JSON:
        words = "the body must be application/json; set the Content-Type header"
        raise Refused(problem(415, words))
    charset = parameters.strip().lower().replace('"', "")
    if charset not in ("", "charset=utf-8"):
        raise Refused(problem(415, "the body must be UTF-8; leave the charset out"))
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding == "gzip" and gzip:
        return encoding
    if encoding != "identity":
        raise Refused(problem(415, "the body must not be compressed; send it as it is"))
    return encoding


def invalid(found: tuple[Mistake, ...]) -> Response:
    """The answer to a request of another shape; the first mistake is its headline."""
    more = f" (and {len(found) - 1} more; see errors)" if len(found) > 1 else ""
    errors = tuple((each.pointer, each.code, each.words) for each in found)
    return problem(422, found[0].words + more, errors)


def scoped(request: Request, key: str) -> str:
    """An idempotency key, apart from equal ones of other callers."""
    return f"{sha256(request.scope[CALLER])[:16]}:{key}"


def sha256(text: str) -> str:
    """Hash of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def json_response(content: Json) -> Response:
    """JSON that nobody keeps."""
    return Response(encoded(content), headers={"Cache-Control": "no-store"}, media_type=JSON)
