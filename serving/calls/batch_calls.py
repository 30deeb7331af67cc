"""Many decisions in one call: each answered by itself, none fails the rest."""

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

import anyio
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from serving.answer import Json, flat
from serving.calls import schemas
from serving.calls.mistakes import mistakes
from serving.calls.questions import FAILED, question_of, unlogged
from serving.calls.requests import Refused, checked, content_of, json_response
from serving.champion import InService
from serving.decision import fallback
from serving.desk import Question, Ready, ready_to_choose, recorded
from serving.running import Service
from serving.storage.log_entries import IdempotencyConflict
from serving.wire import BATCH_LIMIT

TOGETHER: Final = 25  # decisions that share one disk sync; others wait for some milliseconds
# The server gives a call five seconds. What is not decided by then gets the fallback.
BATCH_SECONDS: Final = 4.0
# A group may take so many times as long as the slowest before it. One that were still at work
# when the server's time is over would be logged, and its answers lost with all the others.
LEEWAY: Final = 1.5
TOO_LATE: Final = "this call's time was over before this customer's turn; ask again, for fewer"


async def decide_batch(request: Request) -> Response:
    """Decide for many customers; one answer each, in the order asked."""
    service: Service = request.app.state.service
    try:
        query = checked(schemas.FormatRequest, dict(request.query_params))
        asked = checked(schemas.BatchRequest, await content_of(request, BATCH_LIMIT))
    except Refused as refused:
        return refused.response
    now = await anyio.to_thread.run_sync(service.now)  # one moment for all
    wanted = [read(request, item, now) for item in asked.decisions]
    questions = [found for found in wanted if isinstance(found, Question)]
    work = partial(answers, service, questions, asked.reasons)
    answered = iter(await anyio.to_thread.run_sync(work))
    items: list[Json] = []
    for place, found in enumerate(wanted):
        made = next(answered) if isinstance(found, Question) else found
        if "decision" in made and query.format == "flat":
            decision = made["decision"]
            made = {**made, "decision": flat(decision if isinstance(decision, dict) else {})}
        items.append({"index": place, **made})
    return json_response({"items": items})


def read(request: Request, item: object, now: int) -> Question | dict[str, Json]:
    """One question of the batch, or what is wrong with it."""
    try:
        return question_of(request, schemas.DecisionRequest.model_validate(item), now)
    except ValidationError as error:
        errors: list[Json] = [
            {"pointer": each.pointer, "code": each.code, "detail": each.words}
            for each in mistakes(error, item, schemas.DecisionRequest)
        ]
        return {"status": 422, "errors": errors}


def answers(
    service: Service, questions: Sequence[Question], reasons: bool
) -> list[dict[str, Json]]:
    """Answers to the questions: a few at a time, computed first and then logged together."""
    until = time.monotonic() + BATCH_SECONDS
    try:
        serving = service.champion.current()
    except Exception as error:  # the promise of this service: no failure of ours reaches a CRM
        service.failures.note("no batch could be begun; fallbacks served", error)
        return [fallen(service, question) for question in questions]
    if not reasons:
        serving = replace(serving, engine=replace(serving.engine, texts=None))
        service = replace(service, surroundings=replace(service.surroundings, sentences=False))
    found: list[dict[str, Json]] = []
    slowest = 0.0
    for start in range(0, len(questions), TOGETHER):
        some, begun = questions[start : start + TOGETHER], time.monotonic()
        if begun + LEEWAY * slowest > until:
            found += [fallen(service, question, TOO_LATE) for question in some]
        else:
            found += logged_together(service, serving, some)
            slowest = max(slowest, time.monotonic() - begun)
    return found


def logged_together(
    service: Service, serving: InService, questions: Sequence[Question]
) -> list[dict[str, Json]]:
    """Answers to a few questions, in one commit."""
    ready = [prepared(service, serving, question) for question in questions]
    try:
        with service.store.together():
            return [
                fallen(service, question) if how is None else settled(service, question, how)
                for question, how in zip(questions, ready, strict=True)
            ]
    except Exception as error:  # the same promise
        service.failures.note("a part of a batch could not be kept; fallbacks served", error)
        return [fallen(service, question) for question in questions]


def prepared(service: Service, serving: InService, question: Question) -> Ready | None:
    """How to settle; None if that cannot be found out."""
    try:
        return ready_to_choose(question, service.store, serving.engine, serving.note)
    except Exception as error:  # the same promise
        service.failures.note("one of a batch could not be prepared; fallback served", error)
        return None


def settled(service: Service, question: Question, how: Ready) -> dict[str, Json]:
    """The answer to one question, logged."""
    try:
        return decided(recorded(question, how, service.store, service.surroundings))
    except IdempotencyConflict as error:
        wrong: Json = {
            "pointer": "/idempotency_key",
            "code": "conflict",
            "detail": str(error),
        }
        return {"status": 422, "errors": [wrong]}
    except Exception as error:  # the same promise
        service.failures.note("one of a batch could not be settled; fallback served", error)
        return fallen(service, question)


def fallen(service: Service, question: Question, note: str = FAILED) -> dict[str, Json]:
    """The fallback, which is not logged."""
    versions = service.champion.last.engine.versions
    made = fallback(question.customer_id, question.as_of, versions, note)
    return decided(unlogged(made, service.surroundings.heard_in(question.locale)))


def decided(body: bytes) -> dict[str, Json]:
    """An answer as an item of the batch."""
    return {"status": 200, "decision": dict(json.loads(body))}
