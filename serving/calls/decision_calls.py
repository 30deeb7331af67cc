"""The calls that decide for one customer: a new decision, or the one that stands."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import anyio
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from features.signals import SECOND
from serving.answer import Json, encoded, flat
from serving.calls import schemas
from serving.calls.questions import FAILED, question_of, unlogged
from serving.calls.requests import JSON, Refused, checked, content_of
from serving.calls.security import problem
from serving.decision import fallback
from serving.desk import Question, answer_to, is_offered
from serving.running import Service
from serving.storage.log_entries import IdempotencyConflict

# A mail platform keeps a cached answer for five minutes at least; nobody needs it longer.
LONGEST_CACHE_SECONDS: Final = 300


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
        service.failures.note("fallback served", error)
        versions = service.champion.last.engine.versions
        fallen = fallback(question.customer_id, question.as_of, versions, FAILED)
        return unlogged(fallen, service.surroundings.heard_in(question.locale))


def cache_seconds(content: dict[str, Json], now: int) -> int:
    """How long a caller may keep the answer: while it holds, five minutes at most."""
    valid_until = np.datetime64(str(content["valid_until"]).rstrip("Z"), "us").astype(np.int64)
    return max(0, min(LONGEST_CACHE_SECONDS, (int(valid_until) - now) // SECOND))
