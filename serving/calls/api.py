"""The public HTTP contract: one decision resource, two ways to reach it, and health."""

from collections.abc import Callable
from functools import partial
from typing import Final

import numpy as np
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response

from features.home import Home
from serving.calls import answer_schemas, health_calls, schemas, view_calls, view_schemas
from serving.calls.batch_calls import decide_batch
from serving.calls.decision_calls import decide, standing_decision
from serving.calls.document import (
    EVENTS_SCHEMA,
    Responses,
    answer_of,
    body_schema,
    completed,
    failures,
    parameters,
)
from serving.calls.due_calls import due
from serving.calls.event_calls import keep_outcome, take_events
from serving.calls.health_calls import ABOUT, TITLE
from serving.calls.known_keys import KnownKeys
from serving.calls.pause_calls import pause, pauses
from serving.calls.requests import JSON
from serving.calls.security import Guard, problem, unavailable
from serving.console.overview import Lookout
from serving.console.pages import Console
from serving.console.session import Sessions, secret_of
from serving.running import Service, open_service
from serving.settings import Settings
from serving.storage.store import wall_clock
from serving.storage.store_file import StoreFailed
from serving.storage.turnstile import StoreBusy

VERSION: Final = "0.1.0"
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
    keys = KnownKeys(service.store.key_hash_is_known)
    sessions = Sessions(secret_of(settings.home), keys.hash_is_known, clock)
    lookout = Lookout(service.failures)
    app.router.routes.extend(Console(service, Home(settings.home), sessions, lookout).routes())
    app.add_exception_handler(HTTPException, unserved)
    for away in (StoreBusy, StoreFailed):
        app.add_exception_handler(away, store_away)
    app.add_middleware(
        Guard,
        key_is_known=keys.key_is_known,
        session_holds=sessions.holds,
        failures=service.failures,
    )
    app.openapi = partial(document, app)  # type: ignore[method-assign]
    return app


def add_routes(app: FastAPI) -> None:
    """Every path of the service."""
    add_decisions(app)
    add_intake(app)
    add_switch(app)
    add_views(app)
    health = answer_schemas.Health
    app.get("/livez", operation_id="livez", response_model=health)(health_calls.livez)
    app.get(
        "/readyz",
        operation_id="readyz",
        response_model=health,
        responses={503: {"model": health, "description": "The store cannot be used"}},
    )(health_calls.readyz)
    app.get("/", include_in_schema=False)(health_calls.root)


def add_decisions(app: FastAPI) -> None:
    """Paths that decide."""
    answers: Responses = {200: {"model": answer_schemas.DecisionAnswer, "description": DECIDED}}
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
        responses=answer_of(answer_schemas.BatchAnswer, "One item a question, in the order asked.")
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
        responses=answer_of(answer_schemas.DueAnswer, "Messages to send now; silence is counted.")
        | failures(401, 422),
        openapi_extra=parameters(schemas.DueRequest),
    )(due)


def add_intake(app: FastAPI) -> None:
    """Paths that tell us something."""
    app.post(
        "/v1/batch",
        operation_id="take_events",
        summary="Take in events as Segment's libraries send them; gzip is welcome",
        responses=answer_of(answer_schemas.EventsAnswer, "What became of each item.")
        | failures(400, 401, 413, 415, 422),
        openapi_extra={
            "requestBody": {"required": True, "content": {JSON: {"schema": EVENTS_SCHEMA}}}
        },
    )(take_events)
    app.post(
        "/v1/decisions/{decision_id}/outcomes",
        operation_id="keep_outcome",
        summary="Tell what became of a decision; each kind is kept once",
        responses=answer_of(answer_schemas.OutcomeAnswer, "What is on record now.")
        | failures(400, 401, 404, 413, 415, 422),
        openapi_extra=body_schema(schemas.OutcomeRequest) | parameters(None, "decision_id"),
    )(keep_outcome)


def add_switch(app: FastAPI) -> None:
    """The crisis switch."""
    on = answer_of(answer_schemas.PausesAnswer, "What is paused now.")
    look = answer_of(answer_schemas.PausesLookAnswer, "What is paused now, and whom it held back.")
    app.get(
        "/v1/pause",
        operation_id="pauses",
        summary="What is paused or under review, since when and why, and whom it kept from what",
        responses=look | failures(401, 422),
        openapi_extra=parameters(schemas.PausesRequest),
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
        responses=answer_of(view_schemas.CustomerAnswer, "As seen now.") | failures(401, 404, 422),
        openapi_extra=of_customer,
    )(view_calls.customer)
    app.get(
        "/v1/customers/{customer_id}/explanation",
        operation_id="explanation",
        summary="What would be answered now and why; nothing is logged",
        responses=answer_of(view_schemas.ExplanationAnswer, "Decision, reasons and features.")
        | failures(401, 404, 422),
        openapi_extra=of_customer,
    )(view_calls.explanation)
    app.post(
        "/v1/customers/{customer_id}/what-if",
        operation_id="what_if",
        summary="What the models would say if some features were different; nothing is logged",
        responses=answer_of(view_schemas.WhatIfAnswer, "Scores and reasons, now and then.")
        | failures(400, 401, 404, 413, 415, 422),
        openapi_extra=body_schema(schemas.WhatIfRequest) | of_customer,
    )(view_calls.what_if)
    app.get(
        "/v1/communications",
        operation_id="communications",
        summary="The catalog in service",
        responses=answer_of(view_schemas.CommunicationsAnswer, "Every entry.") | failures(401),
    )(view_calls.communications)
    app.get(
        "/v1/models",
        operation_id="models",
        summary="The bundle in service, its test, and what served before",
        responses=answer_of(view_schemas.ModelsAnswer, "One bundle serves at a time.")
        | failures(401),
    )(view_calls.models)
    app.get(
        "/v1/metrics/{metric}",
        operation_id="metrics",
        summary="What failed and was answered all the same; which bundle serves, and its damage",
        responses=answer_of(answer_schemas.MetricAnswer, "Since the service started.")
        | failures(401, 404, 503),
        openapi_extra=parameters(None, "metric"),
    )(health_calls.metrics)


async def unserved(_: Request, error: Exception) -> Response:
    """Our shape for what the router refuses: unknown paths and methods."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict((error.headers if isinstance(error, HTTPException) else None) or {})
    words = {
        404: "there is nothing at this path; /openapi.json lists all paths",
        405: "this path does not take this method; /openapi.json lists what it takes",
    }
    return problem(status, words.get(status, "the request was refused"), headers=headers)


async def store_away(request: Request, error: Exception) -> Response:
    """Our shape for a call that needs the store while it cannot be used."""
    service: Service = request.app.state.service
    service.failures.note("a call had to be refused for now", error)
    return unavailable(error)


def document(app: FastAPI) -> dict[str, object]:
    """The OpenAPI 3.1 document, made once."""
    if app.openapi_schema is None:
        app.openapi_schema = completed(
            get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
        )
    return app.openapi_schema
