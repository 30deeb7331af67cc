"""The public HTTP contract: one decision resource, two ways to reach it, and health."""

import hashlib
import html
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import anyio
import numpy as np
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from features.home import Home
from features.signals import SECOND
from serving import schemas
from serving.answer import Json, Surroundings, encoded, flat, rendered
from serving.champion import Champion
from serving.console.pages import Console
from serving.console.session import Sessions, secret_of
from serving.decision import fallback
from serving.desk import Question, answer_to
from serving.security import CALLER, Guard, log_failure, problem
from serving.settings import Settings
from serving.store import IdempotencyConflict, Store, wall_clock
from serving.wire import BodyTooLarge, NotJson, body_of, parsed

VERSION: Final = "0.1.0"
# A mail platform keeps a cached answer for five minutes at least; nobody needs it longer.
LONGEST_CACHE_SECONDS: Final = 300
FAILED: Final = "the service could not decide in time or at all; its log says more"
TITLE: Final = "Nextbest"
ABOUT: Final = (
    "The next best communication for each customer, silence included, with reasons. "
    "Every call needs a key, as bearer token or as the user name of basic authentication."
)
Responses = dict[int | str, dict[str, Any]]

DECIDED: Final = "`no_contact` is a communication like another. Unknown customer: `fallback` true."


@dataclass(frozen=True, slots=True)
class Service:
    """All that answering needs; made once, at the start."""

    settings: Settings
    store: Store
    champion: Champion
    surroundings: Surroundings
    clock: Callable[[], int]
    rng: np.random.Generator

    def now(self) -> int:
        """The data set's own present: the clock, or the end of its data."""
        if self.surroundings.about.clock == "live":
            return self.clock()
        end = self.store.data_end()
        return self.clock() if end is None else end


def open_service(settings: Settings, clock: Callable[[], int], rng: np.random.Generator) -> Service:
    """Open a home for serving and make its first decision fast.

    Raises
    ------
    HomeError, InvalidCatalog, InvalidPolicy, InvalidReasonTexts, UnusableStore, OldSqlite
        If the home cannot be served; the message says what to do.
    """
    home = Home(settings.home)
    about = home.about()
    store = Store.open(home.store)
    champion = Champion(home, store)
    champion.warm_up()
    surroundings = Surroundings(about, champion.last.engine.policy.currency)
    return Service(settings, store, champion, surroundings, clock, rng)


def create_app(
    settings: Settings,
    clock: Callable[[], int] = wall_clock,
    rng: np.random.Generator | None = None,
) -> FastAPI:
    """The application of one home.

    Parameters
    ----------
    settings : Settings
    clock : () -> microseconds UTC
        Read once per request, and only where the home's clock is "live".
    rng : Generator or None
        Source of the one random number of a decision; None: fresh entropy.
    """
    service = open_service(settings, clock, rng or np.random.default_rng())
    app = FastAPI(title=TITLE, version=VERSION, description=ABOUT, docs_url=None, redoc_url=None)
    app.state.service = service
    add_routes(app)
    sessions = Sessions(secret_of(settings.home), service.store.key_hash_is_known, clock)
    app.router.routes.extend(Console(service, Home(settings.home), sessions).routes())
    app.add_exception_handler(HTTPException, unserved)
    app.add_middleware(Guard, key_is_known=service.store.key_is_known, session_holds=sessions.holds)
    app.openapi = partial(document, app)  # type: ignore[method-assign]
    return app


def add_routes(app: FastAPI) -> None:
    """Every path of the service."""
    answers: Responses = {200: {"model": schemas.DecisionAnswer, "description": DECIDED}}
    app.post(
        "/v1/decisions",
        operation_id="decide",
        summary="Decide, log and answer",
        responses=answers | failures(400, 401, 413, 415, 422),
        openapi_extra=body_schema(schemas.DecisionRequest),
    )(decide)
    app.get(
        "/v1/customers/{customer_id}/decision",
        operation_id="standing_decision",
        summary="The standing decision while it holds, else a new one",
        responses=answers | failures(401, 422),
        openapi_extra={"parameters": standing_parameters()},
    )(standing_decision)
    app.get("/livez", operation_id="livez", response_model=schemas.Health)(livez)
    app.get("/readyz", operation_id="readyz", response_model=schemas.Health)(readyz)
    app.get("/", include_in_schema=False)(root)


async def decide(request: Request) -> Response:
    """Decide for one customer; the answer is logged before it is given."""
    service: Service = request.app.state.service
    refused = wrong_content(request)
    if refused is not None:
        return refused
    try:
        content = parsed(await body_of(request.stream(), request.headers.get("content-length")))
        asked = schemas.DecisionRequest.model_validate(content)
    except BodyTooLarge as error:
        return problem(413, str(error))
    except NotJson as error:
        return problem(400, str(error))
    except ValidationError as error:
        return invalid(error)
    said = asked.model_dump(exclude_none=True)
    key = said.pop("idempotency_key", None)
    canonical = json.dumps(said, sort_keys=True)
    idempotency = None if key is None else (scoped(request, key), sha256(canonical))
    rest = {name: said[name] for name in ("trigger", "locale", "context") if name in said}
    question = Question(
        asked.customer_id,
        service.now(),
        float(service.rng.random()),
        tuple(asked.channels or ()),
        tuple(asked.exclude or ()),
        idempotency,
        json.dumps(rest),
    )
    try:
        body = await in_time(service, question, decided)
    except IdempotencyConflict as error:
        return problem(422, str(error), (("/idempotency_key", "conflict", str(error)),))
    return Response(body, headers={"Cache-Control": "no-store"}, media_type="application/json")


async def standing_decision(request: Request) -> Response:
    """The standing decision of one customer, cacheable while it holds."""
    service: Service = request.app.state.service
    customer_id = request.path_params["customer_id"]
    try:
        schemas.DecisionRequest.model_validate({"customer_id": customer_id})
        asked = schemas.StandingRequest.model_validate(dict(request.query_params))
    except ValidationError as error:
        return invalid(error)
    now = service.now()
    channels = () if asked.channel is None else (asked.channel,)
    question = Question(customer_id, now, float(service.rng.random()), channels)
    content = json.loads(await in_time(service, question, standing_or_new))
    keep = "no-store" if content["fallback"] else f"private, max-age={cache_seconds(content, now)}"
    answer = flat(content) if asked.format == "flat" else content
    return Response(encoded(answer), headers={"Cache-Control": keep}, media_type="application/json")


def decided(service: Service, question: Question) -> bytes:
    """A new decision, logged."""
    serving = service.champion.current()
    return answer_to(question, service.store, serving.engine, service.surroundings, serving.note)


def standing_or_new(service: Service, question: Question) -> bytes:
    """The decision that stands, else a new one."""
    standing = service.store.standing(question.customer_id, question.as_of, question.scope)
    return decided(service, question) if standing is None else standing


async def in_time(
    service: Service, question: Question, work: Callable[[Service, Question], bytes]
) -> bytes:
    """The answer, or the fallback if it fails or takes too long: a caller is never failed.

    A decision that comes too late may still be logged. It then counts against the caps, so the
    error is on the side of silence; the same idempotency key gets it.

    Raises
    ------
    IdempotencyConflict
        The one mistake that only the caller can mend.
    """
    try:
        with anyio.fail_after(service.settings.deadline_ms / 1000):
            return await anyio.to_thread.run_sync(work, service, question, abandon_on_cancel=True)
    except IdempotencyConflict:
        raise
    except Exception as error:  # the promise of this service: no failure of ours reaches a CRM
        log_failure("fallback served", error)
        versions = service.champion.last.engine.versions
        fallen = fallback(question.customer_id, question.as_of, versions, FAILED)
        return rendered("dec_not_logged", fallen, service.surroundings)


async def livez() -> Response:
    """Whether the process answers at all."""
    return JSONResponse({"status": "alive"})


async def readyz(request: Request) -> Response:
    """Whether decisions can be made: `ready`, `degraded` (fallbacks only) or `unready`."""
    service: Service = request.app.state.service
    try:
        serving = await anyio.to_thread.run_sync(service.champion.current)
    except Exception as error:  # health is asked exactly when something is wrong
        log_failure("not ready", error)
        return JSONResponse({"status": "unready"}, 503)
    return JSONResponse({"status": "ready" if serving.engine.bundle else "degraded"})


async def root(request: Request) -> Response:
    """A page for whoever opens the address in a browser."""
    service: Service = request.app.state.service
    about = service.surroundings.about
    people = "The people in it are simulated." if about.simulated else ""
    links = "".join(
        f'<li><a href="{path}">{path}</a>: {words}</li>'
        for path, words in (
            ("/openapi.json", "all calls, for machines"),
            ("/livez", "does the process answer"),
            ("/readyz", "can it decide"),
        )
    )
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{TITLE}</title>'
        f"<h1>{TITLE}</h1><p>{html.escape(ABOUT)}</p>"
        f"<p>Data: {html.escape(about.name)}. {people}</p>"
        "<p>Ask: <code>POST /v1/decisions</code> with "
        '<code>{"customer_id": "..."}</code>, or '
        f"<code>GET /v1/customers/{{id}}/decision</code>.</p><ul>{links}</ul></html>",
        headers={"Cache-Control": "no-store"},
    )


async def unserved(_: Request, error: Exception) -> Response:
    """Our shape for what the router refuses: unknown paths and methods."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict((error.headers if isinstance(error, HTTPException) else None) or {})
    words = {
        404: "there is nothing at this path; /openapi.json lists all paths",
        405: "this path does not take this method; /openapi.json lists what it takes",
    }
    return problem(status, words.get(status, "the request was refused"), headers=headers)


def wrong_content(request: Request) -> Response | None:
    """Why a body cannot be read by its headers, or None."""
    media_type, _, parameters = request.headers.get("content-type", "").partition(";")
    if media_type.strip().lower() != "application/json":
        return problem(415, "the body must be application/json; set the Content-Type header")
    charset = parameters.strip().lower().replace('"', "")
    if charset not in ("", "charset=utf-8"):
        return problem(415, "the body must be UTF-8; leave the charset out")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        return problem(415, "the body must not be compressed; send it as it is")
    return None


def invalid(error: ValidationError) -> Response:
    """What is wrong with a request, by place; the values seen stay out."""
    errors = tuple(
        ("/" + "/".join(str(part)[:64] for part in found["loc"]), found["type"], found["msg"])
        for found in error.errors(include_url=False, include_context=False, include_input=False)
    )
    return problem(422, "the request is not one this call takes; see errors", errors)


def scoped(request: Request, key: str) -> str:
    """An idempotency key, apart from equal ones of other callers."""
    return f"{sha256(request.scope[CALLER])[:16]}:{key}"


def sha256(text: str) -> str:
    """Hash of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def cache_seconds(content: dict[str, Json], now: int) -> int:
    """How long a caller may keep the answer: while it holds, five minutes at most."""
    valid_until = np.datetime64(str(content["valid_until"]).rstrip("Z"), "us").astype(np.int64)
    return max(0, min(LONGEST_CACHE_SECONDS, (int(valid_until) - now) // SECOND))


def document(app: FastAPI) -> dict[str, object]:
    """The OpenAPI 3.1 document, made once."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        parts = made.setdefault("components", {}).setdefault("schemas", {})
        for model in (schemas.DecisionRequest, schemas.Problem):
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            parts.update(schema.pop("$defs", {}))
            parts[model.__name__] = schema
        made["components"]["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "basic": {"type": "http", "scheme": "basic"},
        }
        made["security"] = [{"bearer": []}, {"basic": []}]
        for path in ("/livez", "/readyz"):
            made["paths"][path]["get"]["security"] = []
        app.openapi_schema = made
    return app.openapi_schema


def failures(*statuses: int) -> Responses:
    """The documented errors of a call, all of one shape."""
    words = {
        400: "Not JSON",
        401: "No key, or an unknown one",
        413: "Body too long",
        415: "Not JSON by its headers",
        422: "A field is wrong",
    }
    shape = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": words[status], "content": {"application/problem+json": shape}}
        for status in statuses
    }


def body_schema(model: type[BaseModel]) -> dict[str, object]:
    """Where the document finds the shape of a body that we parse ourselves."""
    shape = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    return {"requestBody": {"required": True, "content": {"application/json": shape}}}


def standing_parameters() -> list[dict[str, object]]:
    """Parameters of the standing decision; we read them ourselves, as strictly as a body."""
    query = schemas.StandingRequest.model_json_schema()["properties"]
    pattern = {"type": "string", "pattern": schemas.CUSTOMER_ID}
    return [
        {"name": "customer_id", "in": "path", "required": True, "schema": pattern},
        *({"name": name, "in": "query", "schema": query[name]} for name in query),
    ]
