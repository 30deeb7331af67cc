"""Who may come in: every HTTP request needs a key, but for health and the way to sign in."""

import base64
import binascii
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.answer import Json, encoded
from serving.failures import Failures
from serving.storage.store_file import StoreFailed
from serving.storage.turnstile import StoreBusy

OPEN_PATHS: Final = frozenset({"/livez", "/readyz", "/app/sign-in"})
OPEN_FOLDER: Final = "/app/static/"  # style, font and script of the sign-in page; no data
# The console: here, and nowhere else, a session counts like a key.
CONSOLE: Final = "/app/"
SIGN_IN: Final = "/app/sign-in"
FIRST_PAGE: Final = "/app/home"
SESSION_COOKIE: Final = "nextbest_session"
CALLER: Final = "nextbest.caller"  # where the key of a request stands in its scope

SAFE_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)


def problem(
    status: int,
    detail: str,
    errors: tuple[tuple[str, str, str], ...] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """An error in the one shape that all errors have.

    Parameters
    ----------
    errors : tuple of (pointer, code, detail)
        Where in the request the trouble lies. Never the value itself: it may be personal.

    Source: RFC 9457.
    """
    content: dict[str, Json] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "errors": [
            {"pointer": pointer, "code": code, "detail": words} for pointer, code, words in errors
        ],
    }
    return Response(
        encoded(content),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        "application/problem+json",
    )


def presented_key(authorization: str | None) -> str:
    """The key in an Authorization header: Bearer, or the user name of Basic; else empty."""
    scheme, _, rest = (authorization or "").strip().partition(" ")
    rest = rest.strip()
    if scheme.lower() == "bearer":
        return rest
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest, validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def unavailable(error: Exception) -> Response:
    """What a caller gets who needs the store while nobody can read or write it: ask again."""
    words = f"{error}; nothing was kept of this call; send it again in some seconds"
    return problem(503, words, headers={"Retry-After": "5"})


class Guard:
    """Lets a request pass only with a known key; adds safe headers; turns failures into 500.

    Parameters
    ----------
    app : ASGIApp
    key_is_known : from a key to whether it is known
    session_holds : from the content of a session's cookie to whether it is valid
    failures : Failures
        What is told of a request that failed.
    """

    def __init__(
        self,
        app: ASGIApp,
        key_is_known: Callable[[str], bool],
        session_holds: Callable[[str], bool] = lambda _: False,
        failures: Failures | None = None,
    ) -> None:
        self._app = app
        self._key_is_known = key_is_known
        self._session_holds = session_holds
        self._failures = failures or Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:  # web sockets: there are none here
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def safely(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                safe = [(name, value) for name, value in SAFE_HEADERS if name not in names]
                message["headers"] = given + safe
            await send(message)

        try:
            app = self._app if self._may_pass(scope) else turned_away(scope)
            await app(scope, receive, safely)
        except (StoreBusy, StoreFailed) as error:  # while the key was looked up
            self._failures.note("no key could be checked", error)
            await unavailable(error)(scope, receive, safely)
        except Exception as error:  # whatever fails, the caller gets our shape and no detail
            self._failures.note("request failed", error)
            if not started:
                failed = problem(500, "the service failed; try again, or look at its log")
                await failed(scope, receive, safely)

    def _may_pass(self, scope: Scope) -> bool:
        path, headers = scope["path"], Headers(scope=scope)
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
            return True
        key = presented_key(headers.get("authorization"))
        scope[CALLER] = key
        if not key and path.startswith(CONSOLE):
            cookie = cookie_parser(headers.get("cookie", "")).get(SESSION_COOKIE, "")
            return bool(cookie) and self._session_holds(cookie)
        return bool(key) and self._key_is_known(key)


def turned_away(scope: Scope) -> Response:
    """A browser is led to the sign-in page, and back from there; a program is refused."""
    path, headers = scope["path"], Headers(scope=scope)
    in_console = path.startswith(CONSOLE)
    wants_page = scope["method"] == "GET" and "text/html" in headers.get("accept", "")
    if not wants_page or "authorization" in headers or not (in_console or path in ("/", "/app")):
        return refused()
    query = scope.get("query_string", b"").decode("latin-1")
    wanted = f"{path}?{query}" if query else path
    # Outside of the console a browser does not show its session; inside, it does.
    to = f"{SIGN_IN}?next={quote(wanted, safe='')}" if in_console else FIRST_PAGE
    return RedirectResponse(to, 303, {"Cache-Control": "no-store"})


def refused() -> Response:
    """What somebody without a key gets, whatever they asked for."""
    response = problem(
        401,
        "a key is needed; send 'Authorization: Bearer nb_...', or the key as user name; "
        "make one with `nextbest keys`",
        headers={"WWW-Authenticate": 'Basic realm="nextbest", charset="UTF-8"'},
    )
    response.headers.append("WWW-Authenticate", 'Bearer realm="nextbest"')
    return response
