"""From a call to the question that the desk answers."""

import json
from typing import Final

from starlette.requests import Request

from models.language import phrase
from serving.answer import Surroundings, rendered
from serving.calls.requests import scoped, sha256
from serving.calls.schemas import DecisionRequest
from serving.desk import Question
from serving.records import Decision
from serving.running import Service

FAILED: Final = phrase("the service could not decide in time or at all; its log says more")
NOT_LOGGED: Final = "dec_not_logged"


def question_of(request: Request, asked: DecisionRequest, now: int | None = None) -> Question:
    """The question, with a number drawn for it.

    Parameters
    ----------
    now : int or None
        From when to look, microseconds UTC; None: from now.
    """
    service: Service = request.app.state.service
    said = asked.model_dump(exclude_none=True)
    key = said.pop("idempotency_key", None)
    canonical = json.dumps(said, sort_keys=True)
    rest = {name: said[name] for name in ("trigger", "locale", "context") if name in said}
    return Question(
        asked.customer_id,
        service.now() if now is None else now,
        float(service.rng.random()),
        tuple(asked.channels or ()),
        tuple(asked.exclude or ()),
        None if key is None else (scoped(request, key), sha256(canonical)),
        json.dumps(rest),
        locale=asked.locale or "",
        trigger=asked.trigger or "",
    )


def unlogged(decision: Decision, surroundings: Surroundings) -> bytes:
    """The answer of a decision that the log does not hold."""
    return rendered(NOT_LOGGED, decision, surroundings)
