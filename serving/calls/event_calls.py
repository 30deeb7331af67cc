"""Calls that tell us something: a batch of events, and what became of a decision."""

from functools import partial
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response

from serving.answer import Json, time_text
from serving.calls import schemas
from serving.calls.requests import Refused, checked, content_of, json_response
from serving.calls.security import problem
from serving.event_cells import moment_of, scaled
from serving.events import Arrival, read_item
from serving.outcome_kinds import WITHDRAW
from serving.running import Service
from serving.storage.inbox import ACCEPTED, STATUSES, Verdict
from serving.storage.outcomes import ImpossibleOutcome, Kept, Outcome, Report, UnknownDecision
from serving.wire import BATCH_LIMIT, Unreadable

MOST_ITEMS: Final = 500  # of a batch, events and decisions alike
LATER: Final = (
    "this home looks from the end of its data: what came now counts once `nextbest ingest` has "
    "taken it over; consent counts at once"
)

NO_TIME: Final = (
    "the sentAt of the batch is no time, so no clock was corrected and the items' own times were "
    "taken as they stand; write 2026-03-31T18:05:00Z, or leave it out"
)


async def take_events(request: Request) -> Response:
    """Take in a batch as Segment's libraries send it; the report names each item."""
    service: Service = request.app.state.service
    try:
        content = await content_of(request, BATCH_LIMIT, lenient=True, gzip=True)
        items, sent_at, doubt = batch_of(content)
    except Refused as refused:
        return refused.response
    arrival = Arrival(service.clock(), sent_at, service.surroundings.currency)
    return json_response(await anyio.to_thread.run_sync(report, service, items, arrival, doubt))


def batch_of(content: object) -> tuple[list[object], int | None, str]:
    """The items of a batch, when their sender sent them, and what was wrong with that time.

    Raises
    ------
    Refused
        If it is no batch, or too long a one.
    """
    items = content.get("batch") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(items, list):
        words = 'the body must be an object with a list of items: {"batch": [...], "sentAt": "..."}'
        raise Refused(problem(422, words, (("/batch", "invalid", words),)))
    if isinstance(content.get(""), Unreadable):
        raise Refused(problem(400, content[""].words))
    if len(items) > MOST_ITEMS:
        words = f"{len(items)} items; a batch holds at most {MOST_ITEMS}; send several"
        raise Refused(problem(422, words, (("/batch", "too_long", words),)))
    said = content.get("sentAt")
    sent_at = moment_of(said) if isinstance(said, str) else None
    return items, sent_at, NO_TIME if sent_at is None and said is not None else ""


def report(
    service: Service, items: list[object], arrival: Arrival, doubt: str = ""
) -> dict[str, Json]:
    """Take the items in, and say what became of each, and what is doubtful about the batch."""
    read = [read_item(item, arrival) for item in items]
    verdicts = service.store.receive(read, service.now())
    live = service.surroundings.about.clock == "live"
    counts: dict[str, Json] = {
        status: sum(verdict.status == status for verdict in verdicts) for status in STATUSES
    }
    return {
        "received_at": time_text(arrival.received_at),
        **counts,
        "note": "; ".join(filter(None, (doubt, "" if live or not counts[ACCEPTED] else LATER))),
        "items": [told(place, verdict) for place, verdict in enumerate(verdicts)],
    }


def told(place: int, verdict: Verdict) -> dict[str, Json]:
    """One line of the report."""
    return {
        "index": place,
        "message_id": verdict.message_id,
        "status": verdict.status,
        "reasons": [{"code": code, "detail": words} for code, words in verdict.reasons.items()],
        "note": verdict.note,
    }


async def keep_outcome(request: Request) -> Response:
    """Append what became of a decision; the same kind again changes nothing."""
    service: Service = request.app.state.service
    try:
        asked = checked(schemas.OutcomeRequest, await content_of(request))
        outcome = outcome_of(request.path_params["decision_id"], asked, service)
    except Refused as refused:
        return refused.response
    try:
        kept = await anyio.to_thread.run_sync(partial(keep, service, outcome))
    except UnknownDecision as error:
        return problem(404, str(error))
    except ImpossibleOutcome as error:
        return problem(422, str(error), (("/outcome", "impossible", str(error)),))
    return json_response(kept_answer(kept, service))


def outcome_of(decision_id: str, asked: schemas.OutcomeRequest, service: Service) -> Outcome:
    """The outcome that was reported.

    Raises
    ------
    Refused
        If its moment is no time, or its amount no money of the company.
    """
    at = service.now() if asked.occurred_at is None else moment_of(asked.occurred_at)
    if at is None:
        words = (
            f"occurred_at is no time but a text of length {len(asked.occurred_at or '')}; "
            "write 2026-03-31T18:05:00Z, or leave it out"
        )
        raise Refused(problem(422, words, (("/occurred_at", "time", words),)))
    amount = None if asked.amount is None else scaled(repr(asked.amount), 2)
    if asked.amount is not None and amount is None:
        words = f"amount is {asked.amount!r}; must have at most 2 decimals; round it to the cent"
        raise Refused(problem(422, words, (("/amount", "decimals", words),)))
    currency = service.surroundings.currency
    if asked.currency is not None and asked.currency.upper() != currency:
        words = f"the currency is not the company's ({currency}, in policy.toml); convert it"
        raise Refused(problem(422, words, (("/currency", "currency", words),)))
    return Outcome(decision_id, asked.outcome, at, amount)


def keep(service: Service, outcome: Outcome) -> Kept:
    """Append it in one transaction."""
    catalog = service.champion.last.engine.catalog
    purposes = {name: entry.purpose for name, entry in catalog.communications.items()}
    return service.store.keep_outcome(outcome, Report(service.clock(), service.now(), purposes))


def kept_answer(kept: Kept, service: Service) -> dict[str, Json]:
    """What is on record now."""
    outcome = kept.outcome
    horizon = service.champion.last.engine.policy.horizon_days
    return {
        "decision_id": outcome.decision_id,
        "outcome": outcome.outcome,
        "occurred_at": time_text(outcome.occurred_at),
        "amount": None if outcome.amount is None else outcome.amount / 100,
        "currency": service.surroundings.currency,
        "recorded": kept.is_new,
        "late": kept.is_late(horizon),
        "gives_cap_back": kept.gives_cap_back,
        "withdraws_consent": outcome.outcome in WITHDRAW,
    }
