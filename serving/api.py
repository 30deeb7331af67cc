"""The public HTTP contract: one decision resource, two ways to reach it, and health."""

import html
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

import anyio
import numpy as np
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, Response

from features.home import Home
from features.signals import SECOND
from serving import schemas, view_calls
from serving.answer import Json, encoded, flat
from serving.batch_calls import decide_batch
from serving.console.pages import Console
from serving.console.session import Sessions, secret_of
from serving.decision import fallback
from serving.desk import Question, answer_to, is_offered
from serving.due_calls import due
from serving.event_calls import MOST_ITEMS, keep_outcome, take_events
from serving.pause_calls import pause, pauses
from serving.questions import FAILED, question_of, unlogged
from serving.requests import JSON, Refused, checked, content_of
from serving.running import Service, open_service
from serving.security import Guard, log_failure, problem
from serving.settings import Settings
from serving.store import IdempotencyConflict, wall_clock

VERSION: Final = "0.1.0"
# A mail platform keeps a cached answer for five minutes at least; nobody needs it longer.
LONGEST_CACHE_SECONDS: Final = 300
TITLE: Final = "Nextbest"
ABOUT: Final = (
    "The next best communication for each customer, silence included, with reasons. "
    "Every call needs a key, as bearer token or as the user name of basic authentication."
)
Responses = dict[int | str, dict[str, Any]]

PATH_IDS: Final = {
    "customer_id": {"type": "string", "pattern": schemas.CUSTOMER_ID},
    "decision_id": {"type": "string"},
}
# Read item by item, so that a wrong one fails alone.
EVENTS_SCHEMA: Final = {
    "type": "object",
    "required": ["batch"],
    "properties": {
        "batch": {"type": "array", "maxItems": MOST_ITEMS, "items": {"type": "object"}},
        "sentAt": {"type": "string", "description": "RFC 3339; corrects a wrong clock."},
    },
}
DESCRIBED_BY_HAND: Final = (
    schemas.DecisionRequest,
    schemas.BatchRequest,
    schemas.OutcomeRequest,
    schemas.WhatIfRequest,
    schemas.PauseRequest,
    schemas.Problem,
)
DECIDED: Final = "`no_contact` is a communication like another. Unknown customer: `fallback` true."


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
    app = FastAPI(
        title=TITLE,
        version=VERSION,
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would repeat the caller's Host header
    )
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
    add_decisions(app)
    add_intake(app)
    add_switch(app)
    add_views(app)
    app.get("/livez", operation_id="livez", response_model=schemas.Health)(livez)
    app.get("/readyz", operation_id="readyz", response_model=schemas.Health)(readyz)
    app.get("/", include_in_schema=False)(root)


def add_decisions(app: FastAPI) -> None:
    """Paths that decide."""
    answers: Responses = {200: {"model": schemas.DecisionAnswer, "description": DECIDED}}
    app.post(
        "/v1/decisions",
        operation_id="decide",
        summary="Decide, log and answer",
        responses=answers | failures(400, 401, 413, 415, 422),
        openapi_extra=body_schema(schemas.DecisionRequest) | parameters(schemas.FormatRequest),
    )(decide)
    app.post(
        "/v1/decisions/batch",
        operation_id="decide_batch",
        summary="Decide for up to 500 customers; one wrong item does not fail the rest",
        responses=answer_of(schemas.BatchAnswer, "One item a question, in the order asked.")
        | failures(400, 401, 413, 415, 422),
        openapi_extra=body_schema(schemas.BatchRequest) | parameters(schemas.FormatRequest),
    )(decide_batch)
    app.get(
        "/v1/customers/{customer_id}/decision",
        operation_id="standing_decision",
        summary="The standing decision while it holds, else a new one",
        responses=answers | failures(401, 422),
        openapi_extra=parameters(schemas.StandingRequest, "customer_id"),
    )(standing_decision)
    app.get(
        "/v1/due",
        operation_id="due",
        summary="Decisions whose moment has come: after a trigger and its delay",
        responses=answer_of(schemas.DueAnswer, "Messages to send now; silence is counted.")
        | failures(401, 422),
        openapi_extra=parameters(schemas.DueRequest),
    )(due)


def add_intake(app: FastAPI) -> None:
    """Paths that tell us something."""
    app.post(
        "/v1/batch",
        operation_id="take_events",
        summary="Take in events as Segment's libraries send them; gzip is welcome",
        responses=answer_of(schemas.EventsAnswer, "What became of each item.")
        | failures(400, 401, 413, 415, 422),
        openapi_extra={
            "requestBody": {"required": True, "content": {JSON: {"schema": EVENTS_SCHEMA}}}
        },
    )(take_events)
    app.post(
        "/v1/decisions/{decision_id}/outcomes",
        operation_id="keep_outcome",
        summary="Tell what became of a decision; each kind is kept once",
        responses=answer_of(schemas.OutcomeAnswer, "What is on record now.")
        | failures(400, 401, 404, 413, 415, 422),
        openapi_extra=body_schema(schemas.OutcomeRequest) | parameters(None, "decision_id"),
    )(keep_outcome)


def add_switch(app: FastAPI) -> None:
    """The crisis switch."""
    on = answer_of(schemas.PausesAnswer, "What is paused now.")
    app.get(
        "/v1/pause",
        operation_id="pauses",
        summary="What is paused, since when and why",
        responses=on | failures(401),
    )(pauses)
    app.post(
        "/v1/pause",
        operation_id="pause",
        summary="Hold messages back, all or some, from the next decision on; or let them go again",
        responses=on | failures(400, 401, 404, 413, 415, 422),
        openapi_extra=body_schema(schemas.PauseRequest),
    )(pause)


def add_views(app: FastAPI) -> None:
    """Paths that show something and change nothing."""
    of_customer = parameters(None, "customer_id")
    app.get(
        "/v1/customers/{customer_id}",
        operation_id="customer",
        summary="Profile, stage, flags and scores of a customer",
        responses=answer_of(schemas.CustomerAnswer, "As seen now.") | failures(401, 404, 422),
        openapi_extra=of_customer,
    )(view_calls.customer)
    app.get(
        "/v1/customers/{customer_id}/explanation",
        operation_id="explanation",
        summary="What would be answered now and why; nothing is logged",
        responses=answer_of(schemas.ExplanationAnswer, "Decision, reasons and features.")
        | failures(401, 404, 422),
        openapi_extra=of_customer,
    )(view_calls.explanation)
    app.post(
        "/v1/customers/{customer_id}/what-if",
        operation_id="what_if",
        summary="What the models would say if some features were different; nothing is logged",
        responses=answer_of(schemas.WhatIfAnswer, "Scores and reasons, now and then.")
        | failures(400, 401, 404, 413, 415, 422),
        openapi_extra=body_schema(schemas.WhatIfRequest) | of_customer,
    )(view_calls.what_if)
    app.get(
        "/v1/communications",
        operation_id="communications",
        summary="The catalog in service",
        responses=answer_of(schemas.CommunicationsAnswer, "Every entry.") | failures(401),
    )(view_calls.communications)
    app.get(
        "/v1/models",
        operation_id="models",
        summary="The bundle in service, its test, and what served before",
        responses=answer_of(schemas.ModelsAnswer, "One bundle serves at a time.") | failures(401),
    )(view_calls.models)


async def decide(request: Request) -> Response:
    """Decide for one customer; the answer is logged before it is given."""
    service: Service = request.app.state.service
    try:
        query = checked(schemas.FormatRequest, dict(request.query_params))
        asked = checked(schemas.DecisionRequest, await content_of(request))
        body = await in_time(service, question_of(request, asked), decided)
    except Refused as refused:
        return refused.response
    except IdempotencyConflict as error:
        return problem(422, str(error), (("/idempotency_key", "conflict", str(error)),))
    if query.format == "flat":
        body = encoded(flat(json.loads(body)))
    return Response(body, headers={"Cache-Control": "no-store"}, media_type=JSON)


async def standing_decision(request: Request) -> Response:
    """The standing decision of one customer, cacheable while it holds."""
    service: Service = request.app.state.service
    customer_id = request.path_params["customer_id"]
    try:
        checked(schemas.DecisionRequest, {"customer_id": customer_id})
        asked = checked(schemas.StandingRequest, dict(request.query_params))
    except Refused as refused:
        return refused.response
    now = service.now()
    channels = () if asked.channel is None else (asked.channel,)
    drawn = float(service.rng.random())
    question = Question(customer_id, now, drawn, channels, reuses_standing=True)
    content = json.loads(await in_time(service, question, standing_or_new))
    keep = "no-store" if content["fallback"] else f"private, max-age={cache_seconds(content, now)}"
    answer = flat(content) if asked.format == "flat" else content
    return Response(encoded(answer), headers={"Cache-Control": keep}, media_type=JSON)


def decided(service: Service, question: Question) -> bytes:
    """A new decision, logged."""
    serving = service.champion.current()
    return answer_to(question, service.store, serving.engine, service.surroundings, serving.note)


def standing_or_new(service: Service, question: Question) -> bytes:
    """The decision that stands, else a new one.

    One made without limits stands under limits that it keeps, so that two callers with
    different limits do not send two messages.
    """
    store, customer_id = service.store, question.customer_id
    catalog = service.champion.current().engine.catalog
    # An order, or a complaint, ends what was decided before it.
    since = store.ended_at(customer_id, catalog) + 1
    question = replace(question, since=since)
    standing = store.standing(customer_id, question.as_of, question.scope, since)
    if standing is None and question.channels:
        unlimited = store.standing(customer_id, question.as_of, since=since)
        if unlimited is not None and json.loads(unlimited)["channel"] in question.channels:
            standing = unlimited
    if standing is not None and not is_offered(standing, catalog):
        question, standing = replace(question, reuses_standing=False), None
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
        return unlogged(fallen, service.surroundings.heard_in(question.locale))


async def livez() -> Response:
    """Whether the process answers at all."""
    return JSONResponse({"status": "alive"})


async def readyz(request: Request) -> Response:
    """Whether decisions can be made: `ready`, `degraded` (fallbacks only) or `unready`.

    The note says so if the champion cannot be used, if an edit of the company's files has a
    mistake, or if the store cannot be written.
    """
    service: Service = request.app.state.service
    try:
        serving = await anyio.to_thread.run_sync(service.champion.current)
        unwritable = await anyio.to_thread.run_sync(service.store.why_unwritable)
    except Exception as error:  # health is asked exactly when something is wrong
        log_failure("not ready", error)
        return JSONResponse({"status": "unready"}, 503)
    status = "ready" if serving.engine.bundle and not unwritable else "degraded"
    notes = "; ".join(note for note in (serving.note, serving.mistake, unwritable) if note)
    return JSONResponse({"status": status, **({"note": notes} if notes else {})})


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
        for model in DESCRIBED_BY_HAND:
            schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
            parts.update(schema.pop("$defs", {}))
            parts[model.__name__] = schema
        question = {"$ref": "#/components/schemas/DecisionRequest"}
        parts["BatchRequest"]["properties"]["decisions"]["items"] = question
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
        404: "Not known here",
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


def answer_of(model: type[BaseModel], words: str) -> Responses:
    """The documented answer of a call."""
    return {200: {"model": model, "description": words}}


def parameters(query: type[BaseModel] | None, *path: str) -> dict[str, object]:
    """Parameters of a call; we read them ourselves, as strictly as a body."""
    asked = {} if query is None else query.model_json_schema()["properties"]
    return {
        "parameters": [
            *({"name": n, "in": "path", "required": True, "schema": PATH_IDS[n]} for n in path),
            *({"name": name, "in": "query", "schema": asked[name]} for name in asked),
        ]
    }
