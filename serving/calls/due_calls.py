"""The call that tells which messages to send now, because their moment has come."""

import json
import time
from typing import Final

import anyio
from starlette.requests import Request
from starlette.responses import Response

from features.counting import counted
from serving.answer import Json, time_text
from serving.calls import schemas
from serving.calls.questions import FAILED
from serving.calls.requests import Refused, checked, json_response
from serving.champion import InService
from serving.due import due_to
from serving.running import Service

# The server gives a call five seconds. Who was not looked at by then stands on the next page.
DUE_SECONDS: Final = 3.0


async def due(request: Request) -> Response:
    """Messages whose moment has come; each moment is decided once, and logged."""
    service: Service = request.app.state.service
    try:
        asked = checked(schemas.DueRequest, dict(request.query_params))
    except Refused as refused:
        return refused.response
    return json_response(await anyio.to_thread.run_sync(page, service, asked))


def page(service: Service, asked: schemas.DueRequest) -> dict[str, Json]:
    """One page: customers in order of their id, as far as the time allows."""
    until = time.monotonic() + DUE_SECONDS
    as_of = service.now()
    items: list[Json] = []
    content: dict[str, Json] = {"as_of": time_text(as_of), "items": items, "silent": 0}
    try:
        serving = service.champion.current()
        catalog = serving.engine.catalog
        ids = service.store.due_customers(catalog, as_of, asked.after or "", asked.limit)
    except Exception as error:  # the promise of this service: no failure of ours reaches a CRM
        service.failures.note("nothing named as due", error)
        return {**content, "next": asked.after, "note": FAILED}
    if serving.engine.bundle is None:
        return {**content, "next": None, "note": serving.note}
    silent, failed, last = 0, 0, None
    for customer_id in ids:
        if time.monotonic() > until:
            break
        try:
            found = of_customer(customer_id, service, serving, as_of)
        except Exception as error:  # the same promise; the others are named all the same
            service.failures.note("a customer was left out of what is due", error)
            found, failed = [], failed + 1
        messages = [item for item in found if item is not None]
        silent += len(found) - len(messages)
        items += messages
        last = customer_id
    is_end = last == (ids[-1] if ids else None) and len(ids) < asked.limit
    note = (
        f"{counted(failed, 'customer')} could not be looked at; the log says more" if failed else ""
    )
    return {**content, "silent": silent, "next": None if is_end else last, "note": note}


def of_customer(
    customer_id: str, service: Service, serving: InService, as_of: int
) -> list[dict[str, Json] | None]:
    """What to send to a customer now, occasion by occasion; None where that is nothing."""
    found = due_to(
        customer_id,
        as_of,
        lambda: float(service.rng.random()),
        service.store,
        serving.engine,
        service.surroundings,
    )
    return [
        None if answer is None else {"trigger": occasion, "decision": json.loads(answer)}
        for occasion, answer in found.items()
    ]
