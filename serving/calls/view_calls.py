"""Calls that show something and change nothing: customers, the catalog, the models."""

from collections.abc import Callable

import anyio
from starlette.requests import Request
from starlette.responses import Response

from models.what_if import CannotChange
from serving import profile, shelf
from serving.answer import Json, Surroundings
from serving.calls import schemas
from serving.calls.requests import Refused, checked, content_of, json_response
from serving.calls.security import problem
from serving.engine import Engine
from serving.profile import UnknownCustomer
from serving.running import Service
from serving.storage.store import Store
from serving.what_if import Supposition
from serving.what_if import what_if as what_if_of

See = Callable[[str, int, Store, Engine, Surroundings], dict[str, Json]]


async def customer(request: Request) -> Response:
    """A customer's profile."""
    return await _seen_now(request, profile.profile)


async def explanation(request: Request) -> Response:
    """Why a customer would get what they would get now."""
    return await _seen_now(request, profile.explanation)


async def _seen_now(request: Request, see: See) -> Response:
    def look(service: Service, customer_id: str) -> dict[str, Json]:
        engine = service.champion.current().engine
        return see(customer_id, service.now(), service.store, engine, service.surroundings)

    return await about_customer(request, look)


async def what_if(request: Request) -> Response:
    """What the models would say of a customer who differed; nothing is decided or logged."""
    service: Service = request.app.state.service
    customer_id = request.path_params["customer_id"]
    try:
        checked(schemas.DecisionRequest, {"customer_id": customer_id})
        asked = checked(schemas.WhatIfRequest, await content_of(request))
        supposed = Supposition(customer_id, service.now(), asked.changes)
        around = service.surroundings.heard_in(asked.locale)

        def look() -> dict[str, Json]:
            # In the thread: while a bundle is loaded, asking what serves takes a second.
            engine = service.champion.current().engine
            return what_if_of(supposed, service.store, engine, around)

        return json_response(await anyio.to_thread.run_sync(look))
    except Refused as refused:
        return refused.response
    except UnknownCustomer as error:
        return problem(404, str(error))
    except CannotChange as error:
        where = (f"/changes/{error.feature}", error.code, str(error))
        return problem(422, "this change cannot be asked for; see errors", (where,))


async def about_customer(
    request: Request, look: Callable[[Service, str], dict[str, Json]]
) -> Response:
    """What `look` finds of the customer in the path; 404 if they are not known."""
    service: Service = request.app.state.service
    customer_id = request.path_params["customer_id"]
    try:
        checked(schemas.DecisionRequest, {"customer_id": customer_id})
        return json_response(await anyio.to_thread.run_sync(look, service, customer_id))
    except Refused as refused:
        return refused.response
    except UnknownCustomer as error:
        return problem(404, str(error))


async def communications(request: Request) -> Response:
    """The catalog in service."""
    service: Service = request.app.state.service
    return json_response(shelf.communications(service.champion.last.engine, service.surroundings))


async def models(request: Request) -> Response:
    """The bundle in service and those before it."""
    service: Service = request.app.state.service

    def look() -> dict[str, Json]:
        engine = service.champion.current().engine
        return shelf.models(engine, service.store.champion_history(), service.surroundings)

    return json_response(await anyio.to_thread.run_sync(look))
